"""A YAML file as mappings, lists and values, whatever is in it."""

import io
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transformertf.errors import InputError

# what a configuration never reaches: parts within each other, and values with aliases written out
DEEPEST, LARGEST = 32, 100_000
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# the byte order marks that such a file begins with
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_yaml(path: Path, flag: str = "--config") -> dict[str, Any]:
    """Return what a YAML file holds; keys are text, `${...}` stays as it is.

    Args:
        path: the file, in UTF-8 or, with a byte order mark, UTF-16.
        flag: the flag that named it, for messages.

    Raises:
        InputError: no such file, not a mapping in YAML, or one that nests or repeats without end.
    """
    place = f"{flag} {path}"
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
        # tags are only read here; what they would construct, the next line refuses
        _measure(yaml.compose(text, Loader=yaml.SafeLoader), place, DEEPEST, {})
        tree = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except FileNotFoundError as error:
        raise InputError(f"{place}: no such file") from error
    except RecursionError as error:
        raise _too_deep(place) from error
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{place}: not valid YAML ({reason:.500})") from error
    if not isinstance(tree, dict):
        raise InputError(f"{place}: expected keys and values, found {tree!r:.60}")
    named: dict[str, Any] = _with_names(tree)
    return named


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
