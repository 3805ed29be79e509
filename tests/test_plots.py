"""Pictures say what they show: labels, units, one line for each thing."""

import numpy as np
import pandas as pd
import pytest

from transformertf.plots import can_plot, forecast_figure, loss_figure

pytestmark = pytest.mark.skipif(not can_plot(), reason="the extra `plot` is not installed")


def forecasts(quantiles: bool) -> pd.DataFrame:
    step = np.tile(np.arange(1, 5), 6)
    series = np.repeat(["a", "b", "c"], 8)
    origin = np.repeat([3, 7, 3, 7, 3, 7], 4)
    table = pd.DataFrame({"series": series, "origin": origin, "step": step})
    table["time"] = table["origin"] + table["step"]
    table["prediction"] = np.sin(table["time"])
    if quantiles:
        table["q0.1"], table["q0.9"] = table["prediction"] - 1, table["prediction"] + 1
    table["actual"] = np.cos(table["time"])
    return table


@pytest.mark.parametrize("quantiles", [False, True])
def test_forecast_figure(quantiles: bool) -> None:
    figure = forecast_figure(forecasts(quantiles), "position [mm]", "time [s]", panels=2)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert {axes.get_ylabel() for axes in figure.axes} == {"position [mm]"}
    assert "time [s]" in figure.axes[-1].get_xlabel()
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["actual", "forecast"]
    actual, first, *_ = figure.axes[0].get_lines()
    np.testing.assert_allclose(actual.get_ydata(), np.cos(np.arange(4, 12)))
    np.testing.assert_allclose(first.get_ydata(), np.sin(np.arange(4, 8)))
    assert len(figure.axes[0].collections) == (2 if quantiles else 0)


def test_the_first_sequence_has_no_origin_and_is_drawn() -> None:
    table = forecasts(quantiles=False)
    table["origin"] = table["origin"].where(table["origin"] > 3)
    figure = forecast_figure(table, panels=1)
    drawn = [line.get_label() for line in figure.axes[0].get_lines()]
    # what happened, and for each of two windows its forecast and its start
    assert len(drawn) == 5


def test_loss_figure_leaves_out_what_was_not_logged() -> None:
    figure = loss_figure({"train/loss": {0: 1.0, 1: 0.5}, "validation/loss": {}})
    (axes,) = figure.axes
    assert axes.get_xlabel() == "epoch"
    assert "scaled units" in axes.get_ylabel()
    (line,) = axes.get_lines()
    assert line.get_label() == "train/loss"
    np.testing.assert_allclose(line.get_ydata(), [1.0, 0.5])
