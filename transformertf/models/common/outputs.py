"""What the numbers of a network mean: a point, quantiles or a distribution, perhaps of a change.

B batch, Tc context steps, Td horizon steps, P outputs of each step, Q numbers shown of it.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch

from transformertf.batch import AffineTarget, Batch, counted
from transformertf.errors import InputError, nearest
from transformertf.nn import (
    DistributionLoss,
    LinkedLoss,
    OwnUnits,
    is_linked,
    label_of,
    median,
    quantile_levels,
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


def ordered_median(values: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    """Return the 0.5 quantile (B, Td, 1) of quantiles (B, Td, Q).

    Quantiles trained side by side can cross; they are brought in order first, which is
    never worse (Chernozhukov, Fernandez-Val and Galichon 2010).

    Args:
        values: (B, Td, Q).
        levels: Q rising levels between 0 and 1.
    """
    assert values.size(-1) == len(levels)
    return median(values.sort(dim=-1).values, levels)


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


PredictionType = Literal["point", "delta", "seasonal", "ridge"]
# the arguments that give a network's outputs their meaning
MEANING = ("prediction_type", "season", "ridge_context", "monotone")


class Outputs(ABC):
    """What the outputs of a network mean, as its criterion says.

    Args:
        criterion: elementwise; what is trained with.
        moved: whether outputs are of the change since a simple forecast, not of the target itself.
        masking: whether padding is left out of the loss.

    Attributes:
        levels: Q quantile levels of what is shown; None where that is a point forecast.
        name: what to call the criterion before the user.

    Raises:
        InputError: names the argument that a criterion of the target's own units is no use with.
    """

    levels: list[float] | None

    def __init__(self, criterion: torch.nn.Module, moved: bool, masking: bool) -> None:
        # no module and so no second place in a checkpoint: the criterion is the forecaster's own
        self.criterion = criterion
        self.levels = quantile_levels(criterion)
        self.name = criterion.label if isinstance(criterion, OwnUnits) else type(criterion).__name__
        own = self._of_own_units
        if own is None:
            return
        if moved:
            raise InputError(
                "prediction_type other than 'point' moves a forecast by a value of the target, "
                f"but {self.name} is of {own.support}: leave it at 'point'"
            )
        if not masking:
            raise InputError(
                "use_loss_masking is False, which takes padding as zeros of the scaled target, "
                f"but {self.name} is of {own.support}: leave it out"
            )

    @property
    def _of_own_units(self) -> OwnUnits | None:
        """The criterion, where it is the target's own units that it counts in."""
        own = self.criterion
        return own if isinstance(own, OwnUnits) and own.in_own_units else None

    @property
    def num_shown(self) -> int:
        """Numbers Q that a forecast shows of each step."""
        return 1 if self.levels is None else len(self.levels)

    def of_target(self, raw: torch.Tensor, by: torch.Tensor | None) -> torch.Tensor:
        """Return outputs (B, Td, P) of the target's values, from the numbers of the network.

        Args:
            raw: (B, Td, P) as the network gives them.
            by: (B, Td, 1) simple forecast that they are the change since; None of the target.
        """
        return raw if by is None else self.shift(raw, by)

    def undo_window(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return outputs (B, Td, P) in the target's units, where windows are normalised.

        Raises:
            InputError: the criterion is of values that cannot be moved and stretched.
        """
        if "window_loc" not in batch:
            return output
        loc, scale = batch["window_loc"].view(-1, 1, 1), batch["window_scale"].view(-1, 1, 1)
        moved = self.rescale(output, loc, scale)
        return torch.where(batch["decoder_mask"].unsqueeze(-1), moved, 0.0)

    def shift(self, output: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """Return the outputs (B, Td, P) of y + `by` (B, Td, 1), from those of y."""
        return output + by

    def rescale(self, output: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the outputs (B, Td, P) of y * `scale` + `loc`, (B, 1, 1) each, from those of y."""
        if self._of_own_units is not None:
            self._of_own_units.refuse_windows()
        return output * scale + loc

    def shown(self, output: torch.Tensor) -> torch.Tensor:
        """Return what outputs (B, Td, P) show: (B, Td, Q), in the same units."""
        return output

    @abstractmethod
    def point(self, output: torch.Tensor) -> torch.Tensor:
        """Return the point forecast (B, Td, 1) of outputs (B, Td, P), in the same units."""

    def draw(self, output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """Return the quantile (B, K, Td) at any level of each step.

        Exact for a distribution, and in double precision where the device has it; else by
        `interpolate_quantiles`.

        Args:
            output: (B, Td, P).
            levels: (B, K, Td) above 0 and below 1.

        Raises:
            InputError: the outputs are a point forecast.
        """
        assert bool(((levels > 0) & (levels < 1)).all())
        return self._quantiles_at(output, levels.transpose(1, 2)).transpose(1, 2)

    @abstractmethod
    def _quantiles_at(self, output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """Return the quantiles (B, Td, K) at levels (B, Td, K)."""

    def take_units(self, source: object) -> None:
        """Tell the criterion the target's own units, where it counts in them.

        Args:
            source: what makes the batches; None where their targets are in their own units.

        Raises:
            InputError: the source cannot tell.
        """
        own = self._of_own_units
        if own is None or source is None:
            return
        wants = f"{self.name} wants the target's own units"
        if not isinstance(source, AffineTarget):
            raise InputError(
                f"{wants}, which {type(source).__name__} lacks: give it target_affine()"
            )
        try:
            own.loc, own.scale = source.target_affine()
        except InputError as error:
            raise InputError(f"{wants}, but {error}") from None

    def keep_units(self, weights: dict[str, Any]) -> None:
        """Put the target's own units among the weights of a checkpoint.

        What averages weights has a copy of the module from before these were known.
        """
        if self._of_own_units is not None:
            weights["criterion._extra_state"] = self._of_own_units.get_extra_state()

    def check_target(self, batch: Batch, describe: Callable[[int, int], str]) -> None:
        """Refuse targets that the criterion does not take.

        Args:
            batch: with `target`, `target_mask`, `series` and `origin`.
            describe: gives words for a series and an origin.

        Raises:
            InputError: names the first of them.
        """
        own = self._of_own_units
        if own is None:
            return
        found = own.first_outside(batch["target"], counted(batch))
        if found is not None:
            row, value = found
            where = describe(int(batch["series"][row]), int(batch["origin"][row]))
            raise InputError(
                f"{self.name} is of {own.support}, but a target is {value:g} ({where}): "
                f"mend the data, or {own.remedy}"
            )

    def refuse_other_meaning(self, stored: Mapping[str, Any]) -> None:
        """Refuse a checkpoint whose outputs stand for something else by its criterion.

        The levels that a distribution shows may differ.

        Args:
            stored: arguments of the checkpoint.

        Raises:
            InputError: names both.
        """
        described = stored.get("criterion") or {}
        arguments = described.get("init_args", {})
        kind = described.get("class_path", "the default").rpartition(".")[2]
        trained = label_of(kind, arguments)
        stands_for = "distribution" in arguments or is_linked(kind)
        if trained != self.name and (stands_for or isinstance(self.criterion, OwnUnits)):
            raise InputError(
                f"the criterion is {self.name}, but the checkpoint was trained with {trained}; "
                "leave it as it was, or start anew from the weights alone"
            )


class PointOutputs(Outputs):
    """One number of each step, the point forecast.

    Raises:
        InputError: monotone is for quantiles.
    """

    def __init__(
        self, criterion: torch.nn.Module, moved: bool, monotone: bool, masking: bool
    ) -> None:
        super().__init__(criterion, moved, masking)
        if monotone:
            raise InputError(
                f"monotone wants quantiles, but the criterion is {self.name}; give the "
                "criterion QuantileLoss, or leave monotone out"
            )

    def shown(self, output: torch.Tensor) -> torch.Tensor:
        """Return the target's mean (B, Td, 1), where outputs stand for it, else the outputs."""
        if isinstance(self.criterion, LinkedLoss):
            return self.criterion.estimate(output)
        return output

    def point(self, output: torch.Tensor) -> torch.Tensor:
        """Return what is shown (B, Td, 1)."""
        return self.shown(output)

    def _quantiles_at(self, output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        raise InputError(
            f"criterion {self.name} gives no spread to draw from; train with QuantileLoss "
            "or DistributionLoss"
        )


class QuantileOutputs(Outputs):
    """The quantiles of each step, learnt one by one.

    Args:
        criterion: has the levels as `quantiles`.
        moved: as `Outputs` takes it.
        masking: likewise.
        monotone: whether the network gives one quantile and distances, as `rising_quantiles` reads.
    """

    levels: list[float]

    def __init__(
        self, criterion: torch.nn.Module, moved: bool, monotone: bool, masking: bool
    ) -> None:
        super().__init__(criterion, moved, masking)
        self.monotone = monotone

    def of_target(self, raw: torch.Tensor, by: torch.Tensor | None) -> torch.Tensor:
        """Return quantiles (B, Td, Q) of the target's values, from the numbers of the network."""
        values = rising_quantiles(raw, self.levels) if self.monotone else raw
        return super().of_target(values, by)

    def point(self, output: torch.Tensor) -> torch.Tensor:
        """Return the median (B, Td, 1) of quantiles (B, Td, Q), in any units."""
        return ordered_median(output, self.levels)

    def _quantiles_at(self, output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        return interpolate_quantiles(output, self.levels, levels)


class DistributionOutputs(Outputs):
    """The parameters of a distribution of each step, which shows its quantiles.

    Args:
        criterion: knows the distribution.
        moved: as `Outputs` takes it.
        monotone: as the user gives it.
        masking: whether padding is left out of the loss.

    Raises:
        InputError: names the argument that the distribution cannot be used with.
    """

    criterion: DistributionLoss
    levels: list[float]

    def __init__(
        self, criterion: DistributionLoss, moved: bool, monotone: bool, masking: bool
    ) -> None:
        super().__init__(criterion, moved, masking)
        if monotone:
            raise InputError(
                "monotone is for quantiles that are learnt one by one; those of a distribution "
                "never cross: leave monotone out"
            )

    def shift(self, output: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """Return the parameters (B, Td, P) of y + `by` (B, Td, 1), from those of y."""
        return self.criterion.shift(output, by)

    def rescale(self, output: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the parameters (B, Td, P) of y * `scale` + `loc`, from those of y.

        Raises:
            InputError: the distribution has no location and scale.
        """
        return self.criterion.rescale(output, loc, scale)

    def shown(self, output: torch.Tensor) -> torch.Tensor:
        """Return the quantiles (B, Td, Q), in double precision where the device has it."""
        return self.criterion.icdf(output, torch.tensor(self.levels, dtype=torch.float64))

    def point(self, output: torch.Tensor) -> torch.Tensor:
        """Return the median (B, Td, 1), whatever levels are shown."""
        return self.criterion.icdf(output, torch.tensor([0.5], dtype=torch.float64))

    def _quantiles_at(self, output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        return self.criterion.icdf(output, levels)


def outputs_of(
    criterion: torch.nn.Module, moved: bool, monotone: bool, masking: bool
) -> PointOutputs | QuantileOutputs | DistributionOutputs:
    """Return what outputs mean that are trained with a criterion.

    Args:
        criterion: elementwise.
        moved: whether outputs are of the change since a simple forecast, not of the target itself.
        monotone: whether quantiles are made so that they cannot cross.
        masking: whether padding is left out of the loss.

    Raises:
        InputError: no quantiles to order, or a distribution that cannot be used so.
    """
    if isinstance(criterion, DistributionLoss):
        return DistributionOutputs(criterion, moved, monotone, masking)
    kind = PointOutputs if quantile_levels(criterion) is None else QuantileOutputs
    return kind(criterion, moved, monotone, masking)


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


def refuse_unknown(cls: type, names: Sequence[str]) -> None:
    """Refuse names of arguments that a class does not take.

    Raises:
        InputError: names the first one.
    """
    taken = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return
    for name in names:
        if name not in taken:
            raise InputError(f"{cls.__name__} has no argument {name!r}; {nearest(name, taken)}")
