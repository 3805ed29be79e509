"""Streams forecasts to a parquet file while the trainer predicts."""

import os
from typing import Any, Protocol

import lightning
import pandas as pd
from lightning.pytorch.callbacks import Callback

from transformertf.forecasting import ForecastTables
from transformertf.models import ForecastModule
from transformertf.predictions import ForecastRows

# rows that are written at once: small tables are slow to make and to read
ROWS = 2**17


class Sink(Protocol):
    """Takes forecasts piece by piece."""

    def write(self, frame: pd.DataFrame) -> None:
        """Take rows."""

    def share(self, rank: int, ranks: int, token: str) -> None:
        """Take the rows of one process of several, which have a token in common."""

    def close(self) -> None:
        """Take no more."""


class ForecastWriter(Callback):
    """Appends forecasts to a file, many at once; memory does not grow with their number.

    Args:
        file: what to append to, opened and ended by its owner.
        tables: makes tables of the forecasts.
    """

    def __init__(self, file: Sink, tables: ForecastTables) -> None:
        self.file = file
        self.tables = tables
        self._waiting: list[ForecastRows] = []

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Agree with other processes on the names of their parts."""
        if trainer.world_size > 1:
            token = trainer.strategy.broadcast(str(os.getpid()))
            self.file.share(trainer.global_rank, trainer.world_size, token)

    def on_predict_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the forecasts of one batch."""
        assert isinstance(pl_module, ForecastModule)
        self._waiting.append(self.tables.rows(pl_module, batch, outputs))
        if sum(map(len, self._waiting)) >= ROWS:
            self._write(pl_module)

    def on_predict_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write what is left."""
        assert isinstance(pl_module, ForecastModule)
        if self._waiting:
            self._write(pl_module)
        self.file.close()

    def _write(self, model: ForecastModule) -> None:
        rows = ForecastRows.join(self._waiting)
        self._waiting.clear()
        self.file.write(self.tables.table(rows, model.quantiles))
