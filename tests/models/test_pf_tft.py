"""What sets pytorch-forecasting's transformer apart, and loading its weights.

The rest is tested with the family, and `tests/reference` compares with the original.
"""

import pytest
import torch

from transformertf.errors import InputError
from transformertf.models.pf_tft import PFTemporalFusionTransformerModel
from transformertf.models.pf_weights import load_pytorch_forecasting

WIDTH, EMBEDDING, HEADS, LAYERS, OUTPUTS = 6, 4, 3, 2, 7
PAST, FUTURE, STATIC = ["time", "current", "target"], ["time", "current"], ["length", "age"]


def make_model(static=STATIC, **kwargs):
    torch.manual_seed(0)
    sizes = {
        "d_model": WIDTH,
        "d_hidden_continuous": EMBEDDING,
        "num_heads": HEADS,
        "num_lstm_layers": LAYERS,
        **kwargs,
    }
    return PFTemporalFusionTransformerModel(len(PAST), len(FUTURE), 8, 6, len(static), **sizes)


class TheirShapes(dict[str, tuple[int, ...]]):
    """Names and shapes of the weights of their release 1.8.0, module by module."""

    def linear(self, name, d_input, d_output, bias=True):
        self[f"{name}.weight"] = d_output, d_input
        if bias:
            self[f"{name}.bias"] = (d_output,)

    def norm(self, name, width):
        self[f"{name}.weight"] = self[f"{name}.bias"] = (width,)

    def gate(self, name, d_input, d_output):
        self.linear(f"{name}.glu.fc", d_input, 2 * d_output)
        self.norm(f"{name}.add_norm.norm", d_output)

    def grn(self, name, d_input, d_hidden, d_output, d_context=None):
        if d_input != d_output:
            self[f"{name}.resample_norm.mask"] = (d_output,)
            self.norm(f"{name}.resample_norm.norm", d_output)
        self.linear(f"{name}.fc1", d_input, d_hidden)
        if d_context is not None:
            self.linear(f"{name}.context", d_context, d_hidden, bias=False)
        self.linear(f"{name}.fc2", d_hidden, d_hidden)
        self.gate(f"{name}.gate_norm", d_hidden, d_output)

    def selection(self, name, variables, d_context):
        if len(variables) > 1:
            count = len(variables)
            hidden = min(WIDTH, count)
            self.grn(f"{name}.flattened_grn", count * EMBEDDING, hidden, count, d_context)
        for variable in variables:
            self.grn(f"{name}.single_variable_grns.{variable}", EMBEDDING, EMBEDDING, WIDTH)
            self.linear(f"{name}.prescalers.{variable}", 1, EMBEDDING)


def their_shapes(static):
    shapes = TheirShapes()
    for name in dict.fromkeys([*static, *PAST, *FUTURE]):
        shapes.linear(f"prescalers.{name}", 1, EMBEDDING)
    shapes.selection("static_variable_selection", static, None)
    shapes.selection("encoder_variable_selection", PAST, WIDTH)
    shapes.selection("decoder_variable_selection", FUTURE, WIDTH)
    for use in ("variable_selection", "initial_hidden_lstm", "initial_cell_lstm", "enrichment"):
        shapes.grn(f"static_context_{use}", WIDTH, WIDTH, WIDTH)
    for side in ("encoder", "decoder"):
        for name, weight in torch.nn.LSTM(WIDTH, WIDTH, LAYERS).named_parameters():
            shapes[f"lstm_{side}.{name}"] = tuple(weight.shape)
        shapes.linear(f"post_lstm_gate_{side}.fc", WIDTH, 2 * WIDTH)
        shapes.norm(f"post_lstm_add_norm_{side}.norm", WIDTH)
    shapes.grn("static_enrichment", WIDTH, WIDTH, WIDTH, WIDTH)
    shapes.linear("multihead_attn.v_layer", WIDTH, WIDTH // HEADS)
    for head in range(HEADS):
        shapes.linear(f"multihead_attn.q_layers.{head}", WIDTH, WIDTH // HEADS)
        shapes.linear(f"multihead_attn.k_layers.{head}", WIDTH, WIDTH // HEADS)
    shapes.linear("multihead_attn.w_h", WIDTH // HEADS, WIDTH, bias=False)
    shapes.gate("post_attn_gate_norm", WIDTH, WIDTH)
    shapes.grn("pos_wise_ff", WIDTH, WIDTH, WIDTH)
    shapes.gate("pre_output_gate_norm", WIDTH, WIDTH)
    shapes.linear("output_layer", WIDTH, OUTPUTS)
    return shapes


def make_state(static=STATIC):
    """Return a state dict of theirs with random weights; what is shared is the same."""
    generator = torch.Generator().manual_seed(1)
    state = {n: torch.randn(s, generator=generator) for n, s in their_shapes(static).items()}
    for name in state:
        *_, last = name.split("_variable_selection.prescalers.")
        if last != name:
            state[name] = state[f"prescalers.{last}"]
        if name.startswith("post_lstm_"):
            state[name] = state[name.replace("_decoder.", "_encoder.")]
    return state


@pytest.mark.parametrize("static", [[], STATIC[:1], STATIC], ids=len)
def test_their_weights_fill_the_model(static):
    model, state = make_model(static), make_state(static)
    load_pytorch_forecasting(model, state, PAST, FUTURE, static)
    loaded = model.state_dict()
    # every number of theirs, second names aside, is a number of ours
    seconds = ("prescalers.", "post_lstm_gate_decoder.", "post_lstm_add_norm_decoder.")
    theirs = [weight for name, weight in state.items() if not name.startswith(seconds)]
    numbers = torch.cat([weight.flatten() for weight in theirs]).sort().values
    assert torch.equal(torch.cat([w.flatten() for w in loaded.values()]).sort().values, numbers)
    past = "encoder_variable_selection"
    assert torch.equal(
        loaded["past_selection.embedding.weight"][1], state[f"{past}.prescalers.current.weight"]
    )
    assert torch.equal(
        loaded["past_selection.encoding.skip.scale"][2],
        state[f"{past}.single_variable_grns.target.resample_norm.mask"],
    )
    query = loaded["fusion.attention.query.weight"].chunk(HEADS)
    assert torch.equal(query[1], state["multihead_attn.q_layers.1.weight"])
    output = model(torch.randn(2, 5, 3), torch.randn(2, 4, 2), static=torch.randn(2, len(static)))
    assert output["output"].isfinite().all()


def without(name):
    return lambda state: state.pop(name)


def renamed(old, new):
    return lambda state: state.update({new: state.pop(old)})


def with_weight(name, *shape):
    return lambda state: state.update({name: torch.zeros(shape)})


SPOILT = {
    "missing": (without("pos_wise_ff.fc1.bias"), r"missing pos_wise_ff\.fc1\.bias; left over noth"),
    "missing under its first name": (
        without("encoder_variable_selection.prescalers.target.bias"),
        r"missing encoder_.*\.target\.bias; left over prescalers\.target\.bias$",
    ),
    "left over": (with_weight("input_embeddings.x", 2), r"missing nothing; left over input_emb"),
    "renamed": (
        renamed("output_layer.bias", "output_layer.0.bias"),
        r"missing output_layer\.bias; left over output_layer\.0\.bias$",
    ),
    "another shape": (
        with_weight("lstm_encoder.weight_ih_l0", 4 * WIDTH, 5),
        r"lstm_encoder\.weight_ih_l0 of the state dict has shape \(24, 5\)",
    ),
    "turned round": (
        with_weight("encoder_variable_selection.prescalers.time.weight", 1, EMBEDDING),
        r"prescalers\.time\.weight of the state dict has shape \(1, 4\)",
    ),
    "not shared": (
        with_weight("prescalers.time.bias", EMBEDDING),
        r"left over prescalers\.time\.bias$",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=SPOILT)
def test_what_does_not_fit_is_refused_and_changes_nothing(spoil, message):
    model, state = make_model(), make_state()
    spoil(state)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(InputError, match=message):
        load_pytorch_forecasting(model, state, PAST, FUTURE, STATIC)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


NAMES = {
    "order": ((PAST[::-1], FUTURE, STATIC), r"^past must name .* \['time', 'current', 'target'\]"),
    "unknown": ((PAST, ["time", "field"], STATIC), r"^future must name .*'field'\]; order"),
    "none": ((PAST, FUTURE, ()), r"^static must name .*, found \[\]"),
}


@pytest.mark.parametrize(("names", "message"), NAMES.values(), ids=NAMES)
def test_names_must_be_theirs_in_their_order(names, message):
    with pytest.raises(InputError, match=message):
        load_pytorch_forecasting(make_model(), make_state(), *names)


@pytest.mark.parametrize("static", [[], STATIC[:1]], ids=len)
def test_another_number_of_features_is_refused(static):
    message = f"static has 2 variables, but the model {len(static)} features; build it with num_s"
    with pytest.raises(InputError, match=message):
        load_pytorch_forecasting(make_model(static), make_state(), PAST, FUTURE, STATIC)


def test_nothing_static_has_no_selection_and_no_weights():
    model = make_model(())
    assert not any(name.startswith("static_selection") for name, _ in model.named_parameters())
    result = model(torch.randn(2, 5, 3), torch.randn(2, 4, 2), need_weights=True)
    assert result["static_weights"].shape == (2, 0)


def test_a_step_does_not_attend_to_itself_but_knows_itself():
    model = make_model((), dropout=0.0)
    past, future = torch.randn(2, 5, 3), torch.randn(2, 4, 2, requires_grad=True)
    result = model(past, future, need_weights=True)
    horizon = result["attention_weights"][..., 5:]
    assert torch.equal(horizon != 0, torch.ones(2, 4, 4).tril(-1).bool())
    gradient = torch.autograd.grad(result["output"][0, 2].square().sum(), future)[0]
    assert torch.equal((gradient[0] != 0).all(dim=-1), torch.tensor([True, True, True, False]))


def test_dropout_of_the_attention_falls_on_its_output():
    attention = make_model((), dropout=1.0).fusion.attention
    assert (attention.dropout, attention.output_dropout) == (0.0, 1.0)
    values = torch.randn(2, 5, WIDTH)
    output, weights = attention(values, values, values, need_weights=True)
    assert not output.any()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 5))
    assert attention.eval()(values, values, values)[0].all()
