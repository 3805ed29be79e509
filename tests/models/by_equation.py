"""Forecasters against equations written out for unpadded windows: what such tests share."""

from itertools import product

import pytest
import torch

PAST, FUTURE, WIDTH, HEADS = 3, 2, 6, 3
SIDES = ("encoder", "decoder")
ALIGNMENTS = list(product(("left", "right"), repeat=2))
every_alignment = pytest.mark.parametrize("alignments", ALIGNMENTS, ids="-".join)


def shaken(module, spread=1.0):
    """Return the module in float64, every weight random, also those that start at 0 or 1."""
    module, generator = module.double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return module


def make_batch(ragged_batch, alignments=("left", "left")):
    """Return a ragged batch in float64, NaN on its padding."""
    batch = ragged_batch(encoder_alignment=alignments[0], decoder_alignment=alignments[1])
    for side in SIDES:
        assert not batch[f"{side}_mask"].all()
        assert batch[f"{side}_input"].isnan().any()
    return {
        key: value.double() if value.is_floating_point() else value for key, value in batch.items()
    }


def assert_full_rows_agree(module, by_hand, lengths):
    """Compare the plain model on unpadded rows.

    Args:
        module: a forecaster.
        by_hand: forecasts unpadded windows (B, T, F) with the module's weights; returns output
            and attention weights.
        lengths: of context and horizon, given to the model; None to give it none.
    """
    generator = torch.Generator().manual_seed(1)
    past = torch.randn(3, 5, PAST, generator=generator, dtype=torch.float64)
    future = torch.randn(3, 4, FUTURE, generator=generator, dtype=torch.float64)
    lengths = () if lengths is None else [torch.full((3,), length) for length in lengths]
    expected, weights = by_hand(module, past, future)
    found = module.model(past, future, *lengths)
    assert found.keys() == {"output"}
    torch.testing.assert_close(found["output"], expected)
    found = module.model(past, future, *lengths, need_weights=True)
    torch.testing.assert_close(found["output"], expected)
    torch.testing.assert_close(found["attention_weights"], weights)


def assert_ragged_rows_agree(module, by_hand, batch):
    """Compare each row of a ragged batch, with and without weights, with itself alone."""
    found = module.eval()(batch)
    fused = module(batch, need_weights=False)["output"]
    masks = [batch[f"{side}_mask"] for side in SIDES]
    for row, (context, horizon) in enumerate(zip(*masks, strict=True)):
        past = batch["encoder_input"][row, context].unsqueeze(0)
        future = batch["decoder_input"][row, horizon].unsqueeze(0)
        output, weights = (values[0] for values in by_hand(module, past, future))
        torch.testing.assert_close(found["output"][row, horizon], output)
        torch.testing.assert_close(fused[row, horizon], output)
        kept = found["attention_weights"][row, horizon][:, torch.cat([context, horizon])]
        torch.testing.assert_close(kept, weights)
