"""The metrics that validation and test log, in original units."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torchmetrics

from transformertf.errors import InputError, nearest

METRICS: dict[str, Callable[[], torchmetrics.Metric]] = {
    "MAE": torchmetrics.MeanAbsoluteError,
    "MAPE": torchmetrics.MeanAbsolutePercentageError,
    "MSE": torchmetrics.MeanSquaredError,
    "RMSE": partial(torchmetrics.MeanSquaredError, squared=False),
    "SMAPE": torchmetrics.SymmetricMeanAbsolutePercentageError,
}


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
    collection = torchmetrics.MetricCollection(metrics, prefix=f"{stage}/")
    if not torch.backends.mps.is_available():
        # errors may be tiny beside the target's level; mps alone has no double
        collection.set_dtype(torch.float64)
    return collection
