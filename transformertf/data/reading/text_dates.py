"""Dates in text: how they are written, told by all of a column, piece by piece."""

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from transformertf.data.reading.compact_dates import COMPACT
from transformertf.data.reading.dialects import hint_of
from transformertf.data.reading.tables import shown
from transformertf.errors import InputError

# which of day and month comes first, where they could change places
DAY, MONTH = "day", "month"
_ISO = re.compile(r"\d{4}-\d")
_OFFSET = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
# pandas guesses neither halves of the day, nor years of two digits, nor fractions after a comma
_HALF = re.compile(r"(.*\d)(\s?)[AaPp][Mm]")
_SHORT_YEAR = re.compile(r"(\d{1,2}\.\d{1,2}\.)(\d{2})(?!\d)")
_COMMA = re.compile(r"(:\d{2}),(\d+)")
# months alone could be quarters
_WIDTHS = {written: digits for digits, written in COMPACT.items() if digits > 6}
_UTC = re.compile(r"\s*(?:UTC|GMT)$")


@dataclass
class _Reading:
    """What the pieces of a column of text mean, written in one format.

    Attributes:
        written: the format; None is one that no text has.
        missing: rows whose text is no time stamp.
        first_missing: the first of them.
        types: types of the time stamps of the pieces.
        is_mixed: whether a piece has time stamps with different offsets, or with and without.
        steady: whether rows come one after the other by one step, of less than a day.
        step: the step.
        last: the last time stamp.
    """

    written: str | None
    missing: int = 0
    first_missing: int | None = None
    types: dict[Any, None] = field(default_factory=dict)
    is_mixed: bool = False
    steady: bool = True
    step: Any = None
    last: Any = None

    def add(self, stamps: pd.Series, begin: int) -> None:
        """Take the time stamps of the next rows, NaT where a text is none.

        Args:
            stamps: the time stamps.
            begin: row at which they begin.
        """
        lost = stamps.isna().to_numpy()
        self.missing += int(lost.sum())
        if lost.any() and self.first_missing is None:
            self.first_missing = begin + int(lost.argmax())
        if lost.all():
            return
        self.types[stamps.dtype] = None
        if self.steady:
            self._follow(pd.DatetimeIndex(stamps).tz_convert(None) if stamps.dt.tz else stamps)

    @property
    def dtype(self) -> Any:
        """Type of all its time stamps: in UTC where the text changes its offset."""
        heads = [pd.DatetimeIndex([], dtype=kind) for kind in self.types]
        if len({str(head.tz) for head in heads}) > 1:
            heads = [_in_utc(head) for head in heads]
        return heads[0].append(heads[1:]).dtype

    @property
    def changes_kind(self) -> bool:
        """Whether the offset from UTC changes, or is not there in all rows."""
        aware = {isinstance(kind, pd.DatetimeTZDtype) for kind in self.types}
        return self.is_mixed or len(aware) > 1

    def _follow(self, stamps: pd.Series | pd.DatetimeIndex) -> None:
        index = pd.DatetimeIndex(stamps)
        steps = (index[1:] - index[:-1]).unique()
        if self.last is not None:
            steps = steps.union(pd.TimedeltaIndex([index[0] - self.last]))
        if self.step is None and len(steps):
            self.step = steps[0]
        self.last = index[-1]
        # read the other way, it would leave out a month at each midnight
        self.steady = bool((steps == self.step).all()) and (
            self.step is None or pd.Timedelta(0) < self.step < pd.Timedelta(days=1)
        )


class TextDates:
    """What a column of text means, told by all of it, piece by piece.

    Args:
        name: of the column, for messages.
        where: the table, likewise.
        read: gives its pieces, each time from the start; dates among them are those of text that
            begins with the year.

    Attributes:
        readings: the readings that it may have, by which of day and month comes first: both where
            both can be, "" where it makes no difference.
        differ: the first row where day first and month first differ, and the dates of both.

    Raises:
        InputError: a text is no time stamp; some have an offset from UTC, and some have not.
    """

    def __init__(self, name: str, where: str, read: Callable[[], Iterable[pd.Series]]) -> None:
        self.name = name
        self.where = where
        self.differ: tuple[int, Any, Any] | None = None
        self._read = read
        self._all: dict[str, _Reading] = {}
        begin = 0
        for piece in read():
            self._add(piece, begin)
            begin += len(piece)
        if any(reading.changes_kind for reading in self._all.values()):
            self._require_offsets()
        self.readings = self._likely()
        for reading in self.readings.values():
            if reading.missing or not self._all:
                self._refuse(reading.first_missing or 0)
        self.reading = next(iter(self.readings.values()))

    def settle(self, order: str) -> None:
        """Take one of its readings for the right one."""
        self.reading = self.readings[order]

    def parse(self, piece: pd.Series) -> pd.DatetimeIndex:
        """Return the time stamps of some rows."""
        index = pd.DatetimeIndex(self._parse(piece, self.reading))
        return _in_utc(index) if self.reading.changes_kind else index

    def _add(self, piece: pd.Series, begin: int) -> None:
        if not self._all:
            texts = _texts(piece).dropna()
            first = str(texts.iloc[0]) if len(texts) else ""
            if not first and not is_date(piece):
                return
            formats = {"": "ISO8601"} if not first or _ISO.match(first) else _formats(first)
            # rows before hold no text
            lost = 0 if begin else None
            self._all = {
                order: _Reading(written, begin, lost, steady=not begin)
                for order, written in formats.items()
            } or {"": _Reading(None, begin, lost)}
        parsed = {order: self._parse(piece, reading) for order, reading in self._all.items()}
        for order, stamps in parsed.items():
            self._all[order].add(stamps, begin)
        if len(parsed) == 2 and self.differ is None:
            one, other = parsed[DAY], parsed[MONTH]
            unlike = ((one != other) & ~(one.isna() & other.isna())).to_numpy()
            if unlike.any():
                row = int(unlike.argmax())
                self.differ = begin + row, one.iloc[row], other.iloc[row]

    def _parse(self, piece: pd.Series, reading: _Reading) -> pd.Series:
        """Return time stamps, in UTC where the offset changes."""
        if is_date(piece):
            return piece
        column = _texts(piece)
        if reading.written is None:
            return pd.Series(pd.NaT, column.index)
        if reading.written in _WIDTHS:  # else pandas takes parts of one digit
            column = column.where(column.str.len() == _WIDTHS[reading.written])
        try:
            return pd.to_datetime(column, format=reading.written, errors="coerce")
        except ValueError:
            reading.is_mixed = True
            return pd.to_datetime(column, format=reading.written, errors="coerce", utc=True)

    def _likely(self) -> dict[str, _Reading]:
        """Return the readings that make the most of it."""
        if not self._all:
            return {"": _Reading(None)}
        least = min(reading.missing for reading in self._all.values())
        likely = {order: own for order, own in self._all.items() if own.missing == least}
        if len(likely) == 2 and self.differ is None:
            return {"": likely[DAY]}
        steady = {
            order: own for order, own in likely.items() if own.steady and own.step is not None
        }
        return steady if len(steady) == 1 else likely

    def _refuse(self, row: int) -> None:
        """Refuse a row that is no time stamp, or the word among numbers that makes text of all."""
        pieces = [piece.astype(object) for piece in self._read() if not is_date(piece)]
        there = [piece.notna() for piece in pieces]
        words = [
            own & pd.to_numeric(piece, errors="coerce").isna()
            for piece, own in zip(pieces, there, strict=True)
        ]
        found = np.concatenate(words if any(own.any() for own in words) else there)
        if 0 < 2 * found.sum() < len(found):
            row = int(found.argmax())
        refuse_stamp(self._at(row), self.name, self.where, row)

    def _require_offsets(self) -> None:
        """Refuse a row without an offset from UTC among others with one."""
        begin = 0
        for piece in self._read():
            column = _texts(piece)
            bare = ~column.str.contains(_OFFSET, na=True).to_numpy(dtype=bool)
            for reading in self._all.values():
                lost = bare & self._parse(piece, reading).notna().to_numpy()
                if lost.any():
                    row = int(lost.argmax())
                    raise InputError(
                        f"{self.where}: time column {self.name!r} holds "
                        f"{shown(column.iloc[row])} in row {begin + row} (counted from 0) without "
                        "an offset from UTC, and others with one; write all in one way"
                    )
            begin += len(piece)

    def _at(self, row: int) -> object:
        for piece in self._read():
            if row < len(piece):
                return piece.iloc[row]
            row -= len(piece)
        raise AssertionError("the row was read from this table")


def _in_utc(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")


def _texts(column: pd.Series) -> pd.Series:
    """Return the texts of a column, without blanks around; what is no text is missing."""
    if not isinstance(column.dtype, pd.StringDtype):
        is_text = column.map(lambda value: isinstance(value, str)).astype(bool)
        column = column.astype(object).where(is_text)
    column = column.str.strip()
    # pandas takes these for the time of reading
    return column.mask(column.isin(["now", "today"]))


def _formats(text: str) -> dict[str, str]:
    """Return in which formats a text is a date, by which of day and month comes first."""
    if text.isdecimal():
        return {"": COMPACT[len(text)]} if COMPACT.get(len(text)) in _WIDTHS else {}
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


def dates_of(text: str) -> list[pd.Timestamp]:
    """Return what a text by itself may mean: two dates where day and month may change places."""
    text = _UTC.sub("Z", text.strip())
    formats = list(_formats(text).values())
    if _ISO.match(text):
        formats.insert(0, "ISO8601")
    elif re.fullmatch(r"\d{6}", text):
        formats.append(COMPACT[6])
    found = (pd.to_datetime(text, format=written, errors="coerce") for written in formats)
    return list(dict.fromkeys(stamp for stamp in found if isinstance(stamp, pd.Timestamp)))


def is_date(column: pd.Series) -> bool:
    """Whether a column is of dates, and not of text or objects that mean such."""
    return bool(pd.api.types.is_datetime64_any_dtype(column))


def refuse_stamp(value: object, name: str, where: str, row: int) -> NoReturn:
    """Refuse what is no time stamp, in a row of a time column of a table."""
    raise InputError(
        f"{where}: time column {name!r} holds {shown(value)} in row {row} (counted from 0), "
        f"expected a time stamp or a finite number; {hint_of(value, Path(where), row)}write dates "
        "alike in all rows, such as 2024-01-31 13:00, and fill or cut other rows"
    )
