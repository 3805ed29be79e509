"""Which column is time, which ones tell series apart, and how far apart rows are."""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data import FloatArray, IntArray
from transformertf.data.reading import Clock, Table, as_index, dates_of
from transformertf.errors import InputError
from transformertf.proposal.looking import Seen
from transformertf.proposal.words import CALENDAR_WORDS, ID_WORDS, TIME_WORDS, has_word

# share of steps that are one and the same where rows are even but for gaps
_NEARLY_ALL = 0.9
# of a float's step, what is rounding
_JITTER = 1e-3
# ids of more values than a third of the rows name rows, not series
_FEWEST_ROWS = 3
# share of rows whose times repeat from which on they are of several series
_FEW_REPEATS = 0.01
# columns among which ids of two columns are looked for
_ID_COLUMNS = 8


@dataclass(frozen=True)
class Arranged:
    """The rows that were looked at, by series and in the order of time.

    Attributes:
        seen: the rows as they lie in the files.
        time: name of the time column, None without one.
        ids: columns that tell series apart; without any a file is a series.
        stamps: (rows,) time stamps by series; dates as datetimes, else numbers; None without time.
        order: (rows,) row of `seen` of each one here.
        starts: (series,) first row of each series here.
        sorted_here: whether the rows of a file had to be sorted.
    """

    seen: Seen
    time: str | None
    ids: tuple[str, ...]
    stamps: pd.Index | None
    order: IntArray
    starts: IntArray
    sorted_here: bool

    @cached_property
    def lengths(self) -> IntArray:
        """(series,) rows of each series that were looked at."""
        return np.diff(np.append(self.starts, len(self.order)))

    @cached_property
    def rows(self) -> int:
        """Rows of a middling series, those that were not looked at included."""
        share = sum(self.seen.rows) / max(len(self.order), 1)
        if not self.ids:
            return int(np.median([rows for rows in self.seen.rows if rows]))
        return int(np.median(self.lengths) * share)

    @property
    def total(self) -> int:
        """Rows of all series."""
        return sum(self.seen.rows)

    @cached_property
    def series(self) -> IntArray:
        """(rows,) number of the series of each row."""
        return np.repeat(np.arange(len(self.starts)), self.lengths)

    @property
    def is_date(self) -> bool:
        """Whether time stamps are dates."""
        return isinstance(self.stamps, pd.DatetimeIndex)

    def numbers(self, name: str) -> FloatArray:
        """Return a column of numbers (rows,) by series, NaN where one is missing."""
        return self.seen.numbers(name)[self.order]

    def column(self, name: str) -> pd.Series:
        """Return any column (rows,) by series."""
        return self.seen.frame[name].iloc[self.order].reset_index(drop=True)

    @cached_property
    def steps(self) -> FloatArray:
        """Differences in time within series, in seconds for dates, else in the column's unit."""
        if self.stamps is None:
            return np.empty(0)
        steps = np.diff(_as_numbers(self.stamps))
        return np.delete(steps, self.starts[1:] - 1)

    @cached_property
    def step(self) -> float | None:
        """The usual distance of rows; None without time."""
        return float(np.median(self.steps)) if self.steps.size else None

    @cached_property
    def is_even(self) -> bool:
        """Whether all rows are one step apart, by the calendar too."""
        if self.step is None:
            return True
        if bool((np.abs(self.steps - self.step) <= _JITTER * self.step).all()):
            return True
        if not isinstance(self.stamps, pd.DatetimeIndex):
            return False
        ends = np.append(self.starts[1:], len(self.order))
        each = (self.stamps[a:b] for a, b in zip(self.starts, ends, strict=True) if b - a > 2)
        return all(pd.infer_freq(one) is not None for one in each)

    @cached_property
    def has_gaps(self) -> bool:
        """Whether rows lie on an even grid of which some are missing."""
        if self.is_even or self.step is None:
            return False
        whole = self.steps / self.step
        on_grid = np.abs(whole - np.round(whole)) <= _JITTER * np.maximum(whole, 1)
        same = np.abs(whole - 1) <= _JITTER
        return bool(on_grid.all() and same.mean() >= _NEARLY_ALL)


def arrange(
    seen: Seen, time: str | None, ids: Sequence[str] | None, zone: str | None = None
) -> Arranged:
    """Find time and series.

    Args:
        seen: what was seen.
        time: name of the time column, where it is known.
        ids: columns that tell series apart, where they are known.
        zone: time zone by whose clocks dates are written.

    Raises:
        InputError: the time column is none, or times repeat and no column tells series apart.
    """
    stamps, time = _found_times(seen, time)
    if ids is None:
        ids = [] if stamps is None else _ids(seen, time, _as_numbers(stamps))
    codes = _codes(seen, ids)
    if zone is not None:
        stamps = _in_zone(stamps, codes, zone)
    order, was_sorted = _order(codes, stamps)
    starts: IntArray = np.flatnonzero(np.append(True, np.diff(codes[order]) != 0))
    own = None if stamps is None else stamps[order]
    arranged = Arranged(seen, time, tuple(ids), own, order, starts, was_sorted)
    if own is not None and (arranged.steps <= 0).any():
        _refuse_repeats(arranged)
    return arranged


def _found_times(seen: Seen, time: str | None) -> tuple[pd.Index | None, str | None]:
    """Return the time stamps, and the column that holds them; nothing where there is none."""
    if time is not None:
        return read_times(seen, time), time
    for name in _time_columns(seen):
        with contextlib.suppress(InputError):
            stamps = read_times(seen, name)
            if isinstance(stamps, pd.DatetimeIndex) or _goes_on(seen, name, stamps):
                return stamps, name
    return None, None


def _goes_on(seen: Seen, name: str, stamps: pd.Index) -> bool:
    """Whether numbers rise all along each series, as time does, and the hour of a day does not."""
    numbers = _as_numbers(stamps)
    within = np.diff(seen.file) == 0
    if (np.diff(numbers)[within] > 0).all():
        return True
    return not has_word(name, CALENDAR_WORDS) and bool(_ids(seen, name, numbers))


def _refuse_repeats(arranged: Arranged) -> None:
    """Refuse times that repeat within a series.

    Raises:
        InputError: names the first one.
    """
    assert arranged.stamps is not None
    numbers = _as_numbers(arranged.stamps)
    same = (np.diff(numbers) <= 0) & (np.diff(arranged.series) == 0)
    first = arranged.stamps[int(np.flatnonzero(same)[0])]
    clocks = (
        "where clocks are set back then, give --time-zone, as Europe/Berlin; else "
        if arranged.is_date
        else ""
    )
    raise InputError(
        f"--time {arranged.time}: times repeat within a series ({int(same.sum())}, first {first}); "
        f"{clocks}name the columns that tell series apart in --series-id, or drop repeats"
    )


def _in_zone(stamps: pd.Index | None, codes: IntArray, zone: str) -> pd.Index:
    """Return dates by the clocks of a zone.

    Raises:
        InputError: there are no dates, or there is no such zone.
    """
    if not isinstance(stamps, pd.DatetimeIndex):
        raise InputError(f"--time-zone {zone}: there is no time column of dates; leave it out")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise InputError(
            f"--time-zone {zone}: no such time zone; give its name, as Europe/Berlin"
        ) from None
    if stamps.tz is not None:
        return stamps.tz_convert(zone)
    # with it torch is imported
    from transformertf.data.reading import instants

    moved = np.empty(len(stamps), dtype=np.int64)
    for code in np.unique(codes):
        rows = codes == code
        moved[rows], _, _ = instants(stamps[rows], zone)
    return as_index(moved, pd.DatetimeTZDtype(stamps.unit, zone))


def read_times(seen: Seen, name: str) -> pd.Index:
    """Return a time column as time stamps, as the reader of a fit takes them.

    Raises:
        InputError: it is none.
    """
    parts = [(where, part) for where, part in zip(seen.files, seen.parts, strict=True) if len(part)]
    tables = [Table.of_frame(where, part[[name]]) for where, part in parts]
    clock = Clock(tables, name, whole=True)
    return clock.index(
        np.concatenate([clock.stamps(n, part, 0) for n, (_, part) in enumerate(parts)])
    )


def _time_columns(seen: Seen) -> list[str]:
    """Return the columns that may be time, likeliest first."""

    def is_text_date(name: str) -> bool:
        first = seen.frame[name].dropna()
        return isinstance(first.iloc[0], str) and bool(dates_of(first.iloc[0]))

    kinds = seen.kinds
    dates = [n for n in kinds if kinds[n] == "date" or (kinds[n] == "text" and is_text_date(n))]
    numbers = [n for n in kinds if kinds[n] == "number" and has_word(n, TIME_WORDS)]
    named = [n for n in dates if has_word(n, TIME_WORDS)]
    return [*named, *(n for n in dates if n not in named), *numbers]


def _ids(seen: Seen, time: str | None, numbers: FloatArray) -> list[str]:
    """Return the fewest columns that tell series apart; none where each file is one series.

    Args:
        seen: what was seen.
        time: the time column.
        numbers: its time stamps (rows,), as numbers.
    """
    names = _id_columns(seen, time)
    some_or_two = [some for n in (1, 2) for some in itertools.combinations(names, n)]
    # a few repeats are mistakes, or an hour in which clocks are set back
    if _repeats(seen.file, numbers) >= _FEW_REPEATS:
        for some in some_or_two:
            if not _repeats(_codes(seen, some), numbers):
                return list(some)
    falls = np.flatnonzero((np.diff(numbers) <= 0) & (np.diff(seen.file) == 0))
    for name in names if falls.size else ():
        codes = _codes(seen, [name])
        changes = np.flatnonzero((np.diff(codes) != 0) & (np.diff(seen.file) == 0))
        if np.isin(falls, changes).all() and changes.size <= 2 * falls.size:
            return [name]
    return []


def _id_columns(seen: Seen, time: str | None) -> list[str]:
    """Return the columns that may tell series apart, likeliest first."""
    most = len(seen.frame) / _FEWEST_ROWS
    found = []
    for name in seen.columns:
        column = seen.frame[name]
        is_whole = seen.kinds[name] == "number" and bool((column.dropna() % 1 == 0).all())
        if name == time or not (seen.kinds[name] == "text" or is_whole) or column.isna().any():
            continue
        # an hour in a column of its own is a part of the time
        if 1 < (values := column.nunique()) <= most and not has_word(name, CALENDAR_WORDS):
            found.append((not has_word(name, ID_WORDS), is_whole, values, name))
    return [name for *_, name in sorted(found)][:_ID_COLUMNS]


def _codes(seen: Seen, ids: Sequence[str]) -> IntArray:
    """Return the number of each row's series."""
    if not ids:
        return seen.file
    return np.asarray(seen.frame.groupby(list(ids), sort=True).ngroup(), dtype=np.int64)


def _order(codes: IntArray, stamps: pd.Index | None) -> tuple[IntArray, bool]:
    """Return the order of rows by series and time, and whether they did not lie in it."""
    stable: IntArray = np.argsort(codes, kind="stable")
    if stamps is None:
        return stable, False
    order: IntArray = np.lexsort((_as_numbers(stamps), codes))
    return order, not np.array_equal(order, stable)


def _repeats(codes: IntArray, numbers: FloatArray) -> float:
    """Return the share of rows whose time comes a second time within what has their code."""
    order = np.lexsort((numbers, codes))
    same = (np.diff(codes[order]) == 0) & (np.diff(numbers[order]) == 0)
    return float(same.mean()) if same.size else 0.0


def _as_numbers(stamps: pd.Index) -> FloatArray:
    """Return time stamps in seconds since the first one of all, or as the numbers they are."""
    if isinstance(stamps, pd.DatetimeIndex):
        return np.asarray((stamps - stamps[0]).total_seconds(), dtype=np.float64)
    values: npt.NDArray[Any] = stamps.to_numpy()
    return np.asarray(values - values[0], dtype=np.float64)
