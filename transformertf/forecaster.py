"""The Python door: a checkpoint that forecasts files and frames."""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import lightning
import pandas as pd

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import Checkpoint
from transformertf.data import EncoderDecoderDataModule
from transformertf.data.base import WindowDataModule
from transformertf.data.stages import PREDICT_PATHS
from transformertf.errors import InputError
from transformertf.models import ForecastModule
from transformertf.plots import forecast_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = TypeVar("Kind")
Given = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | pd.DataFrame


class Forecaster:
    """A trained model with everything fitted to its data.

    Args:
        checkpoint: read by `Checkpoint.read`.
        accelerator: where to compute, as `lightning.Trainer` names it.
    """

    def __init__(self, checkpoint: Checkpoint, accelerator: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.accelerator = accelerator
        model = _class(checkpoint.model, ForecastModule)
        self.model: ForecastModule = model.load_from_checkpoint(
            checkpoint.path, map_location="cpu", weights_only=True
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str], accelerator: str = "auto") -> Self:
        """Load a checkpoint, without running code from it.

        Args:
            path: the file that `transformertf fit` wrote.
            accelerator: where to compute: "auto", "cpu", "cuda" and others.

        Raises:
            InputError: no such file, or not a whole checkpoint of this package.
        """
        return cls(Checkpoint.read(Path(path), "checkpoint"), accelerator)

    def predict(
        self, data: Given, *, origin: str = "auto", batch_size: int | None = None
    ) -> pd.DataFrame:
        """Return the forecasts as one table, in original units and real time.

        Args:
            data: a path, a glob or a list of them, or a frame with the columns of the training
                data; without id columns a frame is one series, named "frame".
            origin: rows after which forecasts start: auto, last, all, every:N, or a time; see
                the guide on data.
            batch_size: windows of a batch; that of the training if not given.

        Returns:
            One row for each series, origin and step, as `transformertf predict` writes it.

        Raises:
            InputError: what is in the data cannot be used.
        """
        module = self._data(batch_size, origin)
        if isinstance(data, pd.DataFrame):
            module.stages.give(PREDICT_PATHS, data)
        else:
            paths = [data] if isinstance(data, (str, os.PathLike)) else data
            module.hparams[PREDICT_PATHS] = [os.fspath(path) for path in paths]
        frames = _Frames()
        trainer = lightning.Trainer(
            accelerator=self.accelerator,
            devices=1,
            logger=False,
            callbacks=[ForecastWriter(frames, module)],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.predict(self.model, datamodule=module, return_predictions=False)
        return pd.concat(frames.pieces, ignore_index=True)

    def plot(self, forecasts: pd.DataFrame, series: str | Sequence[str] | None = None) -> "Figure":
        """Draw forecasts over what happened, one panel for each series.

        Args:
            forecasts: as `predict` returns them.
            series: names of the series to draw; the first three if not given.

        Raises:
            InputError: there is no forecast of such a series.
        """
        target = self.checkpoint.data["init_args"]["target_covariate"]
        if series is None:
            return forecast_figure(forecasts, target)
        names = [series] if isinstance(series, str) else list(series)
        for name in names:
            if name not in set(forecasts["series"]):
                raise InputError(f"series {name!r} is not among the forecasts")
        own = forecasts[forecasts["series"].isin(names)]
        return forecast_figure(own, target, panels=len(names))

    def _data(self, batch_size: int | None, origin: str) -> WindowDataModule:
        """Return the data module of the checkpoint."""
        given: dict[str, Any] = {PREDICT_PATHS: None}
        if batch_size is not None:
            given["batch_size"] = batch_size
        data = _class(self.checkpoint.data, WindowDataModule)
        if issubclass(data, EncoderDecoderDataModule):
            given["origin"] = origin
        elif origin != "auto":
            raise InputError(
                f"origin {origin!r}: sequences have no origins, each row is forecast once; leave "
                "it out"
            )
        return data.load_from_checkpoint(self.checkpoint.path, weights_only=True, **given)


def _class(described: dict[str, Any], kind: type[Kind]) -> type[Kind]:
    """Return the class that a checkpoint names.

    Raises:
        InputError: there is none, or of another kind.
    """
    module, _, name = described["class_path"].rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"checkpoint: no class {described['class_path']!r}") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise InputError(f"checkpoint: {described['class_path']!r} is no {kind.__name__}")
    return found


class _Frames:
    """Keeps forecasts in memory."""

    def __init__(self) -> None:
        self.pieces: list[pd.DataFrame] = []

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows."""
        self.pieces.append(frame)
