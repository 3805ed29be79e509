"""What values the training rows have, column by column, and rows that are unlike them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from transformertf.data.columns import Columns
from transformertf.data.rates import length_text, usual_step
from transformertf.data.reading import PIECE, slices
from transformertf.data.series import AnyArray, FloatArray, IntArray, Series
from transformertf.data.windows import Part, Spans
from transformertf.errors import count_names

# share of the training range that values may lie beyond it, and of numbers that is rounding
_BEYOND, _ROUNDING = 0.2, 1e-9
# share of the training series whose values are smaller than is taken for usual, and times that
# values are smaller or larger where their unit may be another
_SMALL, _UNIT = 0.1, 50
# rows of a session after which its values tell whether they are too small
_ENOUGH = 100
_REMEDY = "if that is another unit, rename with a scale brings it to the one of training"


@dataclass(frozen=True)
class Ranges:
    """The values of the training rows, in original units.

    Attributes:
        columns: names of the real columns, statics last.
        low: (columns,) the smallest value; NaN where there is none.
        high: (columns,) the largest.
        size: (columns,) absolute value that nearly all training series reach; NaN of statics, which
            may be of any size.
        step: usual distance of rows in time, see `Rate`; None where there is none.
    """

    columns: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    size: FloatArray
    step: float | None

    @classmethod
    def of(cls, columns: Columns, series: Sequence[Series], spans: Sequence[Spans]) -> Self:
        """Return those of the `spans` of series, see `trained_spans`."""
        found = [(one, own) for one, own in zip(series, spans, strict=True) if own]
        low, high = _extremes(columns, found)
        sizes = np.fmax(np.abs(low), np.abs(high))
        size = np.full(sizes.shape[1], np.nan)
        for column in range(len(size) - len(columns.static)):
            own = sizes[:, column]
            if (own > 0).any():
                # of few series the smallest may be the one that is unlike the others
                size[column] = np.quantile(own[own > 0], _SMALL, method="higher")
        names = tuple(columns.values[place] for place in _places(columns))
        rates = [one.rate for one, _ in found if one.rate is not None]
        return cls(
            (*names, *columns.static),
            np.fmin.reduce(low, axis=0),
            np.fmax.reduce(high, axis=0),
            size,
            usual_step(rates),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return them as primitives."""
        tables = {"low": self.low, "high": self.high, "size": self.size}
        return {
            "columns": list(self.columns),
            # a missing one is not equal to itself
            **{
                name: [None if math.isnan(one) else one for one in table.tolist()]
                for name, table in tables.items()
            },
            "step": self.step,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `state_dict` gave."""
        shape = (len(state["columns"]),)
        low, high, size = (
            np.array(state[name], dtype=np.float64).reshape(shape)
            for name in ("low", "high", "size")
        )
        return cls(tuple(state["columns"]), low, high, size, state["step"])

    def unlike(
        self, columns: Columns, series: Sequence[Series], sections: Sequence[Part], *, level: bool
    ) -> Iterator[str]:
        """Yield a line for each column in which rows are unlike those of training.

        That is: values beyond the training range by more than a fifth of it, and values that are so
        small or large that their unit may be another.

        Args:
            columns: roles of the columns.
            series: the series.
            sections: the rows of them that count.
            level: whether it matters to the model at which level values are.
        """
        spans: list[list[tuple[int, int]]] = [[] for _ in series]
        for part in sections:
            spans[part.series].append((part.first_target, part.end))
        found = [(one, own) for one, own in zip(series, spans, strict=True) if own]
        if not found:
            return
        low, high = _extremes(columns, found)
        names = np.array([one.name for one, _ in found], dtype=object)
        far, small = self.judge(low, high)
        for column in range(len(self.columns)):
            if level and far[:, column].any():
                odd, tell = far[:, column], self.beyond
            elif small[:, column].any():
                odd, tell = small[:, column], self.too_small
            else:
                continue
            where = f" in {count_names(names[odd].tolist())}"
            yield tell(column, low[odd, column], high[odd, column], where)

    def judge(self, low: FloatArray, high: FloatArray) -> tuple[AnyArray, AnyArray]:
        """Return which values go beyond training, and which are small, (..., columns) each.

        Args:
            low: (..., columns) the smallest.
            high: (..., columns) the largest.
        """
        size, own = (
            np.fmax(np.abs(least), np.abs(most))
            for least, most in ((low, high), (self.low, self.high))
        )
        room = np.fmax(_BEYOND * (self.high - self.low), _ROUNDING * own)
        far = (low < self.low - room) | (high > self.high + room)
        return far, (size > 0) & (size <= self.size / _UNIT)

    def beyond(self, column: int, low: FloatArray, high: FloatArray, where: str) -> str:
        """Return a line on smallest and largest values (n,) that go beyond training."""
        least, most = self.low[column], self.high[column]
        first, last = np.fmin.reduce(low), np.fmax.reduce(high)
        found, usual = max(abs(first), abs(last)), max(abs(least), abs(most))
        with np.errstate(over="ignore"):  # of numbers near the largest there are
            far = max(least - first, last - most)
            is_other = found / _UNIT >= usual > 0 or usual / _UNIT >= found > 0
        return (
            f"{self.columns[column]!r} is {first:.4g} to {last:.4g}{where}, in training it was "
            f"{least:.4g} to {most:.4g}: up to {far:.4g} beyond what the model has seen"
            + (f"; {_REMEDY}" if is_other else "")
        )

    def too_small(self, column: int, low: FloatArray, high: FloatArray, where: str) -> str:
        """Return a line on smallest and largest values (n,) that are small beside training's."""
        most = np.fmax.reduce(np.fmax(np.abs(low), np.abs(high)))
        return (
            f"{self.columns[column]!r} is at most {most:.4g} from 0{where}, where nearly all "
            f"training series reach {self.size[column]:.4g}; {_REMEDY}"
        )

    def other_rates(self, series: Sequence[Series]) -> Iterator[str]:
        """Tell of series whose rows come at another rate than those of training."""
        step = self.step
        if step is None:
            return
        odd = [one for one in series if one.rate is not None and one.rate.is_unlike(step)]
        if odd:
            assert odd[0].rate is not None
            found, usual = (
                length_text(length, odd[0].time_kind == "date")
                for length in (odd[0].rate.step, step)
            )
            yield (
                f"rows are {found} apart in {count_names([one.name for one in odd])}, {usual} in "
                "training, and a model takes each row for one step; bring them to that rate"
            )


class Watch:
    """Tells once of each column in which the rows of a session are unlike those of training.

    Args:
        ranges: of the training rows.
        columns: roles of the columns.
        level: whether it matters to the model at which level values are.
    """

    def __init__(self, ranges: Ranges, columns: Columns, *, level: bool) -> None:
        self._ranges, self._level = ranges, level
        self._places = _places(columns)
        self._told = np.zeros(len(ranges.columns), dtype=bool)
        self._low = np.full(len(ranges.columns), np.nan)
        self._high = self._low.copy()
        self._rows = 0

    def look(self, series: Series, rows: slice, new: int) -> Iterator[str]:
        """Yield a line for each column that is unlike training, and was not before.

        Args:
            series: the rows of the session that are kept, and those of the horizon.
            rows: which of them were not there before.
            new: how many of these are of the past.
        """
        values, count = series.values[rows], len(self._places)
        for ends, keep in ((self._low, np.fmin), (self._high, np.fmax)):
            if len(values):
                keep(ends[:count], keep.reduce(values, axis=0)[self._places], out=ends[:count])
            ends[count:] = series.static
        tells, self._rows = self._rows < _ENOUGH <= self._rows + new, self._rows + new
        far, small = self._ranges.judge(self._low, self._high)
        far &= self._level
        for column in np.flatnonzero((far | (small & tells)) & ~self._told).tolist():
            self._told[column] = True
            tell = self._ranges.beyond if far[column] else self._ranges.too_small
            yield tell(column, self._low[[column]], self._high[[column]], "")


def _places(columns: Columns) -> IntArray:
    """Return the real columns among a series' values that are no copies."""
    return np.flatnonzero([name not in columns.copies for name in columns.values])


def _extremes(
    columns: Columns, found: Sequence[tuple[Series, Spans]]
) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest values (series, columns) of rows, NaN where none is."""
    places = _places(columns)
    low = np.full((len(found), len(places) + len(columns.static)), np.nan)
    high = low.copy()
    for number, (one, spans) in enumerate(found):
        low[number, len(places) :] = high[number, len(places) :] = one.static
        for first, end in spans:
            for rows in slices(first, end, PIECE):
                values = one.values[rows]
                for ends, keep in ((low, np.fmin), (high, np.fmax)):
                    own = ends[number, : len(places)]
                    keep(own, keep.reduce(values, axis=0)[places], out=own)
    return low, high
