"""Ragged batches for the tests of models."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch

from transformertf.batch import Batch, check_batch
from transformertf.utils.sequence import Alignment, create_padding_mask


def _ragged_batch(
    encoder_lengths: tuple[int, ...] = (3, 6, 1),
    decoder_lengths: tuple[int, ...] = (5, 2, 4),
    *,
    encoder_alignment: Alignment = "left",
    decoder_alignment: Alignment = "left",
    features: tuple[int, int] = (3, 2),
    extra: int = 1,
    padding: float = float("nan"),
    seed: int = 0,
) -> Batch:
    """Make a batch of random windows, one row for each pair of lengths.

    Args:
        encoder_lengths: context steps of each row.
        decoder_lengths: horizon steps of each row.
        encoder_alignment: end at which the context data lies.
        decoder_alignment: end at which the horizon data lies.
        features: features of a context step and of a horizon step.
        extra: padded steps beyond the longest row.
        padding: value of padded inputs, and of targets that are padded or not observed; the
            last target of each horizon of more than one step is not observed.
        seed: of the random values.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = len(encoder_lengths)
    batch: dict[str, Any] = {
        "series": torch.arange(rows) + 10,
        "origin": torch.arange(rows) * 7 + 100,
    }
    for side, lengths, alignment, width in (
        ("encoder", encoder_lengths, encoder_alignment, features[0]),
        ("decoder", decoder_lengths, decoder_alignment, features[1]),
    ):
        steps = max(lengths) + extra
        mask = create_padding_mask(torch.tensor(lengths), steps, alignment)
        inputs = torch.randn(rows, steps, width, generator=generator)
        batch[f"{side}_lengths"] = torch.tensor(lengths)
        batch[f"{side}_mask"] = mask
        batch[f"{side}_input"] = torch.where(mask.unsqueeze(-1), inputs, padding)
    observed = batch["decoder_mask"].clone()
    for row, length in enumerate(decoder_lengths):
        if length > 1:
            observed[row, observed[row].nonzero().max()] = False
    target = torch.randn(*observed.shape, 1, generator=generator)
    batch["target_mask"] = observed
    batch["target"] = torch.where(observed.unsqueeze(-1), target, padding)
    result = cast("Batch", batch)
    check_batch(result)
    return result


@pytest.fixture(scope="session")
def ragged_batch() -> Callable[..., Batch]:
    """Return the maker of ragged batches; rows, alignment and padding are its arguments."""
    return _ragged_batch
