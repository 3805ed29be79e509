"""The step of a series in time: by the calendar where its rows keep to that, else a distance."""

import datetime
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.series import IntArray
from transformertf.errors import InputError

# rows that tell the step: those before may have been taken at another one
STEP_ROWS = 32
# share of steps beside which the others are gaps
_NEARLY_ALL = 0.75
_SATURDAY = 5
# months to days, both counted from January 1970
_Place = Callable[[IntArray], IntArray]


def next_times(time: pd.Index, count: int) -> pd.Index:
    """Return the time stamps that follow others at their own step.

    Dates at one time of day go on by the calendar, by the clocks of their zone: on the same day of
    each month, its end, its first or last weekday, or the same Friday; on working days; so many
    days on. All else goes on by the distance that nearly all rows have, or else the last two.

    Args:
        time: (rows,) two or more, rising: dates, or numbers in any unit. The last `STEP_ROWS` tell.
        count: how many follow.

    Returns:
        (count,) of the same type.

    Raises:
        InputError: there is no distance, or what follows is beyond the type.
    """
    if len(time) < 2:
        raise InputError("one row has no distance in time to go on with; give the rows before it")
    time, ahead = time[-STEP_ROWS:], np.arange(1, count + 1)
    if not isinstance(time, pd.DatetimeIndex):
        return _next_numbers(time, ahead)
    wall = time.tz_localize(None)
    days = wall.normalize()
    clock = pd.Series(wall - days).mode()[0]
    if ((wall - days == clock) | (on_wall(days + clock, time.tz) == time)).all():
        numbers = days.to_numpy().astype("M8[D]").astype(np.int64)
        following = pd.DatetimeIndex(_next_days(numbers, ahead).astype("M8[D]"))
        later = on_wall(following.as_unit(time.unit) + clock, time.tz)
    else:
        stamps, shown = time.asi8, wall.asi8
        if _share(shown) > _share(stamps):  # even by the clocks only
            later = on_wall(_dates(shown, ahead, time.unit), time.tz)
        else:
            later = _dates(stamps, ahead, time.unit)
            later = later if time.tz is None else later.tz_localize("UTC").tz_convert(time.tz)
    return later.astype(time.dtype)


def on_wall(wall: pd.DatetimeIndex, zone: datetime.tzinfo | None) -> pd.DatetimeIndex:
    """Return the instants at which the clocks of a zone show times.

    A time that comes twice is the first of the two; one that is skipped is where clocks go on.
    """
    twice = np.ones(len(wall), dtype=np.bool_)
    return wall.tz_localize(zone, ambiguous=twice, nonexistent="shift_forward")


def _dates(stamps: IntArray, ahead: IntArray, unit: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex((stamps[-1] + _usual(np.diff(stamps)) * ahead).view(f"M8[{unit}]"))


def _next_numbers(time: pd.Index, ahead: IntArray) -> pd.Index:
    stamps = time.to_numpy()
    if stamps.dtype.kind == "f":
        steps = np.diff(stamps.astype(np.float64))
        middle = np.sort(steps)[len(steps) // 2]
        near = np.abs(steps - middle) <= 4 * float(np.spacing(np.abs(stamps).max()))
        step = steps[near].mean() if near.mean() >= _NEARLY_ALL else steps[-1]
        later = (float(stamps[-1]) + step * ahead).astype(stamps.dtype)
    else:
        last, whole = int(stamps[-1]), int(_usual(np.diff(stamps)))
        if last + whole * len(ahead) > np.iinfo(stamps.dtype).max:
            raise InputError(f"time {last} goes on beyond {stamps.dtype}; give it in a larger unit")
        later = np.array([last + whole * n for n in ahead.tolist()], dtype=stamps.dtype)
    index: pd.Index = pd.Index(later)
    return index


def _usual(steps: npt.NDArray[np.integer]) -> np.integer:
    """Return what nearly all of some steps are, else the last one."""
    middle: np.integer = np.sort(steps)[len(steps) // 2]
    return middle if np.mean(steps == middle) >= _NEARLY_ALL else steps[-1]


def _share(stamps: IntArray) -> float:
    steps = np.diff(stamps)
    return float((steps == _usual(steps)).mean())


def _next_days(days: IntArray, ahead: IntArray) -> IntArray:
    """Return the days that follow others; all are counted from 1970."""
    months = days.astype("M8[D]").astype("M8[M]").astype(np.int64)
    steps, in_months = np.diff(days), np.diff(months)
    if in_months.min() > 0:
        is_even = bool((steps == steps[0]).all())
        for place in _places(days, months, is_even):
            if (place(months) == days).all():
                months = months[-1] + _usual(in_months) * ahead
                return place(months)
    slots = np.where(days == _end(months), 31, days - _start(months) + 1)
    cycle = np.unique(slots)
    place_in = months * len(cycle) + np.searchsorted(cycle, slots)
    if 1 < len(cycle) <= 3 and len(days) > 2 * len(cycle) and (np.diff(place_in) == 1).all():
        month, slot = np.divmod(place_in[-1] + ahead, len(cycle))
        days_on: IntArray = np.minimum(_start(month) + cycle[slot] - 1, _end(month))
        return days_on
    works = _working(days)
    if np.median(steps) == 1 and not works.all():
        # as a list: numpy 2.3 to 2.4.1 refuses an array of truth values
        last, mask = days[-1:].astype("M8[D]"), works.tolist()
        return np.busday_offset(last, ahead, weekmask=mask).astype(np.int64)
    later: IntArray = days[-1] + _usual(steps) * ahead
    return later


def _places(days: IntArray, months: IntArray, is_even: bool) -> list[_Place]:
    """Return where in a month the days may lie; evenly spaced ones only on one day of it."""
    last = 31 if (days == _end(months)).all() else int((days - _start(months)).max()) + 1
    found: list[_Place] = [lambda m: np.minimum(_start(m) + last - 1, _end(m))]
    if is_even:
        return found
    weekday, week = _weekday(days[-1]), (days[-1] - _start(months[-1])) // 7
    return [
        *found,
        lambda m: _start(m) + np.where(_weekday(_start(m)) < _SATURDAY, 0, 7 - _weekday(_start(m))),
        lambda m: _end(m) - np.maximum(_weekday(_end(m)) - _SATURDAY + 1, 0),
        lambda m: _start(m) + (weekday - _weekday(_start(m))) % 7 + 7 * week,
        lambda m: _end(m) - (_weekday(_end(m)) - weekday) % 7,
    ]


def _start(months: IntArray) -> IntArray:
    days: IntArray = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    return days


def _end(months: IntArray) -> IntArray:
    return _start(months + 1) - 1


def _weekday(days: IntArray) -> IntArray:
    # 1970 began on a Thursday; Monday is 0
    return (days + 3) % 7


def _working(days: IntArray) -> npt.NDArray[np.bool_]:
    """Return which weekdays (7,) have rows, but for one that is only missing by chance.

    A day of the weekend has none where one passed without, another one where two did.
    """
    seen = np.bincount(_weekday(days), minlength=7) > 0
    passed = np.bincount(_weekday(np.arange(days[0], days[-1] + 1)), minlength=7)
    works: npt.NDArray[np.bool_] = seen | (passed < np.where(np.arange(7) < _SATURDAY, 2, 1))
    return works
