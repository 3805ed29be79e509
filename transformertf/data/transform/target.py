"""Transforms of a target y that depend on a covariate x."""

import os
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from transformertf.data.series import FloatArray
from transformertf.data.transform.base import (
    Data,
    Extremes,
    TargetTransform,
    Values,
    apply,
    apply_pair,
    as_float64,
    both,
    finite_number,
    finite_numbers,
    finite_pairs,
    require_fit,
    widen,
)
from transformertf.errors import InputError


class DivideByXTransform(TargetTransform):
    """y / x, for a target that is roughly proportional to x.

    x too near to 0 is refused beside a known y: the ratio would be noise. The inverse takes any x,
    0 gives 0; where x is below 0 it falls.

    Args:
        min_ratio: x must be farther from 0 than this share of the largest abs(x) seen in fit;
            from 0, which refuses only 0 itself, to below 1.

    Raises:
        InputError: `min_ratio` is outside that range.
    """

    learns: ClassVar[bool] = True

    def __init__(self, min_ratio: float = 1e-6) -> None:
        self.min_ratio = finite_number("DivideByXTransform: min_ratio", min_ratio)
        if not 0 <= self.min_ratio < 1:
            raise InputError(
                f"DivideByXTransform: min_ratio must be from 0 to below 1, found {min_ratio}"
            )
        self.reset()

    @property
    def seen(self) -> tuple[float, float]:
        """Smallest and largest x seen in fit: where x is below 0, the inverse falls."""
        return self._range.low, self._range.high

    @property
    def _bound(self) -> float:
        return self.min_ratio * self._range.largest

    def takes(self, x: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which x are not too near to 0."""
        far: npt.NDArray[np.bool_] = np.abs(x) > self._bound
        return far

    def partial_fit(self, x: Data, y: Data | None = None) -> Self:
        """Add more pairs to those seen; pairs with a part that is not finite are left out."""
        finite, _ = finite_pairs(self, x, y)
        if finite.size:
            self._range.add(finite)
        return self

    def transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y / x.

        Raises:
            InputError: an x is too near to 0.
        """
        require_fit(self, self._range.count)
        return apply_pair(self._divide, x, both(self, y))

    def inverse_transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y * x."""
        return apply_pair(torch.mul, x, both(self, y))

    def reset(self) -> None:
        """Forget what was seen."""
        self._range = Extremes()

    def state_dict(self) -> dict[str, Any]:
        """Return count, smallest and largest x."""
        return asdict(self._range)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state."""
        self._range = Extremes(**state)

    def _divide(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # an unknown target, of a horizon, needs no ratio
        near = int(((x.abs() <= self._bound) & ~y.isnan()).sum())
        if near:
            raise InputError(
                f"DivideByXTransform takes abs(x) above {self._bound:g}, found {near} of "
                f"{x.numel()} nearer to 0: leave these rows out, shift x, or lower min_ratio"
            )
        return y / x


class DiscreteFunctionTransform(TargetTransform):
    """A function f given by points, straight between them and going on straight beyond the ends.

    With x and y it removes f(x) from the target: y - f(x). With one argument it is f itself, and
    its inverse that of f, which must then rise or fall throughout. Beyond the ends the first and
    the last segment go on, so that nothing is clamped and the inverse is there for every number.

    A file is read when the points are first needed; the points travel in the state, so a
    forecaster that is loaded does not need the file.

    Args:
        x: positions of the points, at least two, all different, in any order; or the path of a
            csv of two columns x and y, with or without a header (`~` and $NAME expand).
        y: values of the function there; left out with a path.

    Raises:
        InputError: points that are no function, on construction or, from a file, on first use.
    """

    alone: ClassVar[bool] = True

    def __init__(self, x: str | os.PathLike[str] | Data, y: Data | None = None) -> None:
        self._path: str | None = None
        self._points: tuple[FloatArray, FloatArray] | None = None
        if isinstance(x, str | os.PathLike):
            if y is not None:
                raise InputError("DiscreteFunctionTransform: give a file or x and y, found both")
            self._path = os.fspath(x)
        elif y is None:
            raise InputError("DiscreteFunctionTransform: y is missing, give one for each x")
        else:
            self._points = _sorted_points(
                finite_numbers("DiscreteFunctionTransform: x", x),
                finite_numbers("DiscreteFunctionTransform: y", y),
            )

    @property
    def points(self) -> tuple[FloatArray, FloatArray]:
        """Positions, rising, and values (n,) each."""
        if self._points is None:
            assert self._path is not None
            path = os.path.expandvars(os.path.expanduser(self._path))
            self._points = _sorted_points(*_read_points(path), place=f" {path}")
        return self._points

    def partial_fit(self, x: Data, y: Data | None = None) -> Self:
        """Read the points; the data has no part in it."""
        assert self.points
        return self

    def transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y - f(x), or f(x) without y."""
        if y is None:
            return apply(self._function, x)
        return apply_pair(lambda at, target: target - self._function(at), x, y)

    def inverse_transform(self, x: Values, y: Values | None = None) -> Values:
        """Return y + f(x), or without y the argument at which f is x.

        Raises:
            InputError: without y, if f does not rise or fall throughout.
        """
        if y is None:
            return apply(self._inverse, x)
        return apply_pair(lambda at, target: target + self._function(at), x, y)

    def reset(self) -> None:
        """Keep the points: they are given, not learnt."""

    def state_dict(self) -> dict[str, Any]:
        """Return the points as float64 tensors."""
        x, y = self.points
        return {"x": torch.tensor(x), "y": torch.tensor(y)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over points."""
        self._points = _sorted_points(as_float64(state["x"]), as_float64(state["y"]))

    def _function(self, at: torch.Tensor) -> torch.Tensor:
        return _interpolate(widen(at), *self.points)

    def _inverse(self, at: torch.Tensor) -> torch.Tensor:
        x, y = self.points
        steps = np.diff(y)
        if not (steps[0] * steps > 0).all():
            turn = int(np.argmax(steps[0] * steps <= 0))
            raise InputError(
                "DiscreteFunctionTransform: the inverse of one argument needs a function that "
                f"rises or falls throughout, found none between x = {x[turn]:g} and "
                f"{x[turn + 1]:g}: give x and y, or other points"
            )
        if steps[0] < 0:
            x, y = x[::-1], y[::-1]
        return _interpolate(widen(at), y, x)


def _interpolate(at: torch.Tensor, x: FloatArray, y: FloatArray) -> torch.Tensor:
    """Return the broken line through points (n,), x rising, the end segments going on."""
    slopes = torch.tensor(np.diff(y) / np.diff(x)).to(at)
    knots, levels = torch.tensor(x.copy()).to(at), torch.tensor(y.copy()).to(at)
    # the inner points part the segments, so that what lies outside falls to the first or last
    segment = torch.searchsorted(knots[1:-1].contiguous(), at.detach().contiguous(), right=True)
    return levels[segment] + (at - knots[segment]) * slopes[segment]


def _sorted_points(x: FloatArray, y: FloatArray, place: str = "") -> tuple[FloatArray, FloatArray]:
    """Return points (n,) sorted by x.

    Raises:
        InputError: they are not those of a function.
    """
    name = f"DiscreteFunctionTransform{place}"
    if x.ndim != 1 or x.shape != y.shape or x.size < 2:
        raise InputError(
            f"{name}: x and y must be two lists of one length, at least 2, "
            f"found shapes {x.shape} and {y.shape}"
        )
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    twice = x[1:][np.diff(x) <= 0]
    if twice.size:
        raise InputError(
            f"{name}: each x must stand once, found {twice.size} repeated, the first "
            f"{twice[0]:g}: keep one point of each"
        )
    return x, y


def _read_points(path: str) -> tuple[FloatArray, FloatArray]:
    """Return x and y (n,) of a csv of two columns, with or without a header.

    Raises:
        InputError: no such file, other columns, or a cell that is not a number.
    """
    name = f"DiscreteFunctionTransform {path}"
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{name}: expected a file; correct the path")
    try:
        # of a path, pandas would make an address on the net
        with open(path, "rb") as file:
            cells = pd.read_csv(file, header=None, dtype=str, skipinitialspace=True)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{name}: is no csv of two columns: {error}".strip()) from None
    if cells.shape[1] != 2:
        raise InputError(f"{name}: expected two columns, x and y, found {cells.shape[1]}")
    numbers = cells.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if np.isnan(numbers[0]).all():
        numbers = numbers[1:]
    wrong = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if wrong.size:
        row = cells.iloc[wrong[0] + len(cells) - len(numbers)].tolist()
        raise InputError(
            f"{name}: expected finite numbers, found {row[0]!r}, {row[1]!r} in row "
            f"{wrong[0] + 1} of the points: correct or remove it"
        )
    return numbers[:, 0], numbers[:, 1]
