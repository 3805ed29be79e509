"""Transforms by name, as a YAML gives them."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from transformertf.data.transform.base import TargetTransform, Transform
from transformertf.data.transform.collection import TransformCollection
from transformertf.data.transform.functions import (
    AdaptiveSigmoidTransform,
    DeltaTransform,
    Log1pTransform,
    LogTransform,
    SigmoidTransform,
)
from transformertf.data.transform.polynomial import FixedPolynomialTransform, PolynomialTransform
from transformertf.data.transform.scalers import MaxScaler, MinMaxScaler, StandardScaler
from transformertf.data.transform.target import DiscreteFunctionTransform, DivideByXTransform
from transformertf.errors import InputError, nearest

RunningNormalizer = StandardScaler

Made = Transform[Any] | TargetTransform | TransformCollection

_PACKAGE = "transformertf.data.transform."
_CLASSES: dict[str, type[Made]] = {
    "AdaptiveSigmoidTransform": AdaptiveSigmoidTransform,
    "DeltaTransform": DeltaTransform,
    "DiscreteFunctionTransform": DiscreteFunctionTransform,
    "DivideByXTransform": DivideByXTransform,
    "FixedPolynomialTransform": FixedPolynomialTransform,
    "Log1pTransform": Log1pTransform,
    "LogTransform": LogTransform,
    "MaxScaler": MaxScaler,
    "MinMaxScaler": MinMaxScaler,
    "PolynomialTransform": PolynomialTransform,
    "RunningNormalizer": RunningNormalizer,
    "SigmoidTransform": SigmoidTransform,
    "StandardScaler": StandardScaler,
    "TransformCollection": TransformCollection,
}


def make_transform(spec: Any) -> Made:
    """Return the transform that a configuration means.

    Args:
        spec: a transform, which is returned as it is; a class name (`LogTransform`, with or
            without its package in front); a mapping of `class_path` to that name and, where it
            takes arguments, `init_args` to a mapping of them; or, shorter, a mapping of that one
            name to its arguments. The transforms of a `TransformCollection` are such specs
            themselves.

    Raises:
        InputError: an unknown name, key or argument, or one that is missing.
    """
    if isinstance(spec, Transform | TargetTransform | TransformCollection):
        return spec
    if isinstance(spec, str):
        spec = {"class_path": spec}
    if isinstance(spec, Mapping) and len(spec) == 1:
        ((name, arguments),) = spec.items()
        if arguments is None or isinstance(arguments, Mapping):
            spec = {"class_path": name, "init_args": arguments}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("class_path"), str):
        raise InputError(
            f"transform: expected a class name or a mapping with class_path, found {spec!r}"
        )
    _known_keys("transform", spec, ("class_path", "init_args"))
    path = spec["class_path"]
    name = path.rpartition(".")[2] if path.startswith(_PACKAGE) else path
    if name not in _CLASSES:
        raise InputError(
            f"transform: unknown class {spec['class_path']!r}; {nearest(name, _CLASSES)}"
        )
    return _build(name, spec.get("init_args") or {})


def describe_transforms(specs: Any) -> Any:
    """Return what `make_transform` takes, in lists and mappings, as primitives.

    Raises:
        InputError: a transform that was given as an object does not say what it was made with.
    """
    if isinstance(specs, Mapping):
        return {name: describe_transforms(item) for name, item in specs.items()}
    if isinstance(specs, list | tuple):
        return [describe_transforms(item) for item in specs]
    if isinstance(specs, np.ndarray | torch.Tensor):
        return specs.tolist()
    if not isinstance(specs, Transform | TargetTransform | TransformCollection):
        return specs
    arguments = {}
    given = getattr(specs, "given", {})
    for name, parameter in inspect.signature(type(specs)).parameters.items():
        if name in given:
            arguments[name] = given[name]  # what was fitted in its place goes by the same name
        elif hasattr(specs, name):
            arguments[name] = describe_transforms(getattr(specs, name))
        elif parameter.default is parameter.empty:
            raise InputError(
                f"{type(specs).__name__}: does not tell its {name}; give it by name, as a mapping "
                "of class_path and init_args"
            )
    return {"class_path": type(specs).__name__, "init_args": arguments}


def _build(name: str, arguments: Any) -> Made:
    if not isinstance(arguments, Mapping):
        raise InputError(f"{name}: init_args must be a mapping of arguments, found {arguments!r}")
    cls = _CLASSES[name]
    parameters = inspect.signature(cls).parameters
    _known_keys(f"{name}: init_args", arguments, tuple(parameters))
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in arguments:
            raise InputError(f"{name}: init_args lacks {key!r}, which has no default")
    if cls is TransformCollection:
        if not isinstance(arguments["transforms"], list | tuple):
            raise InputError(
                f"{name}: transforms must be a list, found {arguments['transforms']!r}"
            )
        arguments = {"transforms": [make_transform(item) for item in arguments["transforms"]]}
    return cls(**arguments)


def _known_keys(place: str, found: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    for key in found:
        if key not in known:
            hint = nearest(str(key), known) if known else "it takes none"
            raise InputError(f"{place}: unknown key {key!r}; {hint}")
