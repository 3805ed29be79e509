"""Elementwise losses, and what any criterion must be to serve as one.

A criterion maps `output` (B, T, Q) and `target` (B, T, 1) to losses of the output's shape, or to
one of each step (B, T, 1).
The reduction over data steps happens once, in `ForecastModule.calc_loss`.
"""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch._dynamo import OptimizedModule

from transformertf.errors import InputError
from transformertf.nn.links import refuse_without_forecast


class MSELoss(torch.nn.Module):
    """Squared error."""

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return (output - target)^2, elementwise."""
        return (output - target).square()


class MAELoss(torch.nn.Module):
    """Absolute error."""

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return |output - target|, elementwise."""
        return (output - target).abs()


L1Loss = MAELoss


class HuberLoss(torch.nn.Module):
    """Squared error near zero, absolute error beyond `delta` (Huber 1964).

    Args:
        delta: where the square turns into a line, in scaled units of the target; above 0.
    """

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = _above_zero("HuberLoss", "delta", delta)

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the Huber loss, elementwise."""
        return torch.nn.functional.huber_loss(
            output, target.expand_as(output), reduction="none", delta=self.delta
        )


class MAPELoss(torch.nn.Module):
    """Absolute error relative to the target's magnitude.

    Args:
        eps: smallest magnitude divided by, in scaled units; above 0.
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = _above_zero(type(self).__name__, "eps", eps)

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return |output - target| / |target|, elementwise."""
        return (output - target).abs() / target.abs().clamp(min=self.eps)


class SMAPELoss(torch.nn.Module):
    """Absolute error relative to the mean magnitude of output and target; between 0 and 2.

    Args:
        eps: smallest magnitude divided by, in scaled units; above 0.
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = _above_zero(type(self).__name__, "eps", eps)

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return 2 |output - target| / (|output| + |target|), elementwise."""
        magnitude = (output.abs() + target.abs()).clamp(min=self.eps)
        return 2 * (output - target).abs() / magnitude


class QuantileLoss(torch.nn.Module):
    """Pinball loss of several quantile levels (Koenker and Bassett 1978), not doubled.

    Args:
        quantiles: rising levels, each between 0 and 1; the model gives one output for each.
    """

    levels: torch.Tensor

    def __init__(
        self, quantiles: Sequence[float] = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
    ) -> None:
        super().__init__()
        self.quantiles = rising_levels("QuantileLoss", quantiles)
        # not persistent: the levels are hyper-parameters, weights interchange without them
        self.register_buffer("levels", torch.tensor(self.quantiles), persistent=False)

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return max(q e, (q - 1) e) of e = target - output (B, T, Q)."""
        error = target - output
        return torch.maximum(self.levels * error, (self.levels - 1) * error)


def relative_error(
    forecast: torch.Tensor, actual: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return |f - y| / |y| of forecasts f and actuals y, 0 where y is 0; and where it is not."""
    known = actual != 0
    return torch.where(known, (forecast - actual).abs() / actual.abs(), 0.0), known


def symmetric_error(
    forecast: torch.Tensor, actual: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 2 |f - y| / (|f| + |y|), 0 where both are 0; and that it is known everywhere."""
    size = forecast.abs() + actual.abs()
    error = torch.where(size == 0, 0.0, 2 * (forecast - actual).abs() / size)
    return error, torch.ones_like(size, dtype=torch.bool)


def _above_zero(loss: str, name: str, value: float) -> float:
    if not value > 0:
        raise InputError(f"{loss}: {name} must be above 0, found {value}")
    return value


def rising_levels(loss: str, quantiles: Sequence[float]) -> list[float]:
    """Return the quantile levels of a loss, or refuse them."""
    levels = [float(level) for level in quantiles]
    inside = all(0 < level < 1 for level in levels)
    if not levels or not inside or levels != sorted(set(levels)):
        raise InputError(f"{loss}: quantiles must rise and lie between 0 and 1, found {levels}")
    return levels


def quantile_levels(criterion: torch.nn.Module) -> list[float] | None:
    """Return the levels a criterion forecasts, or None for a criterion of a point forecast."""
    levels = getattr(criterion, "quantiles", None)
    return None if levels is None else [float(level) for level in levels]


def elementwise(criterion: torch.nn.Module, output_dim: int) -> torch.nn.Module:
    """Return a copy without its reduction, proven elementwise on a small example.

    The copy of a criterion from `torch.compile` is compiled in place: its class, its attributes
    and the names of its weights are those of the criterion inside.

    Raises:
        InputError: the criterion reduces whatever its settings, or gives no forecast.
    """
    compiled = criterion if isinstance(criterion, OptimizedModule) else None
    criterion = copy.deepcopy(criterion if compiled is None else compiled._orig_mod)
    refuse_without_forecast(criterion)
    if hasattr(criterion, "reduction"):
        setattr(criterion, "reduction", "none")  # noqa: B010 -- modules type attributes as tensors
    output = torch.full((2, 3, output_dim), 0.5)
    try:
        found = criterion(output, torch.full((2, 3, output_dim), 0.25))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        found = f"an error ({str(error).splitlines()[0]})"
    shapes = output.shape, (*output.shape[:-1], 1)
    if not isinstance(found, torch.Tensor) or found.shape not in shapes:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else found
        raise InputError(
            f"criterion {type(criterion).__name__} is not elementwise: for an output "
            f"{tuple(output.shape)} it gives {shape}; take one that gives a "
            "loss of each number, such as MSELoss or HuberLoss"
        )
    if compiled is not None:
        # not by `Module.compile`: it leaves the losses of torch.nn uncompiled
        criterion._compiled_call_impl = compiled.dynamo_ctx(partial(criterion._call_impl))
    return criterion


def median(output: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    """Return the 0.5 quantile (..., 1) of quantile forecasts (..., Q).

    The level is found by its value; where it is not among `levels` it is interpolated between
    its neighbours, or the nearest level is taken where it lies outside them.
    """
    upper = next((i for i, level in enumerate(levels) if level >= 0.5), len(levels) - 1)
    if upper == 0 or levels[upper] <= 0.5:
        return output[..., upper : upper + 1]
    low, high = levels[upper - 1], levels[upper]
    share = (0.5 - low) / (high - low)
    return torch.lerp(output[..., upper - 1 : upper], output[..., upper : upper + 1], share)
