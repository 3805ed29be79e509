"""The rows that come after the last ones: their time stamps, and a series that has them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from transformertf.data.series import Codes, Series
from transformertf.errors import InputError

# how many of the last rows tell how far rows are apart
_ROWS = 1000
# distances that differ by more than this factor are those of other rows
_UNLIKE = 1.5


def next_times(time: pd.Index, steps: int, name: str) -> pd.Index:
    """Return the time stamps that come after others, as far apart as these.

    Args:
        time: rising.
        steps: how many.
        name: of the series, for messages.

    Raises:
        InputError: there is one time stamp only.
    """
    if len(time) < 2:
        raise InputError(
            f"series {name!r}: one row has no distance in time to go on with; give the rows that "
            "follow, with their time stamps"
        )
    last = time[-_ROWS:]
    if not isinstance(last, pd.DatetimeIndex):
        stamps = last.to_numpy()
        later: pd.Index = pd.Index(stamps[-1] + (stamps[-1] - stamps[-2]) * np.arange(1, steps + 1))
        return later
    wall = last.tz_localize(None)
    freq = pd.infer_freq(wall) if len(wall) > 2 else None
    step: Any = None if freq is None else to_offset(freq)
    if step is None or (isinstance(step, pd.offsets.Tick) and not isinstance(step, pd.offsets.Day)):
        begin, step = last[-1], last[-1] - last[-2]
    else:
        begin = wall[-1]  # days and months are those of the calendar
    dates = pd.date_range(begin, periods=steps + 1, freq=step, unit=last.unit)[1:]
    if dates.tz is None and last.tz is not None:
        twice = np.ones(steps, dtype=np.bool_)
        dates = dates.tz_localize(last.tz, ambiguous=twice, nonexistent="shift_forward")
    return dates


def follow(series: Series, rows: int) -> Series:
    """Return a series with rows after its last one, of which only the time is known."""
    if rows < 1:
        return series
    columns = series.values.shape[1]
    missing = np.full(rows, -1, dtype=np.int32)
    time = series.time
    return replace(
        series,
        # column by column, as a panel has them
        values=np.concatenate([series.values.T, np.full((columns, rows), np.nan)], axis=1).T,
        time=None if time is None else time.append(next_times(time, rows, series.name)),
        categories=tuple(
            Codes(np.concatenate([one.codes, missing]), one.texts) for one in series.categories
        ),
    )


def odd_row_ahead(series: Series) -> int | None:
    """Return the first row after the last target that is at another distance than rows before.

    A model takes each row for one step, whatever its time stamp.

    Returns:
        A row further from the one before it than any two known ones, or closer; None without.
    """
    if series.time is None or not 2 <= series.observed < len(series):
        return None
    distance = np.diff(series.elapsed())
    known, ahead = np.split(distance, [series.observed - 1])
    odd = (ahead > _UNLIKE * known.max()) | (ahead < known.min() / _UNLIKE)
    return series.observed + int(odd.argmax()) if odd.any() else None
