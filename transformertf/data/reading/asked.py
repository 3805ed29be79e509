"""A time that is asked for, such as that of a forecast, read as the time column of a series is."""

import datetime
import math
import re
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api.typing import NaTType

from transformertf.data.reading.text_dates import dates_of
from transformertf.errors import InputError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
# what else may be asked for
_OTHERS = {"origin": "neither auto, last, all, every:N, daily@HH:MM, end nor a"}


def row_at(text: str, time: pd.Index, asked: str = "origin") -> int:
    """Return the last row at or before a time, -1 where all rows are later.

    Args:
        text: the time. Of dates a whole one, which means the same beside any file; without an
            offset from UTC it is by the clocks of the rows' zone. Of numbers one in the unit of
            the time column, taken to the last digit.
        time: (rows,) time stamps, rising.
        asked: what is asked for, for messages.

    Raises:
        InputError: it is no such time, or may mean several.
    """
    return _rows_before(text, time, asked, "right") - 1


def first_row_at(text: str, time: pd.Index, asked: str) -> int:
    """Return the first row at or after a time, their number where all are earlier; see `row_at`."""
    return _rows_before(text, time, asked, "left")


def _rows_before(text: str, time: pd.Index, asked: str, side: Literal["left", "right"]) -> int:
    """Return how many rows lie before a time, with one at that time where the side is "right"."""
    if not isinstance(time, pd.DatetimeIndex):
        return _rows_before_number(text, time, asked, side)
    stamp = date_of(text, time, asked)
    if stamp < time[0]:
        return 0
    if stamp > time[-1]:
        return len(time)
    # rows are as fine as their unit; in UTC no hour comes twice
    stamp = stamp if stamp.tz is None else stamp.tz_convert("UTC")
    # rounded it would be another time: between two of these none lies
    floor = stamp.floor(time.unit)
    return int(time.searchsorted(floor, side=side if floor == stamp else "right"))


def _rows_before_number(
    text: str, time: pd.Index, asked: str, side: Literal["left", "right"]
) -> int:
    if not _NUMBER.fullmatch(text):
        raise InputError(
            f"{asked} {text!r} is {_OTHERS.get(asked, 'no')} time stamp: expected a number as the "
            f"time column holds them, from {time[0]} to {time[-1]}"
        )
    stamps = time.to_numpy()
    if stamps.dtype.kind == "f":
        return int(np.searchsorted(stamps, stamps.dtype.type(text), side=side))
    low, high, number = int(stamps[0]), int(stamps[-1]), Decimal(text)
    if number < low:
        return 0
    if number > high:
        return len(stamps)
    floor = math.floor(number)
    return int(
        np.searchsorted(stamps, stamps.dtype.type(floor), side=side if floor == number else "right")
    )


def date_of(text: str, time: pd.DatetimeIndex, asked: str = "origin") -> pd.Timestamp:
    """Return the instant of a date, which may lie outside the rows; see `row_at`."""
    found = dates_of(text)
    if not found:
        raise InputError(
            f"{asked} {text!r} is {_OTHERS.get(asked, 'no')} time stamp: expected a whole date, "
            "with or without the time of day, such as '2024-01-31 13:00'"
        )
    if len(found) > 1:
        raise InputError(
            f"{asked} {text!r} may mean {found[0]:%Y-%m-%d} or {found[1]:%Y-%m-%d}; write the "
            "year first"
        )
    stamp = found[0]
    if time.tz is None and stamp.tz is not None:
        raise InputError(
            f"{asked} {text!r} has an offset from UTC, and the time stamps have none, as "
            f"{time[0]}; leave it out"
        )
    if time.tz is not None and stamp.tz is None:
        return _by_clock(stamp, time.tz, f"{asked} {text!r}")
    return stamp


def _by_clock(stamp: pd.Timestamp, zone: datetime.tzinfo, asked: str) -> pd.Timestamp:
    """Return the one instant at which the clocks of a zone show a time that is asked for."""
    first, second = (  # of what is skipped NaT
        stamp.tz_localize(zone, ambiguous=is_summer, nonexistent="NaT")
        for is_summer in (True, False)
    )
    if isinstance(first, NaTType) or isinstance(second, NaTType):
        first, second = (
            _at_offset(stamp, stamp.tz_localize(zone, nonexistent=side))
            for side in ("shift_backward", "shift_forward")
        )
        told = "is skipped by the clocks"
    elif first == second:
        return first
    else:
        told = "comes twice by the clocks"
    raise InputError(
        f"{asked} {told} of the time zone {zone}; write it with its offset from UTC, "
        f"'{first}' or '{second}'"
    )


def _at_offset(stamp: pd.Timestamp, other: pd.Timestamp) -> pd.Timestamp:
    """Return a time of the clocks at the offset from UTC that another one has."""
    offset = other.utcoffset()
    assert offset is not None
    return stamp.tz_localize(datetime.timezone(offset))
