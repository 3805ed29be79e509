"""Classes by the names that users write in YAML."""

import inspect
from collections.abc import Iterator
from types import ModuleType, NoneType
from typing import Any, get_args, get_type_hints

import lightning.pytorch.callbacks
import lightning.pytorch.loggers
import torch
from lightning import LightningDataModule

import transformertf.data
import transformertf.data.transform
import transformertf.models
import transformertf.nn
from transformertf.class_paths import find_object
from transformertf.data import ARGUMENTS, EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError, nearest
from transformertf.models import ForecastModule


def _classes(*modules: ModuleType, of: type = object) -> Iterator[tuple[str, str]]:
    for module in modules:
        for name in getattr(module, "__all__", None) or dir(module):
            cls = getattr(module, name)
            if isinstance(cls, type) and issubclass(cls, of):
                yield name, f"{cls.__module__}.{cls.__qualname__}"


OWN_SCHEDULERS = dict(_classes(transformertf.models, of=torch.optim.lr_scheduler.LRScheduler))
# what stands further down wins: `MSELoss` means ours
BARE_NAMES = {
    **{name: path for name, path in _classes(torch.nn) if name.endswith("Loss")},
    **dict(_classes(torch.optim, torch.optim.lr_scheduler)),
    **dict(_classes(lightning.pytorch.callbacks, lightning.pytorch.loggers)),
    **dict(_classes(transformertf.nn, transformertf.models, of=torch.nn.Module)),
    **OWN_SCHEDULERS,
    **dict(_classes(transformertf.data, of=LightningDataModule)),
    **dict(_classes(transformertf.data.transform)),
    # torch's own of these names want objects, which a configuration cannot say
    **{f"torch.optim.lr_scheduler.{name}": path for name, path in OWN_SCHEDULERS.items()},
}

# the data module that makes the batches a model takes
DATA_MODULES: dict[str, str] = {
    cls.gives: cls.__name__ for cls in (EncoderDecoderDataModule, TimeSeriesDataModule)
}

# keys between those that say what a class is for
FRAMES = ("class_path", "init_args")
MODELS = [name for name, _ in _classes(transformertf.models, of=ForecastModule)]
# what a class can be, by the key that names it or that it stands under
SECTIONS = {
    "model": MODELS,
    "data": list(DATA_MODULES.values()),
    # less the bases, which do nothing
    "callbacks": [name for name, _ in _classes(lightning.pytorch.callbacks) if name != "Callback"],
    "logger": [name for name, _ in _classes(lightning.pytorch.loggers) if name != "Logger"],
    "optimizer": [name for name, _ in _classes(torch.optim, of=torch.optim.Optimizer)],
    "lr_scheduler": [
        name
        for name, _ in _classes(
            torch.optim.lr_scheduler,
            transformertf.models,
            of=torch.optim.lr_scheduler.LRScheduler,
        )
    ],
    "extra_transforms": [name for name, _ in _classes(transformertf.data.transform)],
    "criterion": [name for name in BARE_NAMES if name.endswith("Loss")],
}


def never_null(cls: type) -> list[str]:
    """Return the arguments of a constructor that have a default, and a type that null is not of."""
    names: list[str] = []
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        function = vars(base)["__init__"]
        try:
            kinds = get_type_hints(function)
        except (NameError, TypeError):  # a type that is there for checkers alone
            kinds = {}
        for name, parameter in inspect.signature(function).parameters.items():
            kind = kinds.get(name, parameter.annotation)
            unknown = kind in (parameter.empty, Any) or isinstance(kind, str)
            if parameter.default in (parameter.empty, None) or unknown:
                continue
            if NoneType not in get_args(kind):
                names.append(name)
    return names


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
        # torch's module says that it takes any, and refuses all
        if inspect.Parameter.VAR_KEYWORD not in kinds or base is torch.nn.Module:
            return [name for name in names if name != "self"]
    return None


def keys_of_sections() -> dict[str, list[str]]:
    """Return the keys of each section of a configuration, of all models those of any."""
    models = (arguments_of(getattr(transformertf.models, name)) or [] for name in MODELS)
    return {
        "data": list(ARGUMENTS),
        "trainer": arguments_of(lightning.Trainer) or [],
        "model": [key for keys in models for key in keys],
    }


def data_module_for(model: type) -> str:
    """Return the name of the data module whose batches a model takes."""
    return DATA_MODULES[getattr(model, "takes", ForecastModule.takes)]


def refuse_other_batches(model: type, data: type) -> None:
    """Refuse a model beside a data module that does not make the batches it takes.

    Raises:
        InputError: names what fits either of them.
    """
    given, fitting = getattr(data, "gives", None), data_module_for(model)
    if given is None or DATA_MODULES[given] == fitting:
        return
    others = [
        name
        for name in MODELS
        if data_module_for(getattr(transformertf.models, name)) == DATA_MODULES[given]
        and name != ForecastModule.__name__
    ]
    raise InputError(
        f"model.class_path is {model.__name__}, which does not take the {given} that "
        f"data.class_path {data.__name__} gives; set data.class_path to {fitting}, or "
        f"model.class_path to one of {', '.join(others)}"
    )


def import_class(path: str, where: str) -> type:
    """Return the class of an import path.

    Raises:
        InputError: there is none, or it is of a package that is not allowed.
    """
    if not isinstance(path, str):  # what an interpolation gave
        raise InputError(f"{where}: expected the import path of a class, found {path!r:.60}")
    cls = find_object(path, where)
    if cls is None:
        # the nearest key: a class under a callback is another thing, and any may be meant
        keys = [key for key in where.split(".") if not key.isdigit() and key not in FRAMES]
        key = "extra_transforms" if "extra_transforms" in keys else keys[-1]
        known = SECTIONS.get(key, BARE_NAMES)
        raise InputError(f"{where}: no class {path!r}; {nearest(path, known)}")
    if not isinstance(cls, type):
        raise InputError(f"{where}: {path!r} is not a class")
    return cls
