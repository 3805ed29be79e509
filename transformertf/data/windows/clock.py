"""Origins by the clock and the calendar: each day at an hour, or a time apart."""

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from transformertf.data.reading import date_of, on_wall
from transformertf.data.series import IntArray, Series
from transformertf.data.windows.windows import Run
from transformertf.errors import InputError

_DAILY = re.compile(r"daily@(\d{1,2}):(\d{2})", re.ASCII)
_EVERY = re.compile(r"every:(\d*)([A-Za-z]+)(?: from (.+))?", re.ASCII)
EVERY = (
    "origin every:N wants a whole number above 0, found {!r:.40}; or a time by the calendar, such "
    "as every:1D, every:6h or every:MS"
)
# more times than these lie in no file; a period of nanoseconds asks for them
_MOST = 10_000_000
# the shortest period of the calendar
_DAY = pd.Timedelta("1D")


@dataclass(frozen=True)
class Clock:
    """Times that lie evenly by the calendar, by the clocks of the rows' time zone.

    Attributes:
        text: what was asked for.
        period: between times, in the words of pandas such as 1D, 6h or MS.
        hour: time of the day in minutes; None to begin with the first row, or at `since`.
        since: when to begin; None for the first row.
    """

    text: str
    period: str = "1D"
    hour: int | None = None
    since: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse `daily@HH:MM`, `every:PERIOD` or `every:PERIOD from TIME`; None of anything else.

        Raises:
            InputError: no such hour, or no such period.
        """
        if text.startswith("daily"):
            found = _DAILY.fullmatch(text)
            hour, minute = (int(part) for part in found.groups()) if found else (24, 0)
            if hour > 23 or minute > 59:
                raise InputError(f"origin {text!r:.40}: expected daily@HH:MM, such as daily@23:00")
            return cls(text, hour=60 * hour + minute)
        found = _EVERY.fullmatch(text)
        if found is None:
            return None
        period = (found[1] or "1") + found[2]
        try:
            positive = to_offset(period).n > 0
        except ValueError:
            positive = False
        if not positive:
            raise InputError(EVERY.format(text.removeprefix("every:")))
        return cls(text, period, since=found[3])

    def origins(self, run: Run, series: Series) -> list[Run]:
        """Return those windows of a run whose origin is the last row at or before such a time.

        Args:
            run: windows of a series that begin at every row.
            series: the series.

        Raises:
            InputError: its rows have no dates.
        """
        rows = self._rows(series)
        rows = rows[(rows >= run.origin) & (rows < run.origin + run.count)]
        return [
            Run(run.series, int(rows[first]), step, count, run.context, run.horizon)
            for first, step, count in _even(rows)
        ]

    def _rows(self, series: Series) -> IntArray:
        time = series.time
        if not isinstance(time, pd.DatetimeIndex):
            has = "none" if time is None else f"numbers ({time.dtype})"
            raise InputError(
                f"origin {self.text!r:.40} wants a time_column of dates, series {series.name!r} "
                f"has {has}; give every:N, N in rows"
            )
        times = self._times(time) if self.hour is None else self._hours(time)
        found = np.asarray(time.searchsorted(times.as_unit(time.unit), side="right")) - 1
        return np.unique(found[found >= 0]).astype(np.int64)

    def _hours(self, time: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return an hour of each day by the clocks, however many hours the day has."""
        wall = time[[0, -1]].tz_localize(None)
        days = pd.date_range(wall[0].normalize(), wall[1], freq="D")
        return on_wall(days + pd.Timedelta(minutes=self.hour or 0), time.tz)

    def _times(self, time: pd.DatetimeIndex) -> pd.DatetimeIndex:
        begin = time[0] if self.since is None else date_of(self.since, time)
        offset = to_offset(self.period)
        length = pd.Timedelta(offset) if isinstance(offset, pd.offsets.Tick) else _DAY
        if (time[-1] - begin) / length > _MOST:
            raise InputError(
                f"origin {self.text!r:.40}: more than {_MOST:,} times lie between {begin} and "
                f"{time[-1]}; give a longer period, or all"
            )
        return pd.date_range(begin, time[-1], freq=offset)


def _even(rows: IntArray) -> list[tuple[int, int, int]]:
    """Return place of the first, distance and number of evenly spaced rows, which rise."""
    found, place, change = [], 0, np.diff(rows)
    while place < len(rows):
        step = int(change[place]) if place < len(change) else 1
        other = np.flatnonzero(change[place:] != step)
        count = (int(other[0]) if other.size else len(change) - place) + 1
        found.append((place, step, count))
        place += count
    return found
