import inspect
from typing import Any

import jsonargparse
import pytest
import torch

from transformertf import models
from transformertf.models import ForecastModule
from transformertf.models.building import built_from

MODELS = {
    name: cls
    for name in models.__all__
    if issubclass(cls := getattr(models, name), ForecastModule) and cls is not ForecastModule
}
every_model = pytest.mark.parametrize("cls", MODELS.values(), ids=MODELS)


class Network(torch.nn.Module):
    """A network.

    Args:
        num_features: features that it reads,
            on two lines.
        d_model: width
        output_dim: its outputs.
        alignment: its own affair.
        packing: as the base has it.

    Attributes:
        given: what it got.
    """

    def __init__(
        self,
        num_features: int,
        d_model: int = 5,
        output_dim: int = 7,
        *,
        alignment: str = "left",
        packing: str = "",
    ) -> None:
        super().__init__()
        self.given = num_features, d_model, output_dim, alignment, packing


class Module(ForecastModule):
    """A module."""

    takes = "sequences"

    @built_from(Network)
    def __init__(self) -> None:
        """Take all arguments."""


def test_each_callable_gets_its_own_arguments() -> None:
    module = Module(3, 6, packing="never", log_grad_norm=True, num_static_features=2)
    given: Any = module.model.given
    assert given == (3 + 2, 6, 7, "left", "never")
    assert module.log_grad_norm
    assert module.hparams["d_model"] == 6
    assert module.hparams["num_features"] == 3
    assert "alignment" not in module.hparams
    given = Module(3, criterion=torch.nn.MSELoss()).model.given
    assert given[2] == 1  # as the criterion wants


def test_signature_and_docstring_join_both() -> None:
    parameters = inspect.signature(Module).parameters
    by_place = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_place == ["num_features", "d_model", "output_dim"]
    assert "alignment" not in parameters
    base = inspect.signature(ForecastModule).parameters
    assert set(parameters) == {*by_place, *base}
    lines = (Module.__init__.__doc__ or "").splitlines()
    assert lines[:4] == [
        "Take all arguments.",
        "",
        "Args:",
        "    num_features: features that it reads,",
    ]
    assert lines[4:6] == ["        on two lines.", "    d_model: width"]
    assert not any(line.strip().startswith(("given:", "alignment:")) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "Module: missing a required argument: 'num_features'"),
        ((3,), {"alignment": "right"}, "Module: got an unexpected keyword argument 'alignment'"),
        ((3, 4, 7, None), {}, "Module: too many positional arguments"),
    ],
)
def test_other_arguments_are_refused(arguments, options, message):
    with pytest.raises(TypeError) as error:
        Module(*arguments, **options)
    assert str(error.value) == message


@every_model
def test_each_argument_has_a_text_in_the_help(cls):
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(cls, "model")
    texts = {action.dest: action.help for action in parser._actions}
    for name in inspect.signature(cls).parameters:
        assert texts[f"model.{name}"], name


@every_model
def test_the_network_takes_what_the_module_asks_for_by_place(cls):
    network = getattr(models, f"{cls.__name__}Model")
    own, taken = inspect.signature(cls).parameters, inspect.signature(network).parameters
    by_place = [p for p in own.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_place == [p for p in taken.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert {"packing"} <= set(own) & set(taken)
    assert not {"alignment", "encoder_alignment"} & set(own)
