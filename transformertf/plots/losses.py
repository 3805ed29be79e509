"""The course of a fit."""

from collections.abc import Mapping
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


def loss_figure(history: Mapping[str, Mapping[int, float]]) -> "Figure":
    """Draw losses, in the criterion's scaled units, over epochs.

    Args:
        history: loss by epoch, for each name.
    """
    figure = new_figure("Loss by epoch", 4.2, width=7)
    (axes,) = new_panels(figure, 1)
    drawn = {name: losses for name, losses in history.items() if losses}
    for number, (name, losses) in enumerate(drawn.items()):
        axes.plot(
            list(losses),
            list(losses.values()),
            _STYLES[number % len(_STYLES)],
            color=_COLOURS[number % len(_COLOURS)],
            marker=".",
            label=plain(name),
        )
    # a negative log-likelihood may fall below 0
    positive = all(loss > 0 for losses in drawn.values() for loss in losses.values())
    axes.set(xlabel="epoch", ylabel="loss (scaled units)", yscale="log" if positive else "linear")
    mark_integers(axes.xaxis)
    add_legend(figure)
    return figure
