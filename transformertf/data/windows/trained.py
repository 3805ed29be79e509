"""Which rows a model was trained on, found again in other data."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.reading import PIECE, as_index, slices
from transformertf.data.series import FloatArray, IntArray, Series
from transformertf.data.windows.windows import Run

BoolArray = npt.NDArray[np.bool_]
# rows of each series that are kept to know it again, and the most series that are kept
MARKS, MOST = 8, 20_000


@dataclass(frozen=True)
class TrainedRows:
    """A few training rows of each series: time stamps and targets, first and last row among them.

    Where ids tell series apart one is known again by its name and its time. A file or a frame has
    no name of its own, and rows without time stamps no place: these are known again by their
    targets.

    Attributes:
        names: of the S series.
        by_name: whether ids tell them apart.
        has_time: whether they have time stamps.
        stamps: (S * MARKS,) time stamps, or row numbers without these.
        targets: (S, MARKS), NaN where missing.
    """

    names: Sequence[str]
    by_name: bool
    has_time: bool
    stamps: pd.Index
    targets: FloatArray

    @classmethod
    def of(cls, series: Sequence[Series], ends: Sequence[int], *, by_name: bool) -> Self | None:
        """Return those of series trained on before their `ends`; None of too many series."""
        rows = [
            (one, np.linspace(0, end - 1, MARKS).astype(np.int64))
            for one, end in zip(series, ends, strict=True) if end
        ]  # fmt: skip
        if not rows or len(rows) > MOST:
            return None
        stamps = [pd.Index(row) if one.time is None else one.time[row] for one, row in rows]
        targets = np.stack([one.values[row, -1] for one, row in rows])
        names = [one.name for one, _ in rows]
        return cls(
            names, by_name, rows[0][0].time is not None, stamps[0].append(stamps[1:]), targets
        )

    def state_dict(self) -> dict[str, Any]:
        """Return them as primitives."""
        stamps = self.stamps
        numbers = stamps.asi8 if isinstance(stamps, pd.DatetimeIndex) else stamps.to_numpy()
        return {
            "names": list(self.names),
            "by_name": self.by_name,
            "has_time": self.has_time,
            "type": str(stamps.dtype),
            "stamps": numbers.tolist(),
            # a missing one is not equal to itself
            "targets": [None if math.isnan(one) else one for one in self.targets.ravel().tolist()],
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `state_dict` gave."""
        kind: Any = pd.api.types.pandas_dtype(state["type"])
        numbers = np.array(state["stamps"], dtype=np.int64 if kind.kind == "M" else kind)
        targets = np.array(state["targets"], dtype=np.float64).reshape(-1, MARKS)
        stamps = as_index(numbers, kind)
        return cls(state["names"], state["by_name"], state["has_time"], stamps, targets)

    def within(self, series: Series) -> list[tuple[int, int]]:
        """Return the training rows among those of a series: first, and row after the last, of each.

        Spans rise and do not overlap.
        """
        if self.has_time != (series.time is not None):
            return []
        own = pd.RangeIndex(len(series)) if series.time is None else series.time
        try:
            first = np.asarray(own.searchsorted(self.stamps)).reshape(-1, MARKS)
            after = np.asarray(own.searchsorted(self.stamps, side="right")).reshape(-1, MARKS)
        except TypeError:  # dates with a zone and without
            return []
        same = np.array([not self.by_name or name == series.name for name in self.names])
        if not (self.by_name and self.has_time):
            same &= self._same_targets(series, first, after > first)
        spans: list[tuple[int, int]] = []
        ends = zip(first[same, 0].tolist(), after[same, -1].tolist(), strict=True)
        for begin, end in sorted(ends):
            if spans and begin <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            elif end > begin:
                spans.append((begin, end))
        return spans

    def _same_targets(self, series: Series, row: IntArray, there: BoolArray) -> BoolArray:
        """Return which series (S,) have the targets of another one at the marks it has, (S, MARKS).

        One alone may be alike by chance.
        """
        targets = np.append(series.values[:, -1], np.nan)[row]
        both = there & ~np.isnan(targets) & ~np.isnan(self.targets)
        alike = both & (targets == self.targets)
        same: BoolArray = (alike.sum(axis=1) > 1) & (alike == both).all(axis=1)
        return same


class Content(NamedTuple):
    """What was trained on, to the bit, however it is stored: its size, and check sums.

    Attributes:
        series: how many.
        rows: of all series.
        values: of what the columns hold, and of the names where these tell series apart.
        time: of the time stamps.
    """

    series: int
    rows: int
    values: int
    time: int

    @classmethod
    def of(cls, series: Sequence[Series], ends: Sequence[int], *, named: bool) -> Self:
        """Return that of series, in their order.

        Args:
            series: all that training uses.
            ends: row after the last of each that it uses.
            named: their names count.
        """
        # all series of a table share the texts of a column
        books = {
            id(column.texts): list(column.texts) for one in series for column in one.categories
        }
        sums = Counter(texts=crc32(repr(list(books.values())).encode()))
        # of each column on its own, so that it does not hang on the pieces
        for one, end in zip(series, ends, strict=True):
            names = [one.name if named else "", *map(str, one.static.tolist()), *one.static_texts]
            sums["names"] = crc32(repr((end, names)).encode(), sums["names"])
            if one.time is not None:  # as files of all kinds have it
                first = one.time[0]
                is_date = isinstance(first, pd.Timestamp)
                told = first.isoformat() if is_date else str(float(first))
                sums["time"] = crc32(told.encode(), sums["time"])
            for rows in slices(0, end, PIECE):
                columns = {f"value {n}": column[rows] for n, column in enumerate(one.values.T)}
                columns |= {f"code {n}": c.codes[rows] for n, c in enumerate(one.categories)}
                if one.time is not None:
                    columns["time"] = one.elapsed(rows)
                for name, column in columns.items():
                    own: Any = np.ascontiguousarray(column)
                    sums[name] = crc32(own, sums[name])
        time = sums.pop("time", 0)
        values = crc32(repr(sorted(sums.items())).encode())
        return cls(len(series), sum(ends), values, time)

    def __str__(self) -> str:
        """Return its size, for messages."""
        return f"{self.rows} rows in {self.series} series"


def count_rows(run: Run, steps: int, end: int, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return how many rows the windows of a run forecast, and how many of them lie in spans.

    Args:
        run: the windows.
        steps: of each forecast.
        end: row after the last that may be forecast.
        spans: first, and row after the last, of each; none overlap.
    """
    first = run.origin + np.arange(1, steps + 1)

    def before(row: int) -> int:
        # of each step, how many windows have it before the row
        counts = -((first - min(row, end)) // run.step)
        return int(np.clip(counts, 0, run.count).sum())

    return before(end), sum(before(last) - before(begin) for begin, last in spans)
