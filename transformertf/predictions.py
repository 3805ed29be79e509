"""Forecasts of batches to one long table in original units and real time."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import torch

from transformertf.batch import Batch, forecast_mask
from transformertf.data.frames import Series
from transformertf.errors import InputError
from transformertf.utils.sequence import first_data_step


def forecast_frame(
    batch: Batch,
    point: torch.Tensor,
    outputs: torch.Tensor,
    series: Sequence[Series],
    quantiles: Sequence[float] | None,
) -> pd.DataFrame:
    """Return one row for each window and horizon step, or step of a sequence.

    Args:
        batch: the windows, B of them.
        point: (B, Td, 1) point forecasts in original units.
        outputs: (B, Td, Q) quantile forecasts in original units; not used without quantiles.
        series: the series that `batch["series"]` counts.
        quantiles: levels of the outputs, or None for a point forecast.

    Returns:
        Columns `series`, `origin`, `step` (from 1), `time`, `prediction`, `q<level>` for each
        quantile, `actual` (missing where unknown). `origin` and `time` are time stamps, or row
        numbers without a time column. Of a sequence that starts its series the origin is missing,
        or -1 without a time column.
    """
    mask = forecast_mask(batch).cpu()
    window, place = mask.nonzero(as_tuple=True)
    step = (place - first_data_step(mask)[window] + 1).numpy()
    origin = batch["origin"].cpu()[window].numpy()
    index = batch["series"].cpu()[window].numpy()
    columns = {"prediction": point[..., 0].double().cpu()[mask].numpy()}
    if quantiles is not None:
        # in order, as for the point forecast
        ordered = outputs.sort(dim=-1).values.double().cpu()[mask].numpy()
        columns |= {f"q{level:g}": ordered[:, i] for i, level in enumerate(quantiles)}
    pieces = []
    for number in dict.fromkeys(index.tolist()):
        rows = index == number
        own = {name: values[rows] for name, values in columns.items()}
        pieces.append(_series_rows(series[number], origin[rows], step[rows], own))
    return pd.concat(pieces, ignore_index=True)


def _series_rows(
    series: Series,
    origin: npt.NDArray[np.int64],
    step: npt.NDArray[np.int64],
    columns: dict[str, npt.NDArray[np.float64]],
) -> pd.DataFrame:
    rows = origin + step
    time = pd.RangeIndex(len(series)) if series.time is None else series.time
    return pd.DataFrame(
        {
            "series": series.name,
            "origin": origin if series.time is None else _stamps(series.time, origin),
            "step": step,
            "time": time[rows],
            **columns,
            "actual": series.values[rows, -1],
        }
    )


def _stamps(time: pd.Index, rows: npt.NDArray[np.int64]) -> pd.Series:
    """Return the time stamps of rows, missing where a row lies before the first one."""
    stamps = pd.Series(time[rows])
    if (rows >= 0).all():
        return stamps
    if pd.api.types.is_integer_dtype(stamps.dtype):
        # as floats they would lose digits, and make a column of another type
        stamps = stamps.convert_dtypes()
    return stamps.mask(rows < 0)


class ForecastFile:
    """A parquet file written piece by piece, there only once it is whole.

    Args:
        path: the file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".parquet":
            raise InputError(f"--output {path}: expected a name that ends in .parquet")
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise InputError(f"--output {path}: the folder {path.absolute().parent} must exist")
        self.path = path
        self.rows = 0
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._writer: pyarrow.parquet.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Start; nothing is written before the first piece."""
        return self

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows."""
        schema = None if self._writer is None else self._writer.schema
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._part, table.schema)
        self._writer.write_table(table)
        self.rows += len(frame)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the whole file in place, or take the half-written one away."""
        if self._writer is None:
            return
        self._writer.close()
        if error is None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)
