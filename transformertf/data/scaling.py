"""Everything fitted to the training data, and the way from original to scaled units."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from transformertf.data.columns import Columns
from transformertf.data.frames import FloatArray, Series
from transformertf.data.transform import StandardScaler
from transformertf.data.windows import Windows
from transformertf.errors import InputError

TimeFormat = Literal["absolute", "relative"]

# training windows that the scale of the time feature is taken from, evenly spread
_TIME_SAMPLE = 1000


class Scaling:
    """Column scalers and the scale of the time feature.

    The time feature is divided by its root mean square over training windows: unlike a
    standard deviation that stays away from zero where sampling is uniform.

    Args:
        columns: roles of the columns.
        enabled: standardise columns; if not, values stay in original units.
        time_format: "absolute" is time since the window's start, "relative" time since the
            previous step of the window.

    Attributes:
        scalers: fitted scaler of each value column, in the order of `Columns.values`.
        time_kind: "date" or "number", what the time column held in training.
        time_scale: what the time feature is divided by, in seconds for datetimes, else in the
            time column's unit.
    """

    def __init__(self, columns: Columns, enabled: bool, time_format: TimeFormat) -> None:
        self.columns = columns
        self.enabled = enabled
        self.time_format = time_format
        self.scalers = {name: StandardScaler() for name in columns.values}
        self.time_scale = 1.0
        self.time_kind: str | None = None

    @property
    def constant_columns(self) -> list[str]:
        """Names of columns that did not vary in the training data."""
        return [name for name, scaler in self.scalers.items() if scaler.is_constant]

    def fit(self, series: Sequence[Series], ends: Sequence[int], windows: Windows) -> None:
        """Fit to the rows before `ends` of each series, and to the time in training windows."""
        for index, scaler in enumerate(self.scalers.values()):
            scaler.fit(())
            for item, end in zip(series, ends, strict=True):
                scaler.partial_fit(item.values[:end, index])
        if self.columns.has_time:
            self.time_scale = self._fit_time([item.elapsed() for item in series], windows)
            self.time_kind = series[0].time_kind

    def check_time(self, series: Sequence[Series]) -> None:
        """Refuse time stamps of another kind than those the time feature was scaled on."""
        for item in series:
            if self.time_kind not in (None, item.time_kind):
                raise InputError(
                    f"series {item.name!r}: time column {self.columns.time!r} holds "
                    f"{item.time_kind}s, in training it held {self.time_kind}s; convert it"
                )

    def transform(self, values: FloatArray) -> FloatArray:
        """Return scaled value columns (rows, columns)."""
        if not self.enabled:
            return values
        return np.column_stack(
            [
                scaler.transform(column)
                for scaler, column in zip(self.scalers.values(), values.T, strict=True)
            ]
        )

    def inverse_target(self, values: torch.Tensor) -> torch.Tensor:
        """Return target values in original units, in float64 where the device has it."""
        if values.device.type != "mps":
            values = values.double()
        if not self.enabled:
            return values
        return self.scalers[self.columns.target].inverse_transform(values)

    def state_dict(self) -> dict[str, Any]:
        """Return the fitted state as primitives."""
        return {
            "time_scale": self.time_scale,
            "time_kind": self.time_kind,
            "scalers": {name: scaler.state_dict() for name, scaler in self.scalers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state."""
        self.time_scale = float(state["time_scale"])
        self.time_kind = state["time_kind"]
        for name, scaler in self.scalers.items():
            scaler.load_state_dict(state["scalers"][name])

    def _fit_time(self, elapsed: Sequence[FloatArray], windows: Windows) -> float:
        count = min(len(windows), _TIME_SAMPLE)
        index = np.linspace(0, len(windows) - 1, count).astype(np.int64)
        squares, steps = 0.0, 0
        for series, origin, context, horizon in zip(*windows.locate(index), strict=True):
            stamps = elapsed[series][origin - context + 1 : origin + horizon + 1]
            times = stamps - stamps[0] if self.time_format == "absolute" else np.diff(stamps)
            squares += float(np.square(times).sum())
            steps += times.size
        return (squares / max(steps, 1)) ** 0.5 or 1.0
