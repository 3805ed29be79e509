"""What a model looks at: the mean weights that it gives variables and past steps.

B batch, Tc context steps, Td horizon steps, V variables of one side. The means are over data steps
alone: padding is left out by the masks, whatever it holds.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from transformertf.batch import Batch, sides
from transformertf.data.columns import Columns
from transformertf.errors import InputError
from transformertf.models.layout import ForecastOutput
from transformertf.utils.sequence import create_padding_mask, first_data_step, shift_rows

FloatArray = npt.NDArray[np.float64]

# what stands in for static variables where the data has none
STAND_IN = "relative context length"
_WEIGHTS = {"past": "encoder_weights", "future": "decoder_weights", "static": "static_weights"}


class WeightMeans:
    """Means of the weights that a model gives with its forecasts.

    Memory does not grow with the windows.
    """

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}
        # sums and counts by step and position
        self._attention = np.zeros((2, 0, 0))

    def update(self, output: ForecastOutput, batch: Batch) -> None:
        """Add the windows of a batch.

        Args:
            output: of the model's forward with `need_weights=True`.
            batch: that it was given.
        """
        weights = cast(Mapping[str, torch.Tensor], output)
        masks = dict(zip(("past", "future"), (side.mask for side in sides(batch)), strict=False))
        for side, key in _WEIGHTS.items():
            if key not in weights:
                continue
            # one row for each data step, or each window
            data = weights[key][masks[side]] if side in masks else weights[key]
            total = data.detach().cpu().sum(dim=0, dtype=torch.float64)
            self._sums[side] = self._sums[side] + total if side in self._sums else total
            self._counts[side] = self._counts.get(side, 0) + len(data)
        if "attention_weights" in weights:
            added = _by_position(weights["attention_weights"].detach(), batch)
            self._attention = _joined(self._attention, added)

    def importance(self, columns: Columns, add_target: bool = True) -> pd.DataFrame | None:
        """Return the mean weight of each variable; those of a side add up to 1.

        Args:
            columns: of the data that the model was trained on.
            add_target: whether the target's history is an input of the context.

        Returns:
            Columns `side` ("past", "future", "static"), `variable` and `importance`; a model
            without a static path weighs static variables on both other sides. None of a model
            that selects no variables.

        Raises:
            InputError: the model was trained on other columns.
        """
        if not self._sums:
            return None
        pieces = []
        for side, total in self._sums.items():
            if total.numel():
                names = _selected(columns, side, add_target, total.numel())
                mean = (total / self._counts[side]).numpy()
                pieces.append(pd.DataFrame({"side": side, "variable": names, "importance": mean}))
        return pd.concat(pieces, ignore_index=True)

    def attention(self) -> pd.DataFrame | None:
        """Return the mean attention of each horizon step.

        Position 0 is the last context step, whatever the lengths and the alignment. A mean is
        over the windows that have the step and the position; so a row adds up to 1 only where
        all windows are as long.

        Returns:
            Indexed by `step`, from 1; the columns are positions, from -Tc + 1 to Td. None of a
            model without attention.
        """
        sums, counts = self._attention
        if not counts.size:
            return None
        steps = np.arange(1, len(sums) + 1)
        positions = np.arange(len(sums) - sums.shape[1], len(sums)) + 1
        mean = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        # rows may be padded beyond the longest
        rows, places = counts.any(axis=1), counts.any(axis=0)
        return pd.DataFrame(
            mean[rows][:, places],
            pd.Index(steps[rows], name="step"),
            pd.Index(positions[places], name="position"),
        )


def _selected(columns: Columns, side: str, add_target: bool, width: int) -> list[str]:
    """Return the names of the variables that a model weighs on a side.

    Raises:
        InputError: they are not as many as its weights.
    """
    real, categories = variables_of(columns, add_target)[side]
    own = [*real, *categories]
    if side == "static":
        choices = [own or [STAND_IN]]
    else:
        joined = [*real, *columns.static, *categories, *columns.static_categories]
        choices = [own, joined]
    for names in choices:
        if len(names) == width:
            return names
    raise InputError(
        f"the model weighs {width} variables on the side {side!r}, the columns give "
        f"{len(own)}: {', '.join(own)}; give those of its training data, and its add_target"
    )


def variables_of(columns: Columns, add_target: bool) -> dict[str, tuple[list[str], list[str]]]:
    """Return the real features and the categories of each side, in the order of the inputs."""
    known = [*columns.known_categories, *columns.calendar_categories]
    return {
        "past": (
            list(columns.encoder_features(add_target)),
            [*known, *columns.past_categories],
        ),
        "future": (list(columns.decoder_features), known),
        "static": (list(columns.static), list(columns.static_categories)),
    }


def _by_position(weights: torch.Tensor, batch: Batch) -> FloatArray:
    """Return sums and counts (2, Td, Tc + Td) of attention (B, Td, Tc + Td) over windows.

    The last context step stands in column Tc - 1, the first horizon step in the one after it.
    """
    context, horizon = sides(batch)
    tc, td = context.mask.size(1), horizon.mask.size(1)
    past = create_padding_mask(context.lengths, tc, "right")
    future = create_padding_mask(horizon.lengths, td)
    first = first_data_step(horizon.mask)
    keys = weights.transpose(1, 2)  # (B, Tc + Td, Td)
    keys = torch.cat(
        [
            shift_rows(keys[:, :tc], first_data_step(context.mask) + context.lengths - tc, past),
            shift_rows(keys[:, tc:], first, future),
        ],
        dim=1,
    )
    sums = shift_rows(keys.transpose(1, 2), first, future).cpu().sum(dim=0, dtype=torch.float64)
    seen = torch.cat([past, future], dim=1).cpu().double()
    counts = future.cpu().double().t() @ seen
    return torch.stack([sums, counts]).numpy()


def _joined(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the sum of arrays (2, Td, Tc + Td) of any lengths, aligned at the origin."""
    steps = max(one.shape[1], other.shape[1])
    context = max(item.shape[2] - item.shape[1] for item in (one, other))
    total = np.zeros((2, steps, context + steps))
    for item in (one, other):
        begin = context - (item.shape[2] - item.shape[1])
        total[:, : item.shape[1], begin : begin + item.shape[2]] += item
    return total
