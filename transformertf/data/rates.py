"""How far the rows of a series are apart in time, and the seasons that follow from that."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf import wording

# rows that are looked at at a time
_ROWS = 2**18
# share of distances that nearly all others are at most as long as, and times that is a long gap
_NEARLY_ALL, _LONG = 0.95, 10
# by how much a distance may differ from the usual one to be as long
_ALIKE = 0.1
# distances that tell a rate, and the share of them that has to be alike
_ENOUGH, _EVEN = 8, 0.5
# seconds of the units that dates are kept in
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
HOUR, DAY = 3600.0, 86400.0
# seasons of steps below a day, in seconds, and of others by the shortest step, the longest, and
# the steps of the season: months and quarters are of unlike length, and clocks are set
A_DAY, A_WEEK = "a day", "a week"
_SHORT = ((HOUR, "an hour"), (DAY, A_DAY), (7 * DAY, A_WEEK))
_LONG_STEPS = (
    (DAY, DAY, 7, A_WEEK), (7 * DAY, 7 * DAY, 52, "a year"), (28 * DAY, 32 * DAY, 12, "a year"),
    (89 * DAY, 93 * DAY, 4, "a year"),
)  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """How far the rows of a series are apart, in seconds of dates, else in the time column's unit.

    Attributes:
        step: the usual distance: the median, of long series that of medians.
        count: distances.
        alike: share of them that are within a tenth of `step`.
        longest: the longest.
        gaps: how many are ten times as long as nearly all others.
    """

    step: float
    count: int
    alike: float
    longest: float
    gaps: int

    @classmethod
    def of(cls, time: pd.Index) -> "Rate | None":
        """Return that of time stamps (rows,), which rise; None of fewer than two."""
        if len(time) < 2:
            return None
        marks = np.array([_marks(distances) for distances in _distances(time)])
        step, most = np.median(marks, axis=0)
        alike = gaps = 0
        longest = 0.0
        for distances in _distances(time):
            alike += int(np.count_nonzero(np.abs(distances - step) <= _ALIKE * step))
            gaps += int(np.count_nonzero(distances > _LONG * most))
            longest = max(longest, float(distances.max()))
        count = len(time) - 1
        return cls(float(step), count, alike / count, longest, gaps)

    @property
    def is_even(self) -> bool:
        """Whether there are enough distances of one length to speak of a rate."""
        return self.count >= _ENOUGH and self.alike >= _EVEN

    def is_unlike(self, step: float) -> bool:
        """Whether rows come at a rate, and at another one than every so often."""
        low, high = sorted((self.step, step))
        return self.is_even and high > (1 + _ALIKE) * low


def usual_step(rates: list[Rate]) -> float | None:
    """Return the step that most series of a rate have; None where none has a rate."""
    steps = sorted(rate.step for rate in rates if rate.is_even)
    return steps[len(steps) // 2] if steps else None


def seasons(step: float) -> list[tuple[float, str]]:
    """Return the seasons of rows of dates: steps of each, shortest first, and what it is.

    Args:
        step: distance of rows in seconds, above 0. Where it does not divide a season, the steps of
            that are no whole number.
    """
    if step < DAY:
        return [(long / step, what) for long, what in _SHORT]
    return [(float(steps), what) for low, high, steps, what in _LONG_STEPS if low <= step <= high]


def length_of(text: str) -> pd.Timedelta | None:
    """Return a length of time that is given as 30s or 2h; None where it is none, or not above 0."""
    try:
        length = pd.Timedelta(text)
    except ValueError:
        return None
    return length if length > pd.Timedelta(0) else None


def length_text(length: float, is_date: bool) -> str:
    """Return a length of time as text: of dates with its unit, else the number."""
    return wording.length(length) if is_date else f"{length:.4g}"


def _distances(time: pd.Index) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the distances (n,) of time stamps, piece by piece."""
    if isinstance(time, pd.DatetimeIndex):
        stamps, unit = time.asi8, _SECONDS[time.unit]
    else:
        stamps, unit = time.to_numpy(), 1.0
    # small types do not hold all differences
    wide: Any = {"f": np.float64, "u": np.uint64}.get(stamps.dtype.kind, np.int64)
    for row in range(0, len(stamps) - 1, _ROWS):
        piece = stamps[row : row + _ROWS + 1].astype(wide)
        with np.errstate(over="ignore"):
            yield (piece[1:] - piece[:-1]).astype(np.float64) * unit


def _marks(distances: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the median of distances (n,), and what nearly all of them are at most."""
    places = len(distances) // 2, int(_NEARLY_ALL * (len(distances) - 1))
    ordered = np.partition(distances, places)
    return float(ordered[places[0]]), float(ordered[places[1]])
