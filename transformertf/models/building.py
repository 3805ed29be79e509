"""How a forecaster gets its constructor from its network's and from the shared base's."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from transformertf.models.base import ForecastModule
from transformertf.models.common import STEP_FEATURES

Parameters = Mapping[str, inspect.Parameter]


def built_from(
    network: type[torch.nn.Module],
) -> Callable[[Callable[[Any], None]], Callable[..., None]]:
    """Return a decorator that makes the constructor of a subclass of `ForecastModule`.

    It takes what the network takes by position, in that order, and then by name what the base
    takes. What the network takes by name only is not asked for: the network gets the base's where
    the base has one of that name, and its own default elsewhere.

    Args:
        network: class of the `model`; what it shares with the base means the same in both.
    """
    taken, base = _parameters(network), _parameters(ForecastModule)
    own = {name: p for name, p in taken.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    named = [p.replace(kind=p.KEYWORD_ONLY) for name, p in base.items() if name not in own]
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([this, *own.values(), *named], return_annotation=None)

    def decorate(declared: Callable[[Any], None]) -> Callable[..., None]:
        @functools.wraps(declared)
        def construct(self: ForecastModule, /, *args: Any, **options: Any) -> None:
            values = _bind(signature, self, args, options)
            ForecastModule.__init__(self, **{name: values[name] for name in base})
            # Lightning reads the base's from its frame, and cannot from this one
            self.hparams.update({name: values[name] for name in own if name not in base})
            wanted = {name: values[name] for name in taken if name in values}
            self.model = network(**wanted | _settled(self, values))

        texts = {**_texts(network), **_texts(ForecastModule)}
        lines = [texts[name] for name in signature.parameters if name in texts]
        construct.__doc__ = "\n".join([f"{declared.__doc__}\n\nArgs:", *lines])
        vars(construct).update(__signature__=signature)
        return construct

    return decorate


def _parameters(cls: type) -> Parameters:
    return inspect.signature(cls).parameters


def _bind(
    signature: inspect.Signature, module: object, args: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        bound = signature.bind(module, *args, **options)
    except TypeError as error:
        raise TypeError(f"{type(module).__name__}: {error}") from None
    bound.apply_defaults()
    return bound.arguments


def _settled(module: ForecastModule, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that the network gets otherwise than they were given."""
    settled: dict[str, Any] = {"output_dim": module.output_dim}
    if module.widening is not None:
        names = STEP_FEATURES[module.takes]
        widths = module.widening.widths(*(values[name] for name in names))
        settled.update(zip(names, widths, strict=True))
    return settled


def _texts(cls: type) -> dict[str, str]:
    """Return the lines on each argument, from the docstring of the class that declares them."""
    declaring = next(base for base in cls.__mro__ if "__init__" in vars(base))
    _, _, arguments = (inspect.getdoc(declaring) or "").partition("\nArgs:\n")
    entries = re.finditer(r"^ {4}(\w+): .*(?:\n {5,}.*)*", arguments.partition("\n\n")[0], re.M)
    return {entry[1]: entry[0] for entry in entries}
