"""Training rows in pieces, column by column: memory in proportion to a piece."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from transformertf.data.reading import PIECE, slices, worked_on
from transformertf.data.series import FloatArray, Series
from transformertf.data.transform import StandardScaler
from transformertf.data.transform.collection import Array, Piece
from transformertf.data.windows import Spans

# mean and standard deviation of a series without values
_NOTHING = (np.nan, np.nan)


class _Segment(NamedTuple):
    """Rows of one stretch: index of the series, first row, row after the last."""

    series: int
    first: int
    end: int
    starts: bool


class TrainingRows:
    """The training rows of all series, one behind the other, cut into pieces.

    A long series is cut, short ones share a piece.

    Args:
        series: the series.
        spans: training rows of each, within its stretches.
    """

    def __init__(self, series: Sequence[Series], spans: Sequence[Spans]) -> None:
        self._series = series
        self._groups: list[list[_Segment]] = []
        room = 0
        for segment in _segments(spans):
            rows = segment.end - segment.first
            if rows > room:
                self._groups.append([])
                room = PIECE
            self._groups[-1].append(segment)
            room -= rows

    def pieces(self, column: int, covariate: int | None = None) -> Callable[[], Iterator[Piece]]:
        """Return what gives the pieces of a column, from the first on, at each call.

        Args:
            column: place of the column in a series' values.
            covariate: place of the one that a transform takes as x.
        """

        def give() -> Iterator[Piece]:
            for group in self._groups:
                rows = _rows_before(group)
                starts = [row for row, part in zip(rows, group, strict=True) if part.starts]
                x = None if covariate is None else self._column(group, covariate)
                yield Piece(self._column(group, column), x, starts)
                worked_on(sum(part.end - part.first for part in group))

        return give

    def statistics(self, columns: Iterable[Array]) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of each series, (series,) each.

        Args:
            columns: the pieces of one column.

        Returns:
            NaN where a series has no finite value; the standard deviation of a constant one is 0.
        """
        scalers = [StandardScaler() for _ in self._series]
        for group, column in zip(self._groups, columns, strict=True):
            for row, (series, first, end, _) in zip(_rows_before(group), group, strict=True):
                scalers[series].partial_fit(column[row : row + end - first])
        found = [
            (own.mean, 0.0 if own.is_constant else own.std) if own.count else _NOTHING
            for own in scalers
        ]
        mean, std = np.array(found).T
        return mean, std

    def _column(self, group: list[_Segment], column: int) -> FloatArray:
        parts = [self._series[i].values[first:end, column] for i, first, end, _ in group]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _segments(spans: Sequence[Spans]) -> Iterator[_Segment]:
    """Yield the training rows, cut into pieces."""
    for index, own in enumerate(spans):
        for first, end in own:
            for rows in slices(first, end, PIECE):
                yield _Segment(index, rows.start, rows.stop, rows.start == first)


def _rows_before(group: list[_Segment]) -> list[int]:
    """Return the row of a piece at which each of its segments begins."""
    sizes = [segment.end - segment.first for segment in group]
    return [0, *itertools.accumulate(sizes[:-1])]
