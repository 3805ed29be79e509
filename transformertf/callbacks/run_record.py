"""What is kept of a run beside its weights: how it goes, how well, with what it was made."""

import datetime
import json
import math
import platform
import subprocess
import time
from pathlib import Path
from typing import Any, Literal, cast

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from transformertf.callbacks.checkpoints import BestCheckpoint
from transformertf.checkpoint import write_text
from transformertf.version import __version__

MADE_WITH = "made_with"  # of a checkpoint
State = Literal["running", "done", "interrupted", "failed"]


class RunRecord(Checkpoint):
    """Keeps a record of a run in a file, up to date after each epoch, and in each checkpoint.

    The file has the state of the run, when it began, how long it took, epochs and steps, the best
    metrics and the latest ones, the run that it goes on from, machine, versions and git commit. A
    checkpoint has versions and commit alone: of times no two runs are the same.

    Args:
        path: of the file, JSON.
        best: knows the best metrics.
        parent: checkpoint that the run goes on from; None for none.
    """

    def __init__(self, path: Path, best: BestCheckpoint, parent: Path | None = None) -> None:
        self.path, self.best = path, best
        self.made_with = made_with()
        self._told: dict[str, Any] = {
            "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "parent": None if parent is None else str(parent),
            "machine": platform.node(),
            **self.made_with,
        }
        self._began = time.monotonic()
        self._measured: dict[str, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Say that the run goes on."""
        self._write(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Bring the record up to date, as what Lightning calls last: the best one is known."""
        self._write(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Bring the record up to date."""
        if not trainer.sanity_checking:
            self._write(trainer)

    def on_save_checkpoint(self, _: Any, __: Any, checkpoint: dict[str, Any]) -> None:
        """Add versions and commit."""
        checkpoint[MADE_WITH] = dict(self.made_with)

    def end(self, trainer: lightning.Trainer, state: State) -> None:
        """Say how the run has ended."""
        self._write(trainer, state)

    def _write(self, trainer: lightning.Trainer, state: State = "running") -> None:
        if not trainer.is_global_zero:
            return
        record = {
            "state": state,
            **self._told,
            "seconds": round(time.monotonic() - self._began, 3),
            "epochs": cast("Any", trainer.fit_loop.epoch_progress.current).processed,
            "steps": trainer.global_step,
            "monitor": self.best.monitor,
            "best": _finite(self.best.best_metrics),
            "latest": _finite(trainer.callback_metrics),
        }
        write_text(self.path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def made_with() -> dict[str, str]:
    """Return versions, and the commit of the repository that this process works in, where any is.

    Returns:
        Text by name: `transformertf`, `torch`, `lightning`, `python`, `git`.
    """
    versions = {
        "transformertf": __version__,
        "torch": str(torch.__version__),
        "lightning": lightning.__version__,
        "python": platform.python_version(),
    }
    commit = _commit()
    return versions if commit is None else {**versions, "git": commit}


def _commit() -> str | None:
    """Return what git says; None without it, without a repository, or where it takes long.

    Whether files have changed since is not asked: git would run programs that a repository names.
    """
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip()


def _finite(metrics: Any) -> dict[str, float]:
    """Return numbers by name, without those that JSON has no word for."""
    numbers = {name: float(value) for name, value in metrics.items()}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
