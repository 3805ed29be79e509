"""What a configuration can hold, as `schema.json` says it: without torch, which takes seconds.

`python -m scripts.docs.schema` draws that file from signatures and docstrings.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from transformertf.errors import InputError, nearest

Schema = dict[str, Any]

PATH = Path(__file__).resolve().parent.parent / "schema.json"
_POINTER = "#/$defs/"
# what JSON calls values, in the words of the pages
_KINDS = {
    "integer": "int", "number": "float", "string": "text", "boolean": "bool", "array": "list",
    "object": "mapping",
}  # fmt: skip


@dataclass(frozen=True)
class Argument:
    """An argument of a class.

    Attributes:
        name: its key.
        kind: what it may be, in words; empty where that is anything.
        default: as JSON writes it; empty where there is none, or none worth telling.
        text: what it means.
        group: of a data module columns, windows or data; of a model own, common, or linked where
            the data says it; else empty.
        after_fit: of a data module, whether it may be another than in the fit.
        choices: the values, where there are only some.
    """

    name: str
    kind: str
    default: str
    text: str
    group: str
    after_fit: str
    choices: tuple[str, ...]


@cache
def text() -> str:
    """Return the whole schema, as it is shipped."""
    return PATH.read_text(encoding="utf-8")


@cache
def whole() -> Schema:
    """Return the whole schema; it is not to be changed."""
    schema: Schema = json.loads(text())
    return schema


def as_text(schema: Schema) -> str:
    """Return a schema as JSON, with a line for each argument of each class."""
    return f"{_lines(schema, depth=4)}\n"


def _lines(node: Any, depth: int) -> str:
    if not isinstance(node, dict) or not node or depth == 0:
        return json.dumps(node, ensure_ascii=False)
    lines = [f"{json.dumps(key)}: {_lines(part, depth - 1)}" for key, part in node.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def narrowed(model: str) -> Schema:
    """Return the schema of the configurations of one model, and of the data that it takes.

    Raises:
        InputError: there is no such model.
    """
    schema = copy.deepcopy(whole())
    del schema["allOf"]  # which data a model takes
    own = class_named("model", model)
    _keep_one(schema, "model", own)
    _keep_one(schema, "data", data_for(own))
    reached = _reached(schema)
    schema["$defs"] = {name: part for name, part in schema["$defs"].items() if name in reached}
    return schema


def data_for(model: str) -> str:
    """Return the data module that makes the batches of a model, named as `class_named` does."""
    (sequences,) = whole()["allOf"]
    names = sequences["if"]["properties"]["model"]["anyOf"][0]["enum"]
    (form,) = _path(sequences["then"]["properties"]["data"]["$ref"])
    (data,) = [name for name in classes("data") if (model in names) == (f"{name}.beside" == form)]
    return data


def _keep_one(schema: Schema, section: str, name: str) -> None:
    """Leave one class of a section."""
    case = _cases(section)[name]
    node = schema["$defs"][section]["anyOf"][1]
    node["allOf"] = [case, {"if": {"not": {"required": ["class_path"]}}, "then": case["then"]}]
    names = {"enum": case["if"]["properties"]["class_path"]["enum"]}
    schema["$defs"][f"{section}.name"] = {"anyOf": [names, {"$ref": f"{_POINTER}interpolation"}]}


def _reached(schema: Schema) -> set[str]:
    """Return the definitions that a schema refers to, itself or by others."""
    pending: list[Any] = [{key: part for key, part in schema.items() if key != "$defs"}]
    seen: set[str] = set()
    while pending:
        names = {_path(pointer)[0] for pointer in _pointers(pending.pop())} - seen
        pending += [schema["$defs"][name] for name in names]
        seen |= names
    return seen


def _pointers(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"]
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        yield from _pointers(part)


def _cases(section: str) -> dict[str, Schema]:
    """Return what holds of each class of a section, by the name it is known by."""
    (node,) = [form for form in whole()["$defs"][section]["anyOf"] if "allOf" in form]
    cases = [case for case in node["allOf"] if "properties" in case["if"]]
    return {case["if"]["properties"]["class_path"]["enum"][0]: case for case in cases}


@cache
def spellings(section: str) -> dict[str, tuple[str, ...]]:
    """Return how each class of a section may be written, by the name it is known by."""
    return {
        name: tuple(case["if"]["properties"]["class_path"]["enum"])
        for name, case in _cases(section).items()
    }


def classes(section: str) -> list[str]:
    """Return the classes of a section that are of this package, or all where none is."""
    every = spellings(section)
    own = [
        name for name, paths in every.items()
        if any(path.startswith("transformertf.") for path in paths)
    ]  # fmt: skip
    return own if own and section != "lr_scheduler" else list(every)


def class_named(section: str, word: str) -> str:
    """Return the name that a class of a section is known by, from any way to write it.

    Raises:
        InputError: there is none.
    """
    every = spellings(section)
    for name, paths in every.items():
        if word in paths:
            return name
    raise InputError(f"no {section} {word!r}; {nearest(word, classes(section))}")


def summary(name: str) -> str:
    """Return what a class is, in a line."""
    text: str = whole()["$defs"][name.rpartition(".")[2]].get("description", "")
    return text


def arguments(name: str) -> list[Argument]:
    """Return the arguments of a class, or of the trainer."""
    properties = whole()["$defs"][name.rpartition(".")[2]]["properties"]
    return [_argument(key, _followed(node)) for key, node in properties.items()]


def top_level() -> list[Argument]:
    """Return the keys of a configuration that are values."""
    properties = whole()["properties"].items()
    return [_argument(key, node) for key, node in properties if "description" in node]


def _followed(node: Schema) -> Schema:
    while "$ref" in node:
        path, node = _path(node["$ref"]), whole()["$defs"]
        for part in path:
            node = node[part]
    return node


def _path(pointer: str) -> list[str]:
    return pointer.removeprefix(_POINTER).split("/")


def _argument(name: str, node: Schema) -> Argument:
    kinds, choices = _said(node)
    default = node.get("default")
    return Argument(
        name=name,
        kind=" | ".join(dict.fromkeys([*choices, *kinds])),
        default="" if default in (None, []) else json.dumps(default, ensure_ascii=False),
        text=node.get("description", ""),
        group=node.get("x-group", ""),
        after_fit=node.get("x-after-fit", ""),
        choices=tuple(choices),
    )


def _said(node: Schema) -> tuple[list[str], list[str]]:
    """Return the kinds of values that a schema allows, in words, and the values it lists."""
    kinds: list[str] = []
    choices: list[str] = []
    for form in node.get("anyOf", [node]):
        if "$ref" in form:
            (name,) = _path(form["$ref"])
            kinds += {"interpolation": [], "name": ["name"]}.get(name, ["class"])
        elif "anyOf" in form:
            own, more = _said(form)
            kinds, choices = kinds + own, choices + more
        elif "enum" in form:
            choices += [one if isinstance(one, str) else json.dumps(one) for one in form["enum"]]
        elif "type" in form:
            types = [form["type"]] if isinstance(form["type"], str) else form["type"]
            kinds += [_KINDS[each] for each in types if each in _KINDS]
    return list(dict.fromkeys(kinds)), choices
