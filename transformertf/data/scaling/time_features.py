"""Features of the time stamps: the time that has passed, and the place in the calendar."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from transformertf.data.arguments import TimeFormat
from transformertf.data.columns import CALENDAR, check_calendar
from transformertf.data.reading import require_dates
from transformertf.data.scaling.chains import TIME, largest, naming
from transformertf.data.series import FloatArray, IntArray, Series, TimeKind
from transformertf.data.transform import TransformCollection
from transformertf.data.windows import Windows
from transformertf.errors import InputError

# training windows that the scale of the time feature is taken from, evenly spread
_TIME_SAMPLE = 1000
# rows of each, about; a longer one is thinned
_TIME_STEPS = 10_000
# what pandas calls them, where that is another name
_IN_PANDAS = {"dayofweek": "day_of_week", "dayofyear": "day_of_year"}


class TimeFeature:
    """The scale of the time feature, and the transforms before it.

    The feature is divided by its root mean square over training windows: unlike a standard
    deviation that stays away from zero where sampling is uniform.

    Args:
        column: name of the time column.
        time_format: "absolute" is time since the window's start, "relative" time since the
            previous step of the window.
        extra: transforms of the feature.

    Attributes:
        scale: what the feature is divided by, after the transforms; without them in seconds for
            datetimes, else in the time column's unit.
        kind: "date" or "number", what the time column held in training.
    """

    def __init__(self, column: str, time_format: TimeFormat, extra: TransformCollection) -> None:
        self.column = column
        self.time_format = time_format
        self.scale = 1.0
        self.kind: TimeKind | None = None
        self._extra = extra

    def fit(self, series: Sequence[Series], windows: Windows) -> None:
        """Fit to the time in training windows."""
        times = list(self._sample(series, windows))
        with naming(f"extra_transforms: {TIME!r}"):
            self._extra.fit_series([(values,) for values in times])
            features = [np.asarray(self._extra.transform(values), np.float64) for values in times]
        self.scale = _root_mean_square(features) or 1.0
        self.kind = series[0].time_kind

    def check(self, series: Sequence[Series]) -> None:
        """Refuse time stamps of another kind, or much farther apart, than those in training."""
        for one in series:
            if self.kind not in (None, one.time_kind):
                raise InputError(
                    f"series {one.name!r}: time column {self.column!r} holds "
                    f"{one.time_kind}s, in training it held {self.kind}s; convert it"
                )
            if self.kind is not None and not self._extra.transforms:
                self._refuse_span(one)

    def _refuse_span(self, series: Series) -> None:
        assert series.time is not None
        ends = series.time[[0, -1]]
        span = replace(series, time=ends).elapsed()[1] / self.scale
        if span > largest(np.float32):
            raise InputError(
                f"series {series.name!r}: time column {self.column!r} goes from {ends[0]} to "
                f"{ends[1]}, {span:.3g} times as far as a training window; correct the time stamps"
            )

    def transform(self, elapsed: torch.Tensor) -> torch.Tensor:
        """Return the feature of elapsed times, of any shape: transformed and scaled."""
        if self._extra.transforms:
            elapsed = self._extra.transform(elapsed)
        return elapsed / self.scale

    def state_dict(self) -> dict[str, Any]:
        """Return the fitted state as primitives and tensors."""
        return {"scale": self.scale, "kind": self.kind, "extra": self._extra.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state."""
        self.scale = float(state["scale"])
        self.kind = state["kind"]
        with naming(f"extra_transforms: {TIME!r}"):
            self._extra.load_state_dict(state["extra"])

    def _sample(self, series: Sequence[Series], windows: Windows) -> Iterator[FloatArray]:
        """Yield the feature in original units (steps,) in some of the windows."""
        count = min(len(windows), _TIME_SAMPLE)
        index = np.linspace(0, len(windows) - 1, count).astype(np.int64)
        for number, origin, context, horizon in zip(*windows.locate(index), strict=True):
            one, rows = series[number], slice(origin - context + 1, origin + horizon + 1)
            if self.time_format == "absolute":  # of a whole run a part tells as much
                rows = slice(rows.start, rows.stop, -(-(context + horizon) // _TIME_STEPS))
            assert one.time is not None
            stamps = Series(one.name, one.values[rows], one.time[rows], 0).elapsed()
            yield stamps if self.time_format == "absolute" else np.diff(stamps)


def _root_mean_square(parts: Sequence[FloatArray]) -> float:
    """Return the root mean square of values (n,) in parts, however large or small; 0 of none."""
    peak = max((float(np.abs(values).max()) for values in parts if values.size), default=0.0)
    if peak == 0:
        return 0.0
    # a power of two changes no digit
    unit = math.ldexp(0.5, math.frexp(peak)[1])
    squares, steps = 0.0, 0
    for values in parts:
        squares += float(np.square(values / unit).sum())
        steps += values.size
    return math.sqrt(squares / steps) * unit


def calendar_pairs(
    time: pd.Index | None, names: Sequence[str], zone: str | None = None
) -> FloatArray:
    """Return sine and cosine of the place of each field in its cycle.

    Args:
        time: (rows,) dates.
        names: fields, of `CALENDAR`.
        zone: time zone of the fields; None for that of the dates.

    Returns:
        (rows, 2 * fields) float64 from -1 to 1: of each field sine, then cosine. A field's first
        value is at angle 0.

    Raises:
        InputError: a field that is not known, or time that is not dates.
    """
    codes = calendar_codes(time, names, zone)
    pairs = np.empty((len(codes), 2 * len(names)))
    for place, name in enumerate(names):
        period = CALENDAR[name].period
        angles = 2 * np.pi * np.arange(period) / period
        turn = codes[:, place] - 1
        pairs[:, 2 * place] = np.sin(angles)[turn]
        pairs[:, 2 * place + 1] = np.cos(angles)[turn]
    return pairs


def calendar_codes(
    time: pd.Index | None, names: Sequence[str], zone: str | None = None
) -> IntArray:
    """Return each field as a category: 1 for its first value, and so on; 0 is for the unknown.

    Args:
        time: (rows,) dates.
        names: fields, of `CALENDAR`.
        zone: time zone of the fields; None for that of the dates.

    Returns:
        (rows, fields) int64.

    Raises:
        InputError: a field that is not known, or time that is not dates.
    """
    check_calendar(names)
    dates = require_dates(time)
    if zone is not None:
        dates = dates.tz_convert(zone)
    codes = np.empty((len(dates), len(names)), dtype=np.int64)
    for place, name in enumerate(names):
        codes[:, place] = _values(dates, name).to_numpy()
        codes[:, place] += 1 - CALENDAR[name].first
    return codes


def calendar_sizes(names: Sequence[str]) -> list[int]:
    """Return how many categories each field has, the unknown one among them.

    Raises:
        InputError: a field that is not known.
    """
    check_calendar(names)
    return [CALENDAR[name].period + 1 for name in names]


def _values(time: pd.DatetimeIndex, name: str) -> pd.Index | pd.Series:
    if name == "week":
        return time.isocalendar()["week"]
    values: pd.Index = getattr(time, _IN_PANDAS.get(name, name))
    return values
