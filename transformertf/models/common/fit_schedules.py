"""Learning rates over a whole fit, whose number of steps the trainer knows."""

import logging
import math
from abc import ABC, abstractmethod

import lightning
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.optim.lr_scheduler import LRScheduler

from transformertf.errors import InputError

log = logging.getLogger(__name__)
_ENDLESS = (
    "{}: its length is the number of optimizer steps of the fit, which a limit of time does not "
    "give; set trainer.max_epochs or trainer.max_steps, beside which trainer.max_time may stand"
)


class FitSchedule(LRScheduler, ABC):
    """A learning rate that rises to the optimizer's, then falls until the last step of the fit.

    It advances with each step, whatever its interval. `follow` tells the number of steps; until
    then the rate is the optimizer's.

    Args:
        optimizer: its rate is the highest.
        warmup: share of the steps in which the rate rises, from 0 to below 1.

    Raises:
        InputError: another share.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup: float) -> None:
        if not 0 <= warmup < 1:
            raise InputError(
                f"lr_scheduler.warmup must be at least 0 and below 1, found {warmup}; it is a "
                "share of the steps"
            )
        self.warmup = warmup
        self.total: int | None = None
        super().__init__(optimizer)

    def follow(self, total: int) -> None:
        """Take the number of optimizer steps of the fit, which may have changed since."""
        if self.total not in (None, total):
            log.warning(
                "%s ends with step %d now, %d in the checkpoint: the rate is what it has at this "
                "place", type(self).__name__, total, self.total,
            )  # fmt: skip
        self.total = total
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return the rate of each group of parameters."""
        factor = 1.0 if self.total is None else self._factor(self.total)
        return [factor * rate for rate in self.base_lrs]

    def _factor(self, total: int) -> float:
        step, peak = min(self.last_epoch, total - 1), max(self.warmup * total - 1, 0.0)
        if step < peak:
            return self._rise(step, peak)
        # a fit of one step has the highest rate
        return self._fall((step - peak) / max(total - 1 - peak, 1.0))

    @abstractmethod
    def _rise(self, step: int, peak: float) -> float:
        """Return the share of the highest rate at a step before the one that has it."""

    @abstractmethod
    def _fall(self, share: float) -> float:
        """Return the share of the highest rate after a share of the steps behind it."""


class CosineWithWarmup(FitSchedule):
    """A straight rise, then half a cosine down.

    Args:
        optimizer: its rate is the highest.
        warmup: share of the steps in which the rate rises, from 0 to below 1.
        final: share of the highest rate in the last step, from 0 to 1.

    Raises:
        InputError: other shares.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, warmup: float = 0.05, final: float = 0.0
    ) -> None:
        if not 0 <= final <= 1:
            raise InputError(f"lr_scheduler.final must be from 0 to 1, found {final}")
        self.final = final
        super().__init__(optimizer, warmup)

    def _rise(self, step: int, peak: float) -> float:
        return (step + 1) / (peak + 1)

    def _fall(self, share: float) -> float:
        return _cosine(1.0, self.final, share)


class OneCycle(FitSchedule):
    """Half a cosine up, and a longer one down to next to nothing (Smith and Topin 2018).

    The rates are those of torch's `OneCycleLR`; the momentum stays as it is.

    Args:
        optimizer: its rate is the highest.
        warmup: share of the steps in which the rate rises, from 0 to below 1.
        div_factor: the highest rate by the first one, at least 1.
        final_div_factor: the first rate by the last one, at least 1.

    Raises:
        InputError: another share, or factors below 1.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        warmup: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if not 1 <= factor < math.inf:
                raise InputError(f"lr_scheduler.{name} must be at least 1, found {factor}")
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        super().__init__(optimizer, warmup)

    def _rise(self, step: int, peak: float) -> float:
        return _cosine(1 / self.div_factor, 1.0, step / peak)

    def _fall(self, share: float) -> float:
        return _cosine(1.0, 1 / (self.div_factor * self.final_div_factor), share)


def _cosine(start: float, end: float, share: float) -> float:
    """Return what lies between two values after a share of half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def refuse_endless(
    scheduler: object, max_epochs: int | None, max_steps: int, has_time: bool
) -> None:
    """Refuse a schedule over the whole fit where no number bounds it.

    A rate that followed the clock would give a fit that neither comes out again nor goes on to the
    same bits, and processes whose rates differ.

    Args:
        scheduler: of the optimizer.
        max_epochs: of the trainer; without any limit it takes 1000.
        max_steps: of the trainer, -1 for none.
        has_time: it has a limit of time.

    Raises:
        InputError: names what to set.
    """
    epochs = max_epochs if max_epochs is not None else -1 if has_time else 1000
    if isinstance(scheduler, FitSchedule) and max_steps == -1 and epochs == -1:
        raise InputError(_ENDLESS.format(type(scheduler).__name__))


def follow_fit(trainer: lightning.Trainer) -> None:
    """Tell the schedules over a whole fit how many steps it has.

    Raises:
        InputError: no number bounds the fit, or steps are of other numbers of batches by and by.
    """
    for config in trainer.lr_scheduler_configs:
        scheduler = config.scheduler
        if not isinstance(scheduler, FitSchedule):
            continue
        refuse_endless(scheduler, trainer.max_epochs, trainer.max_steps, has_time=True)
        callbacks: list[object] = getattr(trainer, "callbacks", [])
        if any(isinstance(one, GradientAccumulationScheduler) for one in callbacks):
            raise InputError(
                f"trainer.callbacks: {type(scheduler).__name__} cannot count the steps of a fit "
                "with GradientAccumulationScheduler; set trainer.accumulate_grad_batches, or take "
                "another lr_scheduler"
            )
        scheduler.follow(int(trainer.estimated_stepping_batches))
