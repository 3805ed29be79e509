"""The encoder-decoder LSTM against torch's LSTMs put together by hand, row by row."""

import pytest
import torch

from transformertf.models import EncoderDecoderLSTM
from transformertf.models.encoder_decoder_lstm import StateBridge
from transformertf.nn import QuantileLoss, recurrent
from transformertf.utils.sequence import align_encoder_sequences, pack_encoder_sequences

PAST, FUTURE = 3, 2
ALIGNMENTS = ["left", "right"]


def make_module(**kwargs):
    """Return a small forecaster that drops nothing."""
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 4, "num_encoder_layers": 2, "num_decoder_layers": 2}
    return EncoderDecoderLSTM(
        PAST, FUTURE, **{**sizes, "dropout": 0.0, "mlp_dropout": 0.0, **kwargs}
    )


# encoder and decoder layers -> encoder layer that starts each decoder layer: aligned at the top
BRIDGES = {
    (1, 1): [0],
    (2, 2): [0, 1],
    (3, 1): [2],
    (3, 2): [1, 2],
    (1, 3): [0, 0, 0],
    (2, 3): [0, 0, 1],
}
HEADS = {
    "linear": {},
    "one width": {"d_mlp_hidden": 5},
    "no widths": {"d_mlp_hidden": []},
    "widths": {"d_mlp_hidden": [5, 6], "mlp_activation": "tanh"},
    "gelu": {"d_mlp_hidden": [5], "mlp_activation": "gelu"},
}


def torch_lstm(ours):
    theirs = torch.nn.LSTM(ours.input_size, ours.hidden_size, ours.num_layers, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    return theirs


def by_hand(module, layers, past, future):
    """Forecast one unpadded window (1, T, F) with torch's own parts and the module's weights."""
    model = module.model
    _, state = torch_lstm(model.encoder)(past)
    weights = model.bridge.state_dict()
    start = []
    for name, values in zip(("hidden", "cell"), state, strict=True):
        chosen = torch.stack([values[layer] for layer in layers])
        if f"{name}.weight" in weights:
            chosen = chosen @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        start.append(chosen)
    values, _ = torch_lstm(model.decoder)(future, tuple(start))
    activations = {"relu": torch.relu, "tanh": torch.tanh, "gelu": torch.nn.functional.gelu}
    activation = activations[module.hparams["mlp_activation"]]
    head = [part for part in model.head if isinstance(part, torch.nn.Linear)]
    for linear in head[:-1]:
        values = activation(values @ linear.weight.T + linear.bias)
    return values @ head[-1].weight.T + head[-1].bias


def data_rows(batch, side):
    """Return the data (1, T, F) of each row of one side, cut out by its mask."""
    inputs, mask = batch[f"{side}_input"], batch[f"{side}_mask"]
    assert mask.any(dim=1).all()
    assert not mask.all()
    return [inputs[row, mask[row]].unsqueeze(0) for row in range(len(mask))]


def assert_forecasts_by_hand(module, layers, batch):
    output = module(batch)["output"]
    windows = zip(data_rows(batch, "encoder"), data_rows(batch, "decoder"), strict=True)
    for row, (past, future) in enumerate(windows):
        found = output[row, batch["decoder_mask"][row]]
        expected = by_hand(module, layers, past, future)[0]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("counts", "layers"), BRIDGES.items(), ids=str)
@pytest.mark.parametrize("widths", [(4, 4), (3, 5), (5, 3)], ids=str)
def test_agrees_with_torch_lstms(counts, layers, widths, ragged_batch):
    module = make_module(
        d_encoder=widths[0],
        d_decoder=widths[1],
        num_encoder_layers=counts[0],
        num_decoder_layers=counts[1],
    )
    assert_forecasts_by_hand(module, layers, ragged_batch())


@pytest.mark.parametrize("packing", ["auto", "always", "never"])
@pytest.mark.parametrize("encoder_alignment", ALIGNMENTS)
@pytest.mark.parametrize("decoder_alignment", ALIGNMENTS)
def test_agrees_in_every_layout(packing, encoder_alignment, decoder_alignment, ragged_batch):
    batch = ragged_batch(encoder_alignment=encoder_alignment, decoder_alignment=decoder_alignment)
    assert_forecasts_by_hand(make_module(packing=packing), [0, 1], batch)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("criterion", [None, QuantileLoss([0.1, 0.5, 0.9])], ids=["1", "3"])
def test_agrees_with_every_head(head, criterion, ragged_batch):
    module = make_module(criterion=criterion, **head)
    hidden = head.get("d_mlp_hidden", [])
    hidden = [hidden] if isinstance(hidden, int) else hidden
    widths = [part.out_features for part in module.model.head if hasattr(part, "out_features")]
    assert widths == [*hidden, 1 if criterion is None else 3]
    assert_forecasts_by_hand(module, [0, 1], ragged_batch())


@pytest.mark.parametrize(("counts", "layers"), BRIDGES.items(), ids=str)
def test_bridge_of_equal_widths_hands_layers_over(counts, layers):
    state = tuple(torch.randn(counts[0], 2, 4) for _ in range(2))
    hidden, cell = StateBridge(4, 4, *counts)(state)
    assert torch.equal(hidden, state[0][layers])
    assert torch.equal(cell, state[1][layers])


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_output_is_zero_on_padding_only(alignment, head, ragged_batch):
    module, batch = make_module(**head), ragged_batch(decoder_alignment=alignment)
    output = module(batch)["output"]
    mask = batch["decoder_mask"].unsqueeze(-1)
    assert not mask.all()
    assert torch.equal(output != 0, mask)


@pytest.mark.parametrize("training", [True, False])
def test_head_dropout_acts_while_training(training, ragged_batch):
    module, batch = make_module(d_mlp_hidden=5, mlp_dropout=1.0).train(training), ragged_batch()
    mask = batch["decoder_mask"].unsqueeze(-1)
    # with all hidden units dropped, the bias is left
    biases = torch.where(mask, module.model.head[-1].bias, 0.0)
    assert torch.equal(module(batch)["output"], biases) is training


@pytest.mark.parametrize(("packing", "packs"), [("auto", 0), ("always", 2), ("never", 0)])
def test_packing_reaches_both_lstms(packing, packs, ragged_batch, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return pack_encoder_sequences(*arguments)

    monkeypatch.setattr(recurrent, "pack_encoder_sequences", counted)
    make_module(packing=packing)(ragged_batch())
    assert len(calls) == packs


def test_packing_and_more_padding_change_nothing(ragged_batch):
    batch = ragged_batch()
    outputs = [make_module(packing=p)(batch)["output"] for p in ("auto", "always", "never")]
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[0], outputs[2])
    longer = align_encoder_sequences(
        batch["encoder_input"], batch["encoder_lengths"], 20, source="left"
    )
    mask = torch.arange(20) < batch["encoder_lengths"].unsqueeze(1)
    padded = make_module()({**batch, "encoder_input": longer, "encoder_mask": mask})["output"]
    torch.testing.assert_close(outputs[0], padded)
