"""Time columns to time stamps of one type for all tables.

Text is read in one way for a whole column: ISO dates, or one format that its first rows name.
Nothing is guessed row by row.
"""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.reading.compact_dates import (
    CompactDates,
    read_compact,
    tell_likely_dates,
)
from transformertf.data.reading.tables import (
    REAL_OBJECTS,
    Table,
    as_numbers,
    is_real,
    no_numbers,
    plain,
)
from transformertf.data.reading.text_dates import TextDates, is_date, refuse_stamp
from transformertf.data.series import TimeKind
from transformertf.errors import InputError

# what a column of objects may hold that are dates, in the words of pandas
DATE_OBJECTS = ("date", "datetime", "datetime64")


class Unsettled(Exception):  # noqa: N818  a signal
    """Pieces of a table hold time stamps of different types, which its first one did not tell."""


Stamps = npt.NDArray[Any]


class Clock:
    """The time stamps of tables, as numbers that fit into one column.

    Args:
        tables: the tables.
        name: their time column.
        whole: read it all to know its type, where the first piece does not tell.
        kind: what it is known to hold: then whole numbers are dates where they may be, or are none.

    Attributes:
        dtype: type of the time stamps, with their time zone.

    Raises:
        InputError: there is no one type, as with numbers beside dates; text is no time stamp.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        name: str,
        *,
        whole: bool = False,
        kind: TimeKind | None = None,
    ) -> None:
        self.tables = tables
        self.name = name
        self._texts: dict[int, TextDates] = {}
        self._parsed: dict[int, pd.Index] = {}
        heads = [self._head(number, whole) for number in range(len(tables))]
        self._settle()
        self._heads = [
            pd.DatetimeIndex([], dtype=self._texts[number].reading.dtype) if head is None else head
            for number, head in enumerate(heads)
        ]
        self._digits = None if kind == "number" else self._compact(is_date=kind == "date")
        digits = self._digits
        self.dtype = self._common(
            [head if digits is None else _as_dates(head, digits) for head in self._heads]
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
            Unsettled: they are of another type than those before.
        """
        where = self.tables[number].where
        column = plain(frame[self.name])
        if number in self._texts:
            index: pd.Index = self._texts[number].parse(column)
        elif number in self._parsed:
            index = self._parsed[number][begin : begin + len(frame)]
        else:
            head = _head_of(column)
            if head is None or self._heads[number].append(head).dtype != self._heads[number].dtype:
                raise Unsettled(where)
            index = _read(column, self.name, where, begin)
        if self._digits is not None:
            index = _as_dates(index, self._digits)
        if (
            self.dtype == np.int64
            and index.dtype == np.uint64
            and (index.max() > np.iinfo(np.int64).max)
        ):
            raise InputError(
                f"{where}: time column {self.name!r} holds {index.max()}, beyond int64, of which "
                "another file is; store both as uint64"
            )
        try:
            index = index.astype(self.dtype)
        except pd.errors.OutOfBoundsDatetime as error:
            raise InputError(
                f"{where}: time column {self.name!r} holds a time that cannot be told in "
                f"nanoseconds, which another file has ({error}); store those in microseconds"
            ) from error
        stamps: Stamps = index.asi8 if isinstance(index, pd.DatetimeIndex) else index.to_numpy()
        return stamps

    def index(self, stamps: Stamps) -> pd.Index:
        """Return the time stamps that numbers stand for, without a copy."""
        return as_index(stamps, self.dtype)

    @property
    def _is_date(self) -> bool:
        return bool(pd.api.types.is_datetime64_any_dtype(self.dtype))

    def _head(self, number: int, whole: bool) -> pd.Index | None:
        """Return no time stamps, of a table's type; None of text, which has yet to be settled."""
        table, name = self.tables[number], self.name

        def read() -> Iterator[pd.Series]:
            return (plain(piece[name]) for piece in table.pieces([name]))

        first = next(read())
        heads = [_head_of(piece) for piece in (read() if whole else [first])]
        known = [head for head in heads if head is not None]
        if len(known) == len(heads):
            common = known[0].append(known[1:])
            if common.dtype != np.dtype(object):
                return common
        if known or _is_text(first):
            self._texts[number] = TextDates(name, table.where, read)
            return None
        # of other objects, only all tell what they are
        column = pd.concat(list(read()))
        known_type = pd.api.types.infer_dtype(_without_numbers(column))
        if pd.api.types.infer_dtype(column) in REAL_OBJECTS or known_type in DATE_OBJECTS:
            self._parsed[number] = _read(column, name, table.where, 0)
            return self._parsed[number][:0]
        self._texts[number] = TextDates(name, table.where, lambda: iter([column]))
        return None

    def _compact(self, *, is_date: bool) -> int | None:
        """Return how many digits the numbers have, where all of them are dates."""
        found, first = CompactDates(self.name, is_date=is_date), None
        for where, begin, numbers in self._numbers():
            first = (numbers, self.name, where) if first is None else first
            if not found.add(numbers, where, begin):
                break
        digits = found.settle()
        if digits is None and first is not None:
            tell_likely_dates(*first)
        return digits

    def _numbers(self) -> Iterator[tuple[str, int, npt.NDArray[Any]]]:
        """Yield the numbers of tables that hold such: table, first row and a piece."""
        for number, (table, head) in enumerate(zip(self.tables, self._heads, strict=True)):
            if isinstance(head, pd.DatetimeIndex):
                continue
            if number in self._parsed:
                yield table.where, 0, self._parsed[number].to_numpy()
                continue
            begin = 0
            for piece in table.pieces([self.name]):
                column = plain(piece[self.name])
                if not _is_number(column):
                    raise Unsettled(table.where)
                yield table.where, begin, _read(column, self.name, table.where, begin).to_numpy()
                begin += len(piece)

    def _settle(self) -> None:
        """Take one reading of each text; where a file can be read in two ways, others tell."""
        told = {
            order
            for text in self._texts.values()
            if len(text.readings) == 1
            for order in text.readings
        }
        for text in self._texts.values():
            fitting = [order for order in text.readings if len(text.readings) == 1 or order in told]
            if len(fitting) != 1:
                assert text.differ is not None
                row, one, other = text.differ
                raise InputError(
                    f"{text.where}: time column {self.name!r} may mean {one:%Y-%m-%d} or "
                    f"{other:%Y-%m-%d} in row {row} (counted from 0); write dates with the year "
                    "first, 2024-01-31"
                )
            text.settle(fitting[0])

    def _common(self, heads: Sequence[pd.Index]) -> Any:
        """Return one type for all tables.

        Time stamps with different offsets from UTC are in UTC; where others are in a zone, in that.

        Raises:
            InputError: there is none.
        """
        common = heads[0].append(list(heads[1:])).dtype
        if all(head.dtype.kind in "iu" for head in heads):  # floats would lose digits
            return (
                heads[0].dtype if len({head.dtype for head in heads}) == 1 else np.dtype(np.int64)
            )
        if common != np.dtype(object):
            return common
        aware = [head for head in heads if isinstance(head, pd.DatetimeIndex) and head.tz]
        zones = {str(head.tz): head.tz for head in aware if not _is_offset(head.tz)}
        if len(aware) == len(heads) and len(zones) < 2:
            zone = next(iter(zones.values()), "UTC")
            moved = [head.tz_convert(zone) for head in aware]
            return moved[0].append(moved[1:]).dtype
        kinds = {
            str(head.dtype): table.where for head, table in zip(heads, self.tables, strict=True)
        }
        told = ", ".join(f"{kind} in {where}" for kind, where in kinds.items())
        raise InputError(
            f"the time columns of the files are of different kinds ({told}); give each kind to a "
            "command of its own"
        )


def _as_dates(index: pd.Index, digits: int) -> pd.DatetimeIndex:
    """Return time stamps as dates, where they are numbers of so many digits."""
    if isinstance(index, pd.DatetimeIndex):
        return index
    return pd.DatetimeIndex(read_compact(index.to_numpy().astype(np.int64), digits))


def _is_offset(zone: datetime.tzinfo | None) -> bool:
    """Whether a zone is UTC, or ahead of it by the same time all year."""
    return isinstance(zone, datetime.timezone)


def as_index(stamps: Stamps, dtype: Any) -> pd.Index:
    """Return the time stamps of a type that numbers stand for, without a copy."""
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(stamps, dtype=dtype, copy=False)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return pd.DatetimeIndex(stamps.view(dtype), copy=False)
    index: pd.Index = pd.Index(stamps, copy=False)
    return index


def require_dates(time: pd.Index | None) -> pd.DatetimeIndex:
    """Return time stamps that the fields of the calendar can be read from.

    Raises:
        InputError: they are not dates, or there are none.
    """
    if not isinstance(time, pd.DatetimeIndex):
        found = "no time_column" if time is None else f"a time_column of {time.dtype}"
        raise InputError(
            f"calendar_features: expected a time_column of dates, found {found}; give one, or "
            "leave calendar_features out"
        )
    return time


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


def _is_text(column: pd.Series) -> bool:
    is_string = isinstance(column.dtype, pd.StringDtype)
    return is_string or pd.api.types.infer_dtype(column) == "string"


def _head_of(column: pd.Series) -> pd.Index | None:
    """Return no time stamps, of a column's type; None of text and other objects."""
    if _is_number(column):
        return pd.Index(np.empty(0, _number_type(column.dtype)))
    return pd.Index(column[:0]) if is_date(column) else None


def _without_numbers(column: pd.Series) -> pd.Series:
    # a number beside dates would be one of nanoseconds since 1970
    return column.mask(is_real(column)) if column.dtype == object else column


def _read(column: pd.Series, name: str, where: str, begin: int) -> pd.Index:
    """Return time stamps of numbers or dates."""
    if _is_number(column) or pd.api.types.infer_dtype(column) in REAL_OBJECTS:
        return _read_numbers(column, name, where, begin)
    stamps = _read_dates(_without_numbers(column))
    bad = stamps.isna()
    if bad.any():
        words = no_numbers(column)
        # one word among numbers makes text of them all
        row = int(np.argmax(words if 0 < 2 * words.sum() < len(words) else bad))
        refuse_stamp(column.iloc[row], name, where, begin + row)
    index: pd.Index = pd.Index(stamps)
    return index


def _read_dates(column: pd.Series) -> pd.Series:
    try:
        stamps = pd.to_datetime(column, errors="coerce")
    except ValueError:  # objects whose offset from UTC changes
        stamps = pd.Series(pd.NaT, column.index)
    if column.dtype == object and (stamps.isna() & column.notna()).any():
        aware = column.map(lambda value: getattr(value, "tzinfo", None) is not None).astype(bool)
        if aware.any():  # in several zones; those in none would be taken for UTC
            return pd.to_datetime(column.where(aware), errors="coerce", utc=True)
    return stamps


def _read_numbers(column: pd.Series, name: str, where: str, begin: int) -> pd.Index:
    numbers = as_numbers(column, where, begin)
    infinite = np.flatnonzero(~np.isfinite(numbers))
    if infinite.size:
        row = int(infinite[0])
        refuse_stamp(float(numbers[row]), name, where, begin + row)
    if _is_number(column):
        return pd.Index(column.to_numpy(dtype=_number_type(column.dtype)))
    is_whole = pd.api.types.infer_dtype(column) in ("integer", "decimal")
    for kind in (np.int64, np.uint64) if is_whole else ():
        with contextlib.suppress(OverflowError):
            whole = np.array([int(value) for value in column], dtype=kind)
            return pd.Index(whole if (whole == column.to_numpy()).all() else numbers)
    return pd.Index(numbers)
