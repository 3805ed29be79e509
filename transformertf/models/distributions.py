"""What a module asks of a distribution: whether it fits, and quantiles for its outputs.

B batch, Td horizon steps, P outputs of each step, Q levels of a forecast, K levels of draws.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from transformertf.batch import AffineTarget, Batch
from transformertf.errors import InputError
from transformertf.nn.distributions import DistributionLoss
from transformertf.nn.losses import quantile_levels


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
