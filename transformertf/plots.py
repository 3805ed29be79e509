"""Pictures of fits and forecasts; needs the extra `plot` (matplotlib)."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def can_plot() -> bool:
    """Say whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def loss_figure(history: Mapping[str, Mapping[int, float]]) -> "Figure":
    """Draw losses, in the criterion's scaled units, over epochs.

    Args:
        history: loss by epoch, for each name.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for name, losses in history.items():
        if losses:
            axes.plot(list(losses), list(losses.values()), label=name, marker=".")
    axes.set(xlabel="epoch", ylabel="loss (scaled units)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def forecast_figure(
    forecasts: pd.DataFrame, target: str = "target", time: str = "time", panels: int = 3
) -> "Figure":
    """Draw forecasts over what happened, one panel for each series.

    Args:
        forecasts: a table as `transformertf predict` writes it.
        target: label of the vertical axis, with its unit.
        time: label of the horizontal axis, with its unit.
        panels: series to draw, the first ones by name.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(forecasts["series"]))[:panels]
    figure = Figure(figsize=(9, 2.6 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        own = forecasts[forecasts["series"] == name]
        axes.plot(own["time"], own["actual"], color="0.25", linewidth=2.2, label="actual")
        levels = sorted(float(c[1:]) for c in own.columns if c[0] == "q" and c[1:2].isdigit())
        for number, (_, window) in enumerate(own.groupby("origin", dropna=False)):
            label = "forecast" if number == 0 else None
            axes.plot(window["time"], window["prediction"], color="C1", linewidth=1.1, label=label)
            axes.axvline(window["time"].iloc[0], color="0.85", linewidth=0.8, zorder=0)
            if len(levels) > 1:
                low, high = window[f"q{levels[0]:g}"], window[f"q{levels[-1]:g}"]
                axes.fill_between(window["time"], low, high, color="C1", alpha=0.2, linewidth=0)
        axes.set(title=name, ylabel=target)
        axes.title.set_fontsize("medium")
    figure.axes[0].legend(loc="upper right")
    figure.axes[-1].set_xlabel(f"{time} (vertical lines: starts of forecasts)")
    return figure
