"""Streams forecasts to a parquet file while the trainer predicts."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback

from transformertf.checkpoint import new_token
from transformertf.data.reading import release
from transformertf.forecasts import ForecastRows, ForecastTables, Sink
from transformertf.models import ForecastModule

# rows that are written at once: small tables are slow to make and to read
ROWS = 2**17


class ForecastWriter(Callback):
    """Appends forecasts to a file, many at once; memory does not grow with their number.

    The model's `predict_step` makes the rows: beyond the trained horizon a batch takes several
    runs of the network, none of them for an output that nobody reads.
    A thread makes the tables and writes them, one at a time, while the model forecasts on.
    Series that are forecast side by side come one after the other in the file: rows wait until
    those of the series before them are there.

    Args:
        file: what to append to, opened and ended by its owner.
        tables: makes tables of the forecasts.
    """

    def __init__(self, file: Sink, tables: ForecastTables) -> None:
        self.file = file
        self.tables = tables
        self._waiting: list[ForecastRows] = []
        # rows that came since the last writing
        self._new = 0
        self._thread: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._writes = True

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Have the model make rows; agree with other processes on the names of their parts."""
        assert isinstance(pl_module, ForecastModule)
        if stage == "predict":
            pl_module.predicts = partial(self.tables.rows, pl_module)
        if trainer.world_size > 1:
            token = trainer.strategy.broadcast(new_token())
            self.file.share(trainer.global_rank, trainer.world_size, token)
            # where each process forecasts everything, the first one has it all
            shares = self.tables.data.hparams["distributed"] is not False
            self._writes = shares or trainer.is_global_zero

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
        if not self._writes:
            return
        self._waiting.append(outputs)
        self._new += len(outputs)
        if self._new >= ROWS:
            # of the series that are not in the batch any more nothing is to come, and of the first
            # of the others nothing that belongs before what is there
            self._write(pl_module, int(self.tables.places[batch["series"].cpu().numpy()].min()))

    def on_predict_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write what is left."""
        assert isinstance(pl_module, ForecastModule)
        if self._waiting:
            self._write(pl_module)
        self._finish()
        if self._thread is not None:
            self._thread.shutdown()
        self.file.close()

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Leave the model as it was."""
        assert isinstance(pl_module, ForecastModule)
        pl_module.predicts = None

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """Let the thread end before the file is taken away."""
        if self._thread is not None:
            self._thread.shutdown()

    def _write(self, model: ForecastModule, last: int | None = None) -> None:
        """Write what waits, of series up to a place in the table; None for all of them."""
        rows, self._waiting, self._new = ForecastRows.join(self._waiting), [], 0
        place = self.tables.places[rows.series]
        rows, place = rows.take(place.argsort(kind="stable")), np.sort(place)
        if last is not None:
            ready = place <= last
            self._waiting = [rows.take(~ready)]
            rows = rows.take(ready)
        self._finish()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1)
        self._writing = self._thread.submit(self._append, rows, model.quantiles)

    def _append(self, rows: ForecastRows, levels: list[float] | None) -> None:
        self.file.write(self.tables.table(rows, levels))
        release()

    def _finish(self) -> None:
        """Wait for the thread, and raise what it met."""
        if self._writing is not None:
            self._writing.result()
