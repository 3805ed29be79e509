"""Our PFTemporalFusionTransformer with the weights of pytorch-forecasting's gives its numbers.

pytorch-forecasting is no dependency, not even of the tests; where it is installed, this runs:
`make parity`. `test_golden.py` compares with some of its numbers everywhere.
"""

import importlib.util
from typing import Any

import pytest
import torch

from tests.reference.temporal_fusion import (
    EQUAL,
    FUTURE,
    LENGTHS,
    PAST,
    RAGGED,
    RECORDED,
    STATIC,
    assert_gives_what_is_recorded,
    assert_same_gradients,
    assert_same_on_data,
    input_gradients,
    make_inputs,
    make_ours,
    make_pair,
    make_theirs,
    recorded_weights,
    run_ours,
    run_theirs,
)
from transformertf.errors import InputError
from transformertf.models import PFTemporalFusionTransformer
from transformertf.models.pf_tft import PFTemporalFusionTransformerModel
from transformertf.models.pf_weights import load_pytorch_forecasting

if importlib.util.find_spec("pytorch_forecasting") is None:
    pytest.skip("pytorch-forecasting is not installed", allow_module_level=True)

pytestmark = [
    # lightning on a loss and metrics that their constructor saves among its arguments
    pytest.mark.filterwarnings("ignore:Attribute '(loss|logging_metrics)' is an instance of"),
]


def assert_agree(theirs, ours, names, lengths):
    inputs = make_inputs(names, lengths)
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
    inputs = make_inputs(names, RAGGED)
    assert_same_gradients(
        input_gradients(run_ours, ours, names, inputs, RAGGED),
        input_gradients(run_theirs, theirs, names, inputs, RAGGED),
    )


def test_loads_into_the_lightning_module():
    theirs = make_theirs(static=STATIC)
    sizes: dict[str, Any] = {
        "d_model": 12,
        "d_hidden_continuous": 5,
        "num_heads": 3,
        "num_lstm_layers": 1,
    }
    module = PFTemporalFusionTransformer(4, 2, 6, 4, 2, **sizes).double().eval()
    model = module.model
    assert isinstance(model, PFTemporalFusionTransformerModel)
    load_pytorch_forecasting(model, theirs.state_dict(), PAST, FUTURE, STATIC)
    assert_agree(theirs, model, (PAST, FUTURE, STATIC), RAGGED)


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


@pytest.mark.parametrize("which", LENGTHS)
@pytest.mark.parametrize("case", RECORDED)
def test_they_still_give_what_is_recorded(case, which):
    theirs = make_theirs(**RECORDED[case])
    theirs.load_state_dict(recorded_weights(case))
    assert_gives_what_is_recorded(run_theirs, theirs, case, which)
