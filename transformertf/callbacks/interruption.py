"""Signals that ask to stop: Ctrl-C, SIGTERM, and SLURM's notice before a job's time is up.

A terminal that is lost comes as SIGTERM.
"""

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

PATIENCE = b"\nstopping after this step, with a checkpoint; once more stops at once\n"


class Interruption(Callback):
    """Stops the trainer when a signal asks for it.

    Where work is cheap to do again, the signal stops it at once. A fit is to keep what it has: the
    first signal is only noted, for `LastCheckpoint` to stop it after a step; the second one stops
    at once.

    Python raises `KeyboardInterrupt` wherever it is just then, and drops an exception that is
    raised in the callback of a weak reference or in a finaliser. So the signal is noted in any
    case, and the trainer stops before the next batch.

    Args:
        patient: only note the first signal.
    """

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient
        self.asked: signal.Signals | None = None
        self._insisted = False

    def on_sanity_check_start(self, *_: Any) -> None:
        """Listen: from here on Lightning's own handlers are in place, and give way to these."""
        self._listen()

    def on_train_start(self, *_: Any) -> None:
        """Listen."""
        self._listen()

    def on_validation_start(self, *_: Any) -> None:
        """Listen."""
        self._listen()

    def on_test_start(self, *_: Any) -> None:
        """Listen."""
        self._listen()

    def on_predict_start(self, *_: Any) -> None:
        """Listen."""
        self._listen()

    def on_train_batch_start(self, *_: Any) -> None:
        """Stop if asked."""
        self._stop()

    def on_validation_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Stop if asked; before the first step there is nothing to keep."""
        self._stop(trainer.sanity_checking)

    def on_test_batch_start(self, *_: Any) -> None:
        """Stop if asked."""
        self._stop()

    def on_predict_batch_start(self, *_: Any) -> None:
        """Stop if asked."""
        self._stop()

    def _listen(self) -> None:
        """Take the signals; Lightning gives them back when the trainer ends."""
        if threading.current_thread() is not threading.main_thread():
            return
        signals = [signal.SIGTERM]
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background
            signals.append(signal.SIGINT)
        if self.patient and "SLURM_JOB_ID" in os.environ:
            signals.append(signal.SIGUSR1)
        for number in signals:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = self.asked is None, signal.Signals(number)
        if self.patient and first:
            with contextlib.suppress(OSError):  # nobody may listen any more
                os.write(2, PATIENCE)  # unlike `print`, at any moment
            return
        self._insisted = True
        raise KeyboardInterrupt

    def _stop(self, at_once: bool = False) -> None:
        if self._insisted or (at_once and self.asked is not None):
            raise KeyboardInterrupt
