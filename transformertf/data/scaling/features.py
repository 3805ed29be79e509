"""Series in original units to rows of scaled features, in chunks of rows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.arguments import Impute
from transformertf.data.columns import Columns
from transformertf.data.reading import slices
from transformertf.data.scaling.chains import Chain, refuse_large
from transformertf.data.scaling.time_features import calendar_pairs
from transformertf.data.series import FloatArray, Series

Read = Callable[[slice], FloatArray]
# rows that are worked on at once
_CHUNK = 2**14


class Places(NamedTuple):
    """Where the features stand, in the order of `Columns.features`.

    Attributes:
        values: of each real column, in the order of `Columns.values`.
        observed: of each indicator, with the place of its column among them.
        pairs: first of the calendar features.
        lags: first of the lags.
    """

    values: list[int]
    observed: list[tuple[int, int]]
    pairs: int
    lags: int

    @classmethod
    def of(cls, columns: Columns) -> "Places":
        """Return the places that the roles of the columns give."""
        place = {name: index for index, name in enumerate(columns.features)}
        values = [place[name] for name in columns.values]
        observed = [
            (column, place[f"{name}_observed"])
            for column, name in enumerate(columns.values)
            if f"{name}_observed" in columns.observed
        ]
        pairs = len(columns.known)
        return cls(values, observed, pairs, pairs + 2 * len(columns.calendar))


class FeatureWriter:
    """Writes the scaled features of series.

    A missing value is filled in where `columns.indicators` tell the model of it, in original
    units and within its stretch. "last" takes the last observed value, before the first one
    `fill`. "interpolate" draws a straight line over row number, for known covariates: their
    future is known at the forecast's origin. Past covariates and the target take the last value
    all the same, since a line would show the model values from after the origin. Before the
    first and after the last observed value a line is level; with none at all it is `fill`. Of
    `columns.copies`, whose differences alone count, what is before the first observed value takes
    that one: a difference to `fill` would be a jump that nobody observed.

    Without indicators a missing value stays missing.

    Args:
        columns: roles of the columns.
        chains: of each real column, in the order of `Columns.values`.
        impute: how missing values are filled in.
        covariate: place among them of the one that a transform of the target takes as x.

    Attributes:
        fill: value of each of them before the first observed one, in original units.
        zone: time zone of the calendar features; None for that of a series' own time stamps.
    """

    def __init__(
        self,
        columns: Columns,
        chains: Sequence[Chain],
        impute: Impute,
        covariate: int | None,
    ) -> None:
        self.fill = [0.0] * len(chains)
        self.zone: str | None = None
        self._columns = columns
        self._places = Places.of(columns)
        self._covariate = covariate
        self._chains = chains
        self._lines = len(columns.known) if impute == "interpolate" else 0
        # places of the copies that may begin without a value
        copies = columns.copies if columns.indicators else ()
        self._copies = {columns.values.index(name) for name in copies}

    def write(
        self, series: Series, loc: FloatArray, scale: FloatArray, out: npt.NDArray[Any]
    ) -> None:
        """Write the features of a series.

        Args:
            series: the series.
            loc: (columns,) taken off the transformed columns.
            scale: (columns,) that they are divided by then.
            out: (rows, features) to write to, in the order of `Columns.features`.
        """
        for first, end in series.stretches:
            reads = [self._reader(series, column, first, end) for column in range(len(loc))]
            last: list[float | None] = [None] * len(reads)
            for rows in slices(first, end, _CHUNK):
                originals = [read(rows) for read in reads]
                x = None if self._covariate is None else originals[self._covariate]
                for column, values in enumerate(originals):
                    chain = self._chains[column]
                    start, last[column] = last[column], float(values[-1])
                    if column in self._copies:
                        values, start = _level(values), _observed(start)
                    pair = None
                    if x is not None and column == len(reads) - 1:
                        pair = self._beside_known(series, rows, x)
                    result = chain.apply_extra(series.name, values, pair, start)
                    with np.errstate(over="ignore", invalid="ignore"):
                        result = (result - loc[column]) / scale[column]
                    if pair is not None and pair is not x:
                        result[np.isnan(result)] = 0.0
                    refuse_large(result, values, out.dtype, series.name, chain.name, rows.start)
                    out[rows, self._places.values[column]] = result
                self._write_others(series, first, rows, out)

    def _beside_known(self, series: Series, rows: slice, x: FloatArray) -> FloatArray:
        """Return x (n,) of the target's transforms; missing where what is not known wants none.

        That is in rows to forecast, whose target no model reads, and beside an x that is not taken.
        """
        if not (self._columns.indicators or series.fed_back):
            return x
        ahead = np.arange(rows.start, rows.stop) >= series.observed
        unknown = series.fed_back | np.isnan(series.values[rows, -1])
        lost = unknown & (ahead | ~self._chains[-1].takes(x))
        return np.where(lost, np.nan, x)

    def original(self, series: Series, column: int) -> FloatArray:
        """Return a real column (rows,) in original units, its missing values filled in."""
        values = np.empty(len(series))
        for first, end in series.stretches:
            read = self._reader(series, column, first, end)
            for rows in slices(first, end, _CHUNK):
                values[rows] = read(rows)
        return values

    def _write_others(self, series: Series, first: int, rows: slice, out: npt.NDArray[Any]) -> None:
        """Write calendar, lags and indicators of rows whose target is written already."""
        places, columns = self._places, self._columns
        if columns.calendar:
            assert isinstance(series.time, pd.DatetimeIndex)
            pairs = calendar_pairs(series.time[rows], columns.calendar, self.zone)
            out[rows, places.pairs : places.pairs + pairs.shape[1]] = pairs
        for place, lag in enumerate(columns.lags, start=places.lags):
            # the rows before the stretch's first lag have no target that long ago
            begin = min(max(rows.start, first + lag), rows.stop)
            out[rows.start : begin, place] = 0.0
            out[begin : rows.stop, place] = out[begin - lag : rows.stop - lag, -1]
        for column, place in places.observed:
            out[rows, place] = ~np.isnan(series.values[rows, column])

    def _reader(self, series: Series, column: int, first: int, end: int) -> Read:
        """Return what gives rows of a column within a stretch, from the first chunk on."""
        values = series.values[:, column]
        if not self._columns.indicators:
            return values.__getitem__
        fill = np.nan if column in self._copies else self.fill[column]
        if column < self._lines:
            return _StraightLine(values, first, end, fill)
        return _LastValue(values, fill)


def _level(values: FloatArray) -> FloatArray:
    """Return values (n,) of which those before the first are as that one, or 0 without any."""
    lost = np.isnan(values)
    return np.where(lost, 0.0 if lost.all() else values[int(np.argmin(lost))], values)


def _observed(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else value


class _LastValue:
    """Fills in the last observed value; chunks come in order.

    Args:
        values: (rows,) the column.
        fill: what stands before the first observed value.
    """

    def __init__(self, values: FloatArray, fill: float) -> None:
        self._values = values
        self._last = fill

    def __call__(self, rows: slice) -> FloatArray:
        """Return the rows (n,), filled in."""
        chunk = self._values[rows]
        observed = np.flatnonzero(~np.isnan(chunk))
        if len(observed) < len(chunk):
            source = np.concatenate([[self._last], chunk[observed]])
            chunk = np.repeat(source, np.diff(observed, prepend=0, append=len(chunk)))
        self._last = float(chunk[-1])
        return chunk


class _StraightLine:
    """Fills in a straight line between observed values; chunks come in order.

    Args:
        values: (rows,) the column.
        first: first row of the stretch.
        end: row after its last.
        fill: what stands there without any observed value.
    """

    def __init__(self, values: FloatArray, first: int, end: int, fill: float) -> None:
        self._values = values
        self._end = end
        self._fill = fill
        self._before: int | None = None
        self._after = self._next(first)

    def __call__(self, rows: slice) -> FloatArray:
        """Return the rows (n,), filled in."""
        chunk = self._values[rows]
        observed = np.flatnonzero(~np.isnan(chunk)) + rows.start
        if self._after is not None and self._after < rows.stop:
            self._after = self._next(rows.stop)
        ends = [row for row in (self._before, self._after) if row is not None]
        if len(observed):
            self._before = int(observed[-1])
        if len(observed) == len(chunk):
            return chunk
        points = np.union1d(observed, np.array(ends, dtype=np.int64))
        if not len(points):
            return np.full(len(chunk), self._fill)
        line: FloatArray = np.interp(np.arange(rows.start, rows.stop), points, self._values[points])
        return line

    def _next(self, row: int) -> int | None:
        """Return the next row with an observed value, from `row` on."""
        for rows in slices(row, self._end, _CHUNK):
            observed = np.flatnonzero(~np.isnan(self._values[rows])).tolist()
            if observed:
                return int(rows.start + observed[0])
        return None
