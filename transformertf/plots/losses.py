"""The course of a fit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from transformertf.plots.style import (
    BLUE,
    GREEN,
    PURPLE,
    VERMILLION,
    add_legend,
    mark_integers,
    new_figure,
    new_panels,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
