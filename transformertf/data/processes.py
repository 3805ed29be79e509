"""What a data module wants to know of its trainer: processes, epoch and device."""

from typing import Any

import lightning
import torch
from torch import distributed

from transformertf.data.gather import HOST
from transformertf.errors import InputError

Trainer = lightning.Trainer | None


def rank_of(trainer: Trainer) -> tuple[int, int]:
    """Return the rank of this process and how many there are; 0 and 1 without a trainer."""
    return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


def require_agreement(trainer: Trainer, **own: Any) -> None:
    """Refuse to go on where processes differ: they would wait for one another without end.

    All processes call this together, once they have met.

    Args:
        trainer: of this process.
        own: what this process found, by name.

    Raises:
        InputError: on every process, and names two that differ.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or trainer is None:
        return
    found: list[dict[str, Any]] = [{} for _ in range(trainer.world_size)]
    distributed.all_gather_object(found, own)
    for rank, other in enumerate(found):
        for name, value in other.items():
            if value != found[0][name]:
                raise InputError(
                    f"the processes of this run differ in their {name}: process 0 has "
                    f"{found[0][name]}, process {rank} has {value}; give all of them the same "
                    "files and seed (seed_everything: a number)"
                )


def first_epoch(trainer: Trainer) -> int:
    """Return the epoch a fit starts with; workers of a resumed one fetch before it is set."""
    if trainer is None:
        return 0
    # `trainer.current_epoch` still counts from 0 when a resumed fit asks for its loader
    return int(getattr(trainer.fit_loop.epoch_progress.current, "processed", 0))


def device_of(trainer: Trainer) -> torch.device:
    """Return the device that trains."""
    return HOST if trainer is None else trainer.strategy.root_device
