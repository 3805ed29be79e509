"""The metrics that validation and test log, in original units."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torchmetrics

from transformertf.errors import InputError, nearest

# mps alone has no double
_WIDEST = torch.float32 if torch.backends.mps.is_available() else torch.float64

METRICS: dict[str, Callable[[], torchmetrics.Metric]] = {
    "MAE": torchmetrics.MeanAbsoluteError,
    "MAPE": torchmetrics.MeanAbsolutePercentageError,
    "MSE": torchmetrics.MeanSquaredError,
    "RMSE": partial(torchmetrics.MeanSquaredError, squared=False),
    "SMAPE": torchmetrics.SymmetricMeanAbsolutePercentageError,
}


class _KeepsPrecision(torch.nn.Module):
    """Goes with its module from device to device, and not to half precision.

    There a count of elements would stop at 256.
    """

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        apply: Callable[..., Any] = super()._apply
        return apply(lambda state: fn(state).to(state.dtype), *args, **kwargs)


class _Metrics(_KeepsPrecision, torchmetrics.MetricCollection):
    pass


class MeanLoss(_KeepsPrecision, torchmetrics.Metric):
    """The mean of losses with weights, NaN without any weight.

    Unlike torchmetrics' own mean it leaves no NaN out, and adds many batches up in double precision
    where the device has it.
    """

    total: torch.Tensor
    weight: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.zeros((), dtype=_WIDEST), dist_reduce_fx="sum")

    def update(self, loss: torch.Tensor, weight: torch.Tensor) -> None:
        """Add the mean loss of a batch, and the sum of its weights."""
        self.total += loss.detach().to(_WIDEST) * weight
        self.weight += weight

    def compute(self) -> torch.Tensor:
        """Return sum(w l) / sum(w)."""
        return self.total / self.weight


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
    """Return metrics of some names, logged under a stage.

    Raises:
        InputError: there is no metric of such a name.
    """
    for name in names:
        if name not in METRICS:
            raise InputError(f"logging_metrics: unknown metric {name!r}; {nearest(name, METRICS)}")
    metrics: dict[str, torchmetrics.Metric | torchmetrics.MetricCollection] = {
        name: METRICS[name]() for name in names
    }
    collection = _Metrics(metrics, prefix=f"{stage}/")
    # errors may be tiny beside the target's level
    collection.set_dtype(_WIDEST)
    return collection
