"""The rows that come after the last ones: their time stamps, and a series that has them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from transformertf.data.reading.steps import next_times
from transformertf.data.series import Codes, Series
from transformertf.errors import InputError

# distances that differ by more than this factor are those of other rows
_UNLIKE = 1.5


def following(series: Series, rows: int) -> pd.Index | None:
    """Return the time stamps of rows that come after a series; None without a time column.

    Raises:
        InputError: a single row does not tell how far rows are apart.
    """
    if series.time is None or rows < 1:
        return None if series.time is None else series.time[:0]
    if len(series) < 2:
        raise InputError(
            f"series {series.name!r}: one row has no distance in time to go on with; give the rows "
            "that follow, with their time stamps"
        )
    return next_times(series.time, rows)


def follow(series: Series, rows: int) -> Series:
    """Return a series with rows after its last one, of which only the time is known."""
    if rows < 1:
        return series
    columns = series.values.shape[1]
    missing = np.full(rows, -1, dtype=np.int32)
    time = following(series, rows)
    return replace(
        series,
        # column by column, as a panel has them
        values=np.concatenate([series.values.T, np.full((columns, rows), np.nan)], axis=1).T,
        time=None if series.time is None or time is None else series.time.append(time),
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
