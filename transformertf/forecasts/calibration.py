"""Quantiles moved to where past errors say they belong: split-conformal calibration."""

import logging
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from transformertf.data import FloatArray, IntArray
from transformertf.errors import InputError
from transformertf.forecasts.rows import (
    check_columns,
    check_levels,
    known_rows,
    quantile_column,
    table_levels,
)

log = logging.getLogger(__name__)
# of the intervals made around point forecasts; those of QuantileLoss
LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


class Calibration:
    """Shifts of quantile forecasts, one for each step and level.

    Split-conformal prediction (Vovk et al. 2005) on forecasts that training has not seen: the
    shift at level l is the l-quantile of actual less forecast. Each level is calibrated by itself,
    the asymmetric form of conformalized quantile regression (Romano, Patterson and Candes 2019);
    a point forecast serves as the quantile of every level. With n errors the shift above 0.5 is
    the ceil((n + 1) l)-th smallest, below 0.5 the floor((n + 1) l)-th, at 0.5 the median: where
    errors are exchangeable an interval covers its nominal share at least, in expectation.

    Args:
        levels: rising levels.
        of_points: whether the forecasts are points, not quantiles.
        shifts: (1 + S, steps, Q) in the target's units: those of all series together, then those
            of each series by itself.
        series: names of the S series that have shifts of their own; None without `by_series`.

    Attributes:
        levels: rising levels.
        of_points: whether the forecasts are points, not quantiles.
        by_series: whether series have shifts of their own.
        steps: number of calibrated steps.
    """

    def __init__(
        self,
        levels: Sequence[float],
        of_points: bool,
        shifts: FloatArray,
        series: Sequence[Hashable] | None = None,
    ) -> None:
        self.levels = check_levels(levels)
        self.of_points = of_points
        self.by_series = series is not None
        self.steps = shifts.shape[1]
        self._shifts = shifts
        self._place = {name: place for place, name in enumerate(series or (), start=1)}
        assert shifts.shape == (1 + len(self._place), self.steps, len(self.levels))

    @classmethod
    def fit(
        cls,
        forecasts: Iterable[pd.DataFrame],
        levels: Sequence[float] | None = None,
        by_series: bool = False,
    ) -> Self:
        """Calibrate on the rows of a forecast table that have an actual.

        Args:
            forecasts: the table, in pieces.
            levels: levels to give point forecasts, 0.02 to 0.98 if not given; quantile forecasts
                have theirs.
            by_series: give each series shifts of its own.

        Raises:
            InputError: there are no actuals, or the levels are not those of the table.
        """
        errors = _Errors(levels)
        for piece in forecasts:
            errors.add(piece)
        if not errors.rows:
            raise InputError(
                "calibration: found no forecast with an actual; calibrate on rows whose target "
                "is known"
            )
        shifts = errors.shifts(by_series)
        return cls(errors.levels, errors.of_points, shifts, errors.series if by_series else None)

    def check(self, levels: Sequence[float] | None) -> None:
        """Refuse forecasts of another kind than those calibrated.

        Args:
            levels: levels of the quantile forecasts, None for point forecasts.

        Raises:
            InputError: points in place of quantiles, the reverse, or other levels.
        """
        expected = None if self.of_points else self.levels
        if _names(levels) != _names(expected):
            raise InputError(
                f"calibration: made for {_kind(expected)}, found {_kind(levels)}; calibrate this "
                "model's own forecasts"
            )

    def shift(
        self, step: IntArray, series: npt.NDArray[Any] | None, base: FloatArray
    ) -> FloatArray:
        """Return calibrated quantiles (N, Q), rising.

        Args:
            step: (N,) steps from 1; those beyond the calibrated ones are shifted as the last.
            series: (N,) names, not needed without `by_series`; a series without shifts of its own
                takes those of all together.
            base: (N, Q) quantile forecasts, or a point forecast repeated for each level.
        """
        assert base.shape == (len(step), len(self.levels))
        own: npt.NDArray[np.intp] = np.zeros(len(step), dtype=np.intp)
        if self.by_series:
            assert series is not None
            codes, names = pd.factorize(series, use_na_sentinel=False)
            own = np.array([self._place.get(name, 0) for name in names], dtype=np.intp)[codes]
        shifts = self._shifts[own, np.minimum(step, self.steps) - 1]
        return np.sort(base + shifts, axis=-1)

    def apply(self, forecasts: pd.DataFrame) -> pd.DataFrame:
        """Return a forecast table with calibrated quantile columns, else as it was.

        Raises:
            InputError: a column is missing, or the forecasts are of another kind than those
                calibrated.
        """
        self.check(table_levels(forecasts.columns) or None)
        check_columns(forecasts, ["series", "step", "prediction"])
        names = [quantile_column(level) for level in self.levels]
        base = forecasts[["prediction"] * len(names) if self.of_points else names]
        shifted = self.shift(
            forecasts["step"].to_numpy(np.int64),
            forecasts["series"].to_numpy(),
            base.to_numpy(np.float64),
        )
        calibrated = forecasts.drop(columns=names, errors="ignore")
        columns = list(calibrated.columns)
        first = columns.index("actual") if "actual" in columns else len(columns)
        for number, name in enumerate(names):
            calibrated.insert(first + number, name, shifted[:, number])
        return calibrated

    def state_dict(self) -> dict[str, Any]:
        """Return primitives and one tensor: what `from_state_dict` takes."""
        return {
            "levels": list(self.levels),
            "of_points": self.of_points,
            "series": list(self._place) if self.by_series else None,
            "shifts": torch.from_numpy(self._shifts.copy()),
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Self:
        """Return the calibration that gave this state."""
        shifts = state["shifts"].numpy().copy()
        return cls(state["levels"], state["of_points"], shifts, state["series"])


class _Errors:
    """Actual less forecast, gathered from the pieces of a table.

    Args:
        levels: levels wanted; None for those of the table, or the default ones of points.
    """

    def __init__(self, levels: Sequence[float] | None) -> None:
        self._wanted = None if levels is None else check_levels(levels)
        self._columns: list[str] | None = None
        self._step: list[IntArray] = []
        self._code: list[npt.NDArray[np.intp]] = []
        self._error: list[FloatArray] = []
        self._place: dict[Hashable, int] = {}
        self.levels: tuple[float, ...] = ()
        self.of_points = False
        self.rows = 0

    @property
    def series(self) -> list[Hashable]:
        """Names of the series, in the order in which they came."""
        return list(self._place)

    def add(self, forecasts: pd.DataFrame) -> None:
        """Take in the rows with an actual."""
        levels = table_levels(forecasts.columns)
        columns = [quantile_column(level) for level in levels] or ["prediction"]
        if self._columns is None:
            self._begin(columns, levels)
        elif columns != self._columns:
            raise InputError(
                f"calibration: tables with the columns {', '.join(self._columns)} and "
                f"{', '.join(columns)}; give the forecasts of one model"
            )
        check_columns(forecasts, ["series", "step", *columns, "actual"])
        rows = known_rows(forecasts, columns)
        codes, names = pd.factorize(rows["series"])
        places = [self._place.setdefault(name, len(self._place)) for name in names.tolist()]
        actual = rows[["actual"]].to_numpy(np.float64)
        self._step.append(rows["step"].to_numpy(np.int64))
        self._code.append(np.array(places, dtype=np.intp)[codes])
        self._error.append(actual - rows[columns].to_numpy(np.float64))
        self.rows += len(rows)

    def _begin(self, columns: list[str], found: tuple[float, ...]) -> None:
        wanted = self._wanted
        if found and wanted is not None and _names(wanted) != columns:
            raise InputError(
                f"calibration: levels {list(wanted)} are wanted, the forecasts have {list(found)}; "
                "leave levels out, quantile forecasts are calibrated at their own"
            )
        self._columns = columns
        self.of_points = not found
        self.levels = wanted or found or LEVELS

    def shifts(self, by_series: bool) -> FloatArray:
        """Return shifts (1 + S, steps, Q): of all series, then of each; S is 0 if not by series."""
        step = np.concatenate(self._step) - 1
        steps, levels = int(step.max()) + 1, len(self.levels)
        pooled = self._by_group(step, steps)
        # a step without errors, between others, takes the shifts of the one before
        pooled = pd.DataFrame(pooled).ffill().bfill().to_numpy()
        if not by_series:
            _tell_few(np.bincount(step)[None], self.levels)
            return pooled[None]
        series = len(self._place)
        group = np.concatenate(self._code) * steps + step
        own = self._by_group(group, series * steps).reshape(series, steps, levels)
        count = np.bincount(group, minlength=series * steps).reshape(series, steps)
        _tell_few(count, self.levels, self.series)
        return np.concatenate([pooled[None], np.where(np.isnan(own), pooled, own)])

    def _by_group(self, group: IntArray, groups: int) -> FloatArray:
        """Return the shifts (G, Q) of groups of rows, NaN for a group without any."""
        shifts = np.empty((groups, len(self.levels)))
        for column in range(self._error[0].shape[1]):
            error = np.concatenate([piece[:, column] for piece in self._error])
            own = slice(None) if self.of_points else slice(column, column + 1)
            shifts[:, own] = _quantiles(error, group, groups, self.levels[own])
        return shifts


def _quantiles(
    error: FloatArray, group: IntArray, groups: int, levels: Sequence[float]
) -> FloatArray:
    """Return the conformal quantiles (G, Q) of errors (N,) in each group, NaN without errors."""
    ordered = error[np.lexsort((error, group))]
    count = np.bincount(group, minlength=groups)
    there = count > 0
    first = (np.cumsum(count) - count)[there]
    found = np.full((groups, len(levels)), np.nan)
    for number, level in enumerate(levels):
        low, high = _ranks(count[there], level)
        found[there, number] = (ordered[first + low] + ordered[first + high]) / 2
    return found


def _ranks(count: IntArray, level: float) -> tuple[IntArray, IntArray]:
    """Return the ranks (G,), from 0, of the two errors whose mean is the level's shift."""
    if level == 0.5:
        return (count - 1) // 2, count // 2
    # 100 * 0.29 is 28.999999999999996: rounded before it is cut
    place = np.round((count + 1) * level, 9)
    rank = np.ceil(place) if level > 0.5 else np.floor(place)
    whole = np.clip(rank.astype(np.int64), 1, count) - 1
    return whole, whole


def wanting_more(levels: Sequence[float], windows: int) -> str:
    """Return the levels that want more windows than there are, and how many each wants."""
    wanted = {level: math.ceil(round(1 / min(level, 1 - level), 9)) - 1 for level in levels}
    return ", ".join(f"{level:g} wants {n}" for level, n in wanted.items() if n > windows)


def _tell_few(
    count: IntArray, levels: Sequence[float], series: Sequence[Hashable] | None = None
) -> None:
    """Warn once if windows are too few for a level; `count` is (S, steps)."""
    counted = np.where(count > 0, count, count.max())
    row, step = np.unravel_index(counted.argmin(), count.shape)
    found = int(counted[row, step])
    few = wanting_more(levels, found)
    if few:
        where = "" if series is None else f" of series {series[int(row)]!r}"
        log.warning(
            "calibration: level %s windows, found %d at step %d%s: the most extreme error stands "
            "in; calibrate on more windows",
            few,
            found,
            step + 1,
            where,
        )


def _names(levels: Sequence[float] | None) -> list[str] | None:
    return None if levels is None else [quantile_column(level) for level in levels]


def _kind(levels: Sequence[float] | None) -> str:
    return "point forecasts" if levels is None else f"quantiles at {', '.join(map(str, levels))}"
