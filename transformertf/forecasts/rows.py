"""Forecasts of batches to one long table in original units and real time."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from transformertf.batch import Batch, forecast_mask
from transformertf.data import FloatArray, IntArray, Series
from transformertf.errors import InputError
from transformertf.utils.sequence import first_data_step


def quantile_column(level: float) -> str:
    """Return the name of a level's column in a forecast table."""
    return f"q{level:g}"


def table_levels(columns: Iterable[str]) -> tuple[float, ...]:
    """Return the levels of the quantile columns among those of a forecast table, rising."""
    number = re.compile(r"q(0\.\d+|\d(?:\.\d+)?e-\d+)")
    names = (number.fullmatch(str(column)) for column in columns)
    return tuple(sorted(float(name[1]) for name in names if name))


@dataclass(frozen=True)
class ForecastRows:
    """Forecasts of windows or sequences, step after step: N rows.

    Attributes:
        series: (N,) index of the series.
        origin: (N,) row of the last context step; -1 of a sequence that starts its series.
        step: (N,) from 1.
        point: (N,) point forecasts in original units.
        quantiles: (N, Q) rising quantile forecasts in original units; None for a point forecast.
    """

    series: IntArray
    origin: IntArray
    step: IntArray
    point: FloatArray
    quantiles: FloatArray | None

    @classmethod
    def of(
        cls,
        batch: Batch,
        point: torch.Tensor,
        outputs: torch.Tensor | None,
        mask: torch.Tensor | None = None,
    ) -> Self:
        """Return the rows of a batch of B windows.

        Args:
            batch: gives `series`, `origin` and, where no mask is given, the steps.
            point: (B, Td, 1) point forecasts in original units.
            outputs: (B, Td, Q) quantile forecasts in original units, crossing or not; None for a
                point forecast.
            mask: (B, Td) bool, the steps that are forecast.
        """
        mask = (forecast_mask(batch) if mask is None else mask).cpu()
        window, place = mask.nonzero(as_tuple=True)
        quantiles = None
        if outputs is not None:
            # in order, as for the point forecast
            quantiles = outputs.sort(dim=-1).values.double().cpu()[mask].numpy()
        return cls(
            batch["series"].cpu()[window].numpy(),
            batch["origin"].cpu()[window].numpy(),
            (place - first_data_step(mask)[window] + 1).numpy(),
            point[..., 0].double().cpu()[mask].numpy(),
            quantiles,
        )

    @classmethod
    def join(cls, parts: Sequence["ForecastRows"]) -> Self:
        """Return the rows of several batches, in their order."""
        quantiles = [part.quantiles for part in parts if part.quantiles is not None]
        return cls(
            np.concatenate([part.series for part in parts]),
            np.concatenate([part.origin for part in parts]),
            np.concatenate([part.step for part in parts]),
            np.concatenate([part.point for part in parts]),
            np.concatenate(quantiles) if quantiles else None,
        )

    def take(self, rows: npt.NDArray[np.bool_] | IntArray) -> Self:
        """Return some of the rows: those where an array (N,) is True, or those of given numbers."""
        quantiles = None if self.quantiles is None else self.quantiles[rows]
        places = self.series[rows], self.origin[rows], self.step[rows]
        return type(self)(*places, self.point[rows], quantiles)

    def with_quantiles(self, quantiles: FloatArray) -> Self:
        """Return the rows with other quantiles (N, Q)."""
        return replace(self, quantiles=quantiles)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.series)

    @property
    def runs(self) -> list[tuple[int, slice]]:
        """Index of the series, and rows, of each run of rows of one series."""
        ends = [*(np.flatnonzero(np.diff(self.series)) + 1).tolist(), len(self)]
        starts = [0, *ends[:-1]]
        return [
            (int(self.series[start]), slice(start, end))
            for start, end in zip(starts, ends, strict=True) if end > start
        ]  # fmt: skip

    def names(self, series: Sequence[Series]) -> pd.Series:
        """Return the name of each row's series."""
        used, code = np.unique(self.series, return_inverse=True)
        return pd.Series([series[index].name for index in used], dtype="str").take(code)

    def frame(self, series: Sequence[Series], levels: Sequence[float] | None) -> pd.DataFrame:
        """Return the rows as the table that users see.

        Args:
            series: the series that `self.series` counts.
            levels: levels of the quantiles; None for a point forecast.

        Returns:
            Columns `series`, `origin`, `step` (from 1), `time`, `prediction`, `q<level>` for each
            quantile, `actual` (missing where unknown). `origin` and `time` are time stamps, or row
            numbers without a time column. Of a sequence that starts its series the origin is
            missing, or -1 without a time column.
        """
        rows = self.origin + self.step
        actual = np.empty(len(self))
        for index, run in self.runs:
            actual[run] = series[index].values[rows[run], -1]
        columns: dict[str, Any] = {
            "series": self.names(series).array,
            "origin": self._stamps(series, self.origin),
            "step": self.step,
            "time": self._stamps(series, rows),
            "prediction": self.point,
        }
        if levels is not None:
            assert self.quantiles is not None
            columns |= {
                quantile_column(level): self.quantiles[:, i] for i, level in enumerate(levels)
            }
        return pd.DataFrame({**columns, "actual": actual})

    def _stamps(self, series: Sequence[Series], rows: IntArray) -> Any:
        """Return the time stamps of rows (N,), missing where a row lies before the first one."""
        runs = self.runs
        if not runs or series[runs[0][0]].time is None:
            return rows
        kept = np.maximum(rows, 0)
        found = _take([(series[index].time, kept[run]) for index, run in runs])
        early = rows < 0
        if not early.any():
            return found
        if pd.api.types.is_integer_dtype(found.dtype):
            # as floats they would lose digits, and make a column of another type
            found = found.convert_dtypes()
        return found.mask(early)


def _take(parts: Sequence[tuple[Any, IntArray]]) -> pd.Series:
    """Return the time stamps at rows of each series, all of one type as those of one table are."""
    first = parts[0][0]
    if not isinstance(first, pd.DatetimeIndex):
        return pd.Series(np.concatenate([np.asarray(time)[rows] for time, rows in parts]))
    # as numbers: dates with a time zone are slow to join
    stamps = np.concatenate([time.asi8[rows] for time, rows in parts])
    dates = pd.DatetimeIndex(stamps.view(f"M8[{first.unit}]"))
    return pd.Series(dates if first.tz is None else dates.tz_localize("UTC").tz_convert(first.tz))


def forecast_frame(
    batch: Batch,
    point: torch.Tensor,
    outputs: torch.Tensor,
    series: Sequence[Series],
    quantiles: Sequence[float] | None,
) -> pd.DataFrame:
    """Return one row for each window and horizon step, or step of a sequence.

    Args:
        batch: the windows, B of them.
        point: (B, Td, 1) point forecasts in original units.
        outputs: (B, Td, Q) quantile forecasts in original units; not used without quantiles.
        series: the series that `batch["series"]` counts.
        quantiles: levels of the outputs, or None for a point forecast.

    Returns:
        See `ForecastRows.frame`.
    """
    rows = ForecastRows.of(batch, point, None if quantiles is None else outputs)
    return rows.frame(series, quantiles)


def session_table(
    name: str,
    time: pd.Index,
    steps: int,
    point: torch.Tensor,
    shown: torch.Tensor,
    levels: Sequence[float] | None,
) -> pd.DataFrame:
    """Return what `forecast_frame` would, less `actual`, in less time.

    Args:
        name: of the series.
        time: time stamps or row numbers that end with the steps that are forecast, before them the
            origin; without the origin its column is missing, or -1 of row numbers.
        steps: that are forecast.
        point: (1, Td, 1) point forecasts in original units, which end with those steps.
        shown: (1, Td, Q) what the model shows, likewise; quantiles rising.
        levels: levels of the quantiles; None for a point forecast.
    """
    first = len(time) - steps
    columns: dict[str, Any] = {
        "series": _repeated(name, steps).copy(),
        "origin": _origin(time, first - 1, steps),
        "step": np.arange(1, steps + 1),
        "time": time[first:],
        "prediction": point[0, point.size(1) - steps :, 0].double().cpu().numpy(),
    }
    if levels is not None:
        rising = shown[0, shown.size(1) - steps :].double().cpu().numpy()
        columns |= {quantile_column(level): rising[:, place] for place, level in enumerate(levels)}
    return pd.DataFrame(columns, copy=False)


@lru_cache(maxsize=64)
def _repeated(name: str, steps: int) -> Any:
    """Return the name for each step, kept since text takes the longest to make."""
    return pd.array([name] * steps, dtype="str")


def _origin(time: pd.Index, row: int, steps: int) -> Any:
    """Return the time stamp of the origin for each step, missing where there is no such row."""
    if isinstance(time, pd.RangeIndex):
        return np.full(steps, time.start + row)
    stamps = time.take(np.full(steps, max(row, 0)))
    if row >= 0:
        return stamps
    found = pd.Series(stamps)
    if pd.api.types.is_integer_dtype(found.dtype):
        # as floats they would lose digits, and make a column of another type
        found = found.convert_dtypes()
    return found.mask(np.ones(steps, dtype=bool))


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return quantile levels as they are.

    Raises:
        InputError: they do not rise, or are not between 0 and 1.
    """
    found = [float(level) for level in levels]
    if found != sorted(set(found)) or not all(0 < level < 1 for level in found):
        raise InputError(f"levels must rise and lie between 0 and 1, found {found}")
    return tuple(found)


def check_columns(forecasts: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise an InputError if a forecast table lacks a column."""
    for name in columns:
        if name not in forecasts:
            found = ", ".join(map(str, forecasts.columns))
            raise InputError(f"forecasts: no column {name!r} among {found}")


def known_rows(forecasts: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a forecast table that have an actual.

    Args:
        forecasts: the table.
        columns: the columns of forecasts that are used.

    Raises:
        InputError: beside an actual a forecast is not finite.
    """
    known = forecasts["actual"].notna().to_numpy()
    rows = forecasts if known.all() else forecasts[known]
    numbers = rows[[*columns, "actual"]].to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        where = rows.iloc[row]
        raise InputError(
            f"forecasts: {[*columns, 'actual'][column]} of series {where['series']!r} at step "
            f"{where['step']} is {numbers[row, column]}: expected a finite number beside an "
            "actual; leave such rows out"
        )
    return rows
