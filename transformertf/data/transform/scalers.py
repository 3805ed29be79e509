"""Scalers: affine maps fitted to a column, or given.

Constants that are given are configuration: no fit changes them, and no state holds them.
"""

from typing import Any

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

    Args:
        mean: what is taken off, in the column's unit; fitted where it is not given.
        std: what the rest is divided by, in the column's unit, above 0; likewise. It is the
            distance from the values' own mean that is fitted, whatever is taken off.

    Raises:
        InputError: a constant that is no such number.
    """

    def __init__(self, mean: float | None = None, std: float | None = None) -> None:
        super().__init__(Moments())
        self.given = {"mean": _given(self, "mean", mean), "std": _above_0(self, "std", std)}

    @property
    def count(self) -> int:
        """Values seen."""
        return self._seen.count

    @property
    def mean(self) -> float:
        """Mean, given or of the values seen, in the column's unit."""
        given = self.given["mean"]
        return self._seen.mean if given is None else given

    @property
    def std(self) -> float:
        """Standard deviation, given or in the column's unit; 1 for a constant column."""
        given = self.given["std"]
        return self._seen.std if given is None else given

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal, up to rounding of float64, and no scale is given."""
        return self.given["std"] is None and self._seen.is_constant

    def transform(self, values: Values) -> Values:
        """Return (values - mean) / std."""
        require_fit(self, self._seen.count)
        mean, std = self.mean, self.std
        return apply(lambda column: (column - mean) / std, values)

    def inverse_transform(self, values: Values) -> Values:
        """Return values * std + mean."""
        require_fit(self, self._seen.count)
        mean, std = self.mean, self.std
        return apply(lambda column: column * std + mean, values)


class MinMaxScaler(Transform[Extremes]):
    """Brings the range seen in fit to `low`..`high`; values outside it go outside.

    A constant column keeps scale 1 and goes to `low`.

    Args:
        low: what the smallest value becomes.
        high: what the largest value becomes, above `low`.
        minimum: the smallest value, in the column's unit; fitted where it is not given.
        maximum: the largest value, above `minimum`; likewise.

    Raises:
        InputError: `high` is not above `low`, or `maximum` not above `minimum`.
    """

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> None:
        super().__init__(Extremes())
        self.low = finite_number("MinMaxScaler: low", low)
        self.high = finite_number("MinMaxScaler: high", high)
        if self.low >= self.high:
            raise InputError(f"MinMaxScaler: high must be above low {self.low}, found {self.high}")
        least, most = _given(self, "minimum", minimum), _given(self, "maximum", maximum)
        if least is not None and most is not None and least >= most:
            raise InputError(f"MinMaxScaler: maximum must be above minimum {least}, found {most}")
        self.given = {"minimum": least, "maximum": most}

    @property
    def minimum(self) -> float:
        """Smallest value, given or seen, in the column's unit."""
        given = self.given["minimum"]
        return self._seen.low if given is None else given

    @property
    def maximum(self) -> float:
        """Largest value, given or seen, in the column's unit."""
        given = self.given["maximum"]
        return self._seen.high if given is None else given

    @property
    def scale(self) -> float:
        """The column's units in one unit of the result; 1 for a constant column.

        Raises:
            InputError: all values seen lie beyond the one end of the range that is given.
        """
        if self.is_constant:
            return 1.0
        if self.maximum < self.minimum:
            ends = {"minimum": self.minimum, "maximum": self.maximum}
            ((given, end),) = ((n, ends.pop(n)) for n, v in self.given.items() if v is not None)
            ((other, seen),) = ends.items()
            raise InputError(
                f"MinMaxScaler: {given} is {end:g} as given, but the {other} seen is {seen:g}; "
                f"give both, or another {given}"
            )
        return (self.maximum - self.minimum) / (self.high - self.low)

    @property
    def is_constant(self) -> bool:
        """Whether the range has no width."""
        return self.minimum == self.maximum

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

    Args:
        maximum: the largest absolute value, in the column's unit, above 0; fitted where it is not
            given.

    Raises:
        InputError: `maximum` is no such number.
    """

    def __init__(self, maximum: float | None = None) -> None:
        super().__init__(Extremes())
        self.given = {"maximum": _above_0(self, "maximum", maximum)}

    @property
    def scale(self) -> float:
        """Largest absolute value, given or seen, in the column's unit; 1 for a column of zeros."""
        given = self.given["maximum"]
        return (self._seen.largest or 1.0) if given is None else given

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal, and no scale is given."""
        return self.given["maximum"] is None and self._seen.is_constant

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


def _given(scaler: object, name: str, value: Any) -> float | None:
    """Return a constant that is given, or None."""
    return None if value is None else finite_number(f"{type(scaler).__name__}: {name}", value)


def _above_0(scaler: object, name: str, value: Any) -> float | None:
    number = _given(scaler, name, value)
    if number is not None and number <= 0:
        raise InputError(f"{type(scaler).__name__}: {name} must be above 0, found {number:g}")
    return number
