"""Features of the calendar: where in the hour, the day, the week or the year a time stamp is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from transformertf.data.frames import FloatArray
from transformertf.data.windows import IntArray
from transformertf.errors import InputError, nearest


class Field(NamedTuple):
    """A field of time stamps: how many values it has, and the first of them."""

    period: int
    first: int


# A cycle is as long as its field has values, also where a month or a year has fewer. So no two
# values share a place, and one value always has the same; the price is a longer step from the
# end of a short month, a common year (of 366 days) or a year of 52 weeks to what follows it.
CALENDAR = {
    "minute": Field(60, 0),
    "hour": Field(24, 0),
    "dayofweek": Field(7, 0),
    "day": Field(31, 1),
    "dayofyear": Field(366, 1),
    "week": Field(53, 1),
    "month": Field(12, 1),
    "quarter": Field(4, 1),
}
# what pandas calls them, where that is another name
_IN_PANDAS = {"dayofweek": "day_of_week", "dayofyear": "day_of_year"}


def calendar_pairs(
    time: pd.Index | None, names: Sequence[str], zone: str | None = None
) -> FloatArray:
    """Return sine and cosine of the place of each field in its cycle.

    Args:
        time: (rows,) dates.
        names: fields, of `CALENDAR`.
        zone: time zone of the fields; None for that of the dates.

    Returns:
        (rows, 2 * fields) float64 from -1 to 1: of each field sine, then cosine. A field's first
        value is at angle 0.

    Raises:
        InputError: a field that is not known, or time that is not dates.
    """
    codes = calendar_codes(time, names, zone)
    pairs = np.empty((len(codes), 2 * len(names)))
    for place, name in enumerate(names):
        period = CALENDAR[name].period
        angles = 2 * np.pi * np.arange(period) / period
        turn = codes[:, place] - 1
        pairs[:, 2 * place] = np.sin(angles)[turn]
        pairs[:, 2 * place + 1] = np.cos(angles)[turn]
    return pairs


def calendar_codes(
    time: pd.Index | None, names: Sequence[str], zone: str | None = None
) -> IntArray:
    """Return each field as a category: 1 for its first value, and so on; 0 is for the unknown.

    Args:
        time: (rows,) dates.
        names: fields, of `CALENDAR`.
        zone: time zone of the fields; None for that of the dates.

    Returns:
        (rows, fields) int64.

    Raises:
        InputError: a field that is not known, or time that is not dates.
    """
    _check_names(names)
    if not isinstance(time, pd.DatetimeIndex):
        found = "no time_column" if time is None else f"a time_column of {time.dtype}"
        raise InputError(
            f"calendar_features: expected a time_column of dates, found {found}; give one, or "
            "leave calendar_features out"
        )
    if zone is not None:
        time = time.tz_convert(zone)
    codes = np.empty((len(time), len(names)), dtype=np.int64)
    for place, name in enumerate(names):
        codes[:, place] = _values(time, name).to_numpy()
        codes[:, place] += 1 - CALENDAR[name].first
    return codes


def calendar_sizes(names: Sequence[str]) -> list[int]:
    """Return how many categories each field has, the unknown one among them.

    Raises:
        InputError: a field that is not known.
    """
    _check_names(names)
    return [CALENDAR[name].period + 1 for name in names]


def _values(time: pd.DatetimeIndex, name: str) -> pd.Index | pd.Series:
    if name == "week":
        return time.isocalendar()["week"]
    values: pd.Index = getattr(time, _IN_PANDAS.get(name, name))
    return values


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name not in CALENDAR:
            raise InputError(
                f"calendar_features: expected fields of time stamps, found {name!r}; "
                f"{nearest(name, CALENDAR)}"
            )
