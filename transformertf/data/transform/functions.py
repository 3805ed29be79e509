"""Fixed functions of a column: logarithms, sigmoids, differences."""

from typing import Any

import numpy as np
import torch

from transformertf.data.transform.base import (
    Moments,
    Nothing,
    Transform,
    Values,
    apply,
    finite_number,
    require_fit,
    widen,
)
from transformertf.errors import InputError


class LogTransform(Transform[Nothing]):
    """Natural logarithm, for columns above 0 whose scale spans decades."""

    def __init__(self) -> None:
        super().__init__(Nothing())

    def transform(self, values: Values) -> Values:
        """Return ln(values).

        Raises:
            InputError: a value is 0 or below.
        """
        remedy = "shift the column, or use Log1pTransform where it starts at 0"

        def logarithm(column: torch.Tensor) -> torch.Tensor:
            _require_above(0, column, "LogTransform", remedy)
            return column.log()

        return apply(logarithm, values)

    def inverse_transform(self, values: Values) -> Values:
        """Return exp(values)."""
        return apply(torch.exp, values)


class Log1pTransform(Transform[Nothing]):
    """Natural logarithm of 1 + value, for columns from 0 on; exact for tiny values."""

    def __init__(self) -> None:
        super().__init__(Nothing())

    def transform(self, values: Values) -> Values:
        """Return ln(1 + values).

        Raises:
            InputError: a value is -1 or below.
        """

        def logarithm(column: torch.Tensor) -> torch.Tensor:
            _require_above(-1, column, "Log1pTransform", "shift or scale the column")
            return column.log1p()

        return apply(logarithm, values)

    def inverse_transform(self, values: Values) -> Values:
        """Return exp(values) - 1."""
        return apply(torch.expm1, values)


class SigmoidTransform(Transform[Nothing]):
    """1 / (1 + exp(-k (value - x0))): squeezes far values, keeps the resolution around x0.

    The round trip is exact while abs(k (value - x0)) is below about 15 in float32 or 34 in
    float64; farther out the result is 0 or 1 to rounding, and the value is lost.

    Args:
        k: steepness, in 1 / the column's unit; not 0.
        x0: value that becomes 0.5, in the column's unit.

    Raises:
        InputError: `k` is 0.
    """

    def __init__(self, k: float = 1.0, x0: float = 0.0) -> None:
        super().__init__(Nothing())
        self.k = finite_number("SigmoidTransform: k", k)
        self.x0 = finite_number("SigmoidTransform: x0", x0)
        if self.k == 0:
            raise InputError("SigmoidTransform: k must not be 0, all values would become 0.5")

    def transform(self, values: Values) -> Values:
        """Return the sigmoid of values, from 0 to 1."""
        return _sigmoid(values, self.k, self.x0)

    def inverse_transform(self, values: Values) -> Values:
        """Return the value of each number in (0, 1); what lies outside is taken as its end."""
        return _logit(values, self.k, self.x0)


class AdaptiveSigmoidTransform(Transform[Moments]):
    """The sigmoid whose x0 is the mean and whose k is 1 / the standard deviation of the column.

    Mean and standard deviation rather than median and quartiles: they come in pieces, and n
    values all lie within sqrt(n) standard deviations, so an outlier widens the sigmoid rather
    than being lost in its flat end. A constant column has k 1.
    """

    def __init__(self) -> None:
        super().__init__(Moments())

    @property
    def k(self) -> float:
        """Steepness, in 1 / the column's unit."""
        return 1.0 / self._seen.std

    @property
    def x0(self) -> float:
        """Value that becomes 0.5, in the column's unit."""
        return self._seen.mean

    @property
    def is_constant(self) -> bool:
        """Whether all values seen are equal, up to rounding of float64."""
        return self._seen.is_constant

    def transform(self, values: Values) -> Values:
        """Return the sigmoid of values, from 0 to 1."""
        require_fit(self, self._seen.count)
        return _sigmoid(values, self.k, self.x0)

    def inverse_transform(self, values: Values) -> Values:
        """Return the value of each number in (0, 1); what lies outside is taken as its end."""
        require_fit(self, self._seen.count)
        return _logit(values, self.k, self.x0)


class DeltaTransform(Transform[Nothing]):
    """Differences along the last axis, which is time: each value less the one before it.

    The value before the first is `start`. Without one, `transform` takes the first value as its
    own predecessor: the first difference is 0 and start is the first value. The inverse is
    start + the running sum, added up in float64, and cannot do without. For a forecast, start is
    the last value of the context. A NaN makes all later sums NaN.
    """

    def __init__(self) -> None:
        super().__init__(Nothing())

    def transform(self, values: Values, start: Values | float | None = None) -> Values:
        """Return the differences of values (..., T), same shape.

        Args:
            values: column, time last.
            start: value before the first: a number, or one for each series (...).

        Raises:
            InputError: values have no time axis, or `start` has another shape.
        """

        def differences(column: torch.Tensor) -> torch.Tensor:
            first = column[..., :1] if start is None else _before(column, start)
            return torch.diff(column, dim=-1, prepend=first)

        return apply(differences, _with_time(values))

    def inverse_transform(
        self,
        values: Values,
        start: Values | float | None = None,
        mask: torch.Tensor | None = None,
    ) -> Values:
        """Return start + the running sum of values (..., T), same shape.

        Args:
            values: differences, time last.
            start: value before the first: a number, or one for each series (...).
            mask: False on padding, whose differences count as 0; broadcasts to values' shape.

        Raises:
            InputError: no `start`, or one of another shape, or values without a time axis.
        """
        if start is None:
            raise InputError(
                "DeltaTransform: the inverse needs start, the value before the first difference"
            )

        def running(column: torch.Tensor) -> torch.Tensor:
            wide = widen(column) if mask is None else widen(column).where(mask, 0.0)
            return _before(wide, start) + wide.cumsum(dim=-1)

        return apply(running, _with_time(values))


def _require_above(bound: float, column: torch.Tensor, name: str, remedy: str) -> None:
    if torch.compiler.is_compiling():  # in a graph there are no values to look at
        return
    refused = column.detach()[column.detach() <= bound]
    if refused.numel():
        raise InputError(
            f"{name} takes values above {bound}, found {refused.numel()} of {column.numel()} "
            f"not above it, the smallest {float(refused.min()):g}: {remedy}"
        )


def _sigmoid(values: Values, k: float, x0: float) -> Values:
    return apply(lambda column: torch.sigmoid(k * (column - x0)), values)


def _logit(values: Values, k: float, x0: float) -> Values:
    def logit(column: torch.Tensor) -> torch.Tensor:
        # a network forecasts numbers at and beyond 0 and 1, which have no value: the last below
        # 1 that this dtype holds, and as much above 0, keep the forecast finite and even-handed
        end = torch.finfo(column.dtype).eps / 2
        inside = column.clamp(end, 1 - end)
        return torch.logit(inside) / k + x0

    return apply(logit, values)


def _with_time(values: Values) -> Values:
    if values.ndim == 0:
        raise InputError("DeltaTransform takes values along time, found a single number")
    return values


def _before(column: torch.Tensor, start: Any) -> torch.Tensor:
    """Return start as (..., 1) beside column (..., T)."""
    first = start if isinstance(start, torch.Tensor) else torch.tensor(np.array(start))
    first = first.to(column)
    expected = tuple(column.shape[:-1])
    if first.ndim and tuple(first.shape) != expected:
        raise InputError(
            f"DeltaTransform: start must be a number or of shape {expected}, one for each "
            f"series, found shape {tuple(first.shape)}"
        )
    return first.expand(expected).unsqueeze(-1)
