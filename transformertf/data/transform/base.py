"""What every transform promises, and the ways between arrays, tensors and statistics.

The contract:

- `transform` and `inverse_transform` take NumPy arrays and tensors of any shape, element by
  element (`DeltaTransform` alone works along an axis, the last), and give back the type, dtype
  and device that came in; on tensors they are differentiable. Integers become float64.
- NaN stays NaN. Nothing is clamped to the range seen in fit.
- `fit` forgets, `partial_fit` goes on. Both gather in float64, from finite values only: NaN
  (a missing target) and infinities count for nothing. Pieces give the fit of the whole.
- The state is primitives and tensors that `torch.load(weights_only=True)` reads. Constructor
  arguments are configuration and not part of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from transformertf.data.series import FloatArray, sum_is_finite
from transformertf.errors import InputError

# values taken in at once: small enough for a core's cache, and for sums in one thread
BLOCK = 2**13
# share of a mean that a spread around it is put down to
_ROUNDING = 1e-14


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


Data = npt.ArrayLike | torch.Tensor
Seen = TypeVar("Seen", bound=Statistics)
Target = TypeVar("Target")
Values = TypeVar("Values", npt.NDArray[np.floating], torch.Tensor)


class Transform(ABC, Generic[Seen]):
    """A transform of one column by itself.

    Args:
        seen: what `fit` gathers, empty.

    Attributes:
        given: constants that the constructor takes in place of what `fit` would learn; None for
            those that are learnt.
    """

    given: Mapping[str, float | None] = MappingProxyType({})

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    @property
    def learns(self) -> bool:
        """Whether `fit` takes anything from the values."""
        known = self.given and None not in self.given.values()
        return not (known or isinstance(self._seen, Nothing))

    def fit(self, values: Data) -> Self:
        """Forget what was seen and fit to these values."""
        self.reset()
        return self.partial_fit(values)

    def partial_fit(self, values: Data) -> Self:
        """Add more values to those seen."""
        if not self.learns:
            return self
        column = as_float64(values).reshape(-1)
        if column.size and sum_is_finite(column):
            self._seen.add(column)
            return self
        for first in range(0, column.size, BLOCK):
            block = column[first : first + BLOCK]
            finite = np.isfinite(block)
            kept = block if finite.all() else block[finite]
            if kept.size:
                self._seen.add(kept)
        return self

    @abstractmethod
    def transform(self, values: Values) -> Values:
        """Return transformed values, in the type they came in."""

    @abstractmethod
    def inverse_transform(self, values: Values) -> Values:
        """Return values in the column's unit, in the type they came in."""

    def reset(self) -> None:
        """Forget what was seen."""
        self._seen = type(self._seen)()

    def state_dict(self) -> dict[str, float | int]:
        """Return what was seen as primitives."""
        return asdict(self._seen)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what another one saw."""
        self._seen = type(self._seen)(**state)


class TargetTransform(ABC):
    """A transform of a target y that depends on a covariate x, in x's original units.

    x has y's shape or broadcasts to it; results are in y's type, dtype and device, worked out in
    float64 where the device has it.

    Attributes:
        learns: whether `fit` takes anything from the values.
        alone: whether it is also a transform of one column by itself.
    """

    learns: ClassVar[bool] = False
    alone: ClassVar[bool] = False

    @property
    def seen(self) -> tuple[float, float]:
        """Smallest and largest x seen in fit, where it matters to the order of what comes back."""
        return 0.0, 0.0

    def takes(self, x: FloatArray) -> npt.NDArray[np.bool_]:
        """Return beside which x (n,) a known target is taken."""
        return np.ones(x.shape, dtype=bool)

    def fit(self, x: Data, y: Data | None = None) -> Self:
        """Forget what was seen and fit to these pairs."""
        self.reset()
        return self.partial_fit(x, y)

    @abstractmethod
    def partial_fit(self, x: Data, y: Data | None = None) -> Self:
        """Add more pairs to those seen; pairs with a part that is not finite are left out."""

    @abstractmethod
    def transform(self, x: Values, y: Values | None = None) -> Values:
        """Return the transformed target."""

    @abstractmethod
    def inverse_transform(self, x: Values, y: Values | None = None) -> Values:
        """Return the target in its own unit, given x and the transformed target."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was seen."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the fitted state as primitives and tensors."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state."""


def finite_pairs(transform: object, x: Data, y: Any) -> tuple[FloatArray, FloatArray]:
    """Return x and y (n,) in float64 where both are finite.

    Raises:
        InputError: y is missing or has another shape.
    """
    seen_x, seen_y = as_float64(x), as_float64(both(transform, y))
    if seen_x.shape != seen_y.shape:
        raise InputError(
            f"{_name(transform)}: x and y to fit must have one shape, "
            f"found {seen_x.shape} and {seen_y.shape}"
        )
    finite = np.isfinite(seen_x) & np.isfinite(seen_y)
    return seen_x[finite], seen_y[finite]


def both(transform: object, y: Target | None) -> Target:
    """Return y, or say that it is missing."""
    if y is None:
        raise InputError(
            f"{_name(transform)} takes x and y, found one argument: "
            "name the covariate that the target depends on"
        )
    return y


def as_float64(values: Data) -> FloatArray:
    """Return values as a float64 array."""
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def apply(function: Callable[[torch.Tensor], torch.Tensor], values: Values) -> Values:
    """Return `function` of values, in the type, dtype and device they came in.

    Args:
        function: from a tensor to a tensor of its shape.
        values: of any shape; integers become float64.
    """
    if isinstance(values, torch.Tensor):
        tensor = _as_floating(values)
        return function(tensor).to(tensor.dtype)
    tensor = _as_floating(values)
    return function(tensor).to(tensor.dtype).numpy()


def apply_pair(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: npt.NDArray[np.floating] | torch.Tensor,
    y: Values,
) -> Values:
    """Return `function` of x and y in y's type, dtype and device.

    Args:
        function: from tensors x and y in float64 (float32 on MPS) to a tensor of y's shape.
        x: of y's shape, or one that broadcasts to it.
        y: of any shape; integers become float64.

    Raises:
        InputError: x does not broadcast to y's shape.
    """
    covariate = _as_floating(x)
    x_shape, y_shape = tuple(np.shape(x)), tuple(np.shape(y))
    if not _broadcasts(x_shape, y_shape):
        raise InputError(
            f"x of shape {x_shape} does not fit y of shape {y_shape}: give one x for each y"
        )
    if isinstance(y, torch.Tensor):
        return apply(lambda target: function(widen(covariate.to(y.device)), widen(target)), y)
    return apply(lambda target: function(widen(covariate.detach().cpu()), target.double()), y)


def widen(values: torch.Tensor) -> torch.Tensor:
    """Return values in float64 where their device has it, else in float32."""
    return values.float() if values.device.type == "mps" else values.double()


def require_fit(transform: Transform[Any] | TargetTransform, count: int) -> None:
    """Refuse the use of a transform that is to learn, and saw no finite value."""
    if count == 0 and transform.learns:
        raise InputError(f"{_name(transform)} is not fitted: call fit first, on finite values")


def finite_number(name: str, value: Any) -> float:
    """Return a configured number as a float, or refuse it by name."""
    number = finite_numbers(name, value)
    if number.ndim:
        raise InputError(f"{name}: expected one number, found {value!r}")
    return float(number)


def finite_numbers(name: str, values: Any) -> FloatArray:
    """Return configured numbers as a float64 array, or refuse them by name."""
    try:
        numbers = as_float64(values)
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected numbers, found {values!r}") from None
    if not np.isfinite(numbers).all():
        wrong = int((~np.isfinite(numbers)).sum())
        raise InputError(f"{name}: expected finite numbers, found {wrong} that are not")
    return numbers


def _as_floating(values: npt.NDArray[Any] | torch.Tensor) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values if values.is_floating_point() else widen(values)
    array = np.asarray(values)
    kept = array.dtype in (np.float16, np.float32, np.float64)
    # a copy: torch warns of arrays that are read-only, as those of pandas are
    return torch.from_numpy(np.array(array, dtype=array.dtype if kept else np.float64))


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Return whether values of `shape` spread to `target` without making it larger."""
    ends = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(size in (1, goal) for size, goal in ends)


def _name(transform: object) -> str:
    return type(transform).__name__
