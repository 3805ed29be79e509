"""A checkpoint's model, the data module that goes with it, and the trainer that runs both."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import lightning
import pandas as pd
from lightning.pytorch.utilities.seed import isolate_rng

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import Checkpoint
from transformertf.class_paths import allowing, find_object, refuse_foreign
from transformertf.cli import quiet
from transformertf.data import EncoderDecoderDataModule, WindowDataModule
from transformertf.data.windows import FUTURE_PATHS, PREDICT_PATHS, OriginLike, origin_text
from transformertf.errors import InputError
from transformertf.forecaster.given import give, tell
from transformertf.forecasts import Calibration, ForecastFrames, ForecastTables, Horizon
from transformertf.models import ForecastModule, precision_of

# a trainer takes the model for itself: threads take turns
TURN = threading.RLock()
Kind = TypeVar("Kind", ForecastModule, WindowDataModule)
# what to say of a data module that forecasts so many steps
Telling = Callable[[WindowDataModule, int | None], Iterable[str]]


class Trained:
    """What a checkpoint trained, and how it is run.

    Args:
        checkpoint: read.
        accelerator: where to compute, as `lightning.Trainer` names it.
        allow: further packages whose classes the checkpoint may name.

    Attributes:
        model: the trained model.
    """

    def __init__(self, checkpoint: Checkpoint, accelerator: str, allow: Sequence[str]) -> None:
        self.checkpoint = checkpoint
        self.accelerator = accelerator
        self.allow = tuple(allow)
        checkpoint.refuse_non_finite()
        model = self._class(checkpoint.model, ForecastModule)
        # the weights that it begins with are drawn
        with allowing(self.allow), isolate_rng():
            self.model = checkpoint.make_model(model)

    def data(self, batch_size: int | None, origin: OriginLike = None) -> WindowDataModule:
        """Return the data module of the checkpoint."""
        origin = origin_text(origin)
        given: dict[str, Any] = {PREDICT_PATHS: None}
        if batch_size is not None:
            given["batch_size"] = batch_size
        data = self._class(self.checkpoint.data, WindowDataModule)  # type: ignore[type-abstract]
        if issubclass(data, EncoderDecoderDataModule):
            given |= {"origin": origin, FUTURE_PATHS: None}
        elif origin != "auto":
            raise InputError(
                f"origin {origin!r}: sequences have no origins, each row is forecast once; leave "
                "it out"
            )
        with allowing(self.allow):
            return self.checkpoint.make_data(data, **given)

    def rows(
        self,
        data: object,
        future: object | None,
        origin: OriginLike,
        batch_size: int | None = None,
    ) -> WindowDataModule:
        """Return the data module with rows to forecast, and those that follow, where given."""
        module = self.data(batch_size, origin)
        give(module, PREDICT_PATHS, data)
        if future is not None:
            give(module, FUTURE_PATHS, future)
        return module

    def _class(self, described: dict[str, Any], kind: type[Kind]) -> type[Kind]:
        """Return the class that the checkpoint names.

        Raises:
            InputError: there is none, of another kind, or one that is not allowed.
        """
        path, place = described["class_path"], self.checkpoint.place
        with allowing(self.allow):
            refuse_foreign(described, "", f" in {place}")
            found = find_object(path, place)
        if not (isinstance(found, type) and issubclass(found, kind)):
            raise InputError(f"{place}: no {kind.__name__} has the import path {path!r}")
        return found

    def run(
        self,
        module: WindowDataModule,
        horizon: Horizon,
        telling: Telling | None = None,
        calibration: Calibration | None = None,
        season: int | None = None,
    ) -> list[pd.DataFrame]:
        """Say what is forecast, and return the forecasts of a data module in pieces."""
        horizon.check(self.model, module)
        frames = ForecastFrames()
        tables = ForecastTables(module, horizon, calibration, season)
        if telling is not None:
            tell(telling(module, horizon.steps))
        with TURN, quiet(verbose=False):
            trainer = lightning.Trainer(
                accelerator=self.accelerator,
                devices=1,
                logger=False,
                callbacks=[ForecastWriter(frames, tables)],
                precision=precision_of(self.model),
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                # nothing is written there; else Lightning asks for the working folder, be it gone
                default_root_dir=os.sep,
            )
            trainer.predict(self.model, datamodule=module, return_predictions=False)
        return frames.pieces
