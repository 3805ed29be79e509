"""Streams forecasts to a parquet file while the trainer predicts."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from transformertf.data.base import WindowDataModule
from transformertf.models import ForecastModule
from transformertf.predictions import ForecastFile, forecast_frame


class ForecastWriter(Callback):
    """Appends each batch of forecasts to a file; memory does not grow with their number.

    Args:
        file: the file to append to, opened and closed by its owner.
        data: the data module that is predicted on.
    """

    def __init__(self, file: ForecastFile, data: WindowDataModule) -> None:
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
