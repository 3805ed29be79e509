"""What transforms gather from values that come in pieces."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# values taken in at once: small enough for a core's cache, and for sums in one thread
BLOCK = 2**13
# share of a mean that a spread around it is put down to
_ROUNDING = 1e-14


def sum_is_finite(values: FloatArray) -> bool:
    """Return whether the sum of values is finite: then all of them are.

    The test of whole columns that costs the least. A sum that overflows is not finite, though
    its parts are.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))


class Statistics(Protocol):
    """A dataclass of primitives whose defaults are those of nothing seen."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def add(self, values: FloatArray) -> None:
        """Take in finite values (n,), n at least 1."""


@dataclass
class Nothing:
    """What a fixed function gathers."""

    def add(self, values: FloatArray) -> None:
        """Leave the values alone."""


@dataclass
class Moments:
    """Population mean and spread of values that come in pieces (Chan, Golub and LeVeque 1979).

    A spread below 1e-154, whose square float64 does not hold, counts as none. Values beyond 1e154
    make mean or squares infinite or NaN.

    Attributes:
        count: values seen.
        mean: their mean.
        squares: sum of their squared distances from it.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal, up to rounding of float64."""
        spread = (self.squares / max(self.count, 1)) ** 0.5
        return bool(spread <= _ROUNDING * abs(self.mean))

    @property
    def std(self) -> float:
        """Standard deviation of the values seen, 1 where they are all equal.

        Where these are so large that their rounding is more than 1, what counts as rounding.
        """
        if self.is_constant:
            return max(1.0, _ROUNDING * abs(self.mean))
        return float((self.squares / self.count) ** 0.5)

    def add(self, values: FloatArray) -> None:
        """Take in finite values (n,), n at least 1."""
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(0, values.size, BLOCK):
                self._add_block(values[first : first + BLOCK])

    def _add_block(self, values: FloatArray) -> None:
        mean = float(np.add.reduce(values)) / values.size
        total = self.count + values.size
        shift = mean - self.mean
        centred = values - mean
        self.squares += float(centred @ centred)
        self.squares += shift * shift * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total


@dataclass
class Extremes:
    """Smallest and largest of values that come in pieces.

    Attributes:
        count: values seen.
        low: the smallest.
        high: the largest.
    """

    count: int = 0
    low: float = 0.0
    high: float = 0.0

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal."""
        return self.low == self.high

    @property
    def largest(self) -> float:
        """Largest absolute value seen."""
        return max(abs(self.low), abs(self.high))

    def add(self, values: FloatArray) -> None:
        """Take in finite values (n,), n at least 1."""
        low, high = float(values.min()), float(values.max())
        self.low = min(low, self.low) if self.count else low
        self.high = max(high, self.high) if self.count else high
        self.count += values.size
