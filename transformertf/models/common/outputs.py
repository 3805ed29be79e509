"""What the numbers of a network mean: changes since the last value, quantiles that never cross.

B batch, Tc context steps, Td horizon steps, Q outputs of each step.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch

from transformertf.batch import AffineTarget, Batch, BatchKind
from transformertf.errors import InputError, nearest
from transformertf.nn import DistributionLoss, median, quantile_levels

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


def check_distribution(criterion: torch.nn.Module, prediction_type: str, masking: bool) -> None:
    """Refuse what a distribution of the target's own units cannot be used with.

    Args:
        criterion: what is trained with.
        prediction_type: as the user gives it.
        masking: whether padding is left out of the loss.

    Raises:
        InputError: names the argument.
    """
    if not isinstance(criterion, DistributionLoss) or not criterion.in_own_units:
        return
    name = _name(criterion)
    if prediction_type == "delta":
        raise InputError(
            f"prediction_type 'delta' moves a distribution by the target's last value, but {name} "
            f"is of {criterion.support}: leave it at 'point'"
        )
    if not masking:
        raise InputError(
            f"use_loss_masking is False, which takes padding as zeros of the scaled target, but "
            f"{name} is of {criterion.support}: leave it out"
        )


def refuse_other_distribution(criterion: torch.nn.Module, stored: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose outputs are parameters of another distribution, or of none.

    The levels that a distribution shows may differ.

    Args:
        criterion: of the module that loads it.
        stored: arguments of the checkpoint.

    Raises:
        InputError: names both.
    """
    described = stored.get("criterion") or {}
    before = described.get("init_args", {}).get("distribution")
    if before != getattr(criterion, "distribution", None):
        trained = described.get("class_path", "the default").rpartition(".")[2]
        raise InputError(
            f"the criterion is {_name(criterion)}, but the checkpoint was trained with "
            f"{trained}{'' if before is None else f' {before!r}'}; leave it as it was, or start "
            "anew from the weights alone"
        )


def take_units(criterion: torch.nn.Module, source: object) -> None:
    """Tell a distribution of the target's own units what these are.

    Args:
        criterion: of a module that is to be fitted.
        source: what makes the batches; None where their targets are in their own units.

    Raises:
        InputError: the source cannot tell.
    """
    if not isinstance(criterion, DistributionLoss) or not criterion.in_own_units or source is None:
        return
    wants = f"{_name(criterion)} wants the target's own units"
    if not isinstance(source, AffineTarget):
        raise InputError(f"{wants}, which {type(source).__name__} lacks: give it target_affine()")
    try:
        criterion.loc, criterion.scale = source.target_affine()
    except InputError as error:
        raise InputError(f"{wants}, but {error}") from None


def refuse_targets(
    criterion: torch.nn.Module, batch: Batch, place: Callable[[int, int], str]
) -> None:
    """Refuse targets that the criterion's distribution cannot have.

    Args:
        criterion: any.
        batch: with `target`, `target_mask`, `series` and `origin`.
        place: gives words for a series and an origin.

    Raises:
        InputError: names the first of them.
    """
    if not isinstance(criterion, DistributionLoss):
        return
    mask = batch["target_mask"]
    if "weight" in batch:
        mask = mask & (batch["weight"] > 0).unsqueeze(1)
    found = criterion.first_outside(batch["target"], mask)
    if found is not None:
        row, value = found
        where = place(int(batch["series"][row]), int(batch["origin"][row]))
        raise InputError(
            f"{_name(criterion)} is of {criterion.support}, but a target is {value:g} ({where}): "
            "mend the data, or take distribution 'normal' or 'student_t'"
        )


def decode_quantiles(criterion: torch.nn.Module, output: torch.Tensor) -> torch.Tensor:
    """Return what outputs (B, Td, P) show: (B, Td, Q), in the same units.

    Those of a distribution show its quantiles, in double precision where the device has it;
    others show themselves.
    """
    if not isinstance(criterion, DistributionLoss):
        return output
    return criterion.icdf(output, torch.tensor(criterion.quantiles, dtype=torch.float64))


def draw_quantiles(
    criterion: torch.nn.Module, output: torch.Tensor, levels: torch.Tensor
) -> torch.Tensor:
    """Return the quantile (B, K, Td) at any level of each step.

    Exact for a distribution, and in double precision where the device has it; else by
    `interpolate_quantiles`.

    Args:
        criterion: says what the outputs are.
        output: (B, Td, P).
        levels: (B, K, Td) above 0 and below 1.

    Raises:
        InputError: the outputs are a point forecast.
    """
    assert bool(((levels > 0) & (levels < 1)).all())
    of_steps = levels.transpose(1, 2)
    if isinstance(criterion, DistributionLoss):
        return criterion.icdf(output, of_steps).transpose(1, 2)
    known = quantile_levels(criterion)
    if known is None:
        raise InputError(
            f"criterion {_name(criterion)} gives no spread to draw from; train with QuantileLoss "
            "or DistributionLoss"
        )
    return interpolate_quantiles(output, known, of_steps).transpose(1, 2)


def interpolate_quantiles(
    values: torch.Tensor, levels: Sequence[float], wanted: torch.Tensor
) -> torch.Tensor:
    """Return quantiles (B, Td, K) at wanted levels, from those at a few levels.

    On a line, in the standard normal's quantile of the level, between neighbours, and on beyond
    the outermost two: exact for a normal distribution.

    Args:
        values: (B, Td, Q) quantiles, put in order where they cross.
        levels: Q rising levels between 0 and 1; of a single one the value goes for all.
        wanted: (B, Td, K) levels between 0 and 1.
    """
    ordered = values.sort(dim=-1).values
    if len(levels) == 1:
        return ordered.expand_as(wanted)
    known = torch.special.ndtri(torch.tensor(levels, dtype=values.dtype, device=values.device))
    z = torch.special.ndtri(wanted.to(values)).contiguous()
    upper = torch.searchsorted(known, z).clamp(1, len(levels) - 1)
    low, high = known[upper - 1], known[upper]
    return torch.lerp(
        ordered.gather(-1, upper - 1), ordered.gather(-1, upper), (z - low) / (high - low)
    )


def _name(criterion: torch.nn.Module) -> str:
    name = type(criterion).__name__
    return f"{name} {criterion.distribution!r}" if isinstance(criterion, DistributionLoss) else name
