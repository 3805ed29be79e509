"""A bar on the terminal, below the lines of an epoch; elsewhere lines alone."""

import math
import time
from collections.abc import Sequence
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from transformertf.cli.progress import GAP, Lines, batches_of

REFRESH = 0.2  # seconds from one look at the numbers to the next: they come from the device
WIDTH = 10  # characters


class Bar(ProgressBar):
    """A bar on the terminal, of the epoch or of whatever else runs; lines are said above it.

    Args:
        lines: knows what to say of a fit.
        console: where it is drawn.
    """

    def __init__(self, lines: Lines, console: Console) -> None:
        super().__init__()
        self._lines, self._console = lines, console
        self._progress: Progress | None = None
        self._enabled = True
        self._looked = 0.0

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar."""
        self._enabled = True

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Begin the bar of an epoch."""
        self._begin(trainer.num_training_batches)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Show how far the epoch is."""
        if self._progress is None:  # a fit that goes on within an epoch
            self._begin(trainer.num_training_batches)
        now = time.monotonic()
        if now - self._looked >= REFRESH or trainer.is_last_batch:
            self._looked = now
            told = self._lines.told(trainer, pl_module)
            self._show(self._lines.place(trainer), batch_idx + 1, told)

    def on_train_epoch_end(self, *_: Any) -> None:
        """Make room for the line of the epoch."""
        self._end()

    def on_validation_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Begin the bar of a validation, but of the check before a fit."""
        if not trainer.sanity_checking:
            self._begin(batches_of(trainer))

    def on_test_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Begin the bar."""
        self._begin(batches_of(trainer))

    def on_predict_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Begin the bar."""
        self._begin(batches_of(trainer))

    def on_validation_batch_end(self, trainer: lightning.Trainer, *given: Any) -> None:
        """Show how far it is."""
        if not trainer.sanity_checking:
            self._show_batches(trainer, "validation", given[3] + 1)

    def on_test_batch_end(self, trainer: lightning.Trainer, *given: Any) -> None:
        """Show how far it is."""
        self._show_batches(trainer, "test", given[3] + 1)

    def on_predict_batch_end(self, trainer: lightning.Trainer, *given: Any) -> None:
        """Show how far it is."""
        self._show_batches(trainer, "forecasts", given[3] + 1)

    def on_validation_end(self, *_: Any) -> None:
        """Take the bar away; the next step begins that of its epoch anew."""
        self._end()

    def on_test_end(self, *_: Any) -> None:
        """Take the bar away."""
        self._end()

    def on_predict_end(self, *_: Any) -> None:
        """Take the bar away."""
        self._end()

    def on_exception(self, *_: Any) -> None:
        """Take the bar away: what is wrong is told in its place."""
        self._end()

    def teardown(self, *_: Any, **__: Any) -> None:
        """Take the bar away, of an epoch that a limit cut short."""
        self._end()

    def _show_batches(self, trainer: lightning.Trainer, what: str, done: int) -> None:
        self._show(what, done, [f"{done}/{batches_of(trainer):.0f}"])

    def _begin(self, total: float) -> None:
        self._end()
        if not self._enabled:
            return
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(WIDTH, table_column=Column(min_width=WIDTH)),
            TextColumn("{task.fields[told]}", table_column=Column(no_wrap=True), markup=False),
            console=self._console,
            transient=True,
        )
        self._progress.add_task("", total=total if math.isfinite(total) else None, told="")
        self._progress.start()

    def _show(self, place: str, done: int, told: list[str]) -> None:
        """Show what there is room for in one line: what is told last counts most."""
        if self._progress is None:
            return
        room = self._console.width - len(place) - WIDTH - 2
        while told and len(GAP.join(told)) > room:
            told = told[1:]
        (task,) = self._progress.task_ids
        self._progress.update(task, description=place, completed=done, told=GAP.join(told))

    def _end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = None


def progress_of(own: Sequence[Callback], wanted: bool) -> list[Callback]:
    """Return what shows progress, where the user's callbacks do not.

    Args:
        own: the user's callbacks.
        wanted: whether a bar may be shown.
    """
    if any(isinstance(callback, ProgressBar) for callback in own):
        return []
    console = Console(stderr=True)
    has_bar = wanted and console.is_terminal and not console.is_dumb_terminal
    lines = Lines(often=not has_bar)
    return [lines, Bar(lines, console)] if has_bar else [lines]
