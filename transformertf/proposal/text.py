"""A proposal as YAML, with the reason of each value beside it."""

import json
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

import yaml

from transformertf.proposal.settings import Said

_WIDTH = 100


def as_yaml(head: list[str], tree: Mapping[str, Any]) -> str:
    """Return a tree of values with reasons as YAML.

    Args:
        head: lines of the comment at its top.
        tree: keys to values with reasons, to trees, or to lines of comments (keys that begin
            with #).
    """
    lines = [f"# {' '.join(line.splitlines())}".rstrip() for line in head]
    was_value = False
    for key, value in tree.items():
        is_value = isinstance(value, Said)
        lines += [] if is_value and was_value else [""]
        lines += _lines(key, value, 0)
        was_value = is_value
    return "\n".join(lines) + "\n"


def _lines(key: str, value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if key.startswith("#"):
        for line in value:
            yield from (f"{indent}# {part}" for part in _wrapped(line, _WIDTH - len(indent) - 2))
    elif isinstance(value, Mapping):
        yield f"{indent}{key}:"
        for name, item in value.items():
            yield from _lines(name, item, depth + 1)
    else:
        yield from _commented(f"{indent}{key}: {in_yaml(value.value)}", value.why, indent)


def _commented(line: str, why: str, indent: str) -> Iterator[str]:
    why = " ".join(why.split())  # names of columns may hold ends of lines
    if not why:
        yield line
    elif len(line) + len(why) + 3 <= _WIDTH:
        yield f"{line} # {why}"
    else:
        yield from (f"{indent}# {part}" for part in _wrapped(why, _WIDTH - len(indent) - 2))
        yield line


def _wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of so many characters, but for longer words."""
    text = " ".join(text.split())
    return wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def in_yaml(value: Any) -> str:
    """Return a value in a line of YAML; what would be interpolated is text."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {in_yaml(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(in_yaml, value))}]"
    if isinstance(value, str):
        return _text(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _text(value: str) -> str:
    escaped = value.replace("${", "\\${")
    try:
        is_plain = yaml.safe_load(f"[{escaped}]") == [value] and value.isprintable()
    except yaml.YAMLError:
        is_plain = False
    return escaped if is_plain else json.dumps(escaped, ensure_ascii=not value.isprintable())
