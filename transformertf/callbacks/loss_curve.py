"""The loss curve of a fit, drawn into the run's folder as it goes."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
from lightning.pytorch.callbacks import Callback

from transformertf.checkpoint import whole_file
from transformertf.plots import loss_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSSES = ("train/loss", "validation/loss")
# epochs can be shorter than a drawing takes
PERIOD = 5.0  # seconds, at least, from one drawing to the next
SHARE = 0.01  # of the time of a fit, at most


class LossCurve(Callback):
    """Draws training and validation loss over the epochs, every few seconds and at the end.

    Args:
        path: PNG to write; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history: dict[str, dict[int, float]] = {name: {} for name in LOSSES}
        self._figure: Figure | None = None
        self._due = 0.0

    def state_dict(self) -> dict[str, dict[str, dict[int, float]]]:
        """Return the history, so that a resumed run draws the whole curve."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, dict[str, dict[int, float]]]) -> None:
        """Take over the history of the run that is resumed."""
        self.history = state_dict["history"]

    def on_train_start(self, *_: Any) -> None:
        """Begin to count time."""
        self._due = time.monotonic() + PERIOD

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch's losses."""
        for name in LOSSES:
            if name in trainer.callback_metrics:
                self.history[name][trainer.current_epoch] = float(trainer.callback_metrics[name])
        if time.monotonic() >= self._due:
            self._draw(trainer)

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Draw the whole curve."""
        self._draw(trainer)

    def on_exception(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Draw what there is; on a full disk that fails, and the exception is what counts."""
        with contextlib.suppress(OSError):
            self._draw(trainer)

    def _draw(self, trainer: lightning.Trainer) -> None:
        if not trainer.is_global_zero or not any(self.history.values()):
            return
        begun = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._figure = loss_figure(self.history, self._figure)
        with whole_file(self.path) as file:  # whoever looks at it meanwhile sees all of it
            self._figure.savefig(file, format="png", dpi=120)
        ended = time.monotonic()
        self._due = ended + max(PERIOD, (ended - begun) / SHARE)
