"""What a model looks at: variables and past steps."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transformertf.errors import InputError
from transformertf.plots.style import (
    BLUE,
    COLOUR_MAP,
    INK,
    mark_integers,
    new_figure,
    new_panels,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# bars that a side still shows apart
_MOST_VARIABLES = 20
_SIDES = {"past": "context", "future": "horizon", "static": "static"}


def importance_figure(importance: pd.DataFrame, label: str = "importance") -> "Figure":
    """Draw the importance of variables, a panel for each side, the largest above.

    Args:
        importance: with columns `side` ("past", "future" or "static"), `variable`, `importance`;
            NaN of what was not varied.
        label: what the numbers are.

    Raises:
        InputError: there are no variables.
    """
    parts = {side: importance[importance["side"] == side] for side in _SIDES}
    parts = {side: part for side, part in parts.items() if len(part)}
    if not parts:
        raise InputError("importance: nothing to draw, expected at least one variable")
    bars = [min(len(part), _MOST_VARIABLES) for part in parts.values()]
    heights = [count + 0.5 for count in bars]
    figure = new_figure("Importance of variables", 1.0 + 0.4 * len(parts) + 0.28 * sum(heights))
    panels = new_panels(figure, len(parts), share=True, heights=heights)
    for axes, count, (side, part) in zip(panels, bars, parts.items(), strict=True):
        largest = part.sort_values("importance", ascending=False, kind="stable").head(count)
        axes.barh(range(count), largest["importance"], height=0.7, color=BLUE)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(
            range(count),
            [
                plain(name) + (" (not varied)" if np.isnan(value) else "")
                for name, value in zip(largest["variable"], largest["importance"], strict=True)
            ],
        )
        axes.set_ylim(count - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        some = f": largest {count} of {len(part)}" if count < len(part) else ""
        axes.set_title(f"{_SIDES[side]}{some}", fontsize="medium", loc="left")
    panels[-1].set_xlabel(label)
    return figure


def attention_figure(attention: pd.DataFrame) -> "Figure":
    """Draw how horizon steps attend to the steps of context and horizon.

    Args:
        attention: mean weights, indexed by horizon step from 1; the columns are positions: 0 the
            last context step, below it those before, above it horizon steps.
    """
    steps, positions = attention.index.to_numpy(np.int64), attention.columns.to_numpy(np.int64)
    figure = new_figure("Attention", 6)
    upper, lower = new_panels(figure, 2, share=True, heights=[1, 2])
    mean = attention.mean()
    upper.plot(positions, mean, color=BLUE, linewidth=1.4, marker="." if len(mean) <= 50 else "")
    upper.set_ylabel("mean over steps")
    upper.set_ylim(bottom=0)
    image = lower.imshow(
        attention.to_numpy(),
        cmap=COLOUR_MAP,
        vmin=0,
        aspect="auto",
        extent=(positions[0] - 0.5, positions[-1] + 0.5, steps[-1] + 0.5, steps[0] - 0.5),
    )
    lower.grid(visible=False)
    lower.set(
        xlabel="position (0: last context step; the horizon is right of the line)",
        ylabel="horizon step",
    )
    for axis in (lower.xaxis, lower.yaxis):
        mark_integers(axis)
    for axes, colour in ((upper, INK), (lower, "white")):
        axes.axvline(0.5, color=colour, linewidth=1, linestyle="--")
    figure.colorbar(image, ax=[upper, lower], label="attention weight")
    return figure
