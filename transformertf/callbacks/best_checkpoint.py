"""The best checkpoint, which a resumed fit takes along."""

import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint

from transformertf.checkpoint import whole_file

log = logging.getLogger(__name__)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best checkpoint; "best" counts from the first epoch, over all resumptions.

    A resumed fit writes to a folder of its own. There the best one so far goes too, once there is
    something beside it.
    """

    _taken: Path | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best one of the run that is resumed, if it is still there."""
        score = state_dict["best_model_score"]
        if score is None:
            return
        source = Path(state_dict["best_model_path"])
        if not source.is_file():
            log.warning("%s is gone: the best checkpoint counts from here", source)
            return
        assert self.dirpath is not None
        self._taken, own = source, str(Path(self.dirpath, source.name))
        super().load_state_dict(
            {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": own,
                "kth_best_model_path": own,
                "best_k_models": {own: score},
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
            with contextlib.suppress(OSError):
                os.link(source, place)  # a second name for the same bytes
            if not place.exists():
                with source.open("rb") as old, whole_file(place) as new:
                    shutil.copyfileobj(old, new)
