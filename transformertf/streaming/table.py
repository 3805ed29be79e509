"""Forecasts of one series to the table that users see."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from transformertf.predictions import quantile_column


def session_table(
    name: str,
    time: pd.Index,
    steps: int,
    point: torch.Tensor,
    shown: torch.Tensor,
    levels: Sequence[float] | None,
) -> pd.DataFrame:
    """Return what `transformertf.predictions.forecast_frame` would, less `actual`, in less time.

    Args:
        name: of the series.
        time: time stamps or row numbers that end with the steps that are forecast, before them the
            origin; without the origin its column is missing, or -1 of row numbers.
        steps: that are forecast.
        point: (1, Td, 1) point forecasts in original units, which end with those steps.
        shown: (1, Td, Q) what the model shows, likewise.
        levels: levels of the quantiles; None for a point forecast.
    """
    first = len(time) - steps
    columns: dict[str, Any] = {
        "series": _repeated(name, steps).copy(),
        "origin": _origin(time, first - 1, steps),
        "step": np.arange(1, steps + 1),
        "time": time[first:],
        "prediction": point[0, point.size(1) - steps :, 0].double().cpu().numpy(),
    }
    if levels is not None:
        # in order, as for the point forecast
        rising = shown[0, shown.size(1) - steps :].sort(dim=-1).values.double().cpu().numpy()
        columns |= {quantile_column(level): rising[:, place] for place, level in enumerate(levels)}
    return pd.DataFrame(columns, copy=False)


@lru_cache(maxsize=64)
def _repeated(name: str, steps: int) -> Any:
    """Return the name for each step, kept since text takes the longest to make."""
    return pd.array([name] * steps, dtype="str")


def _origin(time: pd.Index, row: int, steps: int) -> Any:
    """Return the time stamp of the origin for each step, missing where there is no such row."""
    if isinstance(time, pd.RangeIndex):
        return np.full(steps, time.start + row)
    stamps = time.take(np.full(steps, max(row, 0)))
    if row >= 0:
        return stamps
    found = pd.Series(stamps)
    if pd.api.types.is_integer_dtype(found.dtype):
        # as floats they would lose digits, and make a column of another type
        found = found.convert_dtypes()
    return found.mask(np.ones(steps, dtype=bool))
