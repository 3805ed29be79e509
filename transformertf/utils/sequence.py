"""Lengths, masks, alignment and packing: the only place that knows what padding is.

B is the batch size, T the padded number of steps. `lengths` (B,) int64 counts data steps;
a mask is True on data. Alignment "left" is `[data, data, pad]`, "right" is `[pad, data, data]`.
Nothing here decides from the values of a sequence: zeros can be data, NaN can be padding.
Packing needs lengths on the host, so what packs stays out of compiled graphs.
"""

from typing import Literal, get_args

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from transformertf.batch import validate_lengths
from transformertf.errors import InputError

__all__ = [
    "Alignment",
    "align_encoder_sequences",
    "check_sequences",
    "create_padding_mask",
    "data_mask",
    "first_data_step",
    "pack_decoder_sequences",
    "pack_encoder_sequences",
    "shift_rows",
    "should_use_packing",
    "unpack_to_fixed_length",
    "validate_lengths",
]

Alignment = Literal["left", "right"]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def should_use_packing(lengths: torch.Tensor | None) -> bool:
    """Say whether rows differ enough to pack: spread above 10 % of the longest, or 8 rows or more.

    Equal lengths never need packing, nor does None, where all rows are full, nor no row at all.
    This is the rule of thumb of the field; where packing was measured to lose,
    `transformertf.nn.recurrent` does not ask it.
    """
    if lengths is None or lengths.numel() == 0:
        return False
    low, high = int(lengths.min()), int(lengths.max())
    if low == high:
        return False
    return lengths.numel() >= 8 or (high - low) / high > 0.1


def check_sequences(
    sequences: torch.Tensor,
    lengths: torch.Tensor | None,
    name: str = "sequences",
    lengths_name: str = "lengths",
) -> None:
    """Refuse what is no padded batch, and lengths that do not describe it; see `validate_lengths`.

    Args:
        sequences: (B, T, ...), at least one step.
        lengths: (B,) int64 data steps; None where all rows are full.
        name: of the sequences, for messages.
        lengths_name: of the lengths, for messages.

    Raises:
        InputError: names what was found, and what to give.
    """
    if isinstance(sequences, PackedSequence):
        raise InputError(
            f"{name} must be a padded tensor (B, T, F), found a PackedSequence; unpack it with "
            f"transformertf.utils.sequence.unpack_to_fixed_length, and give {lengths_name}"
        )
    if sequences.ndim < 2 or sequences.size(1) == 0:
        raise InputError(
            f"{name} must be a padded tensor (B, T, F) of at least one step, found shape "
            f"{tuple(sequences.shape)}"
        )
    if lengths is not None:
        validate_lengths(lengths, sequences.size(0), sequences.size(1), lengths_name)


def create_padding_mask(
    lengths: torch.Tensor, max_length: int | None = None, alignment: Alignment = "left"
) -> torch.Tensor:
    """Return the mask (B, max_length), True on data; `max_length` defaults to the longest row.

    Raises:
        InputError: lengths that are not (B,) int64, or not from 1 to `max_length`.
    """
    _check_alignment(alignment)
    steps = max_length
    if steps is None:
        steps = int(lengths.max()) if lengths.numel() else 0
    validate_lengths(lengths, lengths.numel(), steps)
    return data_mask(lengths, steps, alignment)


def data_mask(lengths: torch.Tensor, steps: int, alignment: Alignment) -> torch.Tensor:
    """Return the mask (B, steps) of any lengths; a row without data is False throughout."""
    position = torch.arange(steps, device=lengths.device)
    if alignment == "right":
        position = position.flip(0)
    return position < lengths.unsqueeze(1)


def first_data_step(mask: torch.Tensor) -> torch.Tensor:
    """Return (B,) the position of the first data step of each row of a mask (B, T)."""
    return mask.to(torch.int8).argmax(dim=1)


def shift_rows(sequences: torch.Tensor, first: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Move rows in time: step t of the result is step `first + t` of the source, on data.

    Args:
        sequences: (B, T, ...) source.
        first: (B,) int64 source position of the result's step 0; may be negative.
        mask: (B, M) True where the result holds data; the rest becomes 0.

    Returns:
        (B, M, ...).
    """
    position = torch.arange(mask.size(1), device=mask.device)
    source = (first.unsqueeze(1) + position).clamp(0, sequences.size(1) - 1)
    trailing = sequences.shape[2:]
    shape = (*source.shape, *(1 for _ in trailing))
    moved = sequences.gather(1, source.view(shape).expand(*source.shape, *trailing))
    return _zero_padding(moved, mask)


def _zero_padding(sequences: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return sequences (B, T, ...) with zeros where the mask (B, T) has no data."""
    shape = (*mask.shape, *(1 for _ in sequences.shape[2:]))
    return torch.where(mask.view(shape), sequences, sequences.new_zeros(()))


def align_encoder_sequences(
    sequences: torch.Tensor,
    lengths: torch.Tensor,
    max_length: int | None = None,
    *,
    source: Alignment = "right",
    target: Alignment = "left",
) -> torch.Tensor:
    """Move the data of each row from one end of the padding to the other.

    Args:
        sequences: (B, T, ...) with data at the `source` end.
        lengths: (B,) int64 data steps, at most T and at most `max_length`.
        max_length: padded steps of the result; T if not given.
        source: end at which the data lies.
        target: end at which the data shall lie.

    Returns:
        (B, max_length, ...), zero on padding whatever the padding held.

    Raises:
        InputError: what is no padded batch, lengths that do not describe it or are above
            `max_length`, or an end that is neither left nor right.
    """
    check_sequences(sequences, lengths)
    _check_alignment(source)
    padded = sequences.size(1)
    steps = padded if max_length is None else max_length
    mask = create_padding_mask(lengths, steps, target)
    if source == target and max_length is None:  # nothing moves
        return _zero_padding(sequences, mask)
    first = torch.zeros_like(lengths)
    if source == "right":
        first = first + padded - lengths
    if target == "right":
        first = first - (steps - lengths)
    return shift_rows(sequences, first, mask)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def pack_encoder_sequences(sequences: torch.Tensor, lengths: torch.Tensor) -> PackedSequence:
    """Pack left-aligned context sequences (B, T, F); the batch order is kept.

    Raises:
        InputError: what is no padded batch, or lengths that do not describe it.
    """
    check_sequences(sequences, lengths)
    lengths = lengths.cpu()
    validate_lengths(lengths, *sequences.shape[:2])
    return pack_padded_sequence(sequences, lengths, batch_first=True, enforce_sorted=False)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def pack_decoder_sequences(sequences: torch.Tensor, lengths: torch.Tensor) -> PackedSequence:
    """Pack left-aligned horizon sequences, as `pack_encoder_sequences` does contexts."""
    packed: PackedSequence = pack_encoder_sequences(sequences, lengths)
    return packed


@torch.compiler.disable  # type: ignore[untyped-decorator]
def unpack_to_fixed_length(
    packed: PackedSequence, lengths: torch.Tensor, total_length: int
) -> torch.Tensor:
    """Unpack to (B, total_length, F), zero on padding.

    Raises:
        InputError: no packed sequence, one longer than `total_length`, or `lengths` that are not
            those it was packed with.
    """
    if not isinstance(packed, PackedSequence):
        raise InputError(f"packed must be a PackedSequence, found {type(packed).__name__}")
    if (longest := len(packed.batch_sizes)) > total_length:
        raise InputError(f"total_length must be at least {longest}, found {total_length}")
    sequences, packed_lengths = pad_packed_sequence(
        packed, batch_first=True, total_length=total_length
    )
    if not torch.equal(packed_lengths, lengths.cpu()):
        raise InputError(
            f"lengths {lengths.tolist()} differ from the packed ones {packed_lengths.tolist()}"
        )
    return sequences


def _check_alignment(alignment: str) -> None:
    if alignment not in get_args(Alignment):
        raise InputError(f"alignment must be 'left' or 'right', found {alignment!r}")
