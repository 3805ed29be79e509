"""Forecasts that need no model, and the scale of errors that goes with them.

All take the target of one series, `values` (rows,), with NaN where it was not observed. Rows
before `first`, such as those of a stretch before a gap, are not used.
"""

from collections.abc import Sequence

import numpy as np

from transformertf.data import FloatArray, IntArray
from transformertf.errors import at_least_one


def naive(
    values: FloatArray, origin: IntArray, step: IntArray, first: IntArray | int = 0
) -> FloatArray:
    """Return the last value observed at or before each origin, the same at every step.

    Args:
        values: (rows,) the target.
        origin: (N,) rows after which forecasts start; before `first` there is no value.
        step: (N,) steps after the origin, from 1.
        first: row before which nothing is used, one for all or (N,).

    Returns:
        (N,) forecasts, NaN where nothing was observed.
    """
    rows = np.broadcast_to(origin, np.broadcast_shapes(origin.shape, step.shape))
    found = _at(values, rows, first)
    if np.isnan(found).any():
        # for each row the last one at or before it with a value, or -1
        last = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
        found = _at(values, np.where(rows >= 0, last[np.maximum(rows, 0)], -1), first)
    return found


def seasonal_naive(
    values: FloatArray,
    origin: IntArray,
    step: IntArray,
    season: int,
    first: IntArray | int = 0,
) -> FloatArray:
    """Return the value a whole number of seasons before each forecast row.

    It is the latest such value at or before the origin; where that one was not observed there is
    no forecast.

    Args:
        values: (rows,) the target.
        origin: (N,) rows after which forecasts start.
        step: (N,) steps after the origin, from 1.
        season: rows of a season.
        first: row before which nothing is used, one for all or (N,).

    Returns:
        (N,) forecasts, NaN where there is none.

    Raises:
        InputError: the season is below 1.
    """
    at_least_one(season=season)
    seasons = -(-step // season)
    return _at(values, origin + step - seasons * season, first)


def context_mean(values: FloatArray, origin: IntArray, context: IntArray) -> FloatArray:
    """Return the mean of what was observed in each context, the same at every step.

    Args:
        values: (rows,) the target.
        origin: (N,) last row of each context.
        context: (N,) rows of each context, none of them before the first row.

    Returns:
        (N,) forecasts, NaN where nothing was observed.
    """
    known = ~np.isnan(values)
    # sums of what lies about 0 keep their digits, whatever the level
    level = float(values[known].mean()) if known.any() else 0.0
    sums = np.cumsum(np.where(known, values - level, 0.0))
    sums, counts = np.insert(sums, 0, 0.0), np.insert(np.cumsum(known), 0, 0)
    end, begin = origin + 1, origin + 1 - context
    count = counts[end] - counts[begin]
    total = sums[end] - sums[begin]
    return np.where(count > 0, level + total / np.maximum(count, 1), np.nan)


def naive_scale(
    values: FloatArray, season: int, first: int = 0, breaks: Sequence[int] = ()
) -> float:
    """Return the mean absolute error of the seasonal naive forecast one season ahead.

    The mean of |y[t] - y[t - season]| over the rows where both are observed: the denominator of
    MASE (Hyndman and Koehler 2006), there taken over the training rows. No pair lies across a gap,
    as no forecast does.

    Args:
        values: (rows,).
        season: rows of a season, at least 1.
        first: rows before it are not used.
        breaks: rows that come after a gap, rising.

    Returns:
        The scale in the target's units; NaN where it is 0 or no such pair was observed.

    Raises:
        InputError: the season is below 1.
    """
    at_least_one(season=season)
    used = values[first:]
    stretch = np.searchsorted(np.asarray(breaks), np.arange(first, len(values)), side="right")
    change = np.abs(used[season:] - used[:-season])
    known = change[~np.isnan(change) & (stretch[season:] == stretch[:-season])]
    scale = float(known.mean()) if known.size else 0.0
    return scale if scale > 0 else float("nan")


def _at(values: FloatArray, rows: IntArray, first: IntArray | int) -> FloatArray:
    """Return the values at rows, NaN before `first` or the start."""
    inside = rows >= np.maximum(first, 0)
    return np.where(inside, values[np.where(inside, rows, 0)], np.nan)
