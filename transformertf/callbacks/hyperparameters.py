"""What a run is made of and how well it did, for loggers that compare runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from transformertf.callbacks.checkpoints import BestCheckpoint


class Hyperparameters(Callback):
    """Hands the settings of a run to each logger; TensorBoard gets the best metrics beside them.

    What TensorBoard shows under HPARAMS are metrics that are named as the run begins; their values
    come as it ends.

    Args:
        settings: by name.
        best: knows the best metrics.
        metrics: names of those that are shown.
    """

    def __init__(
        self, settings: Mapping[str, Any], best: BestCheckpoint, metrics: Sequence[str]
    ) -> None:
        self.settings, self.best, self.metrics = dict(settings), best, list(metrics)

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Hand over the settings."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(self.settings, self._told(dict.fromkeys(self.metrics)))
            else:
                logger.log_hyperparams(self.settings)

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Hand over the best metrics."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                told = {name: self.best.best_metrics.get(name) for name in self.metrics}
                logger.log_metrics(self._told(told), trainer.global_step)

    def _told(self, metrics: Mapping[str, float | None]) -> dict[str, float]:
        """Return metrics by a name that no other curve has."""
        return {f"best/{k}": math.nan if v is None else v for k, v in metrics.items()}
