"""The number to beat: errors of forecasts that need no model, counted as validation counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from transformertf.batch import Batch, counted, forecast_mask
from transformertf.data import (
    A_DAY,
    FloatArray,
    IntArray,
    Series,
    Stage,
    WindowDataModule,
    seasons,
    usual_step,
)
from transformertf.data.batches import BatchDataset
from transformertf.errors import at_least_one
from transformertf.forecasts import ForecastRows, baseline_forecasts, context_mean
from transformertf.models import LossSteps, weigh_steps

# shorter ones are of measurements, whose day means nothing
_SHORTEST = pd.Timedelta("1min")
_INEXACT = 0.02


def season_of(step: pd.Timedelta | None) -> int:
    """Return the steps of the season that a rate suggests.

    Args:
        step: distance of rows in time; None where it is not known in units of time.

    Returns:
        Those of a day for steps from a minute to half a day that divide it, to 2 % since clocks
        are not exact; 7 for days, 52 for weeks, 12 for months, 4 for quarters; else 1, for none.
    """
    if step is None or step < _SHORTEST:
        return 1
    known = {what: steps for steps, what in seasons(step.total_seconds())}
    steps = known.get(A_DAY, next(iter(known.values()), 1.0))
    season = round(steps)
    return season if abs(season / steps - 1) <= _INEXACT else 1


def naive_errors(
    datamodule: WindowDataModule,
    stage: Stage = "validation",
    season: int | None = None,
    loss_steps: LossSteps = None,
) -> dict[str, dict[str, float]]:
    """Return the errors of simple forecasts in original units, as `validation/MAE` counts them.

    Every step of every window counts once, in float64, but those that metrics leave out: missing
    targets, weight 0, `washout`. Where a simple forecast has nothing to go by it is not counted.
    Weights of the model and its random state have no part in it.

    Args:
        datamodule: set up for a fit.
        stage: "validation" or "test".
        season: rows of a season; default: what the rate suggests, see `season_of`.
        loss_steps: of the model, where metrics are of some steps only.

    Returns:
        MAE and RMSE of `naive`, the last value observed; of `seasonal_naive`, the value a season
        before; and of `context_mean`, or for sequences, which have no context, `training_mean`.
        Empty where there is no data to validate on.

    Raises:
        InputError: the season is below 1, or there is no data to test on.
    """
    if season is not None:
        at_least_one(season=season)
    if stage == "validation" and not datamodule.has_validation:
        return {}
    series = datamodule.stage_series(stage)
    chosen = usual_season(series) if season is None else season
    mean = None if datamodule.limits.context else _training_mean(datamodule)
    errors: dict[str, _Errors] = {}
    for rows, context in _rows(datamodule, stage, loss_steps):
        found = baseline_forecasts(rows, series, chosen)
        if mean is None:
            found["context_mean"] = _context_means(rows, series, context)
        else:
            found["training_mean"] = np.full(len(rows), mean)
        actual = _actual(rows, series)
        for name, forecast in found.items():
            errors.setdefault(name, _Errors()).add(forecast - actual)
    return {name: one.metrics() for name, one in errors.items() if one.count}


@dataclass
class _Errors:
    """Sums over rows."""

    count: int = 0
    absolute: float = 0.0
    square: float = 0.0

    def add(self, error: FloatArray) -> None:
        """Add errors (N,), NaN where there is none."""
        known = error[~np.isnan(error)]
        self.count += known.size
        self.absolute += float(np.abs(known).sum())
        self.square += float(np.square(known).sum())

    def metrics(self) -> dict[str, float]:
        """Return the mean absolute error, and the root of the mean square."""
        return {"MAE": self.absolute / self.count, "RMSE": (self.square / self.count) ** 0.5}


def _rows(
    datamodule: WindowDataModule, stage: Stage, loss_steps: LossSteps
) -> Iterator[tuple[ForecastRows, IntArray]]:
    """Yield what counts of each batch, and the context (N,) of each row.

    Batches are made in this process and for it alone, whatever workers and ranks there are.
    """
    validates = stage == "validation"
    loader = datamodule.val_dataloader() if validates else datamodule.test_dataloader()
    assert isinstance(loader, DataLoader)
    assert isinstance(loader.dataset, BatchDataset)
    assert datamodule.seed is not None
    delivery = replace(datamodule.delivery, workers=0)
    batches = delivery.loader(
        loader.dataset, datamodule.limits, datamodule.seed, None, training=False, shared=True
    )
    for batch in batches:
        batch = weigh_steps(batch, loss_steps)
        mask = forecast_mask(batch)
        rows = ForecastRows.of(batch, torch.zeros(*mask.shape, 1), None)
        counts = counted(batch)[mask].cpu().numpy()
        yield rows.take(counts), _contexts(batch, mask).numpy()[counts]


def _contexts(batch: Batch, mask: torch.Tensor) -> torch.Tensor:
    """Return the rows of context (N,) of each step that is forecast; 0 for sequences."""
    lengths = batch.get("encoder_lengths", torch.zeros(len(mask), dtype=torch.int64))
    return lengths.cpu().unsqueeze(1).expand(mask.shape)[mask.cpu()]


def _actual(rows: ForecastRows, series: list[Series]) -> FloatArray:
    actual = np.empty(len(rows))
    for index, run in rows.runs:
        actual[run] = series[index].values[rows.origin[run] + rows.step[run], -1]
    return actual


def _context_means(rows: ForecastRows, series: list[Series], context: IntArray) -> FloatArray:
    found = np.empty(len(rows))
    for index, run in rows.runs:
        found[run] = context_mean(series[index].values[:, -1], rows.origin[run], context[run])
    return found


def _training_mean(datamodule: WindowDataModule) -> float:
    """Return the mean of the targets to train on."""
    series = datamodule.stage_series("train")
    parts = datamodule.stages.parts("train")
    targets = (series[part.series].values[part.first_target : part.end, -1] for part in parts)
    sums = [(np.nansum(one), np.isfinite(one).sum()) for one in targets]
    return float(sum(total for total, _ in sums) / sum(count for _, count in sums))


def usual_season(series: Sequence[Series]) -> int:
    """Return the season that the distance of rows that most series have suggests."""
    return season_of(_step(series))


def _step(series: Sequence[Series]) -> pd.Timedelta | None:
    """Return the distance of rows that most series have; None without dates."""
    step = usual_step([one.rate for one in series if one.rate is not None])
    dated = series[0].time_kind == "date"
    return pd.Timedelta(seconds=step) if step is not None and dated else None
