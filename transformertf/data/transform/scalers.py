"""Scalers: affine maps fitted to a column."""

from transformertf.data.transform.base import (
    Extremes,
    Moments,
    Transform,
    Values,
    apply,
    finite_number,
    require_fit,
)
from transformertf.errors import InputError


class StandardScaler(Transform[Moments]):
    """Brings a column to mean 0 and standard deviation 1.

    Statistics are those of the population. A constant column keeps scale 1.
    """

    def __init__(self) -> None:
        super().__init__(Moments())

    @property
    def count(self) -> int:
        """Values seen."""
        return self._seen.count

    @property
    def mean(self) -> float:
        """Mean of the values seen, in the column's unit."""
        return self._seen.mean

    @property
    def std(self) -> float:
        """Standard deviation, in the column's unit; 1 for a constant column."""
        return self._seen.std

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal, up to rounding of float64."""
        return self._seen.is_constant

    def transform(self, values: Values) -> Values:
        """Return (values - mean) / std."""
        require_fit(self, self.count)
        mean, std = self.mean, self.std
        return apply(lambda column: (column - mean) / std, values)

    def inverse_transform(self, values: Values) -> Values:
        """Return values * std + mean."""
        require_fit(self, self.count)
        mean, std = self.mean, self.std
        return apply(lambda column: column * std + mean, values)


class MinMaxScaler(Transform[Extremes]):
    """Brings the range seen in fit to `low`..`high`; values outside it go outside.

    A constant column keeps scale 1 and goes to `low`.

    Args:
        low: what the smallest value becomes.
        high: what the largest value becomes, above `low`.

    Raises:
        InputError: `high` is not above `low`.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(Extremes())
        self.low = finite_number("MinMaxScaler: low", low)
        self.high = finite_number("MinMaxScaler: high", high)
        if self.low >= self.high:
            raise InputError(f"MinMaxScaler: high must be above low {self.low}, found {self.high}")

    @property
    def minimum(self) -> float:
        """Smallest value seen, in the column's unit."""
        return self._seen.low

    @property
    def scale(self) -> float:
        """The column's units in one unit of the result; 1 for a constant column."""
        if self.is_constant:
            return 1.0
        return (self._seen.high - self._seen.low) / (self.high - self.low)

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal."""
        return self._seen.is_constant

    def transform(self, values: Values) -> Values:
        """Return (values - minimum) / scale + low."""
        require_fit(self, self._seen.count)
        minimum, scale, low = self.minimum, self.scale, self.low
        return apply(lambda column: (column - minimum) / scale + low, values)

    def inverse_transform(self, values: Values) -> Values:
        """Return (values - low) * scale + minimum."""
        require_fit(self, self._seen.count)
        minimum, scale, low = self.minimum, self.scale, self.low
        return apply(lambda column: (column - low) * scale + minimum, values)


class MaxScaler(Transform[Extremes]):
    """Divides by the largest absolute value seen in fit; zero stays zero.

    A column of zeros keeps scale 1; any other constant column becomes 1 or -1.
    """

    def __init__(self) -> None:
        super().__init__(Extremes())

    @property
    def scale(self) -> float:
        """Largest absolute value seen, in the column's unit; 1 for a column of zeros."""
        return self._seen.largest or 1.0

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal."""
        return self._seen.is_constant

    def transform(self, values: Values) -> Values:
        """Return values / scale."""
        require_fit(self, self._seen.count)
        scale = self.scale
        return apply(lambda column: column / scale, values)

    def inverse_transform(self, values: Values) -> Values:
        """Return values * scale."""
        require_fit(self, self._seen.count)
        scale = self.scale
        return apply(lambda column: column * scale, values)
