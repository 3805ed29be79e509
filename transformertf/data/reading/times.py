"""Time columns to time stamps of one type for all tables."""

import datetime
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from transformertf.data.reading.tables import (
    REAL_OBJECTS,
    Table,
    as_numbers,
    is_real,
    no_numbers,
    plain,
    shown,
)
from transformertf.errors import InputError

# which of day and month comes first, where they could change places
DAY, MONTH = "day", "month"


_ISO = re.compile(r"\d{4}-\d")


_OFFSET = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"


# pandas guesses neither halves of the day, nor years of two digits, nor fractions after a comma
_HALF = re.compile(r"(.*\d)(\s?)[AaPp][Mm]")


_SHORT_YEAR = re.compile(r"(\d{1,2}\.\d{1,2}\.)(\d{2})(?!\d)")


_COMMA = re.compile(r"(:\d{2}),(\d+)")


def read_text(column: pd.Series, name: str, where: str) -> dict[str, pd.Series]:
    """Return what a column of text may mean.

    Args:
        column: whole, as only all of it tells how it is written.
        name: of the column, for messages.
        where: the table, likewise.

    Returns:
        Time stamps, NaT where a text is none, by which of day and month comes first: both where
        both can be, "" where it makes no difference. In UTC where the text changes its offset.

    Raises:
        InputError: some of it has an offset from UTC, and some has not.
    """
    column = column.str.strip()
    # pandas takes these for the time of reading
    column = column.mask(column.isin(["now", "today"]))
    texts = column.dropna()
    first = str(texts.iloc[0]) if len(texts) else ""
    if not first or _ISO.match(first):
        return {"": _parse(column, "ISO8601", name, where)}
    readings = {
        order: _parse(column, written, name, where) for order, written in _formats(first).items()
    }
    if not readings:
        return {"": pd.Series(pd.NaT, column.index)}
    missing = {order: int(stamps.isna().sum()) for order, stamps in readings.items()}
    least = min(missing.values())
    readings = {order: readings[order] for order in readings if missing[order] == least}
    if len(readings) == 2 and readings[DAY].equals(readings[MONTH]):
        return {"": readings[DAY]}
    # read the other way, it would leave out a month at each midnight
    steady = {order: stamps for order, stamps in readings.items() if _is_steady(stamps)}
    return steady if len(steady) == 1 else readings


def _is_steady(stamps: pd.Series) -> bool:
    """Whether rows come one after the other by one step, of less than a day."""
    steps = stamps.diff().iloc[1:]
    if steps.empty:
        return False
    step = steps.iloc[0]
    return bool(pd.Timedelta(0) < step < pd.Timedelta(days=1) and (steps == step).all())


def _formats(text: str) -> dict[str, str]:
    """Return in which formats a text is a date, by which of day and month comes first."""
    plain = _COMMA.sub(r"\1.\2", _SHORT_YEAR.sub(r"\g<1>20\2", text))
    half = _HALF.fullmatch(plain)
    found = {}
    for first in (DAY, MONTH):
        with warnings.catch_warnings():
            # pandas warns where a day beyond 12 tells which it is
            warnings.simplefilter("ignore", UserWarning)
            written = guess_datetime_format(half[1] if half else plain, dayfirst=first == DAY)
        # else what is missing would be that of today
        if written is None or not all(part in written for part in ("%Y", "%d")):
            continue
        # nobody writes the day between year and month; a month in words is at no risk
        day, month = written.index("%d"), written.find("%m")
        if written.startswith("%Y") and day < month:
            continue
        order = "" if written.startswith("%Y") or month < 0 else DAY if day < month else MONTH
        if _SHORT_YEAR.match(text):
            written = written.replace("%Y", "%y")
        if _COMMA.search(text):
            written = written.replace(".%f", ",%f")
        if half:
            written = written.replace("%H", "%I") + half[2] + "%p"
        found[order] = written
    return found


def _parse(column: pd.Series, written: str, name: str, where: str) -> pd.Series:
    try:
        return pd.to_datetime(column, format=written, errors="coerce")
    except ValueError:
        stamps = pd.to_datetime(column, format=written, errors="coerce", utc=True)
    bare = ~column.str.contains(_OFFSET, na=True) & stamps.notna()
    if bare.any():
        row = int(bare.to_numpy().argmax())
        raise InputError(
            f"{where}: time column {name!r} holds {shown(column.iloc[row])} in row {row} (counted "
            "from 0) without an offset from UTC, and others with one; write all in one way"
        )
    return stamps


Stamps = npt.NDArray[Any]


# time stamps by how the text that they come from may be read; see `read_text`
Readings = Mapping[str, pd.Index]


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
        heads = [self._head(table) for table in tables]
        # how text is written, only all of it tells
        readings = {
            number: _read(self._whole(tables[number]), name, tables[number].where, 0)
            for number, head in enumerate(heads)
            if head is None
        }
        self._parsed = self._settle(readings)
        self.dtype = self._common(
            [
                self._parsed[number][:0] if head is None else head
                for number, head in enumerate(heads)
            ]
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
        where = self.tables[number].where
        if number in self._parsed:
            index = self._parsed[number][begin : begin + len(frame)]
        else:
            (index,) = _read(frame[self.name], self.name, where, begin).values()
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

    def _head(self, table: Table) -> pd.Index | None:
        """Return no time stamps, of a table's type; None of text and other objects."""
        first = plain(next(table.pieces([self.name]))[self.name])
        if _is_number(first):
            return pd.Index(np.empty(0, _number_type(first.dtype)))
        return pd.Index(first[:0]) if _is_date(first) else None

    def _whole(self, table: Table) -> pd.Series:
        whole: pd.Series = pd.concat([piece[self.name] for piece in table.pieces([self.name])])
        return whole

    def _settle(self, readings: Mapping[int, Readings]) -> dict[int, pd.Index]:
        """Return one reading of each text; where a file can be read in two ways, others tell."""
        told = {order for own in readings.values() if len(own) == 1 for order in own}
        settled = {}
        for number, own in readings.items():
            fitting = [order for order in own if len(own) == 1 or order in told]
            if len(fitting) != 1:
                one, other = own.values()
                row = int((one != other).argmax())
                raise InputError(
                    f"{self.tables[number].where}: time column {self.name!r} may mean "
                    f"{one[row]:%Y-%m-%d} or {other[row]:%Y-%m-%d} in row {row} (counted from 0); "
                    "write dates with the year first, 2024-01-31"
                )
            settled[number] = own[fitting[0]]
        return settled

    def _common(self, heads: Sequence[pd.Index]) -> Any:
        """Return one type for all tables.

        Time stamps with different offsets from UTC are in UTC; where others are in a zone, in that.

        Raises:
            InputError: there is none.
        """
        common = heads[0].append(list(heads[1:])).dtype
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


def _read(column: pd.Series, name: str, where: str, begin: int) -> dict[str, pd.Index]:
    """Return time stamps; of text, all that it may mean."""
    column = plain(column)
    if _is_number(column) or pd.api.types.infer_dtype(column) in REAL_OBJECTS:
        return {"": _read_numbers(column, name, where, begin)}
    # a number beside dates would be one of nanoseconds since 1970
    known = column.mask(is_real(column)) if column.dtype == object else column
    if pd.api.types.infer_dtype(known, skipna=True) in ("date", "datetime", "datetime64"):
        readings = {"": _read_dates(known)}
    else:
        is_text = column.map(lambda value: isinstance(value, str)).astype(bool)
        readings = read_text(column.astype(object).where(is_text), name, where)
    for stamps in readings.values():
        bad = stamps.isna()
        if bad.any():
            words = no_numbers(column)
            # one word among numbers makes text of them all
            row = int(np.argmax(words if 0 < 2 * words.sum() < len(words) else bad))
            _refuse(column.iloc[row], name, where, begin + row)
    return {order: pd.Index(stamps) for order, stamps in readings.items()}


def _read_dates(column: pd.Series) -> pd.Series:
    try:
        return pd.to_datetime(column, errors="coerce")
    except ValueError:  # objects whose offset from UTC changes
        return pd.to_datetime(column, errors="coerce", utc=True)


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
        "expected a time stamp or a finite number; write dates alike in all rows, such as "
        "2024-01-31 13:00, and fill or cut other rows"
    )
