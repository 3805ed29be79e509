"""What all figures share: paper, colours, names, time axes, legends."""

import functools
import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# told apart by the colour-blind too (Okabe and Ito, "Color universal design", 2008)
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILLION, SKY = "#D55E00", "#56B4E9"
INK = "#333333"
# even in lightness, and the same to the colour-blind
COLOUR_MAP = "cividis"
WIDTH = 9.0
_LONGEST_NAME = 48


def can_plot() -> bool:
    """Say whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def new_figure(title: str, height: float, width: float = WIDTH) -> "Figure":
    """Return an empty figure.

    Args:
        title: stands above everything.
        height: in inches, as the width; 100 pixels each.
        width: of the figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = _figure_kind()(figsize=(width, height), dpi=100, layout=layout, facecolor="white")
    # else each saving makes a canvas, which waits for the garbage collector with its pixels
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize="large", fontweight="bold", color=INK)
    return figure


@functools.cache
def _figure_kind() -> "type[Figure]":
    """Return the class of our figures, which a notebook shows without pyplot."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    return ShownFigure


def new_panels(
    figure: "Figure", rows: int, *, share: bool = False, heights: Sequence[float] | None = None
) -> "list[Axes]":
    """Return axes below each other.

    Args:
        figure: to divide.
        rows: number of axes.
        share: whether they have one horizontal axis.
        heights: of the axes, relative to each other; all the same if not given.
    """
    grid = figure.subplots(rows, squeeze=False, sharex=share, height_ratios=heights)
    column: list[Axes] = list(grid[:, 0])
    for axes in column:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    return column


def plain(name: object) -> str:
    """Return a name as it is to be read: no formula, and cut in its middle where it is long."""
    text = str(name)
    if len(text) > _LONGEST_NAME:
        half = (_LONGEST_NAME - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text.replace("$", r"\$")


def add_legend(figure: "Figure", columns: int = 6) -> None:
    """Name what is drawn, each thing once, below all axes.

    Args:
        figure: whose artists have labels; without any there is no legend.
        columns: names beside each other.
    """
    named = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if named:
        figure.legend(
            list(named.values()),
            list(named),
            loc="outside lower center",
            ncols=min(columns, len(named)),
            frameon=False,
        )


def is_date(time: pd.Series) -> bool:
    """Say whether times are time stamps, not numbers."""
    return pd.api.types.is_datetime64_any_dtype(time.dtype)


def coordinates(time: pd.Series) -> FloatArray:
    """Return the places (n,) of times on an axis: numbers, or days since 1970 in UTC."""
    if not is_date(time):
        return time.to_numpy(np.float64, na_value=np.nan)
    from matplotlib.dates import date2num

    stamps = time if time.dt.tz is None else time.dt.tz_convert(None)
    days = date2num(stamps.to_numpy())  # type: ignore[no-untyped-call]
    return np.asarray(days, dtype=np.float64)


def mark_time(axes: "Axes", time: pd.Series, name: str) -> str:
    """Mark times along the horizontal axis, time stamps in their own time zone.

    Args:
        axes: to mark.
        time: the times drawn, at `coordinates`.
        name: of the time axis.

    Returns:
        The name, with the time zone where there is one.
    """
    if not is_date(time):
        return plain(name)
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = time.dt.tz
    locator = AutoDateLocator(tz=zone, minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=zone)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    return plain(name) if zone is None else f"{plain(name)} ({zone})"


def mark_integers(axis: "Axis") -> None:
    """Mark whole numbers along an axis, be it a single one."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def insert_breaks(cut: npt.NDArray[np.bool_], *columns: FloatArray) -> tuple[FloatArray, ...]:
    """Return columns with a NaN wherever a line must not be drawn.

    Args:
        cut: (n - 1,) whether there is a break between a point and the next.
        columns: (n,) each.
    """
    places = np.flatnonzero(cut) + 1
    return tuple(np.insert(column, places, np.nan) for column in columns)


def stands_alone(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Say of each value (n,) whether it is known and both neighbours are not: no line shows it."""
    known = np.isfinite(values)
    beside = np.zeros(len(values), dtype=bool)
    beside[1:] |= known[:-1]
    beside[:-1] |= known[1:]
    return known & ~beside


def tints(colour: str, count: int) -> Sequence[tuple[float, float, float]]:
    """Return opaque tints of a colour, pale ones first."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    mixed = [1 - share * (1 - rgb) for share in np.linspace(0.2, 0.5, count)]
    return [(float(red), float(green), float(blue)) for red, green, blue in mixed]
