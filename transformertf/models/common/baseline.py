"""Simple forecasts that the outputs of a network are added to."""

from typing import get_args

import torch

from transformertf.batch import BatchKind
from transformertf.errors import InputError, at_least_one, nearest
from transformertf.models.common.outputs import PredictionType
from transformertf.models.common.ridge import Reading, Ridge


class Season(torch.nn.Module):
    """The target's value one season ago, repeated as often as the horizon wants.

    Args:
        steps: of a season; with 1 it is the last value throughout.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, reading: Reading) -> torch.Tensor:
        """Return (B, Td, 1) the last feature, the target's history, whole seasons before each step.

        It is the latest such value in the context, and of a context shorter than a season the last.
        """
        past, steps = reading.past, reading.future.size(1)
        after = torch.arange(steps, device=past.device).remainder(self.steps)
        length = reading.past_lengths.unsqueeze(1)
        place = torch.where(length < self.steps, length - 1, length - self.steps + after)
        return past[..., -1].gather(1, place).unsqueeze(-1)


def baseline_of(
    prediction_type: str,
    season: int | None,
    ridge_context: int | None,
    model: str,
    takes: BatchKind,
) -> Season | Ridge | None:
    """Return the simple forecast that outputs are the change since; None where they are of none.

    Args:
        prediction_type: as the user gives it.
        season: likewise.
        ridge_context: likewise.
        model: name of the model's class.
        takes: batches that it takes.

    Raises:
        InputError: no such type, no context to forecast from, or an argument that lacks or that
            nothing asks for.
    """
    if prediction_type not in get_args(PredictionType):
        hint = nearest(prediction_type, get_args(PredictionType))
        raise InputError(f"prediction_type must not be {prediction_type!r}; {hint}")
    if prediction_type != "point" and takes == "sequences":
        raise InputError(
            f"prediction_type {prediction_type!r} counts from the target's values in a context, "
            f"which {model} does not read; leave it at 'point'"
        )
    for name, value, wanted in (
        ("season", season, "seasonal"),
        ("ridge_context", ridge_context, "ridge"),
    ):
        if value is not None and prediction_type != wanted:
            raise InputError(
                f"{name} is {value}, which is of no use with prediction_type {prediction_type!r}; "
                f"leave it out, or set prediction_type to {wanted!r}"
            )
        if value is not None:
            at_least_one(**{name: value})
    if prediction_type == "ridge":
        return Ridge(ridge_context)
    if prediction_type == "seasonal" and season is None:
        raise InputError("prediction_type 'seasonal' wants season, its number of steps")
    return None if prediction_type == "point" else Season(season or 1)
