"""Gaps in time: missing rows put in, and series broken where a gap is too long."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset

from transformertf.data.arguments import DownsampleMethod
from transformertf.data.reading.steps import on_wall
from transformertf.data.series import IntArray, Series
from transformertf.errors import InputError, TooShortError


def downsample(series: Series, factor: int, method: DownsampleMethod) -> Series:
    """Thin a series to every `factor`-th step, each stretch without a break by itself.

    "interval" keeps the first row of each block of `factor` rows. "average" and "median"
    summarise each whole block and carry the time stamp and the categories of its last row, when
    the value is complete; rows after the last whole block of a stretch are not used. A block
    with a missing value has a missing value.

    Raises:
        TooShortError: no stretch has enough rows for one block.
    """
    if factor == 1:
        return series
    weights = series.weights
    starts, ends = np.array(series.stretches).T
    start, end = (np.repeat(side, ends - starts) for side in (starts, ends))
    block, place = np.divmod(np.arange(len(series)) - start, factor)
    if method == "interval":
        kept = np.flatnonzero(place == 0)
        values = series.values[kept]
        weights = None if weights is None else weights[kept]
    else:
        whole = start + (block + 1) * factor <= end
        kept = np.flatnonzero(whole & (place == factor - 1))
        if kept.size == 0:
            longest = int((ends - starts).max())
            raise TooShortError(
                f"series {series.name!r} is too short: {longest} rows"
                + (" in its longest stretch without a gap" if series.breaks else "")
                + f", fewer than downsample={factor}; lower it, or leave the series out"
            )
        summary = np.mean if method == "average" else np.median
        values = summary(series.values[whole].reshape(len(kept), factor, -1), axis=1)
        if weights is not None:
            weights = summary(weights[whole].reshape(len(kept), factor), axis=1)
    known = np.flatnonzero(~np.isnan(values[:, -1]))
    # where a stretch vanishes two breaks fall together, or one on an end
    breaks = np.unique(np.searchsorted(kept, series.breaks))
    return replace(
        series,
        values=values,
        time=None if series.time is None else series.time[kept],
        observed=int(known[-1]) + 1 if known.size else 0,
        categories=tuple(replace(one, codes=one.codes[kept]) for one in series.categories),
        breaks=tuple(breaks[(breaks > 0) & (breaks < len(kept))].tolist()),
        weights=weights,
    )


Offset = pd.tseries.offsets.BaseOffset
BoolArray = npt.NDArray[np.bool_]
# a grid, the row of the grid that each stamp has, and whether the stamp is off it
Grid = tuple[pd.Index, IntArray, BoolArray]
# shares of a step, and of the longest gap, that are put down to rounding
_OFF_GRID = 1e-6
_LONGER = 1e-9
# a grid may have so many rows, or so many for each row there is; with more, the step is a mistake
_MOST_ROWS = 10**7
_MOST_GROWTH = 100


def on_grid(series: Series, freq: str | float, tolerance: float = 0.0) -> Series:
    """Put rows in where time stamps are missing, with values NaN and category codes -1.

    Each stretch without a break is on a grid of its own, from its first to its last stamp;
    nothing is put in between stretches.

    Args:
        series: with time stamps.
        freq: distance of rows. For dates text: a length of time as "15min", or a step of the
            calendar as "D" and "MS", which keep to the wall clock of the stamps' time zone. For
            numbers one in the unit of the time column; stamps may be off by a millionth of it.
        tolerance: share of `freq` that stamps may be off the grid, which stay as they are.

    Raises:
        InputError: no time stamps; a step that is none, or not for such stamps; a stamp off
            the grid; a grid that is mostly gaps; a tolerance of a step of no fixed length.
    """
    time = _stamps(series, "freq")
    lay: Callable[[pd.Index], Grid]
    length: pd.Timedelta | float | None
    if isinstance(time, pd.DatetimeIndex):
        offset = _date_step("freq", freq)
        lay, length = partial(_date_grid, offset=offset), _length(offset)
        if tolerance:
            if length is None:
                raise InputError(
                    f"freq_tolerance: {freq!r} has no fixed length; give freq as one, or leave "
                    "freq_tolerance out"
                )
            lay = partial(_jittered_grid, step=length, tolerance=tolerance)
    else:
        length = _number_step("freq", freq)
        lay = partial(_number_grid, step=length, tolerance=tolerance)
    grids, places, rows = [], [], 0
    for first, end, is_whole in _stretches(series, time, length):
        grid, place = time[first:end], np.arange(end - first)
        if not is_whole:
            if length is not None:
                _refuse_growth(series, grid, length, freq)
            grid, place, off = lay(grid)
            if off.any():
                raise _off_grid(series, first + int(off.argmax()), grid, freq)
        grids.append(grid)
        places.append(place + rows)
        rows += len(grid)
    if rows == len(series):
        return series
    place = np.concatenate(places)
    return replace(
        series,
        values=_spread(series.values, place, rows, np.nan),
        time=grids[0].append(grids[1:]),
        observed=int(place[series.observed - 1]) + 1 if series.observed else 0,
        categories=tuple(
            replace(one, codes=_spread(one.codes, place, rows, -1)) for one in series.categories
        ),
        breaks=tuple(int(place[row]) for row in series.breaks),
        weights=None if series.weights is None else _spread(series.weights, place, rows, np.nan),
    )


def _stretches(
    series: Series, time: pd.Index, length: pd.Timedelta | float | None
) -> Iterator[tuple[int, int, bool]]:
    """Yield first row, and row after the last, of each stretch, and whether all its rows are there.

    Such stretches that follow each other come as one, for there may be very many.
    """
    starts, ends = np.array(series.stretches).T
    is_whole = np.zeros(len(starts), dtype=bool)
    if time.dtype.kind != "f" and length is not None:
        # up to each row, how many are not one step after the one before
        odd = np.cumsum(np.append(False, np.asarray(time[1:] - time[:-1] != length)))
        is_whole = odd[ends - 1] == odd[starts]
    edges = np.flatnonzero(~(is_whole[1:] & is_whole[:-1])) + 1
    for one, other in itertools.pairwise([0, *edges.tolist(), len(starts)]):
        yield int(starts[one]), int(ends[other - 1]), bool(is_whole[one])


def break_at_gaps(series: Series, max_gap: str | float) -> Series:
    """Add a break at each row that comes later after the row before than `max_gap`.

    Args:
        series: with time stamps.
        max_gap: the longest gap that breaks nothing. For dates text: a length of time as "1h", or
            days as "2D", which are counted by the wall clock of the stamps' time zone. For
            numbers one in the unit of the time column.

    Raises:
        InputError: no time stamps; a gap that is none, or not for such stamps, or of no fixed
            length, as a month.
    """
    time = _stamps(series, "max_gap")
    wide: BoolArray
    if isinstance(time, pd.DatetimeIndex):
        offset = _date_step("max_gap", max_gap)
        longest = _length(offset)
        if longest is None and isinstance(offset, pd.offsets.Day):
            # the day on which summer time ends is no gap
            time, longest = time.tz_localize(None), pd.Timedelta(days=offset.n)
        if longest is None:
            raise InputError(
                "max_gap: expected a fixed length of time, found the step of the calendar "
                f"{max_gap!r}; give days, as in '31D'"
            )
        wide = np.asarray(time[1:] - time[:-1] > longest)
    else:
        gap = _number_step("max_gap", max_gap)
        stamps, rounding = _numbers(time)
        if stamps.dtype.kind == "f":
            gap = gap * (1 + _LONGER) + rounding
        wide = np.diff(stamps) > gap
    breaks = np.union1d(series.breaks, np.flatnonzero(wide) + 1).astype(np.int64)
    return replace(series, breaks=tuple(breaks.tolist()))


def _stamps(series: Series, argument: str) -> pd.Index:
    if series.time is None:
        raise InputError(
            f"{argument}: expected a time_column, found none; name one, or leave {argument} out"
        )
    return series.time


def _date_step(argument: str, given: str | float) -> Offset:
    """Return the step that text gives, forward by at least one."""
    step: Offset | None = None
    if isinstance(given, str) and _number(given) is None:
        try:
            step = to_offset(given)
        except ValueError:
            try:
                step = to_offset(pd.Timedelta(given))
            except (ValueError, TypeError):  # the latter for what pandas reads as NaT
                step = None
    if step is None or step.n < 1:
        raise InputError(
            f"{argument}: expected a length of time with its unit, as '15min', '1h' or '1D', for "
            f"a time column of dates, found {given!r}; give one, or leave {argument} out"
        )
    return step


def _number_step(argument: str, given: str | float) -> float:
    """Return the number given, an int where it is whole."""
    step = _number(given)
    if step is None or not 0 < step < np.inf:
        raise InputError(
            f"{argument}: expected a number above 0, in the unit of the time column, which holds "
            f"numbers, found {given!r}; give one, or leave {argument} out"
        )
    return int(step) if step.is_integer() else step


def _number(given: str | float) -> float | None:
    try:
        return None if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        return None


def _length(step: Offset) -> pd.Timedelta | None:
    """Return the time that a step takes; None for one of the calendar."""
    return pd.Timedelta(step) if isinstance(step, pd.offsets.Tick) else None


def _numbers(time: pd.Index) -> tuple[npt.NDArray[Any], float]:
    """Return number stamps, whole ones of 64 bits, and the rounding in a difference of two."""
    stamps = time.to_numpy()
    if stamps.dtype.kind != "f":
        return stamps if stamps.dtype == np.uint64 else stamps.astype(np.int64), 0.0
    rounding = 4 * float(np.spacing(np.abs(stamps).max()))
    return stamps.astype(np.float64), rounding


def _number_grid(stretch: pd.Index, step: float, tolerance: float = 0.0) -> Grid:
    stamps, rounding = _numbers(stretch)
    grid, place, off = _lay(stamps, step, max(_OFF_GRID, tolerance) * step + rounding)
    return pd.Index(grid), place, off


def _jittered_grid(stretch: pd.Index, step: pd.Timedelta, tolerance: float) -> Grid:
    assert isinstance(stretch, pd.DatetimeIndex)
    length = step.as_unit("ns").value
    grid, place, off = _lay(stretch.as_unit("ns").asi8, length, tolerance * length)
    dates = pd.DatetimeIndex(grid.view("M8[ns]")).as_unit(stretch.unit)
    return dates.tz_localize("UTC").tz_convert(stretch.tz), place, off


def _lay(stamps: npt.NDArray[Any], step: float, near: float) -> tuple[Any, IntArray, BoolArray]:
    """Lay a grid from the first stamp on; see `Grid`.

    Args:
        stamps: (rows,) rising.
        step: of the grid.
        near: how far a stamp may be from its place.
    """
    since = stamps - stamps[0]
    since = since if since.dtype.kind == "f" else since.astype(np.int64)
    place = np.rint(since / step).astype(np.int64)
    off = np.abs(since - place * step) > near
    off[1:] |= place[1:] == place[:-1]
    rows = np.arange(place[-1] + 1) * step
    grid = stamps[0] + (rows if rows.dtype.kind == "f" else rows.astype(stamps.dtype))
    if not off.any():
        grid[place] = stamps  # as they are written
    return grid, place, off


def _date_grid(stretch: pd.Index, offset: Offset) -> Grid:
    assert isinstance(stretch, pd.DatetimeIndex)
    zone = stretch.tz
    if zone is None or isinstance(offset, pd.offsets.Tick):
        grid = _dates(stretch, offset)
    else:
        grid = on_wall(_dates(stretch.tz_localize(None), offset), zone)
    place = np.minimum(grid.searchsorted(stretch), len(grid) - 1)
    return grid, place, np.asarray(grid[place] != stretch)


def _dates(stretch: pd.DatetimeIndex, offset: Offset) -> pd.DatetimeIndex:
    """Return the dates from the first stamp to the last, or around them where these are none."""
    return pd.date_range(offset.rollback(stretch[0]), offset.rollforward(stretch[-1]), freq=offset)


def _refuse_growth(
    series: Series, stretch: pd.Index, length: pd.Timedelta | float, freq: str | float
) -> None:
    if isinstance(length, pd.Timedelta):
        steps = (stretch[-1] - stretch[0]) / length
    else:
        first, last = _numbers(stretch[[0, -1]])[0]
        steps = float(last - first) / length
    if steps > max(_MOST_ROWS, _MOST_GROWTH * len(series)):
        raise InputError(
            f"freq: expected about the distance of rows, found {freq!r}, which makes {steps:.3g} "
            f"rows of the {len(series)} of series {series.name!r}; give a longer one, or max_gap, "
            "which leaves long gaps as they are"
        )


def _off_grid(series: Series, row: int, grid: pd.Index, freq: str | float) -> InputError:
    assert series.time is not None
    stamp = series.time[row]
    near = grid[grid.get_indexer(pd.Index([stamp]), method="nearest")[0]]
    return InputError(
        f"series {series.name!r}: the time stamp of row {row} (counted from 0), {stamp}, is not on "
        f"the grid of freq={freq!r}: expected {near}, the nearest there is; let stamps be off by a "
        "share of freq, as freq_tolerance: 0.2, round the time stamps, or give another freq"
    )


def _spread(
    values: npt.NDArray[Any], place: IntArray, rows: int, missing: float
) -> npt.NDArray[Any]:
    spread = np.full((rows, *values.shape[1:]), missing, dtype=values.dtype)
    spread[place] = values
    return spread
