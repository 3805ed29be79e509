"""The way of a network's outputs back to the target's original units.

B batch, Td horizon steps, P outputs of each step, Q numbers shown of it.
"""

import logging
import math
from collections.abc import Sequence

import torch

from transformertf.batch import Batch, BatchSource, TransformedTarget
from transformertf.errors import InputError
from transformertf.models.common.outputs import (
    DistributionOutputs,
    PointOutputs,
    QuantileOutputs,
    ordered_median,
)

log = logging.getLogger(__name__)


class WayBack:
    """Brings what a forecast shows back to the target's original units.

    Values come back one by one, quantiles only as long as the order stays. Where it is turned, as
    by y * x with x below 0, the quantile at level p is what the one at 1 - p becomes. And a sum of
    quantiles is none: where the target is made of differences, quantiles are refused.

    Args:
        outputs: what the outputs mean.
    """

    def __init__(self, outputs: PointOutputs | QuantileOutputs | DistributionOutputs) -> None:
        self._outputs = outputs
        self._told: set[str] = set()

    def refuse(self, source: object) -> None:
        """Refuse to train for quantiles that will have no way back.

        Args:
            source: what makes the batches, fitted; None where their targets are in their own units.

        Raises:
            InputError: the target is made of differences, or its order is turned and a level lacks
                its opposite.
        """
        scaling, outputs = getattr(source, "scaling", None), self._outputs
        if outputs.levels is None or not isinstance(scaling, TransformedTarget):
            return
        if scaling.target_is_summed():
            raise InputError(
                f"extra_transforms: a DeltaTransform of the target beside {outputs.name}: "
                "forecasts come back as sums over the steps, and a sum of quantiles is no "
                "quantile, intervals would be too wide; take it out and, where the model has a "
                "context, set model.prediction_type to delta, whose quantiles are of the whole "
                "change since then, best with data.normalize: window; or train with a criterion "
                "of a point, as MSELoss, and calibrate"
            )
        lacking = _lacking(outputs.levels)
        if lacking and isinstance(outputs, QuantileOutputs) and scaling.target_is_turned():
            raise InputError(
                "extra_transforms turn the order of the target round, so that its quantile at "
                f"level p comes of the one at 1 - p: expected levels of {outputs.name} that hold "
                f"1 - p for each p, found {_listed(outputs.levels)}; give it quantiles "
                f"{_listed(sorted([*outputs.levels, *lacking]))}, or take DistributionLoss, which "
                "has all levels"
            )

    def __call__(
        self, output: torch.Tensor, batch: Batch, source: BatchSource | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return point forecasts (B, Td, 1) and what is shown (B, Td, Q) in original units.

        The point is the median: of a distribution its own, else that of the quantiles that are
        shown, which rise.

        Args:
            output: (B, Td, P) in globally scaled units.
            batch: that it is the forecast of.
            source: what makes the batches; None where their targets are in their own units.
        """
        shown, outputs = self._shown(output, batch, source), self._outputs
        levels = outputs.levels
        if levels is None:
            return shown, shown
        if isinstance(outputs, DistributionOutputs) and 0.5 not in levels:
            point = outputs.point(output)
            return point if source is None else source.inverse_transform_target(point, batch), shown
        nearest = min(levels, key=lambda level: abs(level - 0.5))
        if not levels[0] <= 0.5 <= levels[-1]:
            self._tell(
                f"no level on either side of 0.5: prediction is the quantile at {nearest:g}; train "
                "with 0.5 among the levels"
            )
        return ordered_median(shown, levels), shown

    def _shown(
        self, output: torch.Tensor, batch: Batch, source: BatchSource | None
    ) -> torch.Tensor:
        """Return what is shown (B, Td, Q) in original units, quantiles rising."""
        shown = self._outputs.shown(output)
        if source is None:
            return shown
        if self._outputs.levels is None:
            return source.inverse_transform_target(shown, batch)
        scaling = getattr(source, "scaling", None)
        if isinstance(scaling, TransformedTarget) and scaling.target_is_summed():
            self._tell(
                "quantiles are sums of those of differences, which a DeltaTransform of the target "
                "takes: intervals are too wide from the second step on; calibrate, or train with "
                "prediction_type delta in its place"
            )
        if _lacking(self._outputs.levels):
            shown = self._opposite(shown, output, batch, source)
        # quantiles cross, or have come back in reverse order
        return source.inverse_transform_target(shown, batch).sort(dim=-1).values

    def _opposite(
        self, shown: torch.Tensor, output: torch.Tensor, batch: Batch, source: BatchSource
    ) -> torch.Tensor:
        """Return what is shown (B, Td, Q), at 1 - p for each level p where the order is turned."""
        levels = self._outputs.levels
        assert levels is not None
        # transforms rise or fall throughout: two values tell which
        ends = shown.new_tensor([-0.5, 0.5]).expand(*shown.shape[:-1], 2)
        low, high = source.inverse_transform_target(ends, batch).unbind(dim=-1)
        turned = high < low
        if not turned.any():
            return shown
        if isinstance(self._outputs, QuantileOutputs):
            self._tell(
                "extra_transforms turn the order of the target round at some steps, where the "
                f"quantiles at {_listed(levels)} come of those at 1 - p, which were not all "
                "trained: those that lack are drawn from the others as of a normal distribution; "
                "train with 1 - p for each level p, or with DistributionLoss"
            )
        wanted = 1 - torch.tensor(levels, dtype=torch.float64).view(1, -1, 1)
        opposite = self._outputs.draw(output, wanted.expand(len(shown), -1, shown.size(1)))
        return torch.where(turned.unsqueeze(-1), opposite.transpose(1, 2), shown)

    def _tell(self, text: str) -> None:
        """Warn, once."""
        if text not in self._told:
            self._told.add(text)
            log.warning("%s: %s", self._outputs.name, text)


def _lacking(levels: Sequence[float]) -> list[float]:
    """Return 1 - p of each level p, where it is no level itself."""
    opposites = (round(1 - level, 12) for level in levels)
    return [one for one in opposites if not any(math.isclose(one, level) for level in levels)]


def _listed(levels: Sequence[float]) -> str:
    return f"[{', '.join(f'{level:g}' for level in levels)}]"
