"""Series in original units, and their thinning."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.errors import TooShortError

DownsampleMethod = Literal["interval", "average", "median"]
FloatArray = npt.NDArray[np.float64]
CodeArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Codes:
    """A categorical column.

    Attributes:
        codes: (rows,) int32 place of each row's value in `texts`, -1 where it is missing.
        texts: the values there are, as text, in no order; there may be some that no row has.
    """

    codes: CodeArray
    texts: Sequence[str]


@dataclass(frozen=True)
class Series:
    """One checked series in original units.

    Attributes:
        name: the series' name in forecasts.
        values: (rows, columns) float64, in the order of `Columns.values`, target last; NaN where
            missing.
        time: (rows,) time stamps, datetime or number, rising; None without a time column.
        observed: rows up to the last known target; fewer than all rows only at predict.
        categories: the categorical columns, in the order of `Columns.categories`.
        static: (columns,) float64, in the order of `Columns.static`.
        static_texts: in the order of `Columns.static_categories`; None where missing.
        breaks: rows that come after a gap, rising, none of them 0: no window crosses one.
    """

    name: str
    values: FloatArray
    time: pd.Index | None
    observed: int
    categories: tuple[Codes, ...] = ()
    static: FloatArray = field(default_factory=lambda: np.empty(0))
    static_texts: tuple[str | None, ...] = ()
    breaks: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """First row, and row after the last, of each stretch without a break."""
        return list(itertools.pairwise((0, *self.breaks, len(self))))

    @property
    def time_kind(self) -> str | None:
        """What the time stamps are: "date" or "number"; None without a time column."""
        if self.time is None:
            return None
        return "date" if isinstance(self.time, pd.DatetimeIndex) else "number"

    def elapsed(self) -> FloatArray:
        """Return time since the first row, in seconds for datetimes, else in the column's unit."""
        if self.time is None:
            return np.arange(len(self), dtype=np.float64)
        if isinstance(self.time, pd.DatetimeIndex):
            return np.asarray((self.time - self.time[0]).total_seconds(), dtype=np.float64)
        stamps = self.time.to_numpy()
        return np.asarray(stamps - stamps[0], dtype=np.float64)


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
    starts, ends = np.array(series.stretches).T
    start, end = (np.repeat(side, ends - starts) for side in (starts, ends))
    block, place = np.divmod(np.arange(len(series)) - start, factor)
    if method == "interval":
        kept = np.flatnonzero(place == 0)
        values = series.values[kept]
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
    )
