"""Time columns to time stamps of one type for all tables."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.tables import Table, shown
from transformertf.errors import InputError

Stamps = npt.NDArray[Any]


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
        dtype = heads[0].append(heads[1:]).dtype
        # of nullable numbers, none is missing
        self.dtype = getattr(dtype, "numpy_dtype", dtype)
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
        first = next(table.pieces([self.name]))[self.name]
        head: pd.Index = pd.Index(first[:0])
        if not _is_time(first):
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


def _is_time(column: pd.Series) -> bool:
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return bool(number or pd.api.types.is_datetime64_any_dtype(column))


def _read(column: pd.Series, name: str, where: str, begin: int) -> pd.Index:
    if _is_time(column):
        stamps = column
        if pd.api.types.is_numeric_dtype(column):
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            infinite = np.flatnonzero(~np.isfinite(numbers))
            if infinite.size:
                _refuse(float(numbers[infinite[0]]), name, where, begin + int(infinite[0]))
    else:
        with warnings.catch_warnings():
            # pandas warns where it finds no one format; what it cannot read is told below
            warnings.simplefilter("ignore", UserWarning)
            stamps = _parse(column)
    bad = np.flatnonzero(stamps.isna())
    if bad.size:
        _refuse(column.iloc[int(bad[0])], name, where, begin + int(bad[0]))
    index: pd.Index = pd.Index(stamps)
    return index


def _refuse(value: object, name: str, where: str, row: int) -> None:
    raise InputError(
        f"{where}: time column {name!r} holds {shown(value)} in row {row} (counted from 0), "
        "expected a time stamp or a finite number; fill or cut such rows"
    )


def _parse(column: pd.Series) -> pd.Series:
    """Return time stamps of text; in UTC where the text changes its offset."""
    try:
        return pd.to_datetime(column, errors="coerce")
    except ValueError:
        return pd.to_datetime(column, errors="coerce", utc=True)
