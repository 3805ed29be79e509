"""Torch's learning-rate schedulers that are made of others, as a configuration can say them.

Torch's own want schedulers that have their optimizer already; these are told how to make them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch.optim import lr_scheduler

from transformertf.errors import InputError
from transformertf.models.common.fit_schedules import FitSchedule
from transformertf.models.common.optimisation import LRSchedulerCallable


class SequentialLR(lr_scheduler.SequentialLR):
    """One scheduler after the other, such as a warm-up and then a cosine.

    Args:
        optimizer: whose learning rate they set.
        schedulers: each makes one of them; none may look at a value.
        milestones: from which epoch or step on, counted from 0, each but the first takes over.

    Raises:
        InputError: milestones that do not rise, that are not one fewer than the schedulers, or a
            scheduler that looks at a value.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedulers: list[LRSchedulerCallable],
        milestones: list[int],
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise InputError(
                f"lr_scheduler.milestones has {len(milestones)} numbers, but SequentialLR of "
                f"{len(schedulers)} schedulers wants one fewer than schedulers: where each but the "
                "first begins"
            )
        if any(late <= early for early, late in pairwise([0, *milestones])):
            raise InputError(
                f"lr_scheduler.milestones is {list(milestones)}; expected whole numbers from 1 on, "
                "each above the one before"
            )
        super().__init__(optimizer, _make(self, optimizer, schedulers), list(milestones))


class ChainedScheduler(lr_scheduler.ChainedScheduler):
    """Several schedulers at once, the factors of all of them multiplied.

    Args:
        optimizer: whose learning rate they set.
        schedulers: each makes one of them; none may look at a value.

    Raises:
        InputError: no scheduler, or one that looks at a value.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, schedulers: list[LRSchedulerCallable]
    ) -> None:
        super().__init__(_make(self, optimizer, schedulers), optimizer)


def _make(
    owner: lr_scheduler.LRScheduler,
    optimizer: torch.optim.Optimizer,
    schedulers: Sequence[LRSchedulerCallable],
) -> list[Any]:
    made = [make(optimizer) for make in schedulers]
    name = type(owner).__name__
    if not made:
        raise InputError(f"lr_scheduler.schedulers is empty; {name} wants schedulers to be made of")
    if any(isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) for scheduler in made):
        raise InputError(
            f"lr_scheduler.schedulers: ReduceLROnPlateau looks at a value, which {name} does not "
            "give it; take it alone, or leave it out"
        )
    for scheduler in made:
        if isinstance(scheduler, FitSchedule):
            raise InputError(
                f"lr_scheduler.schedulers: {type(scheduler).__name__} is of the whole fit, {name} "
                "of others; take it alone"
            )
    return made
