"""What was trained on, told apart from anything else."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self
from zlib import crc32

import numpy as np
import pandas as pd

from transformertf.data.reading import PIECE, slices
from transformertf.data.series import IntArray, Series
from transformertf.data.windows.windows import Part


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
    def of(cls, series: Sequence[Series], sections: Iterable[Part], *, named: bool) -> Self:
        """Return that of series, in their order.

        Args:
            series: all that training uses.
            sections: the rows that it uses.
            named: their names count.
        """
        sections = list(sections)
        # all series of a table share the texts of a column, some of which no row may have
        books = {id(column.texts): column.texts for one in series for column in one.categories}
        tables = {key: _numbers(texts) for key, texts in books.items()}
        sums: Counter[str] = Counter()
        # of each column on its own, so that it does not hang on the pieces
        for part in sections:
            one, size = series[part.series], part.end - part.first_target
            names = [one.name if named else "", *map(str, one.static.tolist()), *one.static_texts]
            sums["names"] = crc32(repr((size, names)).encode(), sums["names"])
            if one.time is not None:  # as files of all kinds have it
                first = one.time[0]
                is_date = isinstance(first, pd.Timestamp)
                told = first.isoformat() if is_date else str(float(first))
                sums["time"] = crc32(told.encode(), sums["time"])
            for rows in slices(part.first_target, part.end, PIECE):
                columns = {f"value {n}": column[rows] for n, column in enumerate(one.values.T)}
                columns |= {
                    f"text {n}": tables[id(column.texts)][column.codes[rows]]
                    for n, column in enumerate(one.categories)
                }
                if one.weights is not None:
                    columns["weight"] = one.weights[rows]
                if one.time is not None:
                    columns["time"] = one.elapsed(rows)
                for name, column in columns.items():
                    own: Any = np.where(np.isnan(column), np.nan, column)  # of one sign
                    sums[name] = crc32(own, sums[name])
        time = sums.pop("time", 0)
        values = crc32(repr(sorted(sums.items())).encode())
        total = sum(part.end - part.first_target for part in sections)
        return cls(len(series), total, values, time)

    def __str__(self) -> str:
        """Return its size, for messages."""
        return f"{self.rows} rows in {self.series} series"


def _numbers(texts: Sequence[str]) -> IntArray:
    """Return a number of each text, whatever others there are; the last one is of no text."""
    return np.array([*(crc32(repr(text).encode()) for text in texts), -1], dtype=np.int64)
