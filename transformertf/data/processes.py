"""What a data module wants to know of its trainer: processes, epoch and device."""

import lightning
import torch

from transformertf.data.gather import HOST
from transformertf.errors import InputError

Trainer = lightning.Trainer | None


def rank_of(trainer: Trainer) -> tuple[int, int]:
    """Return the rank of this process and how many there are; 0 and 1 without a trainer."""
    return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


def refuse_ranks(trainer: Trainer) -> None:
    """Refuse to train, validate or test on several processes."""
    _, world_size = rank_of(trainer)
    if world_size > 1:
        raise InputError(
            f"training on {world_size} processes is not supported yet; set "
            "trainer.devices and trainer.num_nodes to 1"
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
