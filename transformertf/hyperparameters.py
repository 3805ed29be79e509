"""What a checkpoint must say of a module so that it can be built again: primitives only."""

import inspect
from typing import Any

import torch

from transformertf.class_paths import class_path
from transformertf.errors import InputError

PRIMITIVES = (bool, int, float, str, type(None))

# of what a checkpoint holds, and how; one that is read must be of the same
CHECKPOINT_FORMAT = 1


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
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
        **{name: _as_primitive(value) for name, value in arguments.items()},
    }


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
