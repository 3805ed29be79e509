"""Dates that are written by the clocks of a time zone, to the instants that they mean."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from transformertf.data.reading.checks import Sources
from transformertf.data.reading.memory import PIECE
from transformertf.data.reading.panel import Panel
from transformertf.data.series import IntArray
from transformertf.errors import InputError


def in_zone(panel: Panel, sources: Sources, name: str, zone: str, *, sort: bool) -> Panel:
    """Return a panel whose dates are in a time zone.

    Dates with a zone or an offset stay the same instants. Others are by the zone's clocks: of the
    hour that comes twice in autumn, the second one begins where the rows of a series do not rise;
    a part of it that comes once is of the first.

    Args:
        panel: as it was read, in the order of its rows; written into.
        sources: where its rows are from, for messages.
        name: the time column.
        zone: such as "Europe/Berlin".
        sort: the rows of a series may be in any order.

    Raises:
        InputError: numbers; a time that the clocks skip; an hour that comes twice among rows in no
            order.
    """
    assert panel.stamps is not None
    if not pd.api.types.is_datetime64_any_dtype(panel.time_type):
        raise InputError(
            f"time_zone {zone}: expected a time_column of dates, found {name!r} of "
            f"{panel.time_type}; leave time_zone out"
        )
    unit = pd.DatetimeIndex([], dtype=panel.time_type).unit
    made = replace(panel, time_type=pd.DatetimeTZDtype(unit, zone))
    if isinstance(panel.time_type, pd.DatetimeTZDtype):
        return made
    for group in _groups(panel.starts):
        rows = slice(int(group[0]), int(group[-1]))
        dates = pd.DatetimeIndex(panel.stamps[rows].view(f"M8[{unit}]"))
        first, second = _readings(dates, zone)
        stamps = first.asi8.copy()
        # where clocks skip, both are missing, which are not equal
        odd = rows.start + np.flatnonzero(first != second)
        for place in np.unique(np.searchsorted(group, odd, side="right") - 1).tolist():
            begin, end = (int(edge) for edge in group[place : place + 2])
            own = slice(begin - rows.start, end - rows.start)
            stamps[own] = _settled(dates[own], sources, begin, name, zone, sort=sort)
        panel.stamps[rows] = stamps
    return made


def _groups(starts: IntArray) -> Iterator[IntArray]:
    """Yield where series begin and the last one ends, of as many as are quick to read at once."""
    place = 0
    while place < len(starts) - 1:
        most = int(np.searchsorted(starts, starts[place] + PIECE, side="right")) - 1
        end = max(place + 1, most)
        yield starts[place : end + 1]
        place = end


def _settled(
    wall: pd.DatetimeIndex, sources: Sources, begin: int, name: str, zone: str, *, sort: bool
) -> IntArray:
    """Return the instants (n,) of a series that begins at a row; see `in_zone`."""
    stamps, skipped, twice = instants(wall, zone)
    if skipped.size:
        _, row = sources.locate(begin + int(skipped[0]))
        raise InputError(
            f"{sources.where(begin)}: time column {name!r} holds {wall[skipped[0]]} in row "
            f"{row} (counted from 0), which the clocks of {zone} skip; give the time_zone that "
            "it is written in, or write offsets from UTC"
        )
    if sort and twice.size and (stamps[1:] <= stamps[:-1]).any():
        raise InputError(
            f"{sources.where(begin)}: time column {name!r} holds an hour that comes twice by "
            f"the clocks of {zone}, and rows in no order do not tell which; sort them, "
            "or write offsets from UTC"
        )
    return stamps


def _readings(wall: pd.DatetimeIndex, zone: str) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Return dates (n,) by the clocks of a zone, before they are set back and after it."""
    first, second = (
        wall.tz_localize(zone, ambiguous=np.full(len(wall), is_summer), nonexistent="NaT")
        for is_summer in (True, False)
    )
    return first, second


def instants(wall: pd.DatetimeIndex, zone: str) -> tuple[IntArray, IntArray, IntArray]:
    """Return the instants (n,) that clocks show, the rows that they skip, and those shown twice.

    Args:
        wall: (n,) dates of a series as written, in its order.
        zone: whose clocks.
    """
    first, second = _readings(wall, zone)
    stamps, twice = first.asi8.copy(), np.flatnonzero(first != second)
    skipped = np.flatnonzero(first.isna())
    for hour in np.split(twice, np.flatnonzero(np.diff(twice) > 1) + 1):
        falls = np.flatnonzero(wall[hour][1:] <= wall[hour][:-1])
        if falls.size:
            later = hour[falls[0] + 1 :]
            stamps[later] = second.asi8[later]
    return stamps, skipped, np.setdiff1d(twice, skipped)
