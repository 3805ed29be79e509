"""What the numbers of a network mean: changes since the last value, quantiles that never cross.

B batch, Tc context steps, Td horizon steps, Q outputs of each step.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch

from transformertf.batch import Batch, BatchKind
from transformertf.errors import InputError, nearest
from transformertf.nn.distributions import DistributionLoss
from transformertf.nn.losses import median, quantile_levels

PredictionType = Literal["point", "delta"]
# the arguments that give a network's outputs their meaning
MEANING = ("prediction_type", "monotone")


def check_meaning(
    prediction_type: str, monotone: bool, model: str, takes: BatchKind, criterion: torch.nn.Module
) -> None:
    """Refuse a meaning that the outputs cannot have.

    Args:
        prediction_type: as the user gives it.
        monotone: as the user gives it.
        model: name of the model's class.
        takes: batches that it takes.
        criterion: what it is trained with.

    Raises:
        InputError: no such type, no context to count a change from, or no quantiles to order.
    """
    if prediction_type not in get_args(PredictionType):
        hint = nearest(prediction_type, get_args(PredictionType))
        raise InputError(f"prediction_type must not be {prediction_type!r}; {hint}")
    if prediction_type == "delta" and takes == "sequences":
        raise InputError(
            "prediction_type 'delta' counts from the target's last value in a context, which "
            f"{model} does not read; leave it at 'point'"
        )
    if monotone and isinstance(criterion, DistributionLoss):
        raise InputError(
            "monotone is for quantiles that are learnt one by one; those of a distribution never "
            "cross: leave monotone out"
        )
    if monotone and quantile_levels(criterion) is None:
        raise InputError(
            f"monotone wants quantiles, but the criterion is {type(criterion).__name__}; give the "
            "criterion QuantileLoss, or leave monotone out"
        )


def refuse_other_values(
    names: Sequence[str], now: object, stored: Mapping[str, Any], defaults: type
) -> None:
    """Refuse a checkpoint that was trained with other values of some arguments.

    Args:
        names: of the arguments.
        now: holds their values as attributes.
        stored: arguments of the checkpoint.
        defaults: class whose constructor tells those that are not stored.

    Raises:
        InputError: names the argument that differs.
    """
    for name in names:
        before = stored.get(name, inspect.signature(defaults).parameters[name].default)
        if before != getattr(now, name):
            raise InputError(
                f"{name} is {getattr(now, name)!r}, but the checkpoint was trained with "
                f"{before!r}; leave it as it was, or start anew from the weights alone"
            )


def rising_quantiles(values: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    """Return quantiles that rise with their level, whatever the values.

    The value of the level nearest to the median is that quantile itself. From there outwards
    each value gives the distance to the next quantile through a softplus, which is above 0.
    Values of 0 put the default seven levels close to the quantiles of a standard normal.

    Args:
        values: (B, Td, Q) free numbers.
        levels: Q rising levels between 0 and 1.
    """
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
    anchor = values[..., middle : middle + 1]
    distance = torch.nn.functional.softplus(values)
    below = distance[..., :middle].flip(-1).cumsum(dim=-1).flip(-1)
    above = distance[..., middle + 1 :].cumsum(dim=-1)
    return torch.cat([anchor - below, anchor, anchor + above], dim=-1)


def point_of(shown: torch.Tensor, levels: Sequence[float] | None) -> torch.Tensor:
    """Return the point forecast (B, Td, 1) of a forecast (B, Td, Q): the 0.5 quantile.

    Quantiles trained side by side can cross; they are brought in order first, which is
    never worse (Chernozhukov, Fernandez-Val and Galichon 2010).

    Args:
        shown: (B, Td, Q).
        levels: Q quantile levels; None where the forecast is a point already.
    """
    if levels is None:
        return shown
    assert shown.size(-1) == len(levels)
    return median(shown.sort(dim=-1).values, levels)


def last_context_value(past: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return (B, 1, 1) the last feature, the target's history, at the last step of the context.

    Args:
        past: (B, Tc, F), data first.
        lengths: (B,) int64 data steps.
    """
    last = (lengths - 1).unsqueeze(1)
    return past[..., -1].gather(1, last).unsqueeze(-1)


def add_last_value(
    criterion: torch.nn.Module, output: torch.Tensor, past: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Return forecasts (B, Td, Q) of the target, from those of its change since the context.

    Args:
        criterion: says what the outputs are.
        output: (B, Td, Q).
        past: (B, Tc, F), data first.
        lengths: (B,) int64 data steps.
    """
    last = last_context_value(past, lengths)
    if isinstance(criterion, DistributionLoss):
        return criterion.shift(output, last)
    return output + last


def undo_window(output: torch.Tensor, batch: Batch, criterion: torch.nn.Module) -> torch.Tensor:
    """Return outputs (B, Td, Q) in globally scaled units, where each window is scaled by itself.

    Raises:
        InputError: they are parameters of a distribution that cannot be moved and stretched.
    """
    if "window_loc" not in batch:
        return output
    loc, scale = batch["window_loc"].view(-1, 1, 1), batch["window_scale"].view(-1, 1, 1)
    if isinstance(criterion, DistributionLoss):
        moved = criterion.rescale(output, loc, scale)
    else:
        moved = output * scale + loc
    return torch.where(batch["decoder_mask"].unsqueeze(-1), moved, 0.0)
