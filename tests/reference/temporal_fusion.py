"""pytorch-forecasting's transformer and ours, of one configuration, on the same random inputs."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from tests.reference.golden import Array, load, weights_of_arrays, within
from tests.reference.peers import PEERS, import_peer
from transformertf.models import PFTemporalFusionTransformerModel
from transformertf.models.pf_weights import load_pytorch_forecasting

PAST = ["time", "current", "field", "target"]
FUTURE = ["time", "current"]
STATIC = ["length", "width"]
SIZES = {"hidden_size": 12, "hidden_continuous_size": 5, "attention_head_size": 3}
OUR_SIZES = {
    "hidden_size": "d_model",
    "hidden_continuous_size": "d_hidden_continuous",
    "attention_head_size": "num_heads",
}
EQUAL = [6, 6, 6], [4, 4, 4]
RAGGED = [3, 6, 1], [4, 1, 2]
LENGTHS = {"equal": EQUAL, "ragged": RAGGED}
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}
# what is recorded of theirs. At least three variables a side: a norm over two gives 1 and -1,
# whatever they are.
TINY = {
    "past": PAST,
    "future": ["time", "current", "field"],
    "hidden_size": 6,
    "hidden_continuous_size": 4,
    "attention_head_size": 2,
}
RECORDED: dict[str, dict[str, Any]] = {
    "static": {**TINY, "static": ["length", "width", "height"], "lstm_layers": 2},
    "not static, not causal": {**TINY, "causal": False},
}

Tensors = tuple[torch.Tensor, ...]
# names of past, future and static variables
Names = tuple[Sequence[str], Sequence[str], Sequence[str]]
# steps of context and of horizon, one each a row
Lengths = tuple[Sequence[int], Sequence[int]]
Run = Callable[[Any, Names, Tensors, Lengths], dict[str, torch.Tensor]]


def make_theirs(
    past: Sequence[str] = PAST,
    future: Sequence[str] = FUTURE,
    static: Sequence[str] = (),
    lstm_layers: int = 1,
    causal: bool = True,
    **kwargs: Any,
) -> Any:
    """Return their model in float64 with every weight random, also those that start at 0 or 1."""
    theirs = import_peer(PEERS["pytorch-forecasting"]).TemporalFusionTransformer
    model = theirs(
        **{**SIZES, "dropout": 0.1, **kwargs},
        lstm_layers=lstm_layers,
        output_size=7,
        static_reals=list(static),
        time_varying_reals_encoder=list(past),
        time_varying_reals_decoder=list(future),
        x_reals=list(dict.fromkeys([*static, *past, *future])),
        causal_attention=causal,
    ).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator).double())
    return model.eval()


def make_ours(
    past: Sequence[str] = PAST,
    future: Sequence[str] = FUTURE,
    static: Sequence[str] = (),
    lstm_layers: int = 1,
    causal: bool = True,
    **kwargs: Any,
) -> PFTemporalFusionTransformerModel:
    """Return our model in float64; sizes have our names or theirs."""
    sizes: dict[str, Any] = {OUR_SIZES[name]: size for name, size in SIZES.items()}
    sizes.update({OUR_SIZES.get(name, name): size for name, size in kwargs.items()})
    model = PFTemporalFusionTransformerModel(
        len(past),
        len(future),
        6,
        4,
        len(static),
        num_lstm_layers=lstm_layers,
        causal_attention=causal,
        **sizes,
    )
    return model.double().eval()


def make_pair(
    past: Sequence[str] = PAST,
    future: Sequence[str] = FUTURE,
    static: Sequence[str] = (),
    dropout: float = 0.1,
    **kwargs: Any,
) -> tuple[Any, PFTemporalFusionTransformerModel]:
    """Return both models with the same weights."""
    theirs = make_theirs(past, future, static, dropout=dropout, **kwargs)
    kwargs.pop("share_single_variable_networks", None)
    ours = make_ours(past, future, static, dropout=dropout, **kwargs)
    load_pytorch_forecasting(ours, theirs.state_dict(), past, future, static)
    return theirs, ours


def make_inputs(names: Names, lengths: Lengths) -> Tensors:
    """Return random context, horizon and static features, padding filled with 9."""
    generator = torch.Generator().manual_seed(1)
    rows = len(lengths[0])
    sides = []
    for variables, side in zip(names, lengths, strict=False):
        values = torch.randn(rows, max(side), len(variables), generator=generator).double()
        padded = torch.arange(max(side)) >= torch.tensor(side).unsqueeze(1)
        sides.append(torch.where(padded.unsqueeze(-1), 9.0, values))
    return (*sides, torch.randn(rows, len(names[2]), generator=generator).double())


def run_theirs(
    model: Any, names: Names, inputs: Tensors, lengths: Lengths
) -> dict[str, torch.Tensor]:
    """Run their model on features laid out by name; its prediction before any scaling."""
    rows = len(lengths[0])
    x = {
        "encoder_lengths": torch.tensor(lengths[0]),
        "decoder_lengths": torch.tensor(lengths[1]),
        "target_scale": torch.tensor([[0.0, 1.0]]).expand(rows, 2).double(),
    }
    reals = model.hparams.x_reals
    for side, own, values in zip(("encoder", "decoder"), names, inputs, strict=False):
        cont = torch.full((rows, values.size(1), len(reals)), float("nan")).double()
        cont[..., [reals.index(name) for name in own]] = values
        for place, name in enumerate(names[2]):
            cont[..., reals.index(name)] = inputs[2][:, place : place + 1]
        x[f"{side}_cont"] = cont
        x[f"{side}_cat"] = torch.zeros(rows, values.size(1), 0, dtype=torch.long)
    model.transform_output = lambda prediction, target_scale: prediction
    out = model(x)
    attention = torch.cat([out["encoder_attention"], out["decoder_attention"]], dim=-1)
    return {
        "output": out["prediction"],
        # a single variable weighs 1 in float32
        "encoder_weights": out["encoder_variables"].squeeze(-2).double(),
        "decoder_weights": out["decoder_variables"].squeeze(-2).double(),
        "attention_weights": attention.mean(dim=2),  # over heads
        "static_weights": out["static_variables"].reshape(rows, len(names[2])).double(),
    }


def run_ours(
    model: Any, names: Names, inputs: Tensors, lengths: Lengths
) -> dict[str, torch.Tensor]:
    """Run our model."""
    past, future, static = inputs
    given = [torch.tensor(side) for side in lengths]
    found: dict[str, torch.Tensor] = model(
        past, future, *given, static if names[2] else None, need_weights=True
    )
    return found


def input_gradients(
    run: Run, model: Any, names: Names, inputs: Tensors, lengths: Lengths
) -> Tensors:
    """Return the gradients of the squares of the output on data, for each input there is."""
    inputs = tuple(part.detach().requires_grad_() for part in inputs)
    output = run(model, names, inputs, lengths)["output"]
    data = torch.arange(max(lengths[1])) < torch.tensor(lengths[1]).unsqueeze(1)
    return torch.autograd.grad(
        output[data].square().sum(), [part for part in inputs if part.numel()]
    )


@cache
def _recorded() -> dict[str, Array]:
    return load("pytorch_forecasting")


def recorded_names(case: str) -> Names:
    """Return the variables of a recorded model."""
    arguments = RECORDED[case]
    return arguments["past"], arguments["future"], arguments.get("static", [])


def recorded_weights(case: str) -> dict[str, torch.Tensor]:
    """Return the state dict of their recorded model."""
    return weights_of_arrays(within(_recorded(), f"{case}/weights/"))


def assert_gives_what_is_recorded(run: Run, model: Any, case: str, which: str) -> None:
    """Compare a model with what theirs gave, on the same inputs: outputs, weights, gradients."""
    arrays = within(_recorded(), f"{case}/{which}/")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    inputs = tuple(tensors[f"input/{place}"] for place in range(3))
    names, lengths = recorded_names(case), LENGTHS[which]
    found = run(model, names, inputs, lengths)
    expected = {
        name.removeprefix("output/"): tensor
        for name, tensor in tensors.items()
        if name.startswith("output/")
    }
    assert expected["output"].std() > 0.1
    assert_same_on_data(found, expected, lengths)
    gradients = input_gradients(run, model, names, inputs, lengths)
    assert_same_gradients(
        gradients, tuple(tensors[f"gradient/{place}"] for place in range(len(gradients)))
    )


def assert_same_on_data(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], lengths: Lengths
) -> None:
    """Compare outputs and weights where there is data."""
    assert set(found) == set(expected)
    context = torch.arange(max(lengths[0])) < torch.tensor(lengths[0]).unsqueeze(1)
    horizon = torch.arange(max(lengths[1])) < torch.tensor(lengths[1]).unsqueeze(1)
    for name in found:
        assert found[name].shape == expected[name].shape, name
        data: Any = {"encoder_weights": context, "static_weights": slice(None)}.get(name, horizon)
        torch.testing.assert_close(found[name][data], expected[name][data], **CLOSE)
        assert found[name][data].isfinite().all()


def assert_same_gradients(found: Tensors, expected: Tensors) -> None:
    """Compare gradients, none of which is 0 all over."""
    for one, other in zip(found, expected, strict=True):
        assert one.count_nonzero() > 0
        torch.testing.assert_close(one, other, **CLOSE)
