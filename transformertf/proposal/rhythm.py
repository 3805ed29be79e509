"""What the rows of a target tell: how fast they come, its seasons, and whether its level moves."""

import itertools

import numpy as np
from scipy.signal import find_peaks

from transformertf import data
from transformertf.data import A_WEEK, DAY, FloatArray
from transformertf.proposal.series import Arranged

# steps of a season at least, and by how much they may be no whole number
_FEWEST, _INEXACT = 4, 1e-6
# the longest season that a context of two holds at a cost of minutes
LONGEST = 300
# a season is one where a value goes so far with that of a season before
_STRONG = 0.3
# rows that are looked at for seasons and levels
_ROWS = 200_000
# share of a series that trains, about
_TRAIN = 0.7
# stretches that a series is cut into to see whether its level moves
_STRETCHES = 10


def stretches(arranged: Arranged, name: str, rows: int = _ROWS) -> list[FloatArray]:
    """Return the values of a column by series, up to so many rows in all; NaN where missing."""
    values = arranged.numbers(name)
    parts = np.split(values, arranged.starts[1:])
    kept = itertools.takewhile(
        lambda pair: pair[0] < rows, zip(np.cumsum([0, *map(len, parts)]), parts, strict=False)
    )
    return [part[:rows] for _, part in kept]


def training_rows(arranged: Arranged, name: str) -> list[FloatArray]:
    """Return the same without the ends of series, which validate and test."""
    return [part[: max(int(len(part) * _TRAIN), 1)] for part in stretches(arranged, name)]


def seasons(arranged: Arranged) -> list[tuple[int, str]]:
    """Return the seasons of dates of this rate, in steps, shortest first, and what each is."""
    step = arranged.step
    if not arranged.is_date or step is None or step <= 0:
        return []
    weekends = arranged.steps.max(initial=0) in (3 * DAY, 4 * DAY)
    if step == DAY and weekends and arranged.is_even:
        return [(5, A_WEEK)]
    return [
        (round(steps), what)
        for steps, what in data.seasons(step)
        if steps >= _FEWEST and abs(steps - round(steps)) < _INEXACT
    ]


def cycle(parts: list[FloatArray], longest: int) -> int | None:
    """Return the lag of the strongest repetition of a target, None where none is strong.

    Args:
        parts: values of each series.
        longest: lag in steps.
    """
    found = autocorrelation(parts, longest)
    peaks, _ = find_peaks(found)
    strong = [peak for peak in peaks if peak >= _FEWEST and found[peak] >= _STRONG]
    return int(max(strong, key=lambda peak: found[peak])) if strong else None


def autocorrelation(parts: list[FloatArray], longest: int) -> FloatArray:
    """Return how values go with those so many steps before (longest + 1,), over all series."""
    above, own = np.zeros(longest + 1), 0.0
    for part in parts:
        values = _filled(part) - np.nanmean(part) if np.isfinite(part).any() else part[:0]
        size = 2 ** int(np.ceil(np.log2(2 * len(values) + 1)))
        spectrum = np.abs(np.fft.rfft(values, size)) ** 2
        lags = np.fft.irfft(spectrum, size)[: min(longest + 1, len(values))]
        above[: len(lags)] += lags
        own += float(lags[0]) if len(lags) else 0.0
    return above / own if own > 0 else above


def level_moves(parts: list[FloatArray]) -> float:
    """Return how far the means of long stretches lie apart, in units of the spread within them."""
    means, spreads = [], []
    for part in parts:
        for stretch in np.array_split(part, -(-_STRETCHES // len(parts))):
            known = stretch[np.isfinite(stretch)]
            if len(known) >= 2:
                means.append(known.mean())
                spreads.append(known.var())
    within = np.sqrt(np.mean(spreads)) if spreads else 0.0
    return float(np.std(means) / within) if within > 0 else 0.0


def sizes_differ(parts: list[FloatArray]) -> float:
    """Return how many times larger the spread of a large series is than that of a small one."""
    spreads = np.array([np.nanstd(part) for part in parts if np.isfinite(part).sum() > 1])
    spreads = spreads[spreads > 0]
    if len(spreads) < 2:
        return 1.0
    low, high = np.quantile(spreads, [0.1, 0.9])
    return float(high / low)


def is_heavy(parts: list[FloatArray]) -> bool:
    """Whether a target changes little most of the time, and now and then by much."""
    changes = np.concatenate([np.diff(part) for part in parts]) if parts else np.empty(0)
    known = changes[np.isfinite(changes)]
    spread = known.std() if known.size else 0.0
    return bool(spread > 0 and ((known - known.mean()) ** 4).mean() / spread**4 > 10)


def _filled(part: FloatArray) -> FloatArray:
    """Return values with the mean where one is missing."""
    return np.where(np.isfinite(part), part, np.nanmean(part))
