"""Errors over a fit, the horizon, series, and against a covariate; reliability of quantiles."""

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data import FloatArray
from transformertf.errors import InputError
from transformertf.plots.style import (
    BLUE,
    COLOUR_MAP,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    add_legend,
    mark_integers,
    new_figure,
    new_panels,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# bars, or forecasts, that a picture still shows apart
_MOST_SERIES = 20
_MOST_WINDOWS = 200
_BASELINES = {"skill_naive": ("naive", "--"), "skill_seasonal_naive": ("seasonal naive", ":")}
_DIRECTIONS = {1: ("rising", VERMILLION), -1: ("falling", BLUE), 0: ("level", "0.6")}


def horizon_figure(by_step: pd.DataFrame, target: str = "target") -> "Figure":
    """Draw the error of each horizon step, and the coverage of the intervals.

    The error of a baseline is MAE / (1 - skill), for skill is 1 - MAE / MAE of the baseline.

    Args:
        by_step: indexed by step, with columns `MAE` and `RMSE`, and where they are known
            `skill_naive`, `skill_seasonal_naive` and `coverage_<nominal>`, nominal from 0 to 1.
        target: name of the target, with its unit.
    """
    coverages = [name for name in by_step.columns if name.startswith("coverage_")]
    rows = 2 if coverages else 1
    figure = new_figure("Error by horizon step", 1.6 + 2.6 * rows)
    panels = new_panels(figure, rows, share=True)
    _draw_errors(panels[0], by_step)
    panels[0].set_ylabel(f"error of {plain(target)}")
    panels[0].set_ylim(bottom=0)
    if coverages:
        _draw_coverages(panels[1], by_step, coverages)
        panels[1].set_ylabel("coverage [%]")
    panels[-1].set_xlabel("horizon step")
    mark_integers(panels[-1].xaxis)
    add_legend(figure, columns=4)
    return figure


def _draw_errors(axes: "Axes", by_step: pd.DataFrame) -> None:
    marker = _marker(len(by_step))
    for name, colour in (("MAE", BLUE), ("RMSE", ORANGE)):
        axes.plot(by_step.index, by_step[name], marker=marker, color=colour, label=name)
    for column, (name, style) in _BASELINES.items():
        if column in by_step:
            # of a perfect forecast the baseline's error cannot be told
            share = (1 - by_step[column]).where(by_step[column] < 1)
            values = by_step["MAE"] / share
            axes.plot(
                by_step.index, values, style, marker=marker, color=INK, label=f"MAE of {name}"
            )


def _draw_coverages(axes: "Axes", by_step: pd.DataFrame, columns: list[str]) -> None:
    """Draw coverages over their nominal values, which are lines across."""
    colours = (VERMILLION, GREEN, PURPLE, SKY, BLUE, ORANGE)
    for number, column in enumerate(columns):
        nominal = 100 * float(column.removeprefix("coverage_"))
        colour = colours[number % len(colours)]
        axes.axhline(nominal, color=colour, linestyle="--", linewidth=0.9)
        axes.plot(
            by_step.index,
            100 * by_step[column],
            marker=_marker(len(by_step)),
            color=colour,
            label=f"{nominal:.4g} % interval",
        )


def _marker(points: int) -> str:
    """Return a marker where points are few: one alone would make no line."""
    return "." if points <= 50 else ""


def comparison_figure(by_step: pd.DataFrame) -> "Figure":
    """Draw the errors of several forecasters by horizon step.

    Args:
        by_step: indexed by step, a column of mean absolute errors for each forecaster.
    """
    figure = new_figure("Error by horizon step", 4.2)
    (axes,) = new_panels(figure, 1)
    colours = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
    for number, name in enumerate(by_step):
        axes.plot(
            by_step.index,
            by_step[name],
            _STYLES[number // len(colours) % len(_STYLES)],
            marker=_marker(len(by_step)),
            color=colours[number % len(colours)],
            label=plain(name),
        )
    axes.set(xlabel="horizon step", ylabel="MAE", ylim=(0, None))
    mark_integers(axes.xaxis)
    add_legend(figure, columns=2)
    return figure


def calibration_figure(reliability: pd.DataFrame) -> "Figure":
    """Draw how often the actual value was at or below each quantile.

    The band holds 95 % of what perfect quantiles would give, were the rows independent: a
    binomial share of as many trials.

    Args:
        reliability: with columns `level` of the quantile, `observed` share of actuals at or below
            it, and `rows`, how many there were.
    """
    from scipy.stats import binom

    table = reliability.sort_values("level")
    figure = new_figure("Reliability of quantiles", 5.8, width=5.6)
    (axes,) = new_panels(figure, 1)
    level = np.linspace(0, 1, 201)
    # as many rows between levels as at those beside them
    rows = np.interp(level, table["level"], table["rows"]).round()
    low, high = (binom.ppf(share, rows, level) / rows for share in (0.025, 0.975))
    axes.fill_between(
        level, low, high, color="0.85", linewidth=0, label="95 % band, independent rows"
    )
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, label="perfect")
    axes.plot(
        table["level"], table["observed"], "o-", color=VERMILLION, label="observed", clip_on=False
    )
    axes.set(
        xlabel="level of the quantile",
        ylabel="share of actual values at or below it",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    add_legend(figure)
    return figure


def series_figure(by_series: pd.DataFrame, target: str = "target") -> "Figure":
    """Draw the error of each series, the worst above; of many series the worst 20.

    Args:
        by_series: indexed by series, with columns `MAE` and `RMSE`.
        target: name of the target, with its unit.
    """
    worst = by_series.sort_values("MAE", ascending=False, kind="stable").head(_MOST_SERIES)
    some = f": worst {len(worst)} of {len(by_series)}" if len(worst) < len(by_series) else ""
    figure = new_figure(f"Error by series{some}", 1.7 + 0.26 * len(worst))
    (axes,) = new_panels(figure, 1)
    place = np.arange(len(worst))
    axes.barh(place, worst["MAE"], height=0.7, color=SKY, label="MAE")
    axes.plot(worst["RMSE"], place, "D", color=VERMILLION, markersize=4, label="RMSE")
    axes.set_yticks(place, [plain(name) for name in worst.index])
    axes.set(xlabel=f"error of {plain(target)}", ylim=(len(worst) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    add_legend(figure)
    return figure


def residual_figure(
    forecasts: pd.DataFrame,
    covariate: npt.ArrayLike,
    name: str,
    target: str = "target",
    colour: Literal["step", "direction"] = "step",
) -> "Figure":
    """Draw residuals, prediction less actual, against a covariate.

    A thin line joins consecutive steps of a forecast, so that hysteresis shows as loops. Of many
    forecasts 200 are drawn, evenly spread.

    Args:
        forecasts: a table as `transformertf predict` writes it, with actuals.
        covariate: (rows,) its value in each row.
        name: of the covariate, with its unit.
        target: name of the target, with its unit.
        colour: by horizon "step", or by "direction": whether the covariate rises or falls.

    Raises:
        InputError: there are not as many values of the covariate as rows.
    """
    values = np.asarray(covariate, dtype=np.float64)
    if values.shape != (len(forecasts),):
        raise InputError(
            f"covariate {name!r}: expected one value for each of the {len(forecasts)} rows of "
            f"forecasts, found shape {values.shape}; take it from the same rows"
        )
    own = forecasts.assign(
        covariate=values,
        residual=forecasts["prediction"] - forecasts["actual"],
        window=forecasts.groupby(["series", "origin"], dropna=False, sort=False).ngroup(),
    ).sort_values(["window", "step"])
    windows = int(own["window"].max()) + 1
    some = ""
    if windows > _MOST_WINDOWS:
        chosen = np.linspace(0, windows - 1, _MOST_WINDOWS).round()
        own = own[own["window"].isin(chosen)]
        some = f": {_MOST_WINDOWS} of {windows} forecasts"
    figure = new_figure(f"Residuals against {plain(name)}{some}", 5.2)
    (axes,) = new_panels(figure, 1)
    axes.axhline(0, color=INK, linewidth=0.8)
    _draw_loops(axes, own)
    if colour == "step":
        points = axes.scatter(
            own["covariate"], own["residual"], 9, c=own["step"], cmap=COLOUR_MAP, zorder=2.5
        )
        figure.colorbar(points, ax=axes, label="horizon step", format="{x:g}")
    else:
        _draw_directions(axes, own, plain(name))
        add_legend(figure)
    axes.set(xlabel=plain(name), ylabel=f"prediction - actual of {plain(target)}")
    return figure


def _draw_loops(axes: "Axes", own: pd.DataFrame) -> None:
    """Join consecutive steps of each forecast."""
    cut = (own["window"].diff().ne(0) | own["step"].diff().ne(1)).to_numpy()[1:]
    places = np.flatnonzero(cut) + 1
    x, y = (np.insert(own[name].to_numpy(), places, np.nan) for name in ("covariate", "residual"))
    axes.plot(x, y, color="0.7", linewidth=0.6)


def _draw_directions(axes: "Axes", own: pd.DataFrame, name: str) -> None:
    sign = _direction(own)
    for value, (word, colour) in _DIRECTIONS.items():
        rows = own[sign == value]
        if len(rows):
            label = f"{name} {word}"
            axes.plot(
                rows["covariate"], rows["residual"], ".", color=colour, markersize=5, label=label
            )


def _direction(own: pd.DataFrame) -> FloatArray:
    """Return (rows,) 1 where the covariate rises to a row, -1 where it falls, 0 where level.

    The first step of a forecast has the direction to its second.
    """
    change = own.groupby("window")["covariate"].diff()
    change = change.groupby(own["window"]).bfill(limit=1).fillna(0)
    sign: FloatArray = np.sign(change.to_numpy(np.float64))
    return sign


_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)
_STYLES = ("-", "--", "-.", ":")


def loss_figure(
    history: Mapping[str, Mapping[int, float]], figure: "Figure | None" = None
) -> "Figure":
    """Draw losses, in the criterion's scaled units, over epochs.

    Args:
        history: loss by epoch, for each name.
        figure: what this function returned before; brought up to date where it shows the same
            names. The parts of a figure refer to each other, and those of a figure made anew each
            time would pile up until the garbage collector finds them.
    """
    drawn = {plain(name): losses for name, losses in history.items() if losses}
    if figure is None or [line.get_label() for line in figure.axes[0].get_lines()] != list(drawn):
        figure = _empty_figure(list(drawn))
    (axes,) = figure.axes
    for line, losses in zip(axes.get_lines(), drawn.values(), strict=True):
        line.set_data(list(losses), list(losses.values()))
    # a negative log-likelihood may fall below 0
    positive = all(loss > 0 for losses in drawn.values() for loss in losses.values())
    scale = "log" if positive else "linear"
    if axes.get_yscale() != scale:
        axes.set_yscale(scale)
    axes.relim()
    axes.autoscale_view()
    return figure


def _empty_figure(names: Sequence[str]) -> "Figure":
    figure = new_figure("Loss by epoch", 4.2, width=7)
    (axes,) = new_panels(figure, 1)
    for number, name in enumerate(names):
        style, colour = _STYLES[number % len(_STYLES)], _COLOURS[number % len(_COLOURS)]
        axes.plot([], [], style, color=colour, marker=".", label=name)
    axes.set(xlabel="epoch", ylabel="loss (scaled units)")
    mark_integers(axes.xaxis)
    add_legend(figure)
    return figure
