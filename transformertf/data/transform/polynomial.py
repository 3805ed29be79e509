"""Polynomial trends of a target in a covariate."""

from collections.abc import Sequence
from math import comb
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.polynomial import Polynomial, polynomial

from transformertf.data.series import FloatArray
from transformertf.data.transform.base import (
    Data,
    Extremes,
    TargetTransform,
    Values,
    apply_pair,
    as_float64,
    both,
    finite_numbers,
    finite_pairs,
    require_fit,
)
from transformertf.errors import InputError

# singular values below this share of the largest are rounding: x does not hold enough points
_RANK_TOLERANCE = 1e-13


class PolynomialTransform(TargetTransform):
    """Removes a polynomial trend: y - p(x), p fitted by least squares.

    Powers are taken of x mapped to -1..1 over the range seen. Pieces are folded into one
    triangular factor (QR), whose columns are rewritten when the range grows, so that pieces
    give the fit of the whole. Beyond the range seen p goes on, and with a high degree far off.

    Args:
        degree: of p, from 0; a small one, 1 to 6 as a rule.

    Raises:
        InputError: `degree` is not a whole number from 0.
    """

    learns: ClassVar[bool] = True
    _factor: FloatArray

    def __init__(self, degree: int = 1) -> None:
        if not isinstance(degree, int) or degree < 0:
            raise InputError(
                f"PolynomialTransform: degree must be a whole number from 0, found {degree!r}"
            )
        self.degree = degree
        self.reset()

    @property
    def coefficients(self) -> list[float]:
        """Coefficients of p in powers of x, the constant first.

        Raises:
            InputError: not fitted, or on fewer different x than degree + 1.
        """
        centre, half = self._domain()
        scaled = Polynomial(self._solve(), domain=[centre - half, centre + half])
        powers = scaled.convert().coef
        return [float(value) for value in np.pad(powers, (0, self.degree + 1 - powers.size))]

    def partial_fit(self, x: Data, y: Data | None = None) -> Self:
        """Add more pairs to those seen; pairs with a part that is not finite are left out."""
        new_x, new_y = finite_pairs(self, x, y)
        if not new_x.size:
            return self
        started, (old_centre, old_half) = self._range.count > 0, self._domain()
        self._range.add(new_x)
        centre, half = self._domain()
        powers = polynomial.polyvander((new_x - centre) / half, self.degree)
        rows = np.column_stack([powers, new_y])
        if started:
            basis = _rescaled_powers(self.degree, old_half / half, (old_centre - centre) / half)
            seen = np.column_stack([self._factor[:, :-1] @ basis, self._factor[:, -1]])
            rows = np.vstack([seen, rows])
        self._factor = np.asarray(np.linalg.qr(rows, mode="r"))
        return self

    def transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y - p(x).

        Raises:
            InputError: not fitted, or on fewer different x than degree + 1.
        """
        coefficients, (centre, half) = self._solve(), self._domain()
        return apply_pair(
            lambda at, target: target - _horner((at - centre) / half, coefficients),
            x,
            both(self, y),
        )

    def inverse_transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y + p(x).

        Raises:
            InputError: not fitted, or on fewer different x than degree + 1.
        """
        coefficients, (centre, half) = self._solve(), self._domain()
        return apply_pair(
            lambda at, target: target + _horner((at - centre) / half, coefficients),
            x,
            both(self, y),
        )

    def reset(self) -> None:
        """Forget what was seen."""
        self._range = Extremes()
        # R of the QR of [powers of x, y] over all rows seen
        self._factor = np.zeros((0, self.degree + 2))

    def state_dict(self) -> dict[str, Any]:
        """Return count and range of x, and the triangular factor as a float64 tensor."""
        seen = self._range
        return {
            "count": seen.count,
            "low": seen.low,
            "high": seen.high,
            "factor": torch.tensor(self._factor),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state.

        Raises:
            InputError: it is that of another degree.
        """
        factor = as_float64(state["factor"])
        if factor.shape[1] != self.degree + 2:
            raise InputError(
                f"PolynomialTransform: the state is one of degree {factor.shape[1] - 2}, "
                f"expected degree {self.degree}"
            )
        self._range = Extremes(state["count"], state["low"], state["high"])
        self._factor = factor

    def _domain(self) -> tuple[float, float]:
        """Return centre and half width of the range of x, the width of one point being tiny."""
        low, high = self._range.low, self._range.high
        half = high / 2 - low / 2
        # tiny, so that a range that grows only ever shrinks the powers seen before
        return low + half, half if half > 0 else max(1e-15 * abs(low), 1e-300)

    def _solve(self) -> FloatArray:
        """Return the coefficients of p in powers of x mapped to -1..1."""
        require_fit(self, self._range.count)
        solution, _, rank, _ = np.linalg.lstsq(
            self._factor[:, :-1], self._factor[:, -1], rcond=_RANK_TOLERANCE
        )
        if rank <= self.degree:
            raise InputError(
                f"PolynomialTransform: degree {self.degree} needs {self.degree + 1} different x, "
                f"found {rank} in {self._range.count} values: lower the degree"
            )
        return np.asarray(solution, dtype=np.float64)


class FixedPolynomialTransform(TargetTransform):
    """Removes a given polynomial: y - p(x).

    Args:
        coefficients: of p in powers of x, the constant first; at least one.

    Raises:
        InputError: there is none, or one that is not a finite number.
    """

    def __init__(self, coefficients: Sequence[float]) -> None:
        self.coefficients = finite_numbers("FixedPolynomialTransform: coefficients", coefficients)
        if self.coefficients.ndim != 1 or not self.coefficients.size:
            raise InputError(
                "FixedPolynomialTransform: coefficients must be a list of numbers, the constant "
                f"first, found {coefficients!r}"
            )

    def partial_fit(self, x: Data, y: Data | None = None) -> Self:
        """Leave the pairs alone: the polynomial is given."""
        return self

    def transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y - p(x)."""
        return apply_pair(
            lambda at, target: target - _horner(at, self.coefficients), x, both(self, y)
        )

    def inverse_transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y + p(x)."""
        return apply_pair(
            lambda at, target: target + _horner(at, self.coefficients), x, both(self, y)
        )

    def reset(self) -> None:
        """Keep the polynomial: it is given."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the coefficients are configuration."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing over."""


def _horner(at: torch.Tensor, coefficients: FloatArray) -> torch.Tensor:
    """Return the polynomial of these coefficients, the constant first."""
    result = torch.zeros_like(at)
    for coefficient in coefficients[::-1]:
        result = result * at + float(coefficient)
    return result


def _rescaled_powers(degree: int, scale: float, shift: float) -> FloatArray:
    """Return B with powers(scale * t + shift) = powers(t) @ B, (degree + 1, degree + 1)."""
    return np.array(
        [
            [comb(n, k) * scale**k * shift ** (n - k) if k <= n else 0.0 for n in range(degree + 1)]
            for k in range(degree + 1)
        ]
    )
