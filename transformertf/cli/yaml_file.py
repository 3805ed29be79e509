"""A YAML file as mappings, lists and values, whatever is in it."""

import io
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transformertf.class_paths import DEEPEST
from transformertf.errors import InputError

# what a configuration never reaches: values with aliases written out
LARGEST = 100_000
NULL, MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
# OmegaConf takes a number alone for a file that cannot be read
_NO_YAML = (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, OverflowError, OSError)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# the byte order marks that such a file begins with
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class YamlFile:
    """A YAML file, read once: of a pipe there is no second time.

    Attributes:
        path: the file.
        content: its bytes, in UTF-8 or, with a byte order mark, UTF-16.
    """

    path: Path
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "YamlFile":
        """Read a file.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        try:
            return cls(path, path.read_bytes())
        except FileNotFoundError as error:
            raise InputError(f"--config {path}: no such file") from error
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"--config {path}: cannot be read ({reason})") from error

    def text(self) -> str:
        """Return the text, without its byte order mark."""
        return self.content.decode("utf-16" if self.content.startswith(UTF_16) else "utf-8-sig")

    def tree(self, naming: Collection[str] = ()) -> dict[str, Any]:
        """Return what it holds; keys are text, `${...}` stays as it is.

        Args:
            naming: keys whose values name something: they are text as it is written, where YAML
                would make false of `NO`, and 7 of `007`.

        Raises:
            InputError: not a mapping in YAML, or one that nests or repeats without end.
        """
        place = f"--config {self.path}"
        try:
            text = self.text()
            root = self.root()
            _measure(root, place, DEEPEST, {})
            quoted = _quote(text, _names(root, naming))
            tree = OmegaConf.to_container(OmegaConf.load(io.StringIO(quoted)), resolve=False)
        except RecursionError as error:
            raise _too_deep(place) from error
        except _NO_YAML as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{place}: not valid YAML ({reason:.500})") from error
        if not isinstance(tree, dict):
            raise InputError(f"{place}: expected keys and values, found {tree!r:.60}")
        named: dict[str, Any] = _with_names(tree)
        return named

    def root(self) -> yaml.Node | None:
        """Return its nodes, which know their lines; None where it is empty."""
        # tags are only read here; what they would construct, OmegaConf refuses
        return yaml.compose(self.text(), Loader=yaml.SafeLoader)


def quote_names(text: str) -> str:
    """Return YAML of a name, or a list of names, with quotes round what has none."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    named = root.value if isinstance(root, yaml.SequenceNode) else [root]
    return _quote(text, [name for name in named if isinstance(name, yaml.ScalarNode)])


def _names(node: yaml.Node | None, naming: Collection[str]) -> Iterator[yaml.ScalarNode]:
    """Yield the keys of a file, and the values that name something."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _names(item, naming)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield key
        if getattr(key, "value", None) in naming:
            named = value.value if isinstance(value, yaml.SequenceNode) else [value]
            yield from (name for name in named if isinstance(name, yaml.ScalarNode))
        yield from _names(value, naming)


def _quote(text: str, names: Iterable[yaml.ScalarNode]) -> str:
    """Return the text of a file with quotes round the scalars that have none; null stays null."""
    plain = {
        name.end_mark.index: name.value
        for name in names
        if name.style is None and name.tag not in (NULL, MERGE)
    }
    for end, value in sorted(plain.items(), reverse=True):
        start = end - len(value)
        if text[start:end] == value:  # with a line break in it, it is text as it stands
            text = f"{text[:start]}{json.dumps(value, ensure_ascii=False)}{text[end:]}"
    return text


def _measure(
    node: yaml.Node | None, place: str, depth: int, known: dict[int, tuple[int, int]]
) -> tuple[int, int]:
    """Return how many values a node has, with aliases written out, and how deep they nest.

    Args:
        node: of the file.
        place: flag and file, for messages.
        depth: how deep it may nest.
        known: what was found of the nodes looked at before, by identity.
    """
    parts = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and ":" in node.value:
        line = node.start_mark.line + 1
        raise InputError(
            f"{place}: {node.value} in line {line} would be a number by sixties; write it in quotes"
        )
    if depth > 0 and id(node) not in known:
        size, height = 1, 0
        for part in parts:
            for item in part if isinstance(part, tuple) else (part,):
                own = _measure(item, place, depth - 1, known)
                size, height = size + own[0], max(height, own[1])
        known[id(node)] = size, height + 1
    if depth == 0 or known[id(node)][1] > depth:
        raise _too_deep(place)
    if known[id(node)][0] > LARGEST:
        raise InputError(f"{place}: more than {LARGEST} values, with aliases written out")
    return known[id(node)]


def _too_deep(place: str) -> InputError:
    return InputError(
        f"{place}: nests deeper than {DEEPEST} levels, or within itself; write it flat"
    )


def _with_names(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _with_names(value) for key, value in node.items()}
    return [_with_names(item) for item in node] if isinstance(node, list) else node
