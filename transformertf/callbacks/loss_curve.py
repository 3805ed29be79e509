"""The loss curve of a fit, drawn into the run's folder after every epoch."""

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from transformertf.plots import loss_figure

LOSSES = ("train/loss", "validation/loss")


class LossCurve(Callback):
    """Draws training and validation loss over the epochs.

    Args:
        path: PNG to write; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history: dict[str, dict[int, float]] = {name: {} for name in LOSSES}

    def state_dict(self) -> dict[str, dict[str, dict[int, float]]]:
        """Return the history, so that a resumed run draws the whole curve."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, dict[str, dict[int, float]]]) -> None:
        """Take over the history of the run that is resumed."""
        self.history = state_dict["history"]

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch's losses and draw."""
        for name in LOSSES:
            if name in trainer.callback_metrics:
                self.history[name][trainer.current_epoch] = float(trainer.callback_metrics[name])
        if trainer.is_global_zero:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            loss_figure(self.history).savefig(self.path, dpi=120)
