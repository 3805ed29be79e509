"""Scalers: affine maps fitted to a column."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from transformertf.errors import InputError

Values = TypeVar("Values", npt.NDArray[np.floating], torch.Tensor)


class StandardScaler:
    """Brings a column to mean 0 and standard deviation 1.

    Statistics are those of the population, gathered in float64 and in as many pieces as come
    (Chan, Golub and LeVeque 1979). A constant column keeps scale 1.

    Attributes:
        count: values seen.
        mean: their mean, in the column's unit.
        std: their standard deviation, in the column's unit; 1 for a constant column.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal, up to rounding of float64."""
        spread = (self._squares / max(self.count, 1)) ** 0.5
        return bool(spread <= 1e-14 * abs(self.mean))

    @property
    def std(self) -> float:
        """Standard deviation of the values seen, 1 where they are all equal."""
        return 1.0 if self.is_constant else (self._squares / self.count) ** 0.5

    def fit(self, values: npt.ArrayLike | torch.Tensor) -> "StandardScaler":
        """Forget what was seen and fit to these values."""
        self.count, self.mean, self._squares = 0, 0.0, 0.0
        return self.partial_fit(values)

    def partial_fit(self, values: npt.ArrayLike | torch.Tensor) -> "StandardScaler":
        """Add more values to those seen."""
        array = np.asarray(values, dtype=np.float64).ravel()
        if array.size == 0:
            return self
        mean = float(array.mean())
        total = self.count + array.size
        shift = mean - self.mean
        self._squares += float(np.square(array - mean).sum())
        self._squares += shift**2 * self.count * array.size / total
        self.mean += shift * array.size / total
        self.count = total
        return self

    def transform(self, values: Values) -> Values:
        """Return scaled values, in the type they came in."""
        self._require_fit()
        return (values - self.mean) / self.std

    def inverse_transform(self, values: Values) -> Values:
        """Return values in the column's unit, in the type they came in."""
        self._require_fit()
        return values * self.std + self.mean

    def state_dict(self) -> dict[str, float | int]:
        """Return the fitted state as primitives."""
        return {"count": self.count, "mean": self.mean, "squares": self._squares}

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        """Take over a fitted state."""
        self.count = int(state["count"])
        self.mean, self._squares = float(state["mean"]), float(state["squares"])

    def _require_fit(self) -> None:
        if self.count == 0:
            raise InputError("StandardScaler is not fitted: call fit first")
