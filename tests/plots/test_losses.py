"""Loss curves."""

import io

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from tests.plots.layout import assert_tidy
from transformertf.plots import can_plot, loss_figure


def test_matplotlib_is_there():
    assert can_plot()


def test_what_was_not_logged_is_left_out():
    figure = loss_figure({"train/loss": {0: 1.0, 1: 0.5}, "validation/loss": {}})
    (axes,) = figure.axes
    assert axes.get_xlabel() == "epoch"
    assert "scaled units" in axes.get_ylabel()
    assert axes.get_yscale() == "log"
    (line,) = axes.get_lines()
    assert line.get_label() == "train/loss"
    np.testing.assert_array_equal(line.get_xdata(), [0, 1])
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 0.5])
    assert_tidy(figure)


def test_losses_below_zero_are_on_a_linear_scale():
    losses = {"train/loss": {0: 1.0, 1: -0.5}, "validation/loss": {0: 2.0, 1: 1.0}}
    figure = loss_figure(losses)
    assert figure.axes[0].get_yscale() == "linear"
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len({colour for colour, _ in styles}) == len({style for _, style in styles}) == 2
    assert_tidy(figure)


@pytest.mark.parametrize("epochs", [0, 1, 2, 500])
def test_any_number_of_epochs_is_tidy(epochs):
    figure = loss_figure({"train/loss": {epoch: 1 / (1 + epoch) for epoch in range(epochs)}})
    assert_tidy(figure)
    if epochs:
        assert all(tick == round(tick) for tick in figure.axes[0].get_xticks())


def picture(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def test_a_figure_is_brought_up_to_date():
    figure = loss_figure({"train/loss": {0: 1.0}})
    courses = [
        {"train/loss": {0: 1.0, 1: 30.0}},
        {"train/loss": {0: 1.0, 1: 30.0, 2: 0.001}},
        {"train/loss": {0: 1.0, 1: 30.0, 2: 0.001, 3: -1.0}},
        {"train/loss": {20: 0.1, 21: 0.2}},
    ]
    for course in courses:
        assert loss_figure(course, figure) is figure
        assert picture(figure) == picture(loss_figure(course))


def test_names_that_come_or_go_make_another_figure():
    both = {"train/loss": {0: 1.0}, "validation/loss": {0: 2.0}}
    first = loss_figure({"train/loss": {0: 1.0}, "validation/loss": {}})
    second = loss_figure(both, first)
    assert second is not first
    assert picture(second) == picture(loss_figure(both))
