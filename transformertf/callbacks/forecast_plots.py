"""Forecasts of a few validation windows, drawn while a model trains."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader

from transformertf.checkpoint import whole_file
from transformertf.data import IntArray, Series, WindowDataModule
from transformertf.data.batches import BatchDataset
from transformertf.data.windows import Request, SeriesSampler, Windows
from transformertf.errors import InputError, at_least_one
from transformertf.forecasts import forecast_frame
from transformertf.models import ForecastModule
from transformertf.plots import can_plot, forecast_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# context drawn, in horizons and at least so many rows: beside a longer one a horizon would vanish
_HORIZONS_BEFORE = 4
_ROWS_BEFORE = 24


class ForecastPlots(Callback):
    """Draws forecasts of the same few validation windows, over their contexts, after validation.

    A figure goes to `<folder>/forecasts_epoch=K.png`, and to every logger that takes figures:
    TensorBoard, and those with `log_image`. Training is the same, to the bit, as without.

    Args:
        every_n_epochs: epochs from one figure to the next.
        panels: windows to draw, spread over the series.
        folder: where the files go; `plots` in the folder of the run if not given.
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        panels: int = 3,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        at_least_one(every_n_epochs=every_n_epochs, panels=panels)
        if not can_plot():
            raise InputError(
                "ForecastPlots wants matplotlib, which is not installed; install "
                "transformertf[plot], or leave the callback out"
            )
        self.every_n_epochs = every_n_epochs
        self.panels = panels
        self.folder = None if folder is None else Path(folder)
        self._place: Path | None = None

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Find the folder of the run, of which all processes ask the first one together."""
        self._place = self.folder or Path(trainer.log_dir or trainer.default_root_dir) / "plots"

    def on_validation_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Have the model hold the states that the sequences to draw go on with."""
        if isinstance(pl_module, ForecastModule) and self._is_due(trainer):
            dataset, index = self._choose(trainer)
            series, origin, *_ = dataset.windows.locate(index)
            pl_module.carried.keep(zip(series.tolist(), origin.tolist(), strict=True))

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Draw, where the epoch is one of those asked for."""
        if not self._is_due(trainer):
            return
        data = getattr(trainer, "datamodule", None)
        if not (isinstance(pl_module, ForecastModule) and isinstance(data, WindowDataModule)):
            raise InputError(
                "ForecastPlots wants a model and a data module of transformertf, found "
                f"{type(pl_module).__name__} and {type(data).__name__}; leave the callback out"
            )
        figure = self._draw(trainer, pl_module, data)
        pl_module.carried.keep(())
        if figure is None:
            return
        assert self._place is not None
        self._place.mkdir(parents=True, exist_ok=True)
        path = self._place / f"forecasts_epoch={trainer.current_epoch}.png"
        with whole_file(path) as file:
            figure.savefig(file, format="png")
        for logger in trainer.loggers:
            _log(logger, figure, path, trainer.global_step)

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return False
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return due and trainer.is_global_zero

    def _choose(self, trainer: lightning.Trainer) -> tuple[BatchDataset, IntArray]:
        """Return the validation data, and the windows of it to draw."""
        loader = trainer.val_dataloaders
        assert isinstance(loader, DataLoader)
        dataset, sampler = loader.dataset, loader.sampler
        assert isinstance(dataset, BatchDataset)
        # of sequences the states are those of this process
        own = sampler.own if isinstance(sampler, SeriesSampler) else range(len(dataset))
        return dataset, spread(dataset.windows, self.panels, own)

    def _draw(
        self, trainer: lightning.Trainer, model: ForecastModule, data: WindowDataModule
    ) -> "Figure | None":
        """Return a figure; None where validation left out all that there is to draw."""
        dataset, index = self._choose(trainer)
        if dataset.windows.carried:
            number, origin, *_ = dataset.windows.locate(index)
            since, _ = dataset.windows.pieces(index)
            places = zip(number.tolist(), origin.tolist(), strict=True)
            index = index[(since == origin + 1) | [model.carried.knows(each) for each in places]]
        if not len(index):
            return None
        located = dataset.windows.locate(index)
        batch = trainer.strategy.batch_to_device(dataset[Request(index, *located[2:])])
        with trainer.precision_plugin.val_step_context():
            point, outputs = model.shown(batch)
        series = data.stages.series("validation")
        frame = forecast_frame(batch, point, outputs, series, model.quantiles)
        # each window has a panel of its own
        begin = frame.groupby(["series", "origin"], dropna=False)["time"].transform("min")
        frame["series"] = frame["series"] + ", from " + begin.map(str)
        contexts = [_context(series[one[0]], *one[1:]) for one in zip(*located, strict=True)]
        return forecast_figure(
            frame,
            data.columns.target,
            data.columns.time or "row",
            panels=len(index),
            history=pd.concat(contexts, ignore_index=True),
        )


def spread(windows: Windows, count: int, own: range | None = None) -> IntArray:
    """Return up to `count` windows: first ones of as many series, or all over fewer series.

    Args:
        windows: some of which only lead in, and are not drawn.
        count: how many.
        own: the windows to choose among; all if not given.
    """
    counts = np.array([run.count for run in windows.runs], dtype=np.int64)
    first = counts.cumsum() - counts
    own = range(len(windows)) if own is None else own
    drawn = [i for i, run in enumerate(windows.runs) if run.counts and first[i] in own]
    first, counts, ends = first[drawn], counts[drawn], counts[drawn].cumsum()
    _, run = np.unique([windows.runs[i].series for i in drawn], return_index=True)
    several = len(run) >= count
    last = (len(run) if several else ends[-1:].sum()) - 1
    chosen = np.unique(np.linspace(0, last, count if drawn else 0).round().astype(np.int64))
    if several:
        return first[run[chosen]]
    place = np.searchsorted(ends, chosen, side="right")
    index: IntArray = first[place] + chosen - (ends - counts)[place]
    return index


def _context(series: Series, origin: int, context: int, horizon: int) -> pd.DataFrame:
    """Return the last rows of a window's context, in the columns of a history."""
    count = min(context, max(_HORIZONS_BEFORE * horizon, _ROWS_BEFORE))
    rows = np.arange(origin + 1 - count, origin + 1)
    time = pd.RangeIndex(len(series)) if series.time is None else series.time
    name = f"{series.name}, from {time[origin + 1]}"
    return pd.DataFrame({"series": name, "time": time[rows], "actual": series.values[rows, -1]})


def _log(logger: Any, figure: "Figure", path: Path, step: int) -> None:
    """Give a figure to a logger, where it takes one."""
    if hasattr(logger, "log_image"):
        logger.log_image("forecasts", [str(path)], step)
    elif hasattr(logger.experiment, "add_figure"):
        logger.experiment.add_figure("forecasts", figure, step)
