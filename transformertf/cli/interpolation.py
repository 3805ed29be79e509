"""`${...}` in a configuration: what it may say, how much it may put in, and its resolution.

OmegaConf's resolvers do more than a configuration wants: one of them imports any module that it is
given. And values that refer to each other twice double with each step. So all is looked at before
anything is resolved.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transformertf.class_paths import DEEPEST
from transformertf.cli.yaml_file import LARGEST
from transformertf.errors import InputError

Tree = dict[str, Any]
Path = tuple[str, ...]

# an even number of backslashes before it: an odd one makes text of it
_OPENING = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
_KEY = re.compile(r"\s*(\.*)([^\s:,${}\\]+)\s*\}")
_VARIABLE = re.compile(r"\s*oc\.env\s*:\s*([^\s:,${}\\'\"]+)\s*(?:,([^${}\\]*))?\}")


class _Measure(NamedTuple):
    """Of a value: what interpolations put into it, how much it is then, and how deep that goes."""

    put: int = 0
    whole: int = 1
    height: int = 0


def as_text(node: Any) -> Any:
    """Return a tree in which `${` is text: of a checkpoint, where all is resolved already."""
    if isinstance(node, dict):
        return {key: as_text(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [as_text(value) for value in node]
    if isinstance(node, str):
        return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", node)
    return node


def resolve(tree: Tree, where: Callable[[str], str]) -> Tree:
    """Return a tree with the values that `${a.b}` and `${oc.env:NAME}` stand for.

    Args:
        tree: mappings, lists and values.
        where: names the source of a key.

    Raises:
        InputError: an interpolation of another kind, one that leads nowhere or back to itself, or
            one that puts in too much.
    """
    if _Looking(tree, where).measure(tree, (), 0).put > LARGEST:
        raise InputError(
            f"config: interpolations put in more than {LARGEST} characters and values; write out "
            "what is meant"
        )
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        reason, place = str(error).splitlines()[0], where(error.full_key or "")
        unset = re.search(r"Environment variable '([^']+)' not found", reason)
        if unset is not None:
            raise InputError(
                f"{error.full_key}{place}: the environment variable {unset[1]!r} is not set; set "
                f"it, or give what to take without it: ${{oc.env:{unset[1]},DEFAULT}}"
            ) from error
        raise InputError(f"config: {reason}{place}") from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


class _Looking:
    """Looks at the interpolations of a tree; nothing is resolved.

    Args:
        tree: as given.
        where: names the source of a key.
    """

    def __init__(self, tree: Tree, where: Callable[[str], str]) -> None:
        self._tree, self._where = tree, where
        self._known: dict[Path, _Measure] = {}

    def measure(self, node: Any, path: Path, depth: int) -> _Measure:
        """Measure a value of the tree.

        Args:
            node: the value.
            path: its keys.
            depth: how many parts and interpolations led here.
        """
        known = self._known.get(path)
        if depth + (known.height if known else 0) > 2 * DEEPEST:
            place = ".".join(path)
            raise InputError(
                f"config: {place:.60}{self._where(place)}: goes deeper than {2 * DEEPEST} levels, "
                "or by interpolations back to where it starts; write it flat"
            )
        if known is None:
            known = self._known[path] = self._look(node, path, depth)
        return known

    def _look(self, node: Any, path: Path, depth: int) -> _Measure:
        if isinstance(node, str):
            texts = [node[found.end() :] for found in _OPENING.finditer(node)]
            parts = [self._referred(text, path, depth) for text in texts]
            put = sum(part.whole for part in parts)
            own = put + len(node)
        else:
            items: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, dict) else ()
            if isinstance(node, list | tuple):
                items = enumerate(node)
            parts = [self.measure(item, (*path, str(key)), depth + 1) for key, item in items]
            put, own = sum(part.put for part in parts), sum(part.whole for part in parts)
        return _Measure(put, own + 1, max((part.height + 1 for part in parts), default=0))

    def _referred(self, text: str, path: Path, depth: int) -> _Measure:
        """Measure what an interpolation stands for.

        Args:
            text: what follows its `${`.
            path: of the value that it is in.
            depth: how many parts and interpolations led here.
        """
        variable, key = _VARIABLE.match(text), _KEY.match(text)
        if variable is not None:
            return _Measure(whole=len(os.environ.get(variable[1], variable[2] or "")))
        if key is None:
            place, found = ".".join(path), text.partition("}")[0]
            raise InputError(
                f"{place}{self._where(place)}: found ${{{found:.60}}}, expected the key of a value "
                "or oc.env:NAME, with no other interpolation within"
            )
        node: Any = self._tree
        at = path[: max(0, len(path) - len(key[1]))] if key[1] else ()
        for part in at:
            node = part_of(node, part)
        for part in filter(None, re.split(r"[.\[\]]+", key[2])):
            # what leads through another interpolation is a part of that one
            if (below := part_of(node, part)) is None:
                if not isinstance(node, str):
                    return _Measure()
                break
            node, at = below, (*at, part)
        return self.measure(node, at, depth + 1)


def part_of(node: Any, key: str) -> Any:
    """Return an item of a mapping or a list, as OmegaConf finds it; None where there is none."""
    if isinstance(node, list | tuple):
        with contextlib.suppress(ValueError, IndexError):
            return node[int(key)]  # from the end, too
        return None
    return node.get(key) if isinstance(node, dict) else None
