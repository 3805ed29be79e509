"""How far forecasts are off: the loss of a batch, its mean over ranks and epochs, and metrics.

A loss is a mean with weights, sum(w l) / sum(w), whatever it is a mean over.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torchmetrics
from torch import distributed

from transformertf.batch import (
    ActualTarget,
    Batch,
    BatchSource,
    counted,
    step_weights,
)
from transformertf.errors import InputError, nearest
from transformertf.nn import (
    MSELoss,
    QuantileLoss,
    elementwise,
    quantile_levels,
    relative_error,
    symmetric_error,
)
from transformertf.stage import Stage

_HALVES = (torch.float16, torch.bfloat16)
# mps alone has no double
_WIDEST = torch.float32 if torch.backends.mps.is_available() else torch.float64


def match_criterion(
    criterion: torch.nn.Module | None, output_dim: int, default_dim: int
) -> tuple[torch.nn.Module, int]:
    """Return the elementwise criterion and the outputs it wants.

    An `output_dim` other than the model's default was the user's choice and must agree.

    Args:
        criterion: any torch loss; None for the default of so many outputs.
        output_dim: outputs of each step, as given.
        default_dim: the model's own default of it.
    """
    if criterion is None:
        criterion = MSELoss() if output_dim == 1 else QuantileLoss()
    levels = quantile_levels(criterion)
    wanted = 1 if levels is None else getattr(criterion, "num_parameters", len(levels))
    criterion = elementwise(criterion, wanted)
    if output_dim not in (wanted, default_dim):
        raise InputError(
            f"output_dim is {output_dim}, but the criterion {type(criterion).__name__} wants "
            f"{wanted}: leave output_dim out, or give a criterion with {output_dim} outputs"
        )
    return criterion, wanted


def weighted_losses(
    criterion: torch.nn.Module, values: torch.Tensor, batch: Batch, masking: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return losses times their weights, and the weights (B, Td, 1).

    There is a loss for each output (B, Td, Q), or one for each step (B, Td, 1).

    Args:
        criterion: elementwise.
        values: (B, Td, Q) outputs.
        batch: with `target` and `target_mask`, and `weight` where some weigh more than others.
        masking: leave padding and unobserved targets out; False weighs them as data.
    """
    values = at_least_single(values)  # the criterion, and sums over many steps, want the digits
    target, mask = batch["target"].to(values.dtype), batch["target_mask"].unsqueeze(-1)
    if not masking:
        target, mask = torch.where(mask, target, 0.0), torch.ones_like(mask)
    weight, given = mask.to(values.dtype), step_weights(batch)
    if given is not None:
        # what lies in padding is no weight, NaN included
        weight = torch.where(mask, given.unsqueeze(-1).to(values.dtype), 0.0)
    # what has weight 0 takes no part, whatever it is; 1 and not 0 as the stand-in: relative losses
    # divide by the target
    taken = weight > 0
    values, target = torch.where(taken, values, 1.0), torch.where(taken, target, 1.0)
    loss: torch.Tensor = criterion(values, target.expand_as(values))
    return torch.where(taken, loss, 0.0) * weight, weight


def loss_weight(batch: Batch, masking: bool) -> torch.Tensor:
    """Return the sum of the weights of a batch's data elements; their number without weights.

    Args:
        batch: as for `weighted_losses`.
        masking: likewise.
    """
    mask, given = batch["target_mask"], step_weights(batch)
    mask = mask if masking else torch.ones_like(mask)
    return (mask if given is None else torch.where(mask, given, 0.0)).sum()


def actual_of(
    source: BatchSource | None, batch: Batch, stage: Stage, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the target (B, Td) of a batch in original units, and the mask of where it is known.

    Args:
        source: makes the batches; None where their targets are in original units.
        batch: with `target` and `target_mask`.
        stage: that it is of.
        like: has the type and the device of the result.
    """
    if not isinstance(source, ActualTarget):
        target = batch["target"]
        back = target if source is None else source.inverse_transform_target(target, batch)
        return back[..., 0], counted(batch)
    # scaled and back it is no more what was read: 0 becomes 1e-7
    actual = source.actual_target(batch, stage).to(like.dtype).to(like.device)
    # what takes no part in the loss is known, too
    return actual, torch.isfinite(actual) & counted(batch)


def at_least_single(values: torch.Tensor) -> torch.Tensor:
    """Return half-precision values as single ones, others as they are."""
    return values.float() if values.dtype in _HALVES else values


def keeping_digits(
    change: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a change of type or device that puts nothing into half precision."""

    def changed(values: torch.Tensor) -> torch.Tensor:
        found = change(values)
        halves = found.dtype in _HALVES and values.dtype not in _HALVES
        return values.to(found.device) if halves else found

    return changed


def mean_over_ranks(loss: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Return sum of losses / sum of weights over all ranks, from the two sums of each.

    The gradient is that of this rank's part, times the number of ranks: averaging gradients
    over the ranks divides by it.
    """
    sums = torch.stack([loss.detach(), total])
    distributed.all_reduce(sums)
    whole, total = sums
    total = torch.where(total > 0, total, 1.0)
    # the value stays the same on all ranks, to the bit: they agree on whether it is finite
    part = (loss - loss.detach()) * (distributed.get_world_size() / total)
    mean: torch.Tensor = whole / total + part
    return mean


class _KeepsPrecision(torch.nn.Module):
    """Goes with its module from device to device, and not to half precision.

    There a count of elements would stop at 256.
    """

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        apply: Callable[..., Any] = super()._apply
        return apply(lambda state: fn(state).to(state.dtype), *args, **kwargs)


class _Metrics(_KeepsPrecision, torchmetrics.MetricCollection):
    pass


class _WeightedMean(_KeepsPrecision, torchmetrics.Metric):
    """A mean with weights, NaN without any weight.

    Unlike torchmetrics' own mean it leaves no NaN out, and adds many batches up in double precision
    where the device has it.
    """

    total: torch.Tensor
    weight: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.zeros((), dtype=_WIDEST), dist_reduce_fx="sum")

    def compute(self) -> torch.Tensor:
        """Return sum(w l) / sum(w)."""
        return self.total / self.weight


class MeanLoss(_WeightedMean):
    """The mean of losses with weights."""

    def update(self, loss: torch.Tensor, weight: torch.Tensor) -> None:
        """Add the mean loss of a batch, and the sum of its weights."""
        self.total += loss.detach().to(_WIDEST) * weight
        self.weight += weight


class _MeanError(_WeightedMean):
    """The mean of an error over the rows where it is known.

    Args:
        error: gives it, and where it is known, of forecasts and actuals.
    """

    def __init__(
        self, error: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    ) -> None:
        super().__init__()
        self.error = error

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Add the errors of forecasts (N,)."""
        error, known = self.error(preds.to(_WIDEST), target.to(_WIDEST))
        self.total += error.sum()
        self.weight += known.sum()


# by the names that users give them and that they are logged under; torchmetrics' own relative
# errors put an eps in the place of small actuals
METRICS: dict[str, Callable[[], torchmetrics.Metric]] = {
    "MAE": torchmetrics.MeanAbsoluteError,
    "MAPE": partial(_MeanError, relative_error),
    "MSE": torchmetrics.MeanSquaredError,
    "RMSE": partial(torchmetrics.MeanSquaredError, squared=False),
    "sMAPE": partial(_MeanError, symmetric_error),
}


class MeanLosses(torch.nn.ModuleDict):
    """The mean loss of each stage over an epoch, exact whatever the batches: sum(w l) / sum(w)."""

    def __init__(self, stages: Sequence[str]) -> None:
        super().__init__({f"{stage}_loss": MeanLoss() for stage in stages})

    def of(self, stage: str) -> MeanLoss:
        """Return that of a stage."""
        mean = self[f"{stage}_loss"]
        assert isinstance(mean, MeanLoss)
        return mean


def make_metrics(names: Sequence[str], stage: str) -> torchmetrics.MetricCollection:
    """Return metrics of some names, whose case does not matter, logged under a stage.

    Raises:
        InputError: there is no metric of such a name.
    """
    known = {name.lower(): name for name in METRICS}
    for name in names:
        if name.lower() not in known:
            raise InputError(f"logging_metrics: unknown metric {name!r}; {nearest(name, METRICS)}")
    chosen = [known[name.lower()] for name in names]
    metrics: dict[str, torchmetrics.Metric | torchmetrics.MetricCollection] = {
        name: METRICS[name]() for name in chosen
    }
    # metrics whose sums are alike at first are not one
    collection = _Metrics(metrics, prefix=f"{stage}/", compute_groups=False)
    # errors may be tiny beside the target's level
    collection.set_dtype(_WIDEST)
    return collection
