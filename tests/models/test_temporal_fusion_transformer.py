"""The temporal fusion transformers against Lim et al. 2021 written out, one window at a time."""

from functools import partial
from typing import Any

import pytest
import torch
import torch._dynamo

from tests.models.by_equation import shaken
from transformertf.errors import InputError
from transformertf.models.pf_tft import (
    PFTemporalFusionTransformer,
    PFTemporalFusionTransformerModel,
)
from transformertf.models.temporal_fusion_transformer import (
    TFT,
    TemporalFusionTransformer,
    TemporalFusionTransformerModel,
)
from transformertf.models.xtft import xTFT, xTFTModel
from transformertf.utils.sequence import align_encoder_sequences

PAST, FUTURE, STATIC, CONTEXT, HORIZON = 3, 2, 2, 8, 6
HEADS, LAYERS = 2, 2
SIZES = {
    "d_model": 6,
    "d_hidden_continuous": 4,
    "num_heads": HEADS,
    "num_lstm_layers": LAYERS,
    "dropout": 0.0,
}
ALIGNMENTS = ["left", "right"]
LENGTHS = [3, 6, 1], [5, 2, 4]
# the family: what is said of one member here holds for all
MODULES = {
    "TFT": TemporalFusionTransformer,
    "PF": PFTemporalFusionTransformer,
    "xTFT": xTFT,
}
MODELS: dict[str, Any] = {
    "TFT": TemporalFusionTransformerModel,
    "PF": PFTemporalFusionTransformerModel,
    "xTFT": xTFTModel,
}
every_module = pytest.mark.parametrize("name", MODULES)


def make_module(name, **kwargs):
    return shaken(MODULES[name](PAST, FUTURE, CONTEXT, HORIZON, **{**SIZES, **kwargs}), 0.5)


def make_model(name, static=0, past=PAST, future=FUTURE, **kwargs):
    return shaken(MODELS[name](past, future, CONTEXT, HORIZON, static, **{**SIZES, **kwargs}), 0.5)


@pytest.fixture
def batch_of(ragged_batch):
    """Return the maker of ragged batches in float64."""

    def make(**kwargs):
        batch = ragged_batch(*(tuple(side) for side in LENGTHS), **kwargs)
        for side in ("encoder", "decoder"):
            mask = batch[f"{side}_mask"]
            assert mask.any(dim=1).all()
            assert not mask.all()
        return {key: x.double() if x.is_floating_point() else x for key, x in batch.items()}

    return make


# --- the paper, written out -----------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def softmax(x):
    return torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)


def norm(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + 1e-5) * weight + bias


def interpolate(x, width):
    """Interpolate the features of x (T, F) linearly to some width, end on end."""
    columns = []
    for place in range(width):
        at = place * (x.size(1) - 1) / (width - 1)
        low = min(int(at), x.size(1) - 1)
        high = min(low + 1, x.size(1) - 1)
        columns.append(x[:, low] * (1 - (at - low)) + x[:, high] * (at - low))
    return torch.stack(columns, dim=1)


class Paper:
    """The forecast of one unpadded window by the equations, with the weights of a model."""

    def __init__(self, name, model):
        self.name = name
        self.weights = model.state_dict()
        self.lstm = {}
        for side in ("encoder", "decoder"):
            ours = getattr(model.fusion, side)
            self.lstm[side] = torch.nn.LSTM(
                ours.input_size, ours.hidden_size, ours.num_layers, batch_first=True
            ).double()
            self.lstm[side].load_state_dict(ours.state_dict())

    def linear(self, name, x, variable=...):
        key = f"{name}.bias"
        bias = self.weights[key][variable] if key in self.weights else 0.0
        return x @ self.weights[f"{name}.weight"][variable].T + bias

    def gate_norm(self, name, x, skip, variable=...):
        """Eq. 4 and 5: the gate, the skip and the norm around both."""
        value, gate = self.linear(f"{name}.gate.linear", x, variable).chunk(2, dim=-1)
        weight, bias = (
            self.weights[f"{name}.norm.{part}"][variable] for part in ("weight", "bias")
        )
        return norm(skip + sigmoid(gate) * value, weight, bias)

    def grn(self, name, x, context=None, variable=...):
        """Eq. 2 to 4."""
        hidden = self.linear(f"{name}.input", x, variable)
        if context is not None:
            hidden = hidden + self.linear(f"{name}.context", context)
        hidden = torch.where(hidden > 0, hidden, torch.exp(hidden) - 1)
        hidden = self.linear(f"{name}.hidden", hidden, variable)
        skip = x
        if f"{name}.skip.bias" in self.weights:
            skip = self.linear(f"{name}.skip", x, variable)
        elif f"{name}.skip.scale" in self.weights:
            scale, weight, bias = (
                self.weights[f"{name}.{part}"][variable]
                for part in ("skip.scale", "skip_norm.weight", "skip_norm.bias")
            )
            skip = norm(interpolate(x, len(weight)) * 2 * sigmoid(scale), weight, bias)
        return self.gate_norm(f"{name}.output", hidden, skip, variable)

    def select(self, name, x, context=None, codes=None):
        """Eq. 6 to 8."""
        embedded = [self.linear(f"{name}.embedding", x[:, j : j + 1], j) for j in range(x.size(1))]
        if codes is not None:
            table = self.weights[f"{name}.categories.table.weight"]
            own = table.split(CODES[name.removesuffix("_selection")])
            embedded += [own[j][codes[:, j]] for j in range(codes.size(1))]
        encoded = [self.grn(f"{name}.encoding", one, variable=j) for j, one in enumerate(embedded)]
        weights = torch.ones(len(embedded[0]), 1).double()
        if len(embedded) > 1:
            weights = softmax(self.grn(f"{name}.weighing", torch.cat(embedded, dim=1), context))
        return sum(weights[:, j : j + 1] * one for j, one in enumerate(encoded)), weights

    def attend(self, x, steps, causal):
        """Eq. 13 to 16: the steps of the horizon attend to context and horizon."""
        value = self.linear("fusion.attention.value", x)
        width, every = value.size(1), []
        for head in range(HEADS):
            rows = slice(head * width, (head + 1) * width)
            query = self.linear("fusion.attention.query", x, rows)
            key = self.linear("fusion.attention.key", x, rows)
            scores = query @ key.T / width**0.5
            for step in range(len(x) if causal else 0):
                first_hidden = step if self.name == "PF" else step + 1
                scores[step, max(first_hidden, len(x) - steps) :] = -torch.inf
            every.append(softmax(scores)[-steps:])
        weights = sum(every) / HEADS
        found = sum(one @ value for one in every) / HEADS
        return self.linear("fusion.attention.output", found), weights

    def static(self, past, static, codes):
        """Return the static embedding (1, D) and its weights; nothing of the lean one."""
        if self.name == "PF" and static is codes is None:
            width = self.weights["head.weight"].size(1)
            return torch.zeros(1, width).double(), torch.zeros(1, 0).double()
        if static is None:
            stand_in = torch.tensor([[len(past) / CONTEXT]]).double()
            static = stand_in if codes is None else stand_in[:, :0]
        return self.select("static_selection", static, codes=codes)

    def repeat_static(self, past, future, static, codes):
        """Give the lean one what is static as further variables of every step."""
        past_codes, future_codes, own = (codes.get(side) for side in ("past", "future", "static"))
        if static is not None:
            past, future = (torch.cat([x, static.expand(len(x), -1)], 1) for x in (past, future))
        if own is not None:
            past_codes, future_codes = (
                torch.cat([x, own.expand(len(x), -1)], 1) for x in (past_codes, future_codes)
            )
        return past, future, {"past": past_codes, "future": future_codes}

    def forecast(self, past, future, static, causal, codes):
        result, contexts, state = {}, {}, None
        if self.name == "xTFT":
            past, future, codes = self.repeat_static(past, future, static, codes)
        else:
            embedded, result["static_weights"] = self.static(past, static, codes.get("static"))
            for use in ("selection", "hidden", "cell", "enrichment"):
                contexts[use] = self.grn(f"{use}_context", embedded)
            state = tuple(contexts[u].expand(LAYERS, 1, -1) for u in ("hidden", "cell"))
        context = contexts.get("selection")
        past, result["encoder_weights"] = self.select(
            "past_selection", past, context, codes.get("past")
        )
        future, result["decoder_weights"] = self.select(
            "future_selection", future, context, codes.get("future")
        )
        encoded, state = self.lstm["encoder"](past.unsqueeze(0), state)
        decoded, _ = self.lstm["decoder"](future.unsqueeze(0), state)
        local = torch.cat([encoded[0], decoded[0]])
        local = self.gate_norm("fusion.local_skip", local, torch.cat([past, future]))  # eq. 17
        enriched = local
        if contexts:
            enriched = self.grn("fusion.enrichment", local, contexts["enrichment"])  # eq. 18
        steps = len(future)
        attended, result["attention_weights"] = self.attend(enriched, steps, causal)  # eq. 19
        attended = self.gate_norm("fusion.attention_skip", attended, enriched[-steps:])  # eq. 20
        fused = self.grn("fusion.feed_forward", attended)  # eq. 21
        fused = self.gate_norm("fusion.output_skip", fused, local[-steps:])  # eq. 22
        result["output"] = self.linear("head", fused)  # eq. 23
        return result


def assert_by_the_paper(name, model, batch, static, causal=True, codes=None):
    codes = codes or {}
    arguments = [batch["encoder_input"], batch["decoder_input"]]
    arguments += [batch["encoder_lengths"], batch["decoder_lengths"]]
    options = {f"{side}_categories": values for side, values in codes.items()}
    if static is not None:
        options["static"] = static
    found = model(*arguments, **options, need_weights=True)
    paper = Paper(name, model)
    # the map that interpolates is kept in float32
    tolerance = 1e-6 if name == "PF" else 1e-10
    masks = batch["encoder_mask"], batch["decoder_mask"]
    both = torch.cat(masks, dim=1)
    for row in range(len(both)):
        past = batch["encoder_input"][row, masks[0][row]]
        future = batch["decoder_input"][row, masks[1][row]]
        own = None if static is None else static[row : row + 1]
        places = {"past": masks[0][row], "future": masks[1][row], "static": [0]}
        each = {
            side: (values[row : row + 1] if side == "static" else values[row])[places[side]]
            for side, values in codes.items()
        }
        expected = paper.forecast(past, future, own, causal, each)
        assert set(found) == set(expected)
        places = {
            "output": masks[1][row],
            "encoder_weights": masks[0][row],
            "decoder_weights": masks[1][row],
            "static_weights": ...,
            "attention_weights": masks[1][row].unsqueeze(1) & both[row],
        }
        for what, values in expected.items():
            here = found[what][row][places[what]]
            torch.testing.assert_close(
                here, values.reshape(here.shape), rtol=tolerance, atol=tolerance, msg=what
            )


CASES = [
    *((name, static) for name in ("TFT", "PF") for static in (0, 1, STATIC)),
    *(("xTFT", static) for static in (0, STATIC)),
]


@pytest.mark.parametrize(("name", "static"), CASES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_agrees_with_the_paper(name, static, causal, alignment, batch_of):
    batch = batch_of(encoder_alignment=alignment)
    model = make_model(name, static, causal_attention=causal, encoder_alignment=alignment)
    values = torch.randn(len(LENGTHS[0]), static, generator=torch.Generator().manual_seed(2))
    assert_by_the_paper(name, model, batch, values.double() if static else None, causal)


# how many codes the categories of each side have; of the lean one's steps, the static ones too
CODES = {"static": [3, 2], "past": [4, 2], "future": [3]}


@pytest.mark.parametrize("static", [0, STATIC])
@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_the_paper_on_categories(name, static, alignment, batch_of, monkeypatch):
    batch = batch_of(encoder_alignment=alignment)
    sizes = {f"{side}_category_sizes": own for side, own in CODES.items()}
    model = make_model(name, static, encoder_alignment=alignment, **sizes)
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(len(LENGTHS[0]), static, generator=generator).double()
    shapes = {"past": batch["encoder_mask"].shape, "future": batch["decoder_mask"].shape}
    codes = {}
    for side, own in CODES.items():
        shape = shapes.get(side, (len(LENGTHS[0]),))
        columns = [torch.randint(size, shape, generator=generator) for size in own]
        codes[side] = torch.stack(columns, dim=-1)
    if name == "xTFT":
        for side in ("past", "future"):
            monkeypatch.setitem(CODES, side, [*CODES[side], *CODES["static"]])
    assert_by_the_paper(name, model, batch, values if static else None, codes=codes)


@every_module
@pytest.mark.parametrize("features", [(1, 1), (9, 7)], ids=["one variable", "more than the width"])
def test_agrees_with_the_paper_on_any_number_of_variables(name, features, batch_of):
    model = make_model(name, past=features[0], future=features[1])
    assert_by_the_paper(name, model, batch_of(features=features), None)


# --- what holds for all ---------------------------------------------------------------------------


def arguments_of(batch):
    sides = "encoder", "decoder"
    return [batch[f"{side}_{what}"] for what in ("input", "lengths") for side in sides]


@every_module
def test_gradient_reaches_what_is_static(name, batch_of):
    model, batch = make_model(name, STATIC), batch_of()
    static = torch.randn(len(LENGTHS[0]), STATIC).double().requires_grad_()
    model(*arguments_of(batch), static)["output"].square().sum().backward()
    assert static.grad is not None
    assert (static.grad.abs() > 1e-14).all()
    for parameter_name, parameter in model.named_parameters():
        moved = parameter.grad.abs().max() > 1e-14
        assert moved == (parameter_name != "fusion.attention.key.bias"), parameter_name


@every_module
@pytest.mark.parametrize(("wanted", "given"), [(STATIC, None), (STATIC, 1), (0, STATIC)])
def test_static_features_must_be_given_as_configured(name, wanted, given, batch_of):
    static = None if given is None else torch.zeros(len(LENGTHS[0]), given).double()
    with pytest.raises(InputError, match=f"^static must have {wanted} columns, .* {given or 0};"):
        make_model(name, wanted)(*arguments_of(batch_of()), static)


@every_module
@pytest.mark.parametrize("side", ["static", "past", "future"])
def test_categories_must_be_given_as_configured(name, side, batch_of):
    model = make_model(name, **{f"{side}_category_sizes": [3, 2]})
    message = (
        f"^{side}_categories must have 2 columns, as {side}_category_sizes says, found 0; give"
    )
    with pytest.raises(InputError, match=message):
        model(*arguments_of(batch_of()))
    with pytest.raises(InputError, match=f"{side}_category_sizes must be at least 1, found 0"):
        make_model(name, **{f"{side}_category_sizes": [3, 0]})


@every_module
def test_more_padding_changes_nothing(name, batch_of):
    module, batch = make_module(name).eval(), batch_of()
    past, future, *lengths = arguments_of(batch)
    longer = [
        align_encoder_sequences(values, length, 20, source="left", target="left")
        for values, length in zip((past, future), lengths, strict=True)
    ]
    found = module.model(*longer, *lengths)["output"][:, : future.size(1)]
    torch.testing.assert_close(found, module(batch)["output"])


MISTAKES = {
    "heads": ({"num_heads": 4}, "d_model must be a multiple of num_heads 4, found 6"),
    "layers": ({"num_lstm_layers": 0}, "num_lstm_layers must be at least 1, found 0"),
    "embedding": ({"d_hidden_continuous": 0}, "d_hidden_continuous must be at least 1, found 0"),
    "dropout": ({"dropout": 1.5}, "dropout must be from 0 to 1, found 1.5"),
}


@every_module
@pytest.mark.parametrize(("sizes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_impossible_sizes_are_refused_by_name(name, sizes, message):
    with pytest.raises(InputError, match=message):
        make_module(name, **sizes)


def test_short_name():
    assert TFT is TemporalFusionTransformer


def test_relative_length_is_of_the_full_context_not_of_the_batch():
    make = partial(torch.randn, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    model = make_model("TFT")
    past, future = make(1, 4, PAST), make(1, 3, FUTURE)
    expected = make_model("TFT", 1)
    expected.load_state_dict(model.state_dict())
    share = torch.tensor([[4 / CONTEXT]]).double()
    torch.testing.assert_close(
        model(past, future)["output"], expected(past, future, static=share)["output"]
    )
