"""Covariates that are the target in disguise: shifted, scaled, or both."""

from typing import NamedTuple

import numpy as np

from transformertf.data import FloatArray

# what differences of two columns that are one and the same have in common, but for some noise
_SAME = 0.99
# fewer rows prove nothing
_FEWEST = 20


class Leak(NamedTuple):
    """How a column goes with the target.

    Attributes:
        ahead: how many steps before the target it shows the target's values; below 0 after it.
        likeness: correlation of the differences from row to row.
    """

    ahead: int
    likeness: float


def find_leak(target: list[FloatArray], column: list[FloatArray], horizon: int) -> Leak | None:
    """Return how a column is the target shifted or scaled, None where it is not.

    A column that shows the target of more than a horizon ago is a lag, which is known.

    Args:
        target: values of each series.
        column: likewise.
        horizon: steps that are forecast; shifts are looked for up to it, to both sides.
    """
    one, other = (_differences(parts, horizon) for parts in (target, column))
    like = _likeness(one, other, horizon)
    place = int(np.argmax(np.abs(like)))
    ahead = place - (horizon - 1)
    return Leak(ahead, float(like[place])) if abs(like[place]) >= _SAME else None


def _differences(parts: list[FloatArray], gap: int) -> FloatArray:
    """Return the differences of all series, with a gap between them that no shift crosses."""
    between = np.full(gap, np.nan)
    return np.concatenate([np.concatenate([np.diff(part), between]) for part in parts])


def _likeness(one: FloatArray, other: FloatArray, horizon: int) -> FloatArray:
    """Return the correlation of two columns at shifts from 1 - horizon to horizon (2 horizon,).

    At shift k the value of `other` in a row is held against that of `one` k rows later.
    """
    size = 2 ** int(np.ceil(np.log2(2 * len(one) + 1)))
    there = [np.isfinite(values).astype(np.float64) for values in (one, other)]
    a, b = (np.where(np.isfinite(values), values, 0.0) for values in (one, other))
    a, b = (values / (np.abs(values).max() or 1.0) for values in (a, b))

    def products(late: FloatArray, early: FloatArray) -> FloatArray:
        """Return the sums over rows of late[row + k] * early[row], for each shift k."""
        whole = np.fft.irfft(np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size)), size)
        return np.concatenate([whole[1 - horizon :], whole[: horizon + 1]])[-2 * horizon :]

    both = products(there[0], there[1])
    spread = products(a * a, there[1]) * products(there[0], b * b)
    enough = (both > _FEWEST) & (spread > 1e-12 * spread.max(initial=0.0))
    found: FloatArray = np.where(
        enough, products(a, b) / np.sqrt(np.where(enough, spread, 1.0)), 0.0
    )
    return found
