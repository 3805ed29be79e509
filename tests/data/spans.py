"""The rows of series that something is fitted to, in tests that cut no windows."""

from collections.abc import Sequence

from transformertf.data.series import Series
from transformertf.data.windows import Part, Spans


def spans_before(series: Sequence[Series], ends: Sequence[int] | None = None) -> list[Spans]:
    """Return the rows of each series before its end, by stretches; all of them without ends."""
    return [
        [(first, min(last, end)) for first, last in one.stretches if first < end]
        for one, end in zip(series, ends or map(len, series), strict=False)
    ]


def sections_of(series: Sequence[Series], ends: Sequence[int] | None = None) -> list[Part]:
    """Return the rows of each series before its end, over gaps; all of them without ends."""
    return [
        Part(index, one.name, 0, end)
        for index, (one, end) in enumerate(zip(series, ends or map(len, series), strict=False))
    ]
