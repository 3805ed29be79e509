"""LSTM and GRU against torch's own, and what holds for any sequence-to-sequence model."""

from typing import Any

import lightning
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.properties.family import PAST, collate, make_sample
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.models import GRU, LSTM, GRUModel, LSTMModel
from transformertf.nn import QuantileLoss
from transformertf.utils.sequence import create_padding_mask

FEATURES, WIDTH, LAYERS = PAST, 5, 2
KINDS = {
    "LSTM": (LSTMModel, LSTM, torch.nn.LSTM),
    "GRU": (GRUModel, GRU, torch.nn.GRU),
}
LENGTHS = torch.tensor([4, 7, 1])


@pytest.fixture(params=KINDS)
def kind(request):
    torch.manual_seed(0)
    return KINDS[request.param]


def make_model(kind, **options):
    options = {"dropout": 0.0, "output_dim": 2, **options}
    return kind[0](FEATURES, LAYERS, WIDTH, **options).double()


def make_module(kind, **options):
    return kind[1](FEATURES, LAYERS, WIDTH, **{"dropout": 0.0, **options})


def make_batch(alignment="left", lengths=(4, 7, 1), dtype=torch.float32):
    """Return a ragged batch with NaN in its padding; the second row's first target is missing."""
    samples = [make_sample("LSTM", (steps,), seed, dtype) for seed, steps in enumerate(lengths)]
    batch = collate("LSTM", samples, (alignment,), (2,), float("nan"))
    rows = torch.arange(len(lengths))
    batch["series"], batch["origin"] = rows, rows
    return batch


@pytest.mark.parametrize("packing", ["auto", "always", "never"])
def test_same_numbers_as_torch_with_the_same_weights(kind, packing):
    model = make_model(kind, packing=packing)
    theirs = kind[2](FEATURES, WIDTH, LAYERS, batch_first=True).double()
    theirs.load_state_dict(model.recurrence.state_dict())
    sequence = torch.randn(3, 7, FEATURES, dtype=torch.float64)
    packed = pack_padded_sequence(sequence, LENGTHS, batch_first=True, enforce_sorted=False)
    hidden, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    mask = create_padding_mask(LENGTHS).unsqueeze(-1)
    assert mask.any()
    assert not mask.all()
    expected = torch.where(mask, model.head(hidden), 0.0)
    found = model(sequence, LENGTHS)["output"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    whole = model(sequence)["output"]
    torch.testing.assert_close(whole, model.head(theirs(sequence)[0]), rtol=1e-12, atol=1e-12)


def test_dropout_stands_between_the_layers_and_before_the_head(kind):
    model = make_model(kind, dropout=0.5)
    assert (model.recurrence.dropout, model.dropout.p) == (0.5, 0.5)
    sequence = torch.randn(2, 6, FEATURES, dtype=torch.float64)
    seen = []
    model.head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    model(sequence)
    assert (seen[0] == 0).any(), "nothing is dropped before the head"
    model.eval()
    assert torch.equal(model(sequence)["output"], model(sequence)["output"])
    assert (seen[-1] != 0).all()


def test_monotone_quantiles_rise(kind):
    module = make_module(kind, criterion=QuantileLoss([0.1, 0.5, 0.9]), monotone=True)
    batch = make_batch()
    output = module(batch)["output"]
    assert (output[batch["mask"]].diff(dim=-1) > 0).all()
    assert (output[~batch["mask"]] == 0).all()


def test_unmasked_loss_weighs_padding(kind):
    batch = make_batch()
    losses = [
        make_module(kind, use_loss_masking=masking).calc_loss(torch.ones(3, 9, 1), batch)
        for masking in (True, False)
    ]
    assert losses[0] != losses[1]


def test_only_chosen_parameters_train(kind):
    module = make_module(kind, trainable_parameters=["model.head.*"])
    module.configure_optimizers()
    training = {name for name, p in module.named_parameters() if p.requires_grad}
    assert training == {"model.head.weight", "model.head.bias"}


def test_defaults(kind):
    module = kind[1](FEATURES)
    recurrence = module.model.recurrence
    found = recurrence.num_layers, recurrence.hidden_size, recurrence.dropout, module.output_dim
    assert found == (3, 350, 0.2, 1)


def test_units_begin_with_memories_of_all_lengths_up_to_the_longest(kind):
    torch.manual_seed(0)
    module = kind[1](FEATURES, num_layers=2, d_model=400, memory=1000).double()
    recurrence = module.model.recurrence
    with torch.no_grad():
        for name, weight in recurrence.named_parameters():
            if "weight" in name:
                weight.zero_()  # what is left is what a unit keeps by itself
    one = torch.ones(2, 1, 400, dtype=torch.float64)
    state = (torch.zeros_like(one), one) if recurrence.num_states == 2 else one
    _, final = recurrence(torch.zeros(1, 1, FEATURES, dtype=torch.float64), None, state)
    left = (final[1] if isinstance(final, tuple) else final).detach().flatten()
    # c' = f c + i g, and h' = z h + (1 - z) n; without weights g and n are their biases alone
    bias = recurrence.bias_ih_l0.chunk(recurrence.num_gates)[1].detach()
    assert float(bias.min()) >= 0.0
    kept = torch.sigmoid(recurrence.bias_ih_l0 + recurrence.bias_hh_l0).detach()
    kept = kept.chunk(recurrence.num_gates)[1]
    steps = 1 / (1 - kept)  # of a geometric decay, u + 1 where the bias is log u
    assert float(steps.max()) < 1001
    assert 400 < float(steps.mean()) < 600
    assert 200 < float(steps.quantile(0.25)) < 320
    assert float(left.detach().mean()) > 0.9


def test_windows_with_a_context_are_refused(kind):
    trainer: Any = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    module = make_module(kind)
    module.trainer = trainer
    trainer.datamodule = EncoderDecoderDataModule("y")
    with pytest.raises(
        InputError,
        match="wants batches of sequences, which EncoderDecoderDataModule does not make",
    ):
        module.setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_type": "delta"}, "'delta' counts from .* does not read; leave it at 'point'"),
        ({"dropout": 1.5}, "dropout must be from 0 to 1"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"d_model": 0}, "d_model must be at least 1"),
        ({"memory": 1}, "memory must be at least 2 steps, found 1"),
        ({"packing": "sometimes"}, "packing must not be 'sometimes'"),
    ],
)
def test_mistakes(kind, options, message):
    with pytest.raises(InputError, match=message):
        kind[1](FEATURES, **options)
