"""Classes by the names that users write in YAML."""

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType

import lightning.pytorch.callbacks
import lightning.pytorch.loggers
import torch

import transformertf.data
import transformertf.models
import transformertf.nn
from transformertf.errors import InputError, nearest


def _classes(*modules: ModuleType) -> Iterator[tuple[str, str]]:
    for module in modules:
        for name in getattr(module, "__all__", None) or dir(module):
            cls = getattr(module, name)
            if isinstance(cls, type):
                yield name, f"{cls.__module__}.{cls.__qualname__}"


# what stands further down wins: `MSELoss` means ours
BARE_NAMES = {
    **{name: path for name, path in _classes(torch.nn) if name.endswith("Loss")},
    **dict(_classes(torch.optim, torch.optim.lr_scheduler)),
    **dict(_classes(lightning.pytorch.callbacks, lightning.pytorch.loggers)),
    **dict(_classes(transformertf.nn, transformertf.models, transformertf.data)),
}

# what a section's own class can be
SECTIONS = {
    "model.class_path": [n for n in transformertf.models.__all__ if not n.endswith("Model")],
    "data.class_path": transformertf.data.__all__,
}


def arguments_of(cls: type) -> list[str] | None:
    """Return the names a constructor takes, those it passes on to its bases included.

    None where they cannot be known, because the last of the bases takes any.
    """
    names: list[str] = []
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        kinds = {p.kind for p in parameters}
        names += [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            return [name for name in names if name != "self"]
    return None


def import_class(path: str, where: str) -> type:
    """Return the class of an import path.

    Raises:
        InputError: there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        known = next(
            (names for key, names in SECTIONS.items() if where.startswith(key)), BARE_NAMES
        )
        raise InputError(f"{where}: no class {path!r}; {nearest(path, known)}") from error
    if not isinstance(cls, type):
        raise InputError(f"{where}: {path!r} is not a class")
    return cls
