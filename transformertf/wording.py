"""Numbers, sizes, times and counts as people read them, and small tables of plain text."""

import math
from collections.abc import Mapping, Sequence

DIGITS = 4  # that count: errors may be tiny beside one, or far above
# seconds of the units of lengths of time, and bytes of those of sizes
_LENGTHS = {"days": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_SIZES = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}
_MANY = {"batch": "batches", "entry": "entries", "series": "series"}


def number(value: float, digits: int = DIGITS) -> str:
    """Return a number with so many significant digits at least, written out where that is short."""
    if not math.isfinite(value):
        return str(value)
    scientific = f"{value:.{digits - 1}e}"
    size = int(scientific.partition("e")[2])  # of what it is rounded to
    if not -4 <= size < 7:
        return scientific
    return f"{value:.{max(0, digits - 1 - size)}f}"


def duration(seconds: float) -> str:
    """Return a time as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def length(seconds: float, digits: int = DIGITS) -> str:
    """Return a length of time in the largest unit that it holds, with so many digits at most."""
    text = _in_units(seconds, _LENGTHS, digits)
    return "1 day" if text == "1 days" else text


def size(count: float) -> str:
    """Return a number of bytes."""
    return _in_units(count, _SIZES, 3)


def _in_units(value: float, units: Mapping[str, float], digits: int) -> str:
    *_, smallest = units
    unit = next((unit for unit, one in units.items() if value >= one), smallest)
    # rounded, and then written out
    return f"{float(f'{value / units[unit]:.{digits}g}'):g} {unit}"


def pace(per_second: float, unit: str) -> str:
    """Return how fast units go by: how many in a second, or how long one takes."""
    if per_second >= 1:
        return f"{number(per_second, 2)} {unit}s/s"
    return f"{number(1 / per_second, 2)} s/{unit}"


def counted(count: int, thing: str) -> str:
    """Return how many things there are."""
    return f"{count:,} {thing if count == 1 else _MANY.get(thing, f'{thing}s')}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of as many cells as lines: the first column to the left, the others flush right.

    Where there are three or more, the second one is to the left, too.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = max(1, len(widths) - 1)
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
