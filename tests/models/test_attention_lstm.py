"""The attention LSTM against torch's LSTMs and the equations of its attention, row by row."""

from typing import Any

import pytest
import torch

from tests.models.by_equation import (
    FUTURE,
    HEADS,
    PAST,
    WIDTH,
    assert_full_rows_agree,
    assert_ragged_rows_agree,
    every_alignment,
    make_batch,
    shaken,
)
from transformertf.errors import InputError
from transformertf.models.attention_lstm import AttentionLSTM
from transformertf.nn import QuantileLoss

OPTIONS = {
    "default": {},
    "one layer": {"num_layers": 1},
    "narrow encoder": {"d_encoder": 4},
    "wide decoder": {"d_decoder": 7},
    "both differ": {"d_encoder": 5, "d_decoder": 5},
    "plain residual": {"use_gating": False},
    "trainable add": {"trainable_add": True},
    "not causal": {"causal_attention": False},
    "quantiles": {"criterion": QuantileLoss([0.1, 0.5, 0.9])},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def make_module(**kwargs):
    """Return a small forecaster in float64, every weight random, also those that start at 0 or 1.

    It drops nothing.
    """
    sizes = {"d_model": WIDTH, "num_heads": HEADS, "dropout": 0.0}
    return shaken(AttentionLSTM(PAST, FUTURE, **{**sizes, **kwargs}), 0.7)


def torch_lstm(ours):
    theirs = torch.nn.LSTM(ours.input_size, ours.hidden_size, ours.num_layers, batch_first=True)
    theirs.double().load_state_dict(ours.state_dict())
    return theirs


def mapped(weights, name, x):
    """Map by the weights of that name, if there are any."""
    if f"{name}.weight" not in weights:
        return x
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)


def attention_by_equation(weights, query, keys, causal):
    """Eq. 13 to 16, step by step: the output (B, Td, D), and its weights (B, Td, Tc + Td)."""
    size = WIDTH // HEADS
    q, k, v = (
        mapped(weights, f"attention.{name}", x)
        for name, x in (("query", query), ("key", keys), ("value", keys))
    )
    context_steps = keys.size(1) - query.size(1)
    average = query.new_zeros(*query.shape[:2], keys.size(1))
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        for step in range(query.size(1)):
            seen = context_steps + step + 1 if causal else keys.size(1)
            scores = (q[:, step, None, part] * k[:, :seen, part]).sum(-1) / size**0.5
            exponents = scores.exp()
            average[:, step, :seen] += exponents / exponents.sum(-1, keepdim=True) / HEADS
    return mapped(weights, "attention.output", average @ v), average


def close_by_equation(weights, attended, skip):
    """Gate-add-norm, or add and norm where there is no gate."""
    if "attention_skip.gate.linear.weight" in weights:
        value, gate = mapped(weights, "attention_skip.gate.linear", attended).chunk(2, dim=-1)
        attended = value / (1 + (-gate).exp())
    if "attention_skip.skip_weight" in weights:
        skip = skip * 2 / (1 + (-weights["attention_skip.skip_weight"]).exp())
    x = skip + attended
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    return x * weights["attention_skip.norm.weight"] + weights["attention_skip.norm.bias"]


def by_hand(module, past, future):
    """Forecast unpadded windows (B, T, F); returns output and weights."""
    model, weights = module.model, module.model.state_dict()
    encoded, (hidden, cell) = torch_lstm(model.encoder)(past)
    state = mapped(weights, "bridge.hidden", hidden), mapped(weights, "bridge.cell", cell)
    decoded, _ = torch_lstm(model.decoder)(future, state)
    query = mapped(weights, "decoder_projection", decoded)
    keys = torch.cat([mapped(weights, "encoder_projection", encoded), query], dim=1)
    causal = module.hparams["causal_attention"]
    attended, average = attention_by_equation(weights, query, keys, causal)
    return mapped(weights, "head", close_by_equation(weights, attended, query)), average


@every_option
@pytest.mark.parametrize("lengths", [None, (5, 4)], ids=["no lengths", "lengths"])
def test_full_rows_agree_with_the_equations(options, lengths):
    assert_full_rows_agree(make_module(**options).eval(), by_hand, lengths)


@every_option
def test_ragged_rows_agree_with_the_equations_of_each_alone(options, ragged_batch):
    assert_ragged_rows_agree(make_module(**options), by_hand, make_batch(ragged_batch))


@every_alignment
@pytest.mark.parametrize("packing", ["auto", "always", "never"])
def test_ragged_rows_agree_in_every_layout(alignments, packing, ragged_batch):
    module = make_module(packing=packing, d_encoder=4)
    assert_ragged_rows_agree(module, by_hand, make_batch(ragged_batch, alignments))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("use_gating", [True, False], ids=["gate", "plain"])
def test_dropout_falls_on_what_attention_gives(training, use_gating, ragged_batch):
    module = make_module(dropout=1.0, num_layers=1, use_gating=use_gating).train(training)
    batch = make_batch(ragged_batch)
    module(batch, need_weights=False)["output"].sum().backward()
    # with all of it dropped, only the skip is left
    assert bool((module.model.attention.value.weight.grad == 0).all()) is training
    assert module.model.attention.dropout == 0, "its weights stay whole"
    assert module.model.decoder.weight_ih_l0.grad.count_nonzero() > 0


def test_trainable_add_starts_as_a_plain_sum(ragged_batch):
    torch.manual_seed(0)
    plain, weighed = (
        AttentionLSTM(PAST, FUTURE, WIDTH, num_heads=HEADS, trainable_add=add).eval()
        for add in (False, True)
    )
    weights = plain.state_dict()
    added = weighed.state_dict().keys() - weights.keys()
    assert added == {"model.attention_skip.skip_weight"}
    weighed.load_state_dict(weights, strict=False)
    torch.testing.assert_close(weighed(ragged_batch()), plain(ragged_batch()))


REFUSED: dict[str, dict[str, Any]] = {
    "d_model": {"d_model": 0},
    "d_encoder": {"d_encoder": 0},
    "d_decoder": {"d_decoder": -1},
    "num_layers": {"num_layers": 0},
    "num_heads": {"num_heads": 0},
    "multiple of num_heads 3": {"d_model": 8},
    "dropout": {"dropout": 1.5},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refuses_sizes_that_make_no_network(message):
    with pytest.raises(InputError, match=message):
        make_module(**REFUSED[message])
