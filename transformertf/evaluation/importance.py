"""What a model looks at, asked in two ways: by the weights that it gives, and by its errors.

`WeightMeans` takes the mean weights of variables and past steps, which interpretable models give.
`permutation_importance` tells of any model by how much its error grows when it is given one
variable of other windows (Fisher, Rudin and Dominici 2019).

B batch, Tc context steps, Td horizon steps, V variables of one side. The means are over data steps
alone: padding is left out by the masks, whatever it holds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning.fabric.utilities import move_data_to_device

from transformertf.batch import Batch, forecast_mask, sides
from transformertf.data import Columns, FloatArray, IntArray
from transformertf.errors import InputError
from transformertf.models import ForecastModule
from transformertf.models.common import ForecastOutput
from transformertf.utils.sequence import create_padding_mask, first_data_step, shift_rows

# what stands in for static variables where the data has none
STAND_IN = "relative context length"
# share of a variable's largest value that is put down to single precision
_ROUNDING = 1e-6
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


# (B, Td) errors of point forecasts (B, Td, 1), for the batch they are of
Score = Callable[[torch.Tensor, Batch], torch.Tensor]


class _Place(NamedTuple):
    """Where in a batch a variable stands: its key, and the last index there."""

    key: str
    column: int


class _Move(NamedTuple):
    """Data steps (N,), by row and place in it, and those whose values they get."""

    to: tuple[torch.Tensor, ...]
    source: tuple[torch.Tensor, ...]


def absolute_error(point: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the absolute error (B, Td) of point forecasts (B, Td, 1), in scaled units."""
    return (point - batch["target"]).abs().squeeze(-1)


def permutation_importance(
    model: ForecastModule,
    batches: Iterable[Batch],
    columns: Columns,
    score: Score = absolute_error,
    *,
    add_target: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Return by how much the error grows when one variable is shuffled over windows.

    Breiman, "Random forests", 2001, section 10. Each window of a batch gets the values of
    another, step by step as counted from the origin, in the horizon and in the context where the
    variable is known in both. A covariate and its difference move together, as one variable. Only
    data steps move, and where windows differ in length a step moves among those that have it.
    Windows of a batch that overlap are alike and tell little: give batches drawn from all over the
    data.

    Args:
        model: a forecaster; its mode and all generators stay as they are.
        batches: with targets and, most of them, several windows.
        columns: of the data that the model was trained on.
        score: errors (B, Td) of point forecasts (B, Td, 1).
        add_target: whether the target's history is an input of the context.
        seed: of the shuffling.

    Returns:
        Columns `side` ("past": in the context alone, "future": in the horizon, "static"),
        `variable`, and `importance`: growth of the mean error over it, below 0 by chance alone;
        NaN of a variable that is the same in all windows, which shuffling does not vary.

    Raises:
        InputError: there is nothing to shuffle, or no error.
    """
    generator = np.random.default_rng(seed)
    places: dict[tuple[str, str], list[_Place]] = {}
    errors: npt.NDArray[np.float64] | None = None
    varied: set[tuple[str, str]] = set()
    most = 0
    with evaluating(model):
        for given in batches:
            batch = cast(dict[str, torch.Tensor], move_data_to_device(given, model.device))
            places = places or _places(columns, add_target, "input" in batch)
            rows = len(forecast_mask(cast(Batch, batch)))
            most = max(most, rows)
            moves = _moves(batch, generator.permutation(rows))
            varied |= {name for name, own in places.items() if _varies(batch, own, moves)}
            changed = (_shuffled(batch, own, moves) for own in places.values())
            sums = [_error(model, one, score) for one in (batch, *changed)]
            errors = np.array(sums) + (0 if errors is None else errors)
    if errors is None or most < 2 or not errors[0] > 0:
        raise InputError(
            "permutation importance wants batches of several windows with targets that the model "
            f"does not meet exactly; found at most {most} windows in a batch"
        )
    table = pd.DataFrame(places.keys(), columns=["side", "variable"])
    told = [name in varied for name in places]
    return table.assign(importance=np.where(told, errors[1:] / errors[0] - 1, np.nan))


@contextmanager
def evaluating(model: ForecastModule) -> Iterator[None]:
    """Hold a model in evaluation mode, without gradients, in single precision at least."""
    modes = [(module, module.training) for module in model.modules()]
    dtype = model.dtype
    if dtype in (torch.float16, torch.bfloat16):  # single precision holds each of its numbers
        model.float()
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.to(dtype)
        for module, mode in modes:
            module.training = mode


def _places(
    columns: Columns, add_target: bool, sequences: bool
) -> dict[tuple[str, str], list[_Place]]:
    """Return where each variable, by side and name, stands in a batch."""
    variables = variables_of(columns, add_target and not sequences)
    keys = {
        "past": ("encoder_input", "encoder_categories"),
        "future": ("decoder_input", "decoder_categories"),
        "static": ("static_input", "static_categories"),
    }
    if sequences:
        variables["future"] = variables.pop("past")
        keys["future"] = ("input", "categories")
    places: dict[str, list[_Place]] = {}
    side_of: dict[str, str] = {}
    for side, kinds in variables.items():
        for key, names in zip(keys[side], kinds, strict=True):
            for column, name in enumerate(map(columns.source, names)):
                places.setdefault(name, []).append(_Place(key, column))
                side_of[name] = side
    return {(side_of[name], name): found for name, found in places.items()}


def _moves(batch: Mapping[str, torch.Tensor], rank: IntArray) -> dict[str, _Move]:
    """Return the moves of each key: each step goes to the window of the rank before.

    Args:
        batch: B windows, or sequences.
        rank: (B,) a permutation.
    """
    moves = {}
    for prefix, side in zip(("encoder_", "decoder_"), sides(cast(Batch, batch)), strict=False):
        mask = side.mask.cpu()
        own = "" if "input" in batch else prefix
        origin = first_data_step(mask)
        if own == "encoder_":
            origin = origin + mask.sum(dim=1)
        moves[f"{own}input"] = moves[f"{own}categories"] = _cycle(
            mask.numpy(), origin.numpy(), rank
        )
    whole = np.ones((len(rank), 1), dtype=bool)
    still = _cycle(whole, np.zeros_like(rank), rank)
    # without a time axis
    moves["static_input"] = moves["static_categories"] = _Move(still.to[:1], still.source[:1])
    return moves


def _cycle(mask: npt.NDArray[np.bool_], origin: IntArray, rank: IntArray) -> _Move:
    """Return the moves among steps as far from their origin (B,): each to the next in rank."""
    row, step = np.nonzero(mask)  # (N,)
    distance = step - origin[row]
    order = np.lexsort((rank[row], distance))
    row, step, distance = row[order], step[order], distance[order]
    begin = np.flatnonzero(np.diff(distance, prepend=distance[0] - 1))
    source = np.arange(1, len(row) + 1)
    source[np.append(begin[1:], len(row)) - 1] = begin
    places = torch.from_numpy(np.stack([row, step, row[source], step[source]]))
    return _Move(tuple(places[:2]), tuple(places[2:]))


def _shuffled(
    batch: Mapping[str, torch.Tensor], places: Iterable[_Place], moves: Mapping[str, _Move]
) -> dict[str, torch.Tensor]:
    """Return a batch with one variable shuffled."""
    changed = dict(batch)
    for key, column in places:
        values, move = batch[key], moves[key]
        changed[key] = values.clone()
        changed[key][..., column][move.to] = values[..., column][move.source]
    return changed


def _varies(
    batch: Mapping[str, torch.Tensor], places: Iterable[_Place], moves: Mapping[str, _Move]
) -> bool:
    """Whether shuffling changes a variable by more than rounding."""
    for key, column in places:
        values, move = batch[key][..., column], moves[key]
        before, after = values[move.to].double(), values[move.source].double()
        if ((after - before).abs() > _ROUNDING * before.abs().max()).any():
            return True
    return False


def _error(model: ForecastModule, values: Mapping[str, torch.Tensor], score: Score) -> float:
    """Return the sum of the errors over the observed targets of a batch."""
    batch = cast(Batch, values)
    if "target" not in batch:
        return 0.0
    output = model(batch, need_weights=False)["output"]
    point = model.point_forecast(output)
    return float(score(point, batch)[batch["target_mask"]].sum(dtype=torch.float64))
