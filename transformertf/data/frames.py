"""Series in original units, and their thinning."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """Thin a series to every `factor`-th step.

    "interval" keeps the first row of each block of `factor` rows. "average" and "median"
    summarise each whole block and carry the time stamp of its last row, when the value is
    complete; rows after the last whole block are not used. A block with a missing target has
    a missing target.

    Raises:
        TooShortError: there are not enough rows for one block.
    """
    if factor == 1:
        return series
    if method == "interval":
        picked = slice(None, None, factor)
        values = series.values[picked]
        observed = -(-series.observed // factor)
    else:
        blocks = len(series) // factor
        if blocks == 0:
            raise TooShortError(
                f"series {series.name!r} is too short: {len(series)} rows, fewer than "
                f"downsample={factor}; lower it, or leave the series out"
            )
        picked = slice(factor - 1, None, factor)
        summary = np.mean if method == "average" else np.median
        stacked = series.values[: blocks * factor].reshape(blocks, factor, -1)
        values = summary(stacked, axis=1)
        observed = series.observed // factor
    time = None if series.time is None else series.time[picked]
    return Series(series.name, values, time, observed)
