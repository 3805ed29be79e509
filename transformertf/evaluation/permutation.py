"""By how much a model's error grows when it is given one variable of other windows.

B batch, Td horizon steps, N data steps of one side of a batch.
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
from transformertf.data.columns import Columns
from transformertf.data.windows import IntArray
from transformertf.errors import InputError
from transformertf.evaluation.interpretation import variables_of
from transformertf.models import ForecastModule
from transformertf.utils.sequence import first_data_step

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
    variable is known in both. Only data steps move, and where windows differ in length a step
    moves among those that have it. Windows of a batch that overlap are alike and tell little:
    give batches drawn from all over the data.

    Args:
        model: a forecaster; its mode and all generators stay as they are.
        batches: with targets and, most of them, several windows.
        columns: of the data that the model was trained on.
        score: errors (B, Td) of point forecasts (B, Td, 1).
        add_target: whether the target's history is an input of the context.
        seed: of the shuffling.

    Returns:
        Columns `side` ("past": in the context alone, "future": in the horizon, "static"),
        `variable`, and `importance`: growth of the mean error over it, below 0 by chance alone.

    Raises:
        InputError: there is nothing to shuffle, or no error.
    """
    generator = np.random.default_rng(seed)
    places: dict[tuple[str, str], list[_Place]] = {}
    errors: npt.NDArray[np.float64] | None = None
    most = 0
    with evaluating(model):
        for given in batches:
            batch = cast(dict[str, torch.Tensor], move_data_to_device(given, model.device))
            places = places or _places(columns, add_target, "input" in batch)
            rows = len(forecast_mask(cast(Batch, batch)))
            most = max(most, rows)
            moves = _moves(batch, generator.permutation(rows))
            changed = (_shuffled(batch, own, moves) for own in places.values())
            sums = [_error(model, one, score) for one in (batch, *changed)]
            errors = np.array(sums) + (0 if errors is None else errors)
    if errors is None or most < 2 or not errors[0] > 0:
        raise InputError(
            "permutation importance wants batches of several windows with targets that the model "
            f"does not meet exactly; found at most {most} windows in a batch"
        )
    table = pd.DataFrame(places.keys(), columns=["side", "variable"])
    return table.assign(importance=errors[1:] / errors[0] - 1)


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
            for column, name in enumerate(names):
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


def _error(model: ForecastModule, values: Mapping[str, torch.Tensor], score: Score) -> float:
    """Return the sum of the errors over the observed targets of a batch."""
    batch = cast(Batch, values)
    if "target" not in batch:
        return 0.0
    output = model(batch, need_weights=False)["output"]
    point = model.point_forecast(model.decode(output))
    return float(score(point, batch)[batch["target_mask"]].sum(dtype=torch.float64))
