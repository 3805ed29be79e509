"""Forecasts with their intervals, over what happened."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from transformertf.data import FloatArray
from transformertf.errors import InputError
from transformertf.forecasts import quantile_column, table_levels
from transformertf.plots.style import (
    INK,
    VERMILLION,
    add_legend,
    coordinates,
    insert_breaks,
    mark_time,
    new_figure,
    new_panels,
    plain,
    stands_alone,
    tints,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# a step in time is an outage where it is so many times the longest of the usual ones: the 95th
# percentile, or three median steps where outages are that many
_OUTAGE = 1.5
# with more starts than that, lines at them would hide the rest
_MOST_STARTS = 40


class Interval(NamedTuple):
    """Two quantiles that are symmetric about the median.

    Attributes:
        label: the share of actuals between them, as "80 %".
        low: column of the lower quantile.
        high: column of the upper one.
    """

    label: str
    low: str
    high: str


def forecast_figure(
    forecasts: pd.DataFrame,
    target: str = "target",
    time: str = "time",
    panels: int = 3,
    history: pd.DataFrame | None = None,
) -> "Figure":
    """Draw forecasts over what happened, one panel for each series.

    Of forecasts that overlap in time the first is drawn. No line crosses an outage: a step in
    time much longer than the usual ones, which may be uneven.

    Args:
        forecasts: a table as `transformertf predict` writes it.
        target: label of the vertical axis, with its unit.
        time: label of the horizontal axis, with its unit.
        panels: series to draw, the first ones by name.
        history: what happened before the forecasts, in columns `series`, `time` and `actual`.

    Raises:
        InputError: there are no forecasts.
    """
    names = list(dict.fromkeys(forecasts["series"]))
    if not names:
        raise InputError("forecasts: nothing to draw, expected at least one row; predict first")
    shown = names[:panels]
    some = f": first {len(shown)} of {len(names)} series" if len(shown) < len(names) else ""
    figure = new_figure(f"Forecasts of {plain(target)}{some}", 1.5 + 2.2 * len(shown))
    for axes, name in zip(new_panels(figure, len(shown)), shown, strict=True):
        own = forecasts[forecasts["series"] == name]
        past = None if history is None else history[history["series"] == name]
        some = _draw_series(axes, own, past)
        axes.set_title(f"{plain(name)}{some}", fontsize="medium")
        axes.set_ylabel(plain(target))
        label = mark_time(axes, own["time"], time)
    figure.axes[-1].set_xlabel(label)
    add_legend(figure)
    return figure


def intervals(columns: "pd.Index[str]") -> list[Interval]:
    """Return the intervals that quantile columns, as `q0.1`, make; the widest first."""
    levels = table_levels(columns)
    found = []
    for low in levels:
        high = next((level for level in levels if abs(level - (1 - low)) < 1e-6), None)
        if low < 0.5 and high is not None:
            label = f"{100 * (high - low):.4g} %"
            found.append(Interval(label, quantile_column(low), quantile_column(high)))
    return found


def _draw_series(axes: "Axes", own: pd.DataFrame, past: pd.DataFrame | None) -> str:
    """Draw the forecasts of one series, and say how many of them where it is not all."""
    columns = ["time", "actual"]
    known = own.reindex(columns=columns)
    if past is not None:
        known = pd.concat([past[columns], known])
    times = coordinates(known["time"])
    steps = np.diff(np.unique(times))
    longest = 1.0
    if len(steps):
        longest = _OUTAGE * float(
            min(np.quantile(steps, 0.95, method="lower"), 3 * np.median(steps))
        )
    if not len(steps):
        axes.set_xlim(times[0] - longest, times[0] + longest)
    _draw_actual(axes, times, known["actual"].to_numpy(np.float64), longest)
    window = own.groupby("origin", dropna=False, sort=False).ngroup().rename("window")
    apart = _apart(own["time"], window)
    drawn = own.assign(window=window)[window.isin(apart)].sort_values("time", kind="stable")
    _draw_forecasts(axes, drawn, longest)
    count = int(window.max()) + 1
    return f": {len(apart)} of {count} forecasts, which overlap" if len(apart) < count else ""


def _draw_actual(axes: "Axes", times: FloatArray, values: FloatArray, longest: float) -> None:
    """Draw what happened at times (n,), in any order, some of them twice, some unknown."""
    known = np.isfinite(values)
    x, first = np.unique(times[known], return_index=True)
    if len(x):
        x, y = insert_breaks(np.diff(x) > longest, x, values[known][first])
        _draw_line(axes, x, y, INK, 1.8, "actual")


def _apart(time: pd.Series, window: pd.Series) -> list[int]:
    """Return the windows, by start, that begin after the one before has ended."""
    spans = time.groupby(window).agg(["min", "max"]).sort_values("min", kind="stable")
    kept: list[int] = []
    end = None
    for number, first, last in spans.itertuples():
        if end is None or first > end:
            kept.append(number)
            end = last
    return kept


def _draw_forecasts(axes: "Axes", own: pd.DataFrame, longest: float) -> None:
    """Draw forecasts, by time, that do not overlap; a column `window` tells them apart."""
    times = coordinates(own["time"])
    begins = own["window"].diff().ne(0).to_numpy()
    # forecasts of one step each make one line
    several = bool((~begins).any())
    cut = (np.diff(times) > longest) | (begins[1:] & several)
    bands = intervals(own.columns)
    for band, colour in zip(bands, tints(VERMILLION, len(bands)), strict=True):
        ends = [own[name].to_numpy(np.float64) for name in (band.low, band.high)]
        x, low, high = insert_breaks(cut, times, *ends)
        axes.fill_between(x, low, high, color=colour, linewidth=0, label=band.label, zorder=1)
        alone = stands_alone(low)
        axes.vlines(x[alone], low[alone], high[alone], color=colour, linewidth=5, zorder=1)
    x, y = insert_breaks(cut, times, own["prediction"].to_numpy(np.float64))
    _draw_line(axes, x, y, VERMILLION, 1.2, "forecast")
    starts = times[begins]
    if len(starts) <= _MOST_STARTS:
        for start in starts:
            axes.axvline(
                start, color="0.75", linewidth=0.8, zorder=0.5, label="start of a forecast"
            )


def _draw_line(
    axes: "Axes", x: FloatArray, y: FloatArray, colour: str, width: float, label: str
) -> None:
    """Draw a line, and dots for points without a neighbour."""
    alone = stands_alone(y)
    axes.plot(x, y, color=colour, linewidth=width, label=label)
    if alone.any():
        axes.plot(x[alone], y[alone], ".", color=colour, markersize=4 + 2 * width)
