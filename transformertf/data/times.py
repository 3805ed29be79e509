"""Time columns to time stamps of one type for all tables."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.numbers import REAL_OBJECTS, as_numbers, is_real, no_numbers, plain
from transformertf.data.tables import Table, shown
from transformertf.errors import InputError

Stamps = npt.NDArray[Any]

_NO_DAY = re.compile(r"\s*\d{1,2}:\d{2}(:\d{2}([.,]\d*)?)?\s*([ap]m)?\s*", re.IGNORECASE)


class Clock:
    """The time stamps of tables, as numbers that fit into one column.

    Args:
        tables: the tables.
        name: their time column.

    Attributes:
        dtype: type of the time stamps, with their time zone.

    Raises:
        InputError: there is no one type, as with numbers beside dates; text is no time stamp.
    """

    def __init__(self, tables: Sequence[Table], name: str) -> None:
        self.tables = tables
        self.name = name
        # tables whose time stamps are text; how it is written, only all of it tells
        self._parsed: dict[int, pd.Index] = {}
        heads = [self._head(number, table) for number, table in enumerate(tables)]
        self.dtype = heads[0].append(heads[1:]).dtype
        if self.dtype == np.dtype(object):
            kinds = ", ".join(dict.fromkeys(str(head.dtype) for head in heads))
            raise InputError(
                f"the time columns of the files are of different kinds ({kinds}); give each kind "
                "to a command of its own"
            )

    @property
    def number_type(self) -> np.dtype[Any]:
        """Type of the numbers that stand for time stamps."""
        return np.dtype(np.int64 if self._is_date else str(self.dtype))

    def stamps(self, number: int, frame: pd.DataFrame, begin: int) -> Stamps:
        """Return the time stamps of a piece of a table, as numbers.

        Args:
            number: which table.
            frame: the piece.
            begin: row at which it begins.

        Raises:
            InputError: a time stamp is missing or none at all.
        """
        if number in self._parsed:
            index = self._parsed[number][begin : begin + len(frame)]
        else:
            index = _read(frame[self.name], self.name, self.tables[number].where, begin)
        index = index.astype(self.dtype)
        stamps: Stamps = index.asi8 if isinstance(index, pd.DatetimeIndex) else index.to_numpy()
        return stamps

    def index(self, stamps: Stamps) -> pd.Index:
        """Return the time stamps that numbers stand for, without a copy."""
        return as_index(stamps, self.dtype)

    @property
    def _is_date(self) -> bool:
        return bool(pd.api.types.is_datetime64_any_dtype(self.dtype))

    def _head(self, number: int, table: Table) -> pd.Index:
        """Return no time stamps, of a table's type; text is read whole."""
        first = plain(next(table.pieces([self.name]))[self.name])
        if _is_number(first):
            return pd.Index(np.empty(0, _number_type(first.dtype)))
        head: pd.Index = pd.Index(first[:0])
        if not _is_date(first):
            whole = pd.concat([piece[self.name] for piece in table.pieces([self.name])])
            self._parsed[number] = _read(whole, self.name, table.where, 0)
            head = self._parsed[number][:0]
        return head


def as_index(stamps: Stamps, dtype: Any) -> pd.Index:
    """Return the time stamps of a type that numbers stand for, without a copy."""
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(stamps, dtype=dtype, copy=False)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return pd.DatetimeIndex(stamps.view(dtype), copy=False)
    index: pd.Index = pd.Index(stamps, copy=False)
    return index


def _is_date(column: pd.Series) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(column))


def _is_number(column: pd.Series) -> bool:
    dtype = column.dtype
    return bool(
        pd.api.types.is_numeric_dtype(dtype)
        and not pd.api.types.is_bool_dtype(dtype)
        and not pd.api.types.is_complex_dtype(dtype)
    )


def _number_type(dtype: Any) -> np.dtype[Any]:
    """Return the type that number stamps are kept in; differences of whole ones fit into 64 bits.

    Of nullable numbers, none is missing.
    """
    own: np.dtype[Any] = np.dtype(getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype)))
    if own in (np.uint64, np.float32):
        return own
    return np.dtype(np.int64 if own.kind in "iu" else np.float64)


def _read(column: pd.Series, name: str, where: str, begin: int) -> pd.Index:
    """Return time stamps; see `Clock.stamps`."""
    column = plain(column)
    if _is_date(column):
        stamps = column
    elif _is_number(column) or pd.api.types.infer_dtype(column) in REAL_OBJECTS:
        return _read_numbers(column, name, where, begin)
    else:
        with warnings.catch_warnings():
            # pandas warns where it finds no one format; what it cannot read is told below
            warnings.simplefilter("ignore", UserWarning)
            # a number beside dates would be one of nanoseconds since 1970
            stamps = _parse(column.mask(is_real(column)) if column.dtype == object else column)
    bad = stamps.isna()
    if bad.any():
        words = no_numbers(column)
        # one word among numbers makes text of them all
        row = int(np.argmax(words if 0 < 2 * words.sum() < len(words) else bad))
        _refuse(column.iloc[row], name, where, begin + row)
    index: pd.Index = pd.Index(stamps)
    return index


def _read_numbers(column: pd.Series, name: str, where: str, begin: int) -> pd.Index:
    numbers = as_numbers(column, where, begin)
    infinite = np.flatnonzero(~np.isfinite(numbers))
    if infinite.size:
        row = int(infinite[0])
        _refuse(float(numbers[row]), name, where, begin + row)
    if _is_number(column):
        return pd.Index(column.to_numpy(dtype=_number_type(column.dtype)))
    whole = pd.api.types.infer_dtype(column) == "integer" and np.abs(numbers).max() < 2**53
    return pd.Index(numbers.astype(np.int64) if whole else numbers)


def _refuse(value: object, name: str, where: str, row: int) -> None:
    raise InputError(
        f"{where}: time column {name!r} holds {shown(value)} in row {row} (counted from 0), "
        "expected a time stamp or a finite number; fill or cut such rows"
    )


def _parse(column: pd.Series) -> pd.Series:
    """Return time stamps of text; in UTC where the text changes its offset.

    A time without a day is none: pandas would make it one of today.
    """
    if all(isinstance(value, str) and _NO_DAY.fullmatch(value) for value in column[:1]):
        return pd.Series(pd.NaT, column.index)
    try:
        return pd.to_datetime(column, errors="coerce")
    except ValueError:
        return pd.to_datetime(column, errors="coerce", utc=True)
