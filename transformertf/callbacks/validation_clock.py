"""Validation after so much time, in step with checkpoints, resumed fits and other processes."""

import math
import time
from typing import Any, cast

import lightning
from lightning.pytorch.callbacks import Callback


class ValidationClock(Callback):
    """Says after which steps a fit validates whose `val_check_interval` is a time.

    Lightning asks the clock wherever it wants to know, in each process by itself, and begins anew
    where a fit goes on. Here it is asked once after each optimizer step, for all processes; what
    has passed is kept; and the last step of a fit is validated, too.

    It stands before callbacks that ask for the interval in batches, which Lightning leaves open.
    """

    def __init__(self) -> None:
        self._interval: float | None = None
        self._due = False
        self._step = 0
        self._passed = self._since = 0.0

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Tell whoever asks that no number of batches leads to a validation."""
        self._interval = cast("Any", trainer)._val_check_time_interval
        if self._interval is not None:
            trainer.val_check_interval = math.inf

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Count from here, with the time that passed before."""
        self._step, self._since = trainer.global_step, time.monotonic() - self._passed
        self._tell(trainer)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Look at the clock after a step."""
        if self._interval is None:
            return
        stepped, self._step = trainer.global_step != self._step, trainer.global_step
        self._passed = time.monotonic() - self._since
        due = stepped and (self._passed >= self._interval or _ends(trainer))
        self._due = trainer.strategy.reduce_boolean_decision(due, all=False)
        self._tell(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Begin anew."""
        self._passed, self._due, self._since = 0.0, False, time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what has passed, in seconds, and whether a validation follows."""
        return {"passed": self._passed, "due": self._due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what had passed."""
        self._passed, self._due = state_dict["passed"], state_dict["due"]

    def _tell(self, trainer: lightning.Trainer) -> None:
        """Let Lightning come to what was decided, whenever it looks at the clock."""
        cast("Any", trainer)._last_val_time = -math.inf if self._due else math.inf


def _ends(trainer: lightning.Trainer) -> bool:
    last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
    return trainer.global_step == trainer.max_steps or (last_epoch and trainer.is_last_batch)
