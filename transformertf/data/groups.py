"""Id columns to series: which rows belong together, in which order, under which name."""

import datetime
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.errors import InputError

IntArray = npt.NDArray[np.int64]
# a table, and the file it is from for messages
Located = tuple[str, pd.DataFrame]


def number_rows(tables: Sequence[Located], ids: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Return the series of each row of all tables, and the names of the series, sorted.

    Ids are compared as text, so that 7 in one file and "7" in another are one series. Several
    id columns are joined by "/".

    Raises:
        InputError: an id is missing or of a type that makes no name, or two series would have
            one name.
    """
    codes = np.zeros(sum(len(frame) for _, frame in tables), dtype=np.int64)
    names = [""]
    for place, column in enumerate(ids):
        own, texts = _number_column(tables, column)
        # pairs of a series so far and an id, numbered in the order they come
        codes, pairs = pd.factorize(codes * len(texts) + own)
        before, text = np.divmod(pairs, len(texts))
        names = [
            f"{names[b]}/{texts[t]}" if place else texts[t]
            for b, t in zip(before, text, strict=True)
        ]
    ranked = sorted(range(len(names)), key=names.__getitem__)
    for one, other in itertools.pairwise(ranked):
        if names[one] == names[other]:
            raise InputError(
                f"{tables[0][0]}: two series would have the name {names[one]!r}, as "
                f"{', '.join(map(repr, ids))} hold '/'; rename their ids"
            )
    rank = np.empty(len(names), dtype=np.int64)
    rank[ranked] = np.arange(len(names))
    return rank[codes], [names[place] for place in ranked]


def by_series(series: IntArray, file: IntArray, time: npt.NDArray[Any] | None) -> IntArray:
    """Return the order that puts the rows of each series together.

    Rows of one file keep their order. A series in several files takes their pieces in the order
    of their first time stamps, or of the files without time.

    Args:
        series: (rows,) the series of each row.
        file: (rows,) the file of each row, rising.
        time: (rows,) numbers that are ordered as the time stamps are, or None.
    """
    order: IntArray = np.argsort(series, kind="stable")
    if time is None or not len(order) or file[0] == file[-1]:
        return order
    pieces = np.column_stack([series, file])[order]
    starts = np.flatnonzero(np.diff(pieces, axis=0, prepend=-1).any(axis=1))
    lengths = np.diff(starts, append=len(order))
    ranked = np.lexsort((time[order[starts]], pieces[starts, 0]))
    lengths = lengths[ranked]
    shift = starts[ranked] - (np.cumsum(lengths) - lengths)
    places: IntArray = np.arange(len(order)) + np.repeat(shift, lengths)
    return order[places]


def _number_column(tables: Sequence[Located], column: str) -> tuple[IntArray, list[str]]:
    """Return the number of each row's id, and the text of each number."""
    book: dict[str, int] = {}
    pieces = []
    for where, frame in tables:
        codes, values = pd.factorize(frame[column])
        texts = [_text(value, column, where) for value in values]
        # a csv file has nothing where an id is missing
        missing = np.array([*(text == "" for text in texts), True])
        bad = np.flatnonzero(missing[codes])
        if bad.size:
            rows = ", ".join(str(row) for row in bad[:3])
            raise InputError(
                f"{where}: series_id column {column!r} has {bad.size} missing "
                f"value{'s' if bad.size > 1 else ''}, first in row {rows} (counted from 0); fill "
                "or cut those rows"
            )
        numbers = np.array([book.setdefault(text, len(book)) for text in texts], dtype=np.int64)
        pieces.append(numbers[codes])
    return np.concatenate(pieces), list(book)


def _text(value: object, column: str, where: str) -> str:
    if isinstance(value, (str, bool, np.bool_, int, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))  # whole numbers beside a missing value are read as floats
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, datetime.date):
        # a day is written in one way, whether a file holds a date or midnight
        return str(value).removesuffix(" 00:00:00")
    raise InputError(
        f"{where}: series_id column {column!r} holds {value!r}, expected text, whole numbers, "
        "booleans or dates; convert it"
    )
