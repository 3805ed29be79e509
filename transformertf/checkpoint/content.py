"""What a checkpoint says: how modules describe themselves to it, and what it must hold.

Primitives and tensors only, so that it is read without running code.
"""

import copy
import inspect
from typing import Any

import torch

from transformertf.class_paths import DEEPEST, class_path, multiplies
from transformertf.errors import InputError
from transformertf.reach import check_kept
from transformertf.version import __version__

PRIMITIVES = (bool, int, float, str, type(None))
# of what a checkpoint holds, and how; one that is read must be of the same
CHECKPOINT_FORMAT = 1
# what Lightning's loader imports and calls: a checkpoint may name no other function
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
# where Lightning's first versions kept what it still calls
EARLIER_KEYS = ("hparams", "module_arguments")


def describe(module: object, **arguments: Any) -> dict[str, Any]:
    """Return entries for a Lightning module's `hparams` that rebuild it from a checkpoint.

    Lightning's own loader reads `_class_path` and `_instantiator`; nested objects become
    `class_path` and `init_args`, as in YAML.

    Args:
        module: the Lightning module or data module.
        arguments: constructor arguments to record, primitives or objects whose own
            constructor arguments can be read back as attributes of the same names.
    """
    return {
        "_class_path": class_path(module),
        "_instantiator": INSTANTIATOR,
        **{name: _as_primitive(value) for name, value in arguments.items()},
    }


def unshared(node: Any) -> Any:
    """Return what can be changed without changing what it was made of, but for its tensors."""
    if isinstance(node, dict):
        made = copy.copy(node)  # with the attributes that torch gives the weights
        made.update((key, unshared(value)) for key, value in node.items())
        return made
    return [unshared(value) for value in node] if isinstance(node, list) else node


def _as_primitive(value: Any) -> Any:
    if isinstance(value, PRIMITIVES):
        return value
    if isinstance(value, (list, tuple)):
        return [_as_primitive(item) for item in value]
    if type(value).__module__.startswith(("builtins", "torch")) and not isinstance(
        value, torch.nn.Module
    ):
        raise InputError(
            f"an argument of type {type(value).__name__} cannot be kept in a checkpoint; use "
            "numbers, strings, lists of them, or modules made of them"
        )
    names = inspect.signature(type(value)).parameters
    return {
        "class_path": class_path(value),
        "init_args": {
            name: _as_primitive(getattr(value, name)) for name in names if hasattr(value, name)
        },
    }


NUMBERS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)


def check_content(content: Any, place: str) -> None:
    """Refuse what is no checkpoint of this package, of another format, or incomplete.

    Args:
        content: of the file, tensors and primitives.
        place: flag and file, for messages.

    Raises:
        InputError: names what was expected and found.
    """
    wanted = ("state_dict", "hyper_parameters", "datamodule_hyper_parameters")
    if not isinstance(content, dict) or any(key not in content for key in wanted):
        raise InputError(
            f"{place}: not a checkpoint of transformertf (it names no model and "
            "data module); give one that `transformertf fit` wrote"
        )
    _check_format(content, place)
    for key in EARLIER_KEYS:
        if key in content:
            raise _incomplete(place, key, "nothing", content[key])
    weights = _mapping(content, "state_dict", place)
    for name, weight in weights.items():
        if not isinstance(weight, torch.Tensor) or not _is_plain(weight):
            raise _incomplete(place, f"state_dict.{name}", "a dense tensor of numbers", weight)
    for key in wanted[1:]:
        described = _mapping(content, key, place)
        if not isinstance(described.get("_class_path"), str):
            raise _incomplete(
                place, f"{key}._class_path", "a class path", described.get("_class_path")
            )
        if (function := described.get("_instantiator")) != INSTANTIATOR:
            raise _incomplete(place, f"{key}._instantiator", INSTANTIATOR, function)
        _check_primitives(described, key, place, DEEPEST)
    data = content["datamodule_hyper_parameters"]["_class_path"].rpartition(".")[2]
    _mapping(content, data, place)
    try:
        check_kept(content.get("callbacks"), f" in {place}")
    except RecursionError as error:
        raise InputError(f"{place}: callbacks in it nest without end") from error
    if content.get("calibration") is not None:
        _mapping(content, "calibration", place)


def _is_plain(weight: torch.Tensor) -> bool:
    """Whether a tensor holds each of its numbers, in a type that weights are kept in."""
    return (
        type(weight) is torch.Tensor
        and weight.layout is torch.strided
        and weight.device.type == "cpu"
        and not weight.is_nested
        and weight.dtype in NUMBERS
        # else a few bytes would stand for any number of elements
        and weight.numel() * weight.element_size() <= weight.untyped_storage().nbytes()
    )


def _check_format(content: dict[Any, Any], place: str) -> None:
    version = content.get("transformertf_version", "of a version unknown")
    found = content.get("transformertf_format")
    if found is None:
        raise InputError(
            f"{place}: names no transformertf_format, written by transformertf {version}; expected "
            f"format {CHECKPOINT_FORMAT}; fit again, or use the version that wrote it"
        )
    if type(found) is not int or found != CHECKPOINT_FORMAT:
        newer = type(found) is int and found > CHECKPOINT_FORMAT
        remedy = "update transformertf" if newer else "use the version that wrote it, or fit again"
        raise InputError(
            f"{place}: of format {found!r:.40}, written by transformertf {version}; this one, "
            f"{__version__}, reads format {CHECKPOINT_FORMAT}; {remedy}"
        )


def _mapping(content: dict[Any, Any], key: str, place: str) -> dict[str, Any]:
    found = content.get(key)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise _incomplete(place, key, "names and values", found)
    return found


def _check_primitives(node: Any, path: str, place: str, depth: int) -> None:
    """Refuse what YAML cannot say: other types, keys that are no names, and no end."""
    if depth == 0:
        raise InputError(f"{place}: {path[:60]}... in it nests deeper than {DEEPEST} levels")
    if isinstance(node, dict):
        for key, value in node.items():
            if not isinstance(key, str):
                raise _incomplete(place, path, "names as keys", key)
            _check_primitives(value, f"{path}.{key}", place, depth - 1)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            _check_primitives(value, f"{path}.{index}", place, depth - 1)
    elif isinstance(node, str) and multiplies(node):
        raise _incomplete(place, path, "text that is no YAML with aliases or without end", node)
    elif not isinstance(node, PRIMITIVES):
        raise _incomplete(place, path, "numbers, text, lists and mappings", node)


def _incomplete(place: str, key: str, expected: str, found: object) -> InputError:
    return InputError(
        f"{place}: {key} in it: expected {expected}, found {type(found).__name__}"
        f"{_shown(found)}; give a checkpoint as `transformertf fit` wrote it"
    )


def _shown(found: object) -> str:
    if isinstance(found, torch.Tensor):  # of some kinds, to show it fails
        return f" of {found.dtype} and {found.layout}"
    return f" {found!s:.60}"
