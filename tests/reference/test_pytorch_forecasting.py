"""Our PFTemporalFusionTransformer with the weights of pytorch-forecasting's gives its numbers.

pytorch-forecasting is no dependency, not even of the tests; where it is installed, this runs.
"""

import importlib.util
import warnings

import pytest
import torch

from transformertf.errors import InputError
from transformertf.models.pf_tft import (
    PFTemporalFusionTransformer,
    PFTemporalFusionTransformerModel,
)
from transformertf.models.pf_weights import load_pytorch_forecasting

if importlib.util.find_spec("pytorch_forecasting") is None:
    pytest.skip("pytorch-forecasting is not installed", allow_module_level=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports
    from pytorch_forecasting import TemporalFusionTransformer as TheirTFT

pytestmark = [
    # lightning on a loss and metrics that their constructor saves among its arguments
    pytest.mark.filterwarnings("ignore:Attribute '(loss|logging_metrics)' is an instance of"),
]

PAST = ["time", "current", "field", "target"]
FUTURE = ["time", "current"]
STATIC = ["length", "width"]
SIZES = {"hidden_size": 12, "hidden_continuous_size": 5, "attention_head_size": 3}
EQUAL = [6, 6, 6], [4, 4, 4]
RAGGED = [3, 6, 1], [4, 1, 2]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def make_theirs(past=PAST, future=FUTURE, static=(), lstm_layers=1, causal=True, **kwargs):
    """Return their model in float64 with every weight random, also those that start at 0 or 1."""
    model = TheirTFT(
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


def make_ours(past=PAST, future=FUTURE, static=(), lstm_layers=1, causal=True, **kwargs):
    sizes = {"d_model": 12, "d_hidden_continuous": 5, "num_heads": 3, **kwargs}
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


def make_pair(past=PAST, future=FUTURE, static=(), dropout=0.1, **kwargs):
    """Return both models with the same weights."""
    theirs = make_theirs(past, future, static, dropout=dropout, **kwargs)
    kwargs.pop("share_single_variable_networks", None)
    ours = make_ours(past, future, static, dropout=dropout, **kwargs)
    load_pytorch_forecasting(ours, theirs.state_dict(), past, future, static)
    return theirs, ours


def make_inputs(past, future, static, lengths):
    """Return random context, horizon and static features, padding filled with 9."""
    generator = torch.Generator().manual_seed(1)
    rows = len(lengths[0])
    sides = []
    for names, side in zip((past, future), lengths, strict=True):
        values = torch.randn(rows, max(side), len(names), generator=generator).double()
        padded = torch.arange(max(side)) >= torch.tensor(side).unsqueeze(1)
        sides.append(torch.where(padded.unsqueeze(-1), 9.0, values))
    return (*sides, torch.randn(rows, len(static), generator=generator).double())


def run_theirs(model, names, inputs, lengths):
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


def run_ours(model, names, inputs, lengths):
    past, future, static = inputs
    given = [torch.tensor(side) for side in lengths]
    return model(past, future, *given, static if names[2] else None, need_weights=True)


def assert_same_on_data(found, expected, lengths):
    assert set(found) == set(expected)
    context = torch.arange(max(lengths[0])) < torch.tensor(lengths[0]).unsqueeze(1)
    horizon = torch.arange(max(lengths[1])) < torch.tensor(lengths[1]).unsqueeze(1)
    for name in found:
        assert found[name].shape == expected[name].shape, name
        data = {"encoder_weights": context, "static_weights": slice(None)}.get(name, horizon)
        torch.testing.assert_close(found[name][data], expected[name][data], **CLOSE)
        assert found[name][data].isfinite().all()


def assert_agree(theirs, ours, names, lengths):
    inputs = make_inputs(*names, lengths)
    found = run_ours(ours, names, inputs, lengths)
    expected = run_theirs(theirs, names, inputs, lengths)
    assert expected["output"].std() > 0.1
    assert_same_on_data(found, expected, lengths)


@pytest.mark.parametrize("lengths", [EQUAL, RAGGED], ids=["equal", "ragged"])
@pytest.mark.parametrize("static", [[], STATIC[:1], STATIC], ids=len)
@pytest.mark.parametrize("lstm_layers", [1, 2])
@pytest.mark.parametrize("causal", [True, False])
def test_same_numbers(lengths, static, lstm_layers, causal):
    theirs, ours = make_pair(static=static, lstm_layers=lstm_layers, causal=causal)
    assert_agree(theirs, ours, (PAST, FUTURE, static), lengths)


# widths and variables that other tests do not have
ODD = {
    "one variable on each side": {"past": ["target"], "future": ["time"], "static": ["length"]},
    "as many variables as width": {"past": list("abcdefghijkl"), "future": list("abc")},
    "more variables than width": {"past": list("abcdefghijklmn"), "future": list("abc")},
}


@pytest.mark.parametrize("variables", ODD.values(), ids=ODD)
@pytest.mark.parametrize("lengths", [EQUAL, RAGGED], ids=["equal", "ragged"])
def test_same_numbers_with_odd_variables(variables, lengths):
    names = tuple(variables.get(side, []) for side in ("past", "future", "static"))
    assert_agree(*make_pair(*names), names, lengths)


# their sizes, ours
ODD_SIZES = [
    ({"hidden_continuous_size": 20}, {"d_hidden_continuous": 20}),  # wider than the model
    ({"hidden_continuous_size": 12}, {"d_hidden_continuous": 12}),  # no resampling
    ({"hidden_continuous_size": 1}, {"d_hidden_continuous": 1}),  # no resampling of weights
    ({"attention_head_size": 1}, {"num_heads": 1}),
]


@pytest.mark.parametrize(("their_sizes", "our_sizes"), ODD_SIZES)
def test_same_numbers_with_odd_sizes(their_sizes, our_sizes):
    names = PAST, FUTURE, STATIC
    theirs, ours = make_theirs(*names, **their_sizes), make_ours(*names, **our_sizes)
    load_pytorch_forecasting(ours, theirs.state_dict(), *names)
    assert_agree(theirs, ours, names, RAGGED)


def test_same_numbers_with_networks_shared_between_context_and_horizon():
    theirs, ours = make_pair(static=STATIC, share_single_variable_networks=True)
    assert any(name.startswith("shared_single") for name in theirs.state_dict())
    assert_agree(theirs, ours, (PAST, FUTURE, STATIC), RAGGED)


def test_dropout_falls_on_the_same_places():
    # dropping everything is not random
    theirs, ours = make_pair(static=STATIC, lstm_layers=2, dropout=1.0)
    assert_agree(theirs.train(), ours.train(), (PAST, FUTURE, STATIC), EQUAL)


def test_same_gradients():
    theirs, ours = make_pair(static=STATIC, lstm_layers=2)
    names = PAST, FUTURE, STATIC
    gradients = []
    for run, model in ((run_theirs, theirs), (run_ours, ours)):
        inputs = tuple(part.requires_grad_() for part in make_inputs(*names, RAGGED))
        output = run(model, names, inputs, RAGGED)["output"]
        data = torch.arange(max(RAGGED[1])) < torch.tensor(RAGGED[1]).unsqueeze(1)
        gradients.append(torch.autograd.grad(output[data].square().sum(), inputs))
    for one, other in zip(*gradients, strict=True):
        assert one.count_nonzero() > 0
        torch.testing.assert_close(one, other, **CLOSE)


def test_loads_into_the_lightning_module():
    theirs = make_theirs(static=STATIC)
    sizes = {"d_model": 12, "d_hidden_continuous": 5, "num_heads": 3, "num_lstm_layers": 1}
    module = PFTemporalFusionTransformer(4, 2, 6, 4, 2, **sizes).double().eval()
    load_pytorch_forecasting(module.model, theirs.state_dict(), PAST, FUTURE, STATIC)
    assert_agree(theirs, module.model, (PAST, FUTURE, STATIC), RAGGED)


MISTAKES = {
    "names in another order": (
        {"names": (PAST[::-1], FUTURE, STATIC)},
        r"^past must name the variables of encoder_variable_selection in their order",
    ),
    "another variable": (
        {"names": (PAST, ["time", "voltage"], STATIC)},
        r"^future must name .*\['time', 'current'\], found \['time', 'voltage'\]",
    ),
    "statics forgotten": ({"names": (PAST, FUTURE, [])}, r"^static must name"),
    "another width": ({"ours": {"d_model": 24}}, r"of the state dict has shape .*their sizes$"),
    "fewer heads": ({"ours": {"num_heads": 2}}, r"missing nothing; left over multihead_attn\.q_l"),
    "more heads": ({"ours": {"num_heads": 6}}, r"missing multihead_attn\.q_layers\.3\.weight"),
    "fewer layers": ({"theirs": {"lstm_layers": 2}}, r"left over lstm_encoder.weight_ih_l1, .*and"),
    "more layers": ({"ours": {"lstm_layers": 2}}, r"missing lstm_encoder.weight_ih_l1, .*and"),
    "another outcome": ({"ours": {"output_dim": 3}}, r"^output_layer.weight of the state dict"),
}


@pytest.mark.parametrize(("case", "message"), MISTAKES.values(), ids=MISTAKES)
def test_what_does_not_fit_is_refused_and_changes_nothing(case, message):
    theirs = make_theirs(static=STATIC, **case.get("theirs", {}))
    ours = make_ours(static=STATIC, **case.get("ours", {}))
    before = {name: weight.clone() for name, weight in ours.state_dict().items()}
    with pytest.raises(InputError, match=message):
        load_pytorch_forecasting(
            ours, theirs.state_dict(), *case.get("names", (PAST, FUTURE, STATIC))
        )
    assert all(torch.equal(weight, before[name]) for name, weight in ours.state_dict().items())


def test_second_names_must_hold_the_same_weights():
    state, ours = make_theirs().state_dict(), make_ours()
    state["post_lstm_gate_decoder.fc.weight"] = state["post_lstm_gate_decoder.fc.weight"] + 1
    with pytest.raises(InputError, match=r"left over post_lstm_gate_decoder\.fc\.weight$"):
        load_pytorch_forecasting(ours, state, PAST, FUTURE)


def test_more_features_than_variables_are_refused():
    with pytest.raises(InputError, match="past has 4 variables, but the model 3 features"):
        load_pytorch_forecasting(make_ours(PAST[:3]), make_theirs().state_dict(), PAST, FUTURE)
