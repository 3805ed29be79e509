"""What a model puts out for a batch, to the rows that users see: long horizons, calibration."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from lightning.fabric.utilities import move_data_to_device

from transformertf.batch import Batch
from transformertf.checkpoint import Checkpoint, blamed
from transformertf.data import (
    EncoderDecoderDataModule,
    FloatArray,
    IntArray,
    Series,
    Stage,
    WindowDataModule,
    length_of,
)
from transformertf.data.windows import PREDICT_PATHS, Ends, Origin, Windows
from transformertf.errors import InputError
from transformertf.forecasts.baselines import naive, naive_scale, seasonal_naive
from transformertf.forecasts.calibration import Calibration
from transformertf.forecasts.paths import roll
from transformertf.forecasts.rows import ForecastRows, table_levels
from transformertf.models import ForecastModule

# paths of each window, for quantiles beyond the trained horizon
SAMPLES = 200
CALIBRATION_WINDOWS = 10_000
NAIVE = ("naive", "seasonal_naive")


@dataclass(frozen=True)
class Horizon:
    """How far forecasts go, where not as far as in training.

    Attributes:
        steps: of each forecast; None for those of training.
        samples: paths by which quantiles go on beyond the trained horizon; 0 goes on with the
            point forecast; None for 200 where there are quantiles, and 0 where there are none.
        seed: of the paths.
        lead: the first steps after the origin, which are forecast and left out: as a number, or as
            a time such as 12h. A decision at noon on the next day wants no forecast of the evening.
    """

    steps: int | None = None
    samples: int | None = None
    seed: int = 0
    lead: str | int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that are too small."""
        if self.steps is not None and self.steps < 1:
            raise InputError(f"horizon must be at least 1, found {self.steps}")
        if self.samples is not None and (self.samples < 0 or self.samples == 1):
            raise InputError(f"samples must be 0 or at least 2, found {self.samples}")
        if isinstance(self._lead, int) and self._lead < 0:
            raise InputError(f"lead must be at least 0, found {self.lead}")

    @cached_property
    def _lead(self) -> int | pd.Timedelta:
        """The lead in steps, or as a time.

        Raises:
            InputError: it is neither.
        """
        text = str(self.lead)
        if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            return int(text)
        time = length_of(text)
        if time is None:
            raise InputError(f"lead: expected steps, or a time such as 12h, found {text!r:.40}")
        return time

    def wanted(self, rows: ForecastRows, series: Sequence[Series]) -> ForecastRows:
        """Return the rows of forecasts that lie beyond the lead.

        Raises:
            InputError: a time is given, and the rows of a series have no dates.
        """
        if isinstance(self._lead, int):
            return rows.take(rows.step > self._lead) if self._lead else rows
        beyond = np.zeros(len(rows), dtype=np.bool_)
        for index, run in rows.runs:
            time = series[index].time
            if not isinstance(time, pd.DatetimeIndex):
                raise InputError(
                    f"lead {self.lead}: the rows of series {series[index].name!r} have no dates; "
                    "give steps"
                )
            origin = rows.origin[run]
            beyond[run] = time[origin + rows.step[run]] - time[origin] > self._lead
        return rows.take(beyond)

    def check(self, model: ForecastModule, data: WindowDataModule) -> None:
        """Refuse what the model and its data cannot do.

        Raises:
            InputError: sequences have no horizon; a point forecast has no paths.
        """
        if self.steps is not None and not isinstance(data, EncoderDecoderDataModule):
            raise InputError(
                f"horizon {self.steps}: {type(data).__name__} has none, each row is forecast once; "
                "leave it out"
            )
        if self._lead != 0 and not isinstance(data, EncoderDecoderDataModule):
            raise InputError(
                f"lead {self.lead}: {type(data).__name__} has no origins that it could be counted "
                "from; leave it out"
            )
        steps = self.steps or data.limits.horizon
        if isinstance(self._lead, int) and self._lead >= steps:
            raise InputError(
                f"lead {self.lead} leaves nothing of the horizon of {steps} steps; give a "
                "smaller one, or a larger horizon"
            )
        if self.samples and model.quantiles is None:
            raise InputError(
                f"samples {self.samples}: {model.outputs.name} gives no spread to draw "
                "from; leave samples out, or train with QuantileLoss or DistributionLoss"
            )


class ForecastTables:
    """Batches of a data module to tables of forecasts.

    Args:
        data: makes the batches; its series are those that the batches count.
        horizon: how far forecasts go.
        calibration: moves the quantiles, or makes them of point forecasts.
        season: rows of a season, to put the forecasts of naive baselines into the table as well,
            as `naive` and `seasonal_naive`; 1 for the first alone, None for neither.
    """

    def __init__(
        self,
        data: WindowDataModule,
        horizon: Horizon | None = None,
        calibration: Calibration | None = None,
        season: int | None = None,
    ) -> None:
        self.data = data
        self.horizon = horizon or Horizon()
        self.calibration = calibration
        self.season = season
        if self.horizon.steps is not None and isinstance(data, EncoderDecoderDataModule):
            data.reach(self.horizon.steps)

    def rows(self, model: ForecastModule, batch: Batch) -> ForecastRows:
        """Forecast a batch, beyond the lead and as far as the horizon goes.

        Args:
            model: in evaluation mode, on its device.
            batch: of the data module, on the same device.
        """
        return self.horizon.wanted(self._all_rows(model, batch), self.data.forecast_series)

    def _all_rows(self, model: ForecastModule, batch: Batch) -> ForecastRows:
        has_quantiles, steps = model.quantiles is not None, self.horizon.steps
        trained = 0 if steps is None else self.data.limits.horizon
        if steps is None or steps <= trained:
            point, outputs = model.shown(batch)
            rows = ForecastRows.of(batch, point, outputs if has_quantiles else None)
            return rows if steps is None or steps == trained else rows.take(rows.step <= steps)
        assert isinstance(self.data, EncoderDecoderDataModule)
        samples = self.horizon.samples
        if samples is None:
            samples = SAMPLES if has_quantiles else 0
        series = self.data.forecast_series
        seed = self.horizon.seed
        rolled = roll(model, self.data, batch, series, steps, samples, seed, keep_paths=False)
        quantiles = rolled.outputs if has_quantiles else None
        rows = ForecastRows.of(batch, rolled.point, quantiles, rolled.mask)
        # what follows the rows of a stage is another's to be scored on
        return rows.take(rows.origin + rows.step < self._ends(rows.series, rows.origin))

    def table(self, rows: ForecastRows, levels: Sequence[float] | None) -> pd.DataFrame:
        """Return rows as the table that users see.

        Args:
            rows: of one batch or more.
            levels: levels of the model's quantiles; None for a point forecast.

        Returns:
            See `ForecastRows.frame`; then naive forecasts, and the id columns with their types, but
            for those of which the table has the name.
        """
        series = self.data.forecast_series
        if self.calibration is not None:
            self.calibration.check(levels)
            base = rows.quantiles
            if base is None:
                base = np.repeat(rows.point[:, None], len(self.calibration.levels), axis=1)
            names = rows.names(series).to_numpy() if self.calibration.by_series else None
            rows = rows.with_quantiles(self.calibration.shift(rows.step, names, base))
            levels = self.calibration.levels
        frame = rows.frame(series, levels)
        if self.season is not None:
            for name, values in baseline_forecasts(rows, series, self.season).items():
                frame[name] = values
        ids = self._ids
        for name in map(str, ids):
            if not (name in frame or table_levels([name]) or name in NAIVE):
                frame[name] = ids[name].array.take(rows.series)
        return frame

    @cached_property
    def places(self) -> IntArray:
        """Place of each series (S,) in the table, which has them by name."""
        names = [one.name for one in self.data.forecast_series]
        places = np.empty(len(names), dtype=np.int64)
        places[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        return places

    @cached_property
    def _ids(self) -> pd.DataFrame:
        """The id columns of each series (S,) as they are given; none where a file is a series."""
        series, stage = self.data.forecast_series, self.data.forecast_stage
        if not self.data.columns.ids:
            return pd.DataFrame(index=range(len(series)))
        stages = self.data.stages
        argument = PREDICT_PATHS if stage is None else stages.argument(stage[0])
        return stages.ids(argument).loc[[one.name for one in series]]

    @cached_property
    def _ends(self) -> Ends:
        return self.data.forecast_ends


def baseline_forecasts(
    rows: ForecastRows, series: Sequence[Series], season: int
) -> dict[str, FloatArray]:
    """Return the forecasts (N,) of the naive baselines, missing where there are none.

    Args:
        rows: what is forecast.
        series: those that the rows count.
        season: rows of a season; 1 for `naive` alone.
    """
    found = {"naive": np.empty(len(rows))}
    if season > 1:
        found["seasonal_naive"] = np.empty(len(rows))
    for index, run in rows.runs:
        one, origin, step = series[index], rows.origin[run], rows.step[run]
        values, starts = one.values[:, -1], one.starts
        # nothing is taken from before a gap
        first = starts[np.searchsorted(starts, np.maximum(origin, 0), side="right") - 1]
        found["naive"][run] = naive(values, origin, step, first)
        if season > 1:
            found["seasonal_naive"][run] = seasonal_naive(values, origin, step, season, first)
    return found


def calibration_of(checkpoint: Checkpoint) -> Calibration | None:
    """Return the calibration that a checkpoint holds, where it holds one."""
    state = checkpoint.calibration
    with blamed(checkpoint.place):
        return None if state is None else Calibration.from_state_dict(state)


def calibration_origin(data: WindowDataModule, stage: Stage) -> str:
    """Return the origins to calibrate on: as many as a stage has, evenly spread, up to 10,000."""
    if not isinstance(data, EncoderDecoderDataModule):
        return "auto"
    count = len(data.origin_windows(stage, Origin.parse("all")))
    return f"every:{max(1, -(-count // CALIBRATION_WINDOWS))}"


def sample_paths(
    model: ForecastModule, data: EncoderDecoderDataModule, steps: int, samples: int, seed: int
) -> pd.DataFrame:
    """Return sampled paths of all windows that a data module forecasts.

    Args:
        model: in evaluation mode.
        data: makes the batches.
        steps: of each path, more or fewer than in training.
        samples: paths of each window.
        seed: of the paths.

    Returns:
        One row for each series, origin, path and step: columns `series`, `origin`, `sample`
        (from 0), `step` (from 1), `time`, `value`, in original units.
    """
    series, frames = data.forecast_series, []
    for batch in data.predict_dataloader():
        given = move_data_to_device(batch, model.device)
        rolled = roll(model, data, given, series, steps, samples, seed)
        assert rolled.paths is not None
        for sample, path in enumerate(rolled.paths.unbind(dim=1)):
            rows = ForecastRows.of(batch, path.unsqueeze(-1), None, rolled.mask)
            frame = rows.frame(series, None).drop(columns="actual")
            frame.insert(2, "sample", sample)
            frames.append(frame.rename(columns={"prediction": "value"}))
    whole = pd.concat(frames, ignore_index=True)
    order = ["series", "origin", "sample", "step"]
    return whole.sort_values(order, kind="stable", ignore_index=True)


def naive_scales(series: Sequence[Series], windows: Windows, season: int) -> dict[str, float]:
    """Return the naive error of each series before its first forecast, that errors are scaled by.

    Args:
        series: those that the windows count.
        windows: the windows that are forecast.
        season: rows of a season.

    Returns:
        Mean absolute difference over a season, by name; missing where there is none.
    """
    first: dict[int, int] = {}
    for run in windows.runs:
        first[run.series] = min(run.origin, first.get(run.series, run.origin))
    return {
        one.name: naive_scale(one.values[: origin + 1, -1], season, breaks=one.breaks)
        for one, origin in ((series[index], origin) for index, origin in first.items())
    }
