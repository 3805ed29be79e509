"""Where data lies: into a network data first, and out of it to where the data lay.

B batch, Tc context steps, Td horizon steps: of a sequence-to-sequence model, those of its sequence.
`ForecastOutput` names what comes out.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypedDict, TypeVar, cast

import torch

from transformertf.batch import Batch, Side, prefixes_of
from transformertf.errors import InputError
from transformertf.utils.sequence import (
    Alignment,
    align_encoder_sequences,
    check_sequences,
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


def complete(batch: Batch) -> Batch:
    """Return a batch with its masks, or its lengths, where only the other is there.

    Data of which no mask tells where it lies is first, and all steps that are forecast are observed
    where no mask tells which are. Nothing else is looked at: `check_batch` does.

    Raises:
        InputError: lengths that are no lengths of the inputs.
    """
    # a key that is a variable is more than a typed dictionary knows of
    whole = dict(cast(Mapping[str, torch.Tensor], batch))
    for prefix in (prefixes := prefixes_of(batch)):
        inputs, lengths, mask = (
            whole.get(f"{prefix}{key}") for key in ("input", "lengths", "mask")
        )
        if lengths is None and mask is not None:
            whole[f"{prefix}lengths"] = mask.sum(dim=1, dtype=torch.int64)
        elif mask is None and lengths is not None and inputs is not None:
            check_sequences(inputs, lengths, f"batch: {prefix}input", f"batch: {prefix}lengths")
            whole[f"{prefix}mask"] = create_padding_mask(lengths, inputs.size(1))
    if "target" in whole and f"{prefixes[-1]}mask" in whole:
        whole.setdefault("target_mask", whole[f"{prefixes[-1]}mask"])
    return cast(Batch, whole)


def check_windows(
    past: torch.Tensor,
    future: torch.Tensor,
    encoder_lengths: torch.Tensor | None,
    decoder_lengths: torch.Tensor | None,
) -> None:
    """Refuse what is no context and horizon of a network, (B, Tc, Fp) and (B, Td, Ff).

    Raises:
        InputError: names the argument, and says what to give.
    """
    check_steps(past, encoder_lengths, "past_sequence", "encoder_lengths")
    check_steps(future, decoder_lengths, "future_sequence", "decoder_lengths")
    if past.size(0) != future.size(0):
        raise InputError(
            f"past_sequence and future_sequence must have as many rows, found {past.size(0)} and "
            f"{future.size(0)}"
        )


def check_steps(
    sequence: torch.Tensor, lengths: torch.Tensor | None, name: str, lengths_name: str = "lengths"
) -> None:
    """Refuse what is no input (B, T, F) of a network; arguments are those of `check_sequences`.

    Raises:
        InputError: names the argument, and says what to give.
    """
    check_sequences(sequence, lengths, name, lengths_name)
    if sequence.ndim != 3:
        raise InputError(
            f"{name} must have three dimensions (B, T, F), found shape {tuple(sequence.shape)}"
        )


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
