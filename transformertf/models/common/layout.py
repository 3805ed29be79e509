"""Where data lies: into a network data first, and out of it to where the data lay.

B batch, Tc context steps, Td horizon steps: of a sequence-to-sequence model, those of its sequence.
`ForecastOutput` names what comes out.
"""

from typing import NamedTuple, TypedDict, TypeVar

import torch

from transformertf.batch import Side
from transformertf.utils.sequence import (
    Alignment,
    align_encoder_sequences,
    create_padding_mask,
    first_data_step,
    shift_rows,
)

Steps = TypeVar("Steps", torch.Tensor, torch.Tensor | None)


class ForecastOutput(TypedDict, total=False):
    """What a forward gives; all of it is zero on padding.

    Q outputs of each step; Vp variables of the context, Vf of the horizon, Vs static ones: real
    features first, then categories.

    Attributes:
        output: (B, Td, Q), in the units of the batch's target from a module.
        encoder_weights: (B, Tc, Vp) of the variable selection, adding up to 1 over features.
        decoder_weights: (B, Td, Vf) likewise.
        static_weights: (B, Vs) likewise.
        attention_weights: (B, Td, Tc + Td), adding up to 1 over context and horizon.
    """

    output: torch.Tensor
    encoder_weights: torch.Tensor
    decoder_weights: torch.Tensor
    static_weights: torch.Tensor
    attention_weights: torch.Tensor


def bring_first(side: Side) -> torch.Tensor:
    """Return the inputs (B, T, F) of one side of a batch, data first and zero on padding."""
    mask = create_padding_mask(side.lengths, side.mask.size(1))
    return shift_rows(side.inputs, first_data_step(side.mask), mask)


class Padding(NamedTuple):
    """Where the data lies in the padded rows of one side of a batch.

    Attributes:
        lengths: (B,) int64 data steps; None where all rows are full.
        alignment: end at which the data lies.
    """

    lengths: torch.Tensor | None
    alignment: Alignment = "left"

    def data_first(self, values: Steps) -> Steps:
        """Return (B, T, ...), or None, with data first and zeros on padding, whatever it held."""
        if values is None or self.lengths is None:
            return values
        return align_encoder_sequences(values, self.lengths, source=self.alignment)

    def for_recurrence(self, values: torch.Tensor) -> torch.Tensor:
        """Return (B, T, ...) with data first, for what never looks at padding.

        Where the data is first as it is, a compiled network needs no graph before the recurrence.
        """
        return values if self.alignment == "left" else self.data_first(values)

    def mask(self, steps: int) -> torch.Tensor | None:
        """Return the mask (B, steps) of where the data lies; None where all rows are full."""
        if self.lengths is None:
            return None
        return create_padding_mask(self.lengths, steps, self.alignment)


def put_back(
    result: ForecastOutput, encoder_mask: torch.Tensor | None, decoder_mask: torch.Tensor | None
) -> ForecastOutput:
    """Return a data-first result with its data where the masks have it, and zero elsewhere.

    Args:
        result: data first along every time axis.
        encoder_mask: (B, Tc) bool, where the context's data lies; None where all rows are full.
        decoder_mask: (B, Td) bool, where the horizon's data lies; None where all rows are full.
    """
    moved = result.copy()
    moved["output"] = _shift_back(result["output"], decoder_mask)
    if "encoder_weights" in result:
        moved["encoder_weights"] = _shift_back(result["encoder_weights"], encoder_mask)
    if "decoder_weights" in result:
        moved["decoder_weights"] = _shift_back(result["decoder_weights"], decoder_mask)
    if "attention_weights" in result:
        keys = result["attention_weights"].transpose(1, 2)  # (B, Tc + Td, Td)
        horizon_steps = keys.size(2)
        context, horizon = keys[:, :-horizon_steps], keys[:, -horizon_steps:]
        keys = torch.cat(
            [_shift_back(context, encoder_mask), _shift_back(horizon, decoder_mask)], dim=1
        )
        moved["attention_weights"] = _shift_back(keys.transpose(1, 2), decoder_mask)
    return moved


def _shift_back(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return values if mask is None else shift_rows(values, -first_data_step(mask), mask)
