"""The transformer LSTM against torch's own LSTM and attention put together by hand, row by row."""

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
from transformertf.models.transformer_lstm import TransformerLSTM
from transformertf.nn import QuantileLoss

OPTIONS = {
    "default": {},
    "one layer, one block": {"num_layers": 1, "num_transformer_blocks": 1},
    "three blocks": {"num_transformer_blocks": 3},
    "not causal": {"causal_attention": False},
    "shared": {"share_lstm_weights": True},
    "quantiles": {"criterion": QuantileLoss([0.1, 0.5, 0.9])},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def make_module(**kwargs):
    """Return a small forecaster in float64, every weight random, also those that start at 0 or 1.

    It drops nothing.
    """
    sizes = {"d_model": WIDTH, "num_heads": HEADS, "dropout": 0.0}
    return shaken(TransformerLSTM(PAST, FUTURE, **{**sizes, **kwargs}), 0.7)


class ByHand:
    """A forecaster's weights in torch's own LSTM and attention, the gates by their equations."""

    def __init__(self, module):
        self.weights = module.model.state_dict()
        self.causal = module.hparams["causal_attention"]
        self.blocks = module.hparams["num_transformer_blocks"]
        self.layers = module.hparams["num_layers"]
        self.decoder = "encoder" if module.hparams["share_lstm_weights"] else "decoder"

    def forecast(self, past, future):
        """Forecast unpadded windows (B, T, F); returns output and weights."""
        past, future = self.grn("past_embedding", past), self.grn("future_embedding", future)
        encoded, state = self.lstm("encoder")(past)
        decoded, _ = self.lstm(self.decoder)(future, state)
        encoded = self.gate_add_norm("encoder_skip", encoded, past)
        decoded = self.gate_add_norm("decoder_skip", decoded, future)
        size = decoded.size(1), encoded.size(1) + decoded.size(1)
        hidden = torch.ones(size, dtype=torch.bool).triu(1 + encoded.size(1))
        for number in range(self.blocks):
            block = f"blocks.{number}"
            attended, _ = self.attention(f"{block}.context_attention", encoded, encoded)
            encoded = self.gate_add_norm(f"{block}.context_skip", attended, encoded)
            keys = torch.cat([encoded, decoded], dim=1)
            attended, weights = self.attention(
                f"{block}.horizon_attention", decoded, keys, hidden if self.causal else None
            )
            decoded = self.gate_add_norm(f"{block}.horizon_skip", attended, decoded)
        return self.linear("head", decoded), weights

    def lstm(self, name):
        lstm = torch.nn.LSTM(WIDTH, WIDTH, self.layers, batch_first=True).double()
        lstm.load_state_dict(self.below(name))
        return lstm

    def attention(self, name, query, keys, hidden=None):
        """Attend as torch does, its three projections one above the other."""
        weights = self.below(name)
        attention = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double()
        stacked = {
            f"in_proj_{part}": torch.cat(
                [weights[f"{x}.{part}"] for x in ("query", "key", "value")]
            )
            for part in ("weight", "bias")
        }
        last = {f"out_proj.{part}": weights[f"output.{part}"] for part in ("weight", "bias")}
        attention.load_state_dict({**stacked, **last})
        return attention(query, keys, keys, attn_mask=hidden)

    def grn(self, name, x):
        """Lim et al. 2021, eq. 2 to 4."""
        hidden = self.linear(f"{name}.input", x)
        hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
        hidden = self.linear(f"{name}.hidden", hidden)
        return self.gate_add_norm(f"{name}.output", hidden, self.linear(f"{name}.skip", x))

    def gate_add_norm(self, name, x, skip):
        """Lim et al. 2021, eq. 2 and 5."""
        value, gate = self.linear(f"{name}.gate.linear", x).chunk(2, dim=-1)
        x = skip + value / (1 + (-gate).exp())
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return x * self.weights[f"{name}.norm.weight"] + self.weights[f"{name}.norm.bias"]

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def below(self, name):
        """Return the state dict of the part of that name."""
        prefix = name + "."
        return {
            key.removeprefix(prefix): value
            for key, value in self.weights.items()
            if key.startswith(prefix)
        }


def by_hand(module, past, future):
    return ByHand(module).forecast(past, future)


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
    module = make_module(packing=packing)
    assert_ragged_rows_agree(module, by_hand, make_batch(ragged_batch, alignments))


@pytest.mark.parametrize("training", [True, False])
def test_dropout_falls_on_what_attention_gives(training, ragged_batch):
    module = make_module(dropout=1.0, num_layers=1).train(training)
    module(make_batch(ragged_batch), need_weights=False)["output"].sum().backward()
    # with all of it dropped, only the skips are left
    for block in module.model.blocks:
        for attention in (block.context_attention, block.horizon_attention):
            assert bool((attention.value.weight.grad == 0).all()) is training
            assert attention.dropout == 0, "its weights stay whole"
    assert module.model.future_embedding.skip.weight.grad.count_nonzero() > 0


@pytest.fixture
def shared_and_twin():
    """Return a forecaster that shares its LSTM, and one with two LSTMs of the same weights."""
    shared, twin = make_module(share_lstm_weights=True), make_module()
    weights = shared.state_dict()
    copies = {
        name.replace("model.encoder.", "model.decoder."): weight
        for name, weight in weights.items()
        if name.startswith("model.encoder.")
    }
    assert len(copies) == 8
    assert copies.keys().isdisjoint(weights)
    twin.load_state_dict({**weights, **copies}, strict=True)
    return shared, twin


def test_shared_weights_are_one_lstm(shared_and_twin):
    shared, twin = shared_and_twin
    lstms = [part for part in shared.modules() if isinstance(part, torch.nn.RNNBase)]
    assert len(lstms) == 1
    of_lstm = sum(parameter.numel() for parameter in lstms[0].parameters())
    sizes = [
        sum(weight.numel() for weight in each.state_dict().values()) for each in (twin, shared)
    ]
    assert sizes[0] - sizes[1] == of_lstm


def test_shared_weights_act_as_two_equal_lstms(shared_and_twin, ragged_batch):
    batch = make_batch(ragged_batch)
    outputs = [module(batch)["output"] for module in shared_and_twin]
    torch.testing.assert_close(*outputs)
    shared, twin = (
        dict(zip(names, torch.autograd.grad(output.sum(), parameters), strict=True))
        for output, (names, parameters) in zip(
            outputs,
            (zip(*module.model.named_parameters(), strict=True) for module in shared_and_twin),
            strict=True,
        )
    )
    for name, gradient in shared.items():
        both = twin[name]
        if name.startswith("encoder."):
            both = both + twin[name.replace("encoder.", "decoder.")]
        torch.testing.assert_close(gradient, both)


REFUSED: dict[str, dict[str, Any]] = {
    "d_model": {"d_model": 0},
    "num_layers": {"num_layers": 0},
    "num_transformer_blocks": {"num_transformer_blocks": 0},
    "num_heads": {"num_heads": 0},
    "multiple of num_heads 3": {"d_model": 8},
    "dropout": {"dropout": 1.5},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refuses_sizes_that_make_no_network(message):
    with pytest.raises(InputError, match=message):
        make_module(**REFUSED[message])
