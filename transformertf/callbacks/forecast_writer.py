"""Streams forecasts to a parquet file while the trainer predicts."""

from typing import Any, Protocol

import lightning
import pandas as pd
from lightning.pytorch.callbacks import Callback

from transformertf.data.base import WindowDataModule
from transformertf.models import ForecastModule
from transformertf.predictions import forecast_frame


class Sink(Protocol):
    """Takes forecasts piece by piece."""

    def write(self, frame: pd.DataFrame) -> None:
        """Take rows."""


class ForecastWriter(Callback):
    """Appends each batch of forecasts to a file; memory does not grow with their number.

    Args:
        file: what to append to, opened and closed by its owner.
        data: the data module that is predicted on.
    """

    def __init__(self, file: Sink, data: WindowDataModule) -> None:
        self.file = file
        self.data = data

    def on_predict_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the forecasts of one batch."""
        assert isinstance(pl_module, ForecastModule)
        point = pl_module.point_forecast(outputs)
        series, levels = self.data.predict_series, pl_module.quantiles
        self.file.write(forecast_frame(batch, point, outputs, series, levels))
