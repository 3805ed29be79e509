"""Ctrl-C that always stops the trainer."""

import signal
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Interruption(Callback):
    """Stops before the next batch where a Ctrl-C got lost.

    Python raises `KeyboardInterrupt` wherever it is just then, and drops an exception that is
    raised in the callback of a weak reference or in a finaliser: of the Ctrl-C nothing remains but
    a message.
    """

    def __init__(self) -> None:
        self._asked = False
        self._handler: Any = None

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Take note of Ctrl-C from here on."""
        self._asked = False
        self._handler = signal.getsignal(signal.SIGINT)
        if callable(self._handler):
            signal.signal(signal.SIGINT, self._note)

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Leave Ctrl-C as it was."""
        if callable(self._handler):
            signal.signal(signal.SIGINT, self._handler)

    def on_train_batch_start(self, *_: Any) -> None:
        """Stop if asked."""
        self._stop()

    def on_validation_batch_start(self, *_: Any) -> None:
        """Stop if asked."""
        self._stop()

    def on_test_batch_start(self, *_: Any) -> None:
        """Stop if asked."""
        self._stop()

    def on_predict_batch_start(self, *_: Any) -> None:
        """Stop if asked."""
        self._stop()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._handler(number, frame)

    def _stop(self) -> None:
        if self._asked:
            raise KeyboardInterrupt
