"""What passes from data to model: the keys of a batch, their shapes, and one checker.

A window has a context and a horizon, and its batch the keys `encoder_…` and `decoder_…`; the
forecast is of the horizon. A sequence has neither, and its batch the keys `input`, `lengths` and
`mask`; the forecast is of the same steps.

Shapes: B batch, Tc context steps, Td horizon steps, Fp features of the context, Ff features
of the horizon, T steps and F features of a sequence. Tc, Td and T are the longest row of the
batch; in a batch of sequences Td below means T. A mask is True on data.

S static features, Cs static categories, Cp categories of a context step, Cf of a horizon step, C of
a step of a sequence. A category is an int64 number: 0 for a value that training did not have or
that is missing, 1 and up for those it had. Keys of what the data does not have are absent.
"""

from typing import Literal, NamedTuple, Protocol, TypedDict, runtime_checkable

import torch

from transformertf.errors import InputError
from transformertf.stage import Stage

# what a batch holds
BatchKind = Literal["windows", "sequences"]


class Batch(TypedDict, total=False):
    """One batch of windows, or of sequences.

    Attributes:
        input: (B, T, F) scaled features of a sequence: time feature, known covariates, past
            covariates, in this order.
        lengths: (B,) int64, number of steps of a sequence.
        mask: (B, T) bool.
        encoder_input: (B, Tc, Fp) scaled features of the context: time feature, known
            covariates, past covariates, target history, in this order.
        encoder_lengths: (B,) int64, number of context steps.
        encoder_mask: (B, Tc) bool.
        decoder_input: (B, Td, Ff) scaled features of the horizon: time feature, known covariates.
        decoder_lengths: (B,) int64, number of horizon steps.
        decoder_mask: (B, Td) bool.
        static_input: (B, S) scaled features that are constant within a series.
        static_categories: (B, Cs) int64.
        encoder_categories: (B, Tc, Cp) int64, known ones first; 0 on padding, as those below.
        decoder_categories: (B, Td, Cf) int64, the known ones.
        categories: (B, T, C) int64 of a sequence.
        target: (B, Td, 1) scaled target; absent where no target is known.
        target_mask: (B, Td) bool, on the horizon and observed.
        weight: (B,) weight of each window in the loss, or (B, Td) of each of its steps; absent
            means 1. What has weight 0 takes no part in metrics either.
        window_loc: (B,) mean of the context's target, in the units of `target`; only where the
            data is normalised per window.
        window_scale: (B,) spread of the context's target, likewise.
        window_unit: (B,) what a scaled target was divided by after that; likewise.
        statistics: (B,) int64, which statistics the target was scaled with: 0 for the global
            ones, 1 and up for those of a series; only where the data is normalised per series or
            window.
        target_start: (B,) target of the last context step before it was differenced; only where a
            transform of the target takes differences.
        target_covariate: (B, Td) covariate that a transform of the target depends on, in original
            units; only where one does.
        series: (B,) int64, index of the series.
        origin: (B,) int64, 0-based row, within the series after downsampling, of the last
            context step; of a sequence the row before its first step, -1 at the series' start.
        begins: (B,) bool, whether a sequence begins by itself; any other one goes on with that of
            its series which ended at its `origin`. Absent means that all do.
        lane: (B,) int64, place of each row in the batch; only in training that carries states. A
            row goes on with that of the batch before in its place, but where it `begins`.
        place: (B,) int64, 0-based step of its run of the first step to forecast; only where states
            are carried in training, or steps washed out.
        leads: (B,) bool, whether a sequence only leads in to those that are forecast. Absent means
            that none does.
        ends: (B,) bool, whether a sequence is the last piece of the one that it belongs to. Absent
            means that all are.
    """

    input: torch.Tensor
    lengths: torch.Tensor
    mask: torch.Tensor
    encoder_input: torch.Tensor
    encoder_lengths: torch.Tensor
    encoder_mask: torch.Tensor
    decoder_input: torch.Tensor
    decoder_lengths: torch.Tensor
    decoder_mask: torch.Tensor
    static_input: torch.Tensor
    static_categories: torch.Tensor
    encoder_categories: torch.Tensor
    decoder_categories: torch.Tensor
    categories: torch.Tensor
    target: torch.Tensor
    target_mask: torch.Tensor
    weight: torch.Tensor
    window_loc: torch.Tensor
    window_scale: torch.Tensor
    window_unit: torch.Tensor
    statistics: torch.Tensor
    target_start: torch.Tensor
    target_covariate: torch.Tensor
    series: torch.Tensor
    origin: torch.Tensor
    begins: torch.Tensor
    lane: torch.Tensor
    place: torch.Tensor
    leads: torch.Tensor
    ends: torch.Tensor


class Side(NamedTuple):
    """One side of a batch: the context, the horizon, or a sequence.

    Attributes:
        inputs: (B, T, F).
        lengths: (B,) int64 data steps.
        mask: (B, T) bool, True on data.
    """

    inputs: torch.Tensor
    lengths: torch.Tensor
    mask: torch.Tensor


def prefixes_of(batch: Batch) -> tuple[str, ...]:
    """Return how the keys of each side of a batch begin; see `sides`."""
    sequences = any(key in batch for key in ("input", "lengths", "mask"))
    return ("",) if sequences else ("encoder_", "decoder_")


def sides(batch: Batch) -> list[Side]:
    """Return context and horizon, or the sequence; the steps of the last one are forecast."""
    if "input" in batch:
        return [Side(batch["input"], batch["lengths"], batch["mask"])]
    return [
        Side(batch["encoder_input"], batch["encoder_lengths"], batch["encoder_mask"]),
        Side(batch["decoder_input"], batch["decoder_lengths"], batch["decoder_mask"]),
    ]


def forecast_mask(batch: Batch) -> torch.Tensor:
    """Return the mask (B, Td) of the steps that are forecast."""
    mask = batch["mask"] if "mask" in batch else batch["decoder_mask"]
    return mask & ~batch["leads"].unsqueeze(1) if "leads" in batch else mask


def step_weights(batch: Batch) -> torch.Tensor | None:
    """Return the weight (B, 1) of each window, or (B, Td) of each step; None where all count 1."""
    weight = batch.get("weight")
    return weight.unsqueeze(1) if weight is not None and weight.ndim == 1 else weight


def counted(batch: Batch) -> torch.Tensor:
    """Return the mask (B, Td) of the observed targets whose weight is above 0."""
    weight = step_weights(batch)
    return batch["target_mask"] if weight is None else batch["target_mask"] & (weight > 0)


@runtime_checkable
class BatchSource(Protocol):
    """What a model may ask of whoever makes its batches: a fitted data module."""

    def inverse_transform_target(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return `values` (B, Td, ...) of the target in original units."""
        ...

    def describe_training_window(self, series: int, origin: int) -> str:
        """Return words for the training window of a batch's `series` and `origin`."""
        ...


@runtime_checkable
class AffineTarget(Protocol):
    """A maker of batches that can tell the units of their target."""

    def target_affine(self) -> tuple[float, float]:
        """Return loc and scale: scaled targets * scale + loc are those in original units.

        Raises:
            InputError: no one line leads from all scaled targets to the original ones.
        """
        ...


@runtime_checkable
class TransformedTarget(Protocol):
    """The scaling of a maker of batches, which tells how the target comes back to its own units."""

    def target_is_summed(self) -> bool:
        """Return whether values come back as sums over the steps."""
        ...

    def target_is_turned(self) -> bool:
        """Return whether larger values come back smaller, at an x of the training rows at least."""
        ...


@runtime_checkable
class ActualTarget(Protocol):
    """A maker of batches that knows the target as it was read."""

    def actual_target(self, batch: Batch, stage: Stage) -> torch.Tensor:
        """Return the target (B, Td) in original units, NaN where missing and on padding."""
        ...


def validate_lengths(
    lengths: torch.Tensor, batch_size: int, max_length: int, name: str = "lengths"
) -> None:
    """Check lengths (B,) against the padded batch they describe.

    Values are looked at where they lie on the host: nothing waits for a device. In a graph that is
    compiled or exported there are none to look at.

    Args:
        lengths: data steps of each row.
        batch_size: rows B of the batch.
        max_length: padded steps T of the batch.
        name: of the lengths, for messages.

    Raises:
        InputError: wrong shape, wrong dtype, wrong count, a length below 1 or above `max_length`.
    """
    if not isinstance(lengths, torch.Tensor):
        raise InputError(f"{name} must be an int64 tensor (B,), found {type(lengths).__name__}")
    if lengths.ndim != 1:
        raise InputError(f"{name} must have one dimension, found shape {tuple(lengths.shape)}")
    if lengths.dtype != torch.int64:
        raise InputError(f"{name} must be int64, found {lengths.dtype}")
    if lengths.size(0) != batch_size:
        raise InputError(f"{name} must count {batch_size} rows, found {lengths.numel()}")
    if lengths.device.type != "cpu" or torch.compiler.is_compiling() or lengths.numel() == 0:
        return
    low, high = (int(bound) for bound in lengths.aminmax())
    if low < 1:
        raise InputError(f"{name} must be at least 1, found {low}")
    if high > max_length:
        raise InputError(f"{name} must not exceed the {max_length} padded steps, found {high}")


def check_batch(batch: Batch) -> None:
    """Check the lengths, masks and shapes of a batch, once, on the host.

    Raises:
        InputError: a key is missing, or a length, mask or shape contradicts another.
    """
    prefixes = prefixes_of(batch)
    for prefix in prefixes:
        for key in (f"{prefix}input", f"{prefix}lengths", f"{prefix}mask"):
            if key not in batch:
                raise InputError(f"batch: key {key!r} is missing")
    for prefix, (inputs, lengths, mask) in zip(prefixes, sides(batch), strict=True):
        if inputs.ndim != 3 or mask.shape != inputs.shape[:2] or mask.dtype != torch.bool:
            raise InputError(
                f"batch: {prefix}input must be (batch, steps, features) with a boolean "
                f"{prefix}mask (batch, steps); found {tuple(inputs.shape)} and "
                f"{tuple(mask.shape)} {mask.dtype}"
            )
        rows, steps = mask.shape
        validate_lengths(lengths.cpu(), rows, steps, f"batch: {prefix}lengths")
        if not torch.equal(mask.sum(dim=1), lengths):
            raise InputError(f"batch: {prefix}lengths differ from the steps of {prefix}mask")
        if bool((mask.int().diff(dim=1) == 1).sum(dim=1).add(mask[:, 0]).gt(1).any()):
            raise InputError(f"batch: a row of {prefix}mask has padding between data")
    first, last = sides(batch)[0], sides(batch)[-1]
    if len(first.mask) != len(last.mask):
        raise InputError(f"batch: {len(first.mask)} contexts but {len(last.mask)} horizons")
    _check_target(batch, last.mask, f"{prefixes[-1]}mask")


def _check_target(batch: Batch, mask: torch.Tensor, name: str) -> None:
    observed = batch.get("target_mask")
    if observed is not None and (observed.shape != mask.shape or bool((observed & ~mask).any())):
        raise InputError(f"batch: target_mask must have the shape of {name} and lie within it")
    target = batch.get("target")
    if target is not None and target.shape != (*mask.shape, 1):
        raise InputError(f"batch: target must be {(*mask.shape, 1)}, found {tuple(target.shape)}")
    weight = batch.get("weight")
    if weight is not None and weight.shape not in (mask.shape[:1], mask.shape):
        raise InputError(
            f"batch: weight must be {tuple(mask.shape[:1])} or {tuple(mask.shape)}, found "
            f"{tuple(weight.shape)}"
        )
