"""One checked series in original units, its arrays, and which series are too short."""

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.rates import Rate
from transformertf.errors import TooShortError, first_names

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.int32]
AnyArray = npt.NDArray[Any]
# what a time column holds
TimeKind = Literal["date", "number"]


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
        fed_back: whether targets are forecasts, which may lie beside any planned x.
        weights: (rows,) float64 weight of each row in the loss, NaN where missing; None where all
            weigh alike.
    """

    name: str
    values: FloatArray
    time: pd.Index | None
    observed: int
    categories: tuple[Codes, ...] = ()
    static: FloatArray = field(default_factory=lambda: np.empty(0))
    static_texts: tuple[str | None, ...] = ()
    breaks: tuple[int, ...] = ()
    fed_back: bool = False
    weights: FloatArray | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """First row, and row after the last, of each stretch without a break."""
        return list(itertools.pairwise((0, *self.breaks, len(self))))

    @cached_property
    def starts(self) -> IntArray:
        """(stretches,) first row of each stretch, rising."""
        return np.array([0, *self.breaks], dtype=np.int64)

    def stretch_at(self, row: int) -> tuple[int, int]:
        """Return the stretch of a row, see `stretches`; the first one of a row before it."""
        place = max(0, int(np.searchsorted(self.starts, row, side="right")) - 1)
        end = self.breaks[place] if place < len(self.breaks) else len(self)
        return int(self.starts[place]), end

    @cached_property
    def rate(self) -> Rate | None:
        """How far the rows are apart in time; None without time stamps, or of fewer than two."""
        return None if self.time is None else Rate.of(self.time)

    @property
    def time_kind(self) -> TimeKind | None:
        """What the time stamps are: "date" or "number"; None without a time column."""
        if self.time is None:
            return None
        return "date" if isinstance(self.time, pd.DatetimeIndex) else "number"

    def elapsed(self, rows: slice = slice(None)) -> FloatArray:
        """Return time since the first row, in seconds for datetimes, else in the column's unit."""
        if self.time is None:
            return np.arange(len(self), dtype=np.float64)[rows]
        if isinstance(self.time, pd.DatetimeIndex):
            return np.asarray((self.time[rows] - self.time[0]).total_seconds(), dtype=np.float64)
        stamps = self.time.to_numpy()
        return np.asarray(stamps[rows] - stamps[0], dtype=np.float64)


log = logging.getLogger(__name__)


class Named(Protocol):
    """What has the name of a series."""

    @property
    def name(self) -> str:
        """The name."""


Item = TypeVar("Item", bound=Named)
Made = TypeVar("Made")


class ShortSeries:
    """Which series were too short, by stage.

    Args:
        leave_out: leave them out; if not, they are refused.

    Attributes:
        names: names of the series left out, by what they were too short for.
    """

    def __init__(self, leave_out: bool) -> None:
        self.leave_out = leave_out
        self.names: dict[str, list[str]] = {}
        self._told: dict[str, list[str]] = {}

    def keep(self, what: str, items: Iterable[Item], make: Callable[[Item], Made]) -> list[Made]:
        """Return what is made of the items that are long enough.

        What was left out is told, once for the same names.

        Args:
            what: what they may be too short for.
            items: series or parts of series.
            make: raises `TooShortError` for those that are too short.

        Raises:
            TooShortError: some are too short and must not be left out, or all are.
        """
        made: list[Made] = []
        short: list[str] = []
        first: TooShortError | None = None
        kept: set[str] = set()
        for item in items:
            try:
                made.append(make(item))
                kept.add(item.name)
            except TooShortError as error:
                first = first or error
                short.append(item.name)
        if first is not None and not (self.leave_out and made):
            hint = "" if self.leave_out else " with drop_short_series"
            more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
            raise TooShortError(f"{first}{hint}{more}") from first
        gone = [name for name in dict.fromkeys(short) if name not in kept]
        if short and self._told.get(what) != short:
            self._tell(what, "series", gone)
            # of a series that has other stretches
            self._tell(what, "stretches of series", [name for name in short if name in kept])
        self.names[what], self._told[what] = gone, short
        return made

    def _tell(self, what: str, which: str, names: list[str]) -> None:
        if names:
            first = first_names(list(dict.fromkeys(names)))
            log.warning("%s: %d %s too short, left out: %s", what, len(names), which, first)


def sum_is_finite(values: FloatArray) -> bool:
    """Return whether the sum of values is finite: then all of them are.

    The test of whole columns that costs the least. A sum that overflows is not finite, though
    its parts are.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))
