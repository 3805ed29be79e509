"""Figures of what a model looks at."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from tests.plots.layout import assert_tidy, bar_widths
from transformertf.errors import InputError
from transformertf.plots import attention_figure, importance_figure


def make_importance(**sides):
    rows = [
        (side, f"{side} variable {number}", (number * 7 % 10) / 10)
        for side, count in sides.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=["side", "variable", "importance"])


def test_each_side_has_a_panel_with_the_largest_on_top():
    table = make_importance(static=1, future=3, past=25)
    figure = importance_figure(table, "mean weight")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "context: largest 20 of 25",
        "horizon",
        "static",
    ]
    for axes, side, count in zip(
        figure.axes, ("past", "future", "static"), (20, 3, 1), strict=True
    ):
        own = table[table["side"] == side].set_index("variable")["importance"]
        bars = {
            text.get_text(): width
            for text, width in zip(axes.get_yticklabels(), bar_widths(axes), strict=True)
        }
        assert len(bars) == count
        assert list(bars.values()) == sorted(own, reverse=True)[:count]
        assert all(own[name] == width for name, width in bars.items())
        assert axes.yaxis_inverted()
    assert figure.axes[-1].get_xlabel() == "mean weight"
    assert_tidy(figure)


def test_importance_below_zero_is_left_of_the_line():
    table = make_importance(past=2).assign(importance=[-0.1, 0.3])
    figure = importance_figure(table)
    assert bar_widths(figure.axes[0]) == [0.3, -0.1]
    assert figure.axes[0].get_xlim()[0] < -0.1
    assert_tidy(figure)
    with pytest.raises(InputError, match="at least one variable"):
        importance_figure(table.head(0))


def test_what_was_not_varied_is_no_bar_of_nothing():
    table = make_importance(past=3).assign(importance=[np.nan, 0.0, 0.3])
    axes = importance_figure(table).axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["past variable 2", "past variable 1", "past variable 0 (not varied)"]


@pytest.mark.parametrize(("context", "horizon"), [(1, 1), (72, 24), (500, 300), (5, 1)])
def test_attention_stands_at_its_positions(context, horizon):
    steps, positions = np.arange(1, horizon + 1), np.arange(-context + 1, horizon + 1)
    weights = np.exp(-np.abs(positions[None] - steps[:, None]))
    weights[0, -1] = np.nan
    table = pd.DataFrame(weights, steps, positions)
    figure = attention_figure(table)
    upper, lower, bar = figure.axes
    (image,) = lower.get_images()
    values = image.get_array()
    assert isinstance(values, np.ma.MaskedArray)
    np.testing.assert_array_equal(values.filled(np.nan), weights)
    # pixel centres: a column at its position, the first step on top
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (-context + 0.5, horizon + 0.5)
    assert (top, bottom) == (0.5, horizon + 0.5)
    line = upper.get_lines()[0]
    np.testing.assert_array_equal(line.get_xdata(), positions)
    expected = [
        column[~np.isnan(column)].mean() if (~np.isnan(column)).any() else np.nan
        for column in weights.T
    ]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), expected)
    origins = [
        np.asarray(line.get_xdata())[0] for line in (upper.get_lines()[1], lower.get_lines()[0])
    ]
    assert origins == [0.5, 0.5]
    assert bar.get_ylabel() == "attention weight"
    assert_tidy(figure)
