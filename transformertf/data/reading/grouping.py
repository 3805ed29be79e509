"""Id columns to series: which rows belong together, in which order, under which name."""

import datetime
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from transformertf.data.reading.tables import Table, changed, plain, shown
from transformertf.data.reading.times import Clock, Stamps
from transformertf.data.series import IntArray
from transformertf.errors import InputError

# a number as it is written where numbers are, none with more digits than int64 has
_NUMBER = re.compile(r"0|-?[1-9]\d{0,17}")


class Numbering:
    """Numbers the distinct values of a column as they come, compared as text.

    So 7 in one file and "7" in another are one value.

    Args:
        column: its name, for messages.
        role: what the column is, for messages.

    Attributes:
        texts: the values, by their numbers.
    """

    def __init__(self, column: str, role: str) -> None:
        self.column = column
        self.role = role
        self.texts: dict[str, int] = {}

    def number(self, values: pd.Series, where: str) -> IntArray:
        """Return the number of each value, -1 where it is missing.

        Raises:
            InputError: a value is of a type that makes no name.
        """
        if values.dtype == object and pd.api.types.infer_dtype(values).startswith("mixed"):
            # True equals 1, and is another name; lists are none
            values = values.map(lambda value: self._text(value, where), na_action="ignore")
        codes, known = pd.factorize(values)
        # how exact floats are hangs on their type
        found: Any = known.to_numpy() if known.dtype.kind == "f" else known
        # a csv file has nothing where a value is missing
        texts = [self._text(value, where) for value in found]
        numbers = [self.texts.setdefault(t, len(self.texts)) if t else -1 for t in texts]
        numbered: IntArray = np.array([*numbers, -1], dtype=np.int64)[codes]
        return numbered

    def _text(self, value: object, where: str) -> str:
        if isinstance(value, (str, bool, np.bool_, int, np.integer)):
            return str(value)
        if isinstance(value, (float, np.floating, Decimal)) and _is_whole(value):
            # whole numbers beside a missing value, as pandas and databases give them
            if not isinstance(value, Decimal) and abs(float(value)) > _exact(value):
                raise InputError(
                    f"{where}: {self.role} column {self.column!r} holds {shown(value)} as "
                    f"{type(value).__name__}, which cannot tell it from its neighbours; store "
                    "whole numbers or text"
                )
            return str(int(value))
        if isinstance(value, np.datetime64):
            value = pd.Timestamp(value)
        if isinstance(value, datetime.date):
            # a day is written in one way, whether a file holds a date or midnight
            return str(value).removesuffix(" 00:00:00")
        raise self._refusal(value, where)

    def _refusal(self, value: object, where: str) -> InputError:
        return InputError(
            f"{where}: {self.role} column {self.column!r} holds {shown(value)}, expected text, "
            "whole numbers, booleans or dates; convert it"
        )


def _is_whole(value: float | np.floating[Any] | Decimal) -> bool:
    return math.isfinite(value) and int(value) == value


def _exact(value: float | np.floating[Any]) -> int:
    """Return the whole number up to which all others are told apart by floats of a type."""
    return int(2 ** (np.finfo(type(value)).nmant + 1) - 1)


class SeriesNumbering:
    """Numbers the series of tables by their id columns, as they come.

    Several ids are joined by "/".

    Args:
        ids: the id columns.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids
        self._columns = [Numbering(name, "series_id") for name in ids]
        self._series: dict[tuple[int, ...], int] = {}

    def __len__(self) -> int:
        """Return how many series there are so far."""
        return len(self._series)

    @property
    def names(self) -> list[str]:
        """Names of the series, by their numbers."""
        texts = [list(column.texts) for column in self._columns]
        return [
            "/".join(own[place] for own, place in zip(texts, key, strict=True))
            for key in self._series
        ]

    def number(self, frame: pd.DataFrame, where: str) -> tuple[IntArray, dict[str, IntArray]]:
        """Return the series of each row, and the rows of each id column whose id is missing."""
        own = [column.number(frame[column.column], where) for column in self._columns]
        missing = {
            name: np.flatnonzero(codes < 0) for name, codes in zip(self.ids, own, strict=True)
        }
        # numbered anew each time, in the order in which they first come, to stay small
        codes, _ = pd.factorize(own[0])
        for more, column in zip(own[1:], self._columns[1:], strict=True):
            codes, _ = pd.factorize(codes * (len(column.texts) + 1) + more)
        first = np.unique(codes, return_index=True)[1]
        keys = zip(*(column[first].tolist() for column in own), strict=True)
        numbers = [self._series.setdefault(key, len(self._series)) for key in keys]
        return np.array(numbers, dtype=np.int64)[codes], missing


def typed_ids(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return id columns with the types that a user's table of them has.

    Args:
        frame: as they are read.
        kind: of the table; in a csv file all ids are text.
    """
    columns = {name: plain(frame[name]) for name in frame}
    for name, column in columns.items():
        if pd.api.types.infer_dtype(column) == "string":  # of whatever kind
            columns[name] = column.astype("str")
    if kind == "csv file":
        for name, column in columns.items():
            if column.map(lambda value: _NUMBER.fullmatch(str(value)) is not None).all():
                columns[name] = column.astype("int64")
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class Grouping:
    """Where the rows of each series lie in its tables, and where they go.

    Pieces are the rows of one series in one table, in the order of series and, within a series,
    of time.

    Attributes:
        names: names of the series, sorted by name where there are ids.
        series: (P,) series of each piece.
        table: (P,) table of each piece.
        start: (P,) where the piece begins when all rows are put in order.
        rank: series of each number that `ids` give, or, without ids, of each table.
        ids: numbers rows as they were numbered; None without ids.
    """

    names: Sequence[str]
    series: IntArray
    table: IntArray
    start: IntArray
    rows: int
    rank: IntArray
    ids: SeriesNumbering | None = None

    @property
    def starts(self) -> IntArray:
        """Where each series begins, and the end: (series + 1,)."""
        first = np.searchsorted(self.series, np.arange(len(self.names)))
        return np.append(self.start[first], self.rows)

    def pieces(self, table: int) -> tuple[IntArray, IntArray, IntArray]:
        """Return of each piece in a table its series, where it begins, and where it ends."""
        order, edges, end = self._by_table
        mine = order[edges[table] : edges[table + 1]]
        return self.series[mine], self.start[mine], end[mine]

    @cached_property
    def _by_table(self) -> tuple[IntArray, IntArray, IntArray]:
        """Pieces table by table, where those of each table begin, and where each piece ends."""
        order = np.argsort(self.table, kind="stable")
        edges = np.searchsorted(self.table[order], np.arange(int(self.table.max()) + 2))
        return order, edges, np.append(self.start[1:], self.rows)

    def series_of(self, frame: pd.DataFrame, table: int, where: str) -> IntArray:
        """Return the series of each row of a piece of a table.

        Raises:
            InputError: there is one that was not there when rows were counted.
        """
        if self.ids is None:
            return np.broadcast_to(self.rank[table], len(frame))
        numbers = self.ids.number(frame, where)[0]
        if len(self.ids) > len(self.rank):
            raise changed(where)
        return self.rank[numbers]


def group_files(tables: Sequence[Table], names: Sequence[str]) -> Grouping:
    """Take each table for one series; those of one name for one, in their order."""
    own = {name: number for number, name in enumerate(dict.fromkeys(names))}
    rank = np.array([own[name] for name in names], dtype=np.int64)
    order = np.argsort(rank, kind="stable")
    sizes = np.array([table.rows for table in tables], dtype=np.int64)[order]
    rows = int(sizes.sum())
    return Grouping(list(own), rank[order], order, np.cumsum(sizes) - sizes, rows, rank)


def group_rows(tables: Sequence[Table], ids: Sequence[str], clock: Clock | None) -> Grouping:
    """Tell series apart by id columns, in one pass over them.

    Rows of one table keep their order. A series in several tables takes its pieces in the order
    of their first time stamps, or of the tables without time; those of future rows come last.

    Args:
        tables: the tables.
        ids: the id columns.
        clock: their time stamps, or None.

    Raises:
        InputError: an id is missing, or two series would have one name.
    """
    numbering = SeriesNumbering(ids)
    # with one table, no piece has to find its place among others
    clock = None if len(tables) == 1 else clock
    counted = [_count(number, table, numbering, clock) for number, table in enumerate(tables)]
    names = numbering.names
    order = sorted(range(len(names)), key=names.__getitem__)
    for one, other in itertools.pairwise(order):
        if names[one] == names[other]:
            raise InputError(
                f"{tables[0].where}: two series would have the name {names[one]!r}, as "
                f"{', '.join(map(repr, ids))} hold '/'; rename their ids"
            )
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    series, count, first = map(np.concatenate, zip(*counted, strict=True))
    table = np.repeat(np.arange(len(tables)), [len(own) for own, *_ in counted])
    future = np.array([one.future for one in tables])[table]
    pieces = pd.DataFrame(
        {"series": rank[series], "count": count, "first": first, "table": table, "future": future}
    ).sort_values(["series", "future", "first", "table"], kind="stable")
    count = pieces["count"].to_numpy()
    return Grouping(
        [names[place] for place in order],
        pieces["series"].to_numpy(),
        pieces["table"].to_numpy(),
        np.cumsum(count) - count,
        int(count.sum()),
        rank,
        numbering,
    )


def _count(
    number: int, table: Table, numbering: SeriesNumbering, clock: Clock | None
) -> tuple[IntArray, IntArray, Stamps]:
    """Return number, rows and first time stamp, 0 without time, of each series in a table."""
    columns = [*numbering.ids, *([] if clock is None else [clock.name])]
    # a table may have few of all series
    count: Counter[int] = Counter()
    first: dict[int, Any] = {}
    missing: dict[str, list[IntArray]] = {name: [] for name in numbering.ids}
    begin = 0
    for frame in table.pieces(columns):
        codes, lost = numbering.number(frame, table.where)
        for name, rows in lost.items():
            missing[name].append(rows + begin)
        stamps = np.zeros(len(frame)) if clock is None else clock.stamps(number, frame, begin)
        known, places, rows = np.unique(codes, return_index=True, return_counts=True)
        count.update(dict(zip(known.tolist(), rows.tolist(), strict=True)))
        for code, stamp in zip(known.tolist(), stamps[places].tolist(), strict=True):
            first.setdefault(code, stamp)
        begin += len(frame)
    for name, parts in missing.items():
        _refuse_missing(np.concatenate(parts), name, table.where)
    there = np.array(sorted(first), dtype=np.int64)
    # in the type of all tables: whole numbers of two types would be joined as floats
    kind = np.float64 if clock is None else clock.number_type
    times = np.array([first[code] for code in there.tolist()], dtype=kind)
    return there, np.array([count[code] for code in there.tolist()], dtype=np.int64), times


def _refuse_missing(rows: IntArray, name: str, where: str) -> None:
    if rows.size:
        raise InputError(
            f"{where}: series_id column {name!r} has {rows.size} missing "
            f"value{'s' if rows.size > 1 else ''}, first in row "
            f"{', '.join(str(row) for row in rows[:3])} (counted from 0); fill or cut those rows"
        )
