"""The checkpoints of a fit: the last, which it goes on from, and the best.

The last is written after each epoch, now and then within, and at a signal; a resumed fit takes the
best one along.
"""

import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lightning
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, WeightAveraging

from transformertf.callbacks.interruption import Interruption
from transformertf.checkpoint import WholeCheckpoints, add_name

BEST = "best.ckpt"


class LastCheckpoint(Checkpoint):
    """Writes the one file that holds the latest state, and stops the trainer when asked.

    A state is kept where nothing is under way: after an optimizer step that neither a validation
    nor the end of the epoch follows, before a validation, or at the end of an epoch. There are no
    gradients then that wait for further batches.

    Args:
        path: the file.
        every: optimizer steps, or time, from one checkpoint within an epoch to the next; None for
            none.
        interruption: knows of signals.
    """

    def __init__(
        self, path: Path, every: int | timedelta | None, interruption: Interruption
    ) -> None:
        self.path = path
        self.every = every
        self.interruption = interruption
        self._wanted = False
        self._step = 0
        self._saved_step = 0
        self._saved_at = 0.0

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Take the file of the first process, and let all checkpoints be written whole."""
        self.path = trainer.strategy.broadcast(self.path)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # a user's own stays
            trainer.strategy.checkpoint_io = WholeCheckpoints()

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Count steps and time from here."""
        self._step = self._saved_step = trainer.global_step
        self._saved_at = time.monotonic()

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Stop if asked, after the epoch whose end was kept."""
        self._stop(trainer)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Keep the state after a step, where it is time or a signal asks for it."""
        if trainer.global_step == self._step:
            return  # gradients are collected
        self._step = trainer.global_step
        self._wanted = self._agree(trainer, self._wanted or self._is_due(trainer))
        if self._wanted and not self._more_follows(trainer):
            self._save(trainer)
            if self.interruption.asked is not None:
                # Lightning would do so after this, and a resumed fit goes on after the step
                trainer._logger_connector.update_train_step_metrics()
            self._stop(trainer)

    def on_validation_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Keep the state before a validation."""
        if self._wanted and not trainer.sanity_checking:
            self._save(trainer)
            self._stop(trainer)

    def on_validation_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Keep the state before this validation; of several processes none can stop alone.

        Where averaged weights are validated, those that train are elsewhere until its end.
        """
        asked = self.interruption.asked is not None and trainer.world_size == 1
        averaged = any(isinstance(item, WeightAveraging) for item in cast("Any", trainer).callbacks)
        if asked and not averaged and not trainer.sanity_checking:
            self._save(trainer)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Keep the state after an epoch; of one that a limit cut short, the step is kept."""
        whole = trainer.is_last_batch
        if whole or self._saved_step != trainer.global_step:
            self._save(trainer)

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        """Whether the state after this step is to be kept."""
        # a limit ends the epoch here, and a fit with a higher one goes on from here
        ends = trainer.should_stop or trainer.global_step == trainer.max_steps
        if self.interruption.asked is not None or ends:
            return True
        if isinstance(self.every, int):
            return trainer.global_step - self._saved_step >= self.every
        waited = time.monotonic() - self._saved_at
        return self.every is not None and waited >= self.every.total_seconds()

    def _more_follows(self, trainer: lightning.Trainer) -> bool:
        """Whether a validation or the end of the epoch comes next."""
        if trainer.is_last_batch:
            return True
        loop = trainer.fit_loop
        assert loop._data_fetcher is not None
        # only what was asked to stop validates for that reason, and does not when it goes on
        return not trainer.should_stop and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)

    def _agree(self, trainer: lightning.Trainer, wanted: bool) -> bool:
        """Whether any of the processes wants it."""
        return trainer.strategy.reduce_boolean_decision(wanted, all=False)

    def _save(self, trainer: lightning.Trainer) -> None:
        if getattr(trainer, "fast_dev_run", False):
            return
        self._wanted = False
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        trainer.save_checkpoint(self.path)

    def _stop(self, trainer: lightning.Trainer) -> None:
        if self._agree(trainer, self.interruption.asked is not None):
            raise KeyboardInterrupt


log = logging.getLogger(__name__)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best checkpoint; "best" counts from the first epoch, over all resumptions.

    Beside the name that tells epoch and step it has one that stays, `best.ckpt`.
    A resumed fit writes to a folder of its own. There the best one so far goes too, once there is
    something beside it.

    Attributes:
        best_metrics: what was measured with the best one: the monitored, and all of the validation,
            beside its `epoch`, counted from 1.
    """

    _taken: Path | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.best_metrics: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's state, and what was measured."""
        return {**super().state_dict(), "best_metrics": dict(self.best_metrics)}

    def _save_checkpoint(self, trainer: lightning.Trainer, filepath: str) -> None:
        """Write the best one under both names; the one before it goes only after that."""
        self.best_metrics = {"epoch": trainer.current_epoch + 1} | {
            name: float(value)
            for name, value in sorted(trainer.callback_metrics.items())
            if name == self.monitor or name.startswith("validation/")
        }
        super()._save_checkpoint(trainer, filepath)
        path = Path(filepath)
        if trainer.is_global_zero and path.is_file():  # strategies of others write folders
            add_name(path, path.with_name(BEST))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best one of the run that is resumed, if it is still there."""
        score = state_dict["best_model_score"]
        if score is None:
            return
        source = Path(state_dict["best_model_path"])
        if not source.is_file() or source.suffix != self.FILE_EXTENSION:
            log.warning("%s is no checkpoint: the best one counts from here", source)
            return
        assert self.dirpath is not None
        self._taken, own = source, str(Path(self.dirpath, source.name))
        self.best_metrics = dict(state_dict.get("best_metrics", {}))
        super().load_state_dict(
            {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": own,
                "kth_best_model_path": own,
                "best_k_models": {own: score},
                "last_model_path": "",
            }
        )

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Bring the best one into the folder, before what names it there."""
        source, self._taken = self._taken, None
        if source is not None and trainer.is_global_zero:
            place = Path(self.best_model_path)
            place.parent.mkdir(parents=True, exist_ok=True)
            for name in (place, place.with_name(BEST)):
                add_name(source, name)
