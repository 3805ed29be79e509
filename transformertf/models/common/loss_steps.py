"""Which of the steps of a forecast count in the loss, and in metrics beside it."""

from collections.abc import Mapping
from typing import Any, Literal

import torch

from transformertf.batch import Batch, BatchKind, sides, step_weights
from transformertf.errors import InputError

LossSteps = Literal["last"] | list[int] | None
# what data modules call the number of steps that are forecast
_LENGTHS: dict[BatchKind, str] = {"windows": "tgt_seq_len", "sequences": "seq_len"}


def check_steps_of_loss(steps: LossSteps) -> LossSteps:
    """Return the steps that count: all (None), the "last" one, or a rising list of numbers.

    Raises:
        InputError: they are none of that.
    """
    if steps is None or steps == "last":
        return steps
    numbers = [] if isinstance(steps, str) else list(steps)
    if not numbers or any(type(n) is not int or n < 1 for n in numbers):
        raise InputError(
            "loss_steps must be 'last' or a list of steps from 1, as [1, 24], found "
            f"{steps!r:.60}; leave it out where all are to count"
        )
    return sorted(set(numbers))


def check_horizon(steps: LossSteps, source: object, takes: BatchKind) -> None:
    """Refuse steps that no forecast of a data module has, or that are all washed out.

    Args:
        steps: as `check_steps_of_loss` gives them.
        source: the data module, or None.
        takes: batches that the model takes.

    Raises:
        InputError: there is one.
    """
    given: Mapping[str, Any] = getattr(source, "hparams", {})
    horizon = given.get(_LENGTHS[takes])
    if steps is None or steps == "last" or horizon is None:
        return
    if steps[-1] > horizon:
        raise InputError(
            f"loss_steps: {steps[-1]} is beyond the {horizon} steps of data.{_LENGTHS[takes]}; "
            "lower it, or leave it out"
        )
    washout = given.get("washout", 0)
    if steps[-1] <= washout and not given.get("carry_state"):
        raise InputError(
            f"loss_steps: none of {steps} is left by data.washout {washout}; lower that, or take "
            "later steps"
        )


def weigh_steps(batch: Batch, steps: LossSteps) -> Batch:
    """Return a batch in which only some steps have weight; to do so twice is to do so once.

    Args:
        batch: whole, with `target`.
        steps: as `check_steps_of_loss` gives them. They count data steps, from 1, wherever data
            lies in a row. The last one is that of a window, or of a sequence as a whole: of its
            pieces only the one that `ends` it has it.
    """
    if steps is None:
        return batch
    side = sides(batch)[-1]
    number = side.mask.cumsum(dim=1)
    if steps == "last":
        taken = side.mask & (number == side.lengths.unsqueeze(1))
        if "ends" in batch:
            taken = taken & batch["ends"].unsqueeze(1)
    else:
        taken = side.mask & torch.isin(number, torch.tensor(steps, device=number.device))
    given = step_weights(batch)
    weight = torch.where(taken, 1.0 if given is None else given, 0.0)
    return {**batch, "weight": weight.to(batch["target"].dtype)}
