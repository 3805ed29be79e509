"""The loss of single steps, for loggers."""

from typing import Any, cast

import lightning
from lightning.pytorch.callbacks import Callback


class StepLoss(Callback):
    """Logs `loss`, that of a batch, every `trainer.log_every_n_steps` optimizer steps.

    Lightning's own way to log at steps logs at every one from when a callback asks to stop too
    early on; a resumed fit does not know of that, and would log others.
    """

    def __init__(self) -> None:
        self._step = 0

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Count steps from here."""
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Log after a step, where it is time."""
        if trainer.global_step == self._step:
            return  # gradients are collected
        self._step = trainer.global_step
        if self._step % cast("Any", trainer).log_every_n_steps:
            return
        loss = trainer.callback_metrics.get("loss")
        if loss is None:  # batches were left out so far
            return
        told = {"loss": float(loss), "epoch": trainer.current_epoch}
        for logger in trainer.loggers:
            # steps count from 0, as in all that Lightning logs
            logger.log_metrics(told, self._step - 1)
            logger.save()
