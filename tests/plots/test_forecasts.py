"""Figures of forecasts show what the tables say, one line for each thing."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.dates import num2date
from scipy.stats import norm

from tests.plots.layout import assert_tidy
from transformertf.errors import InputError
from transformertf.plots import forecast_figure
from transformertf.plots.forecasts import intervals

SEVEN = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def make_tables(
    names=("a", "b", "c"), windows=2, horizon=4, levels=(), index=None, known=True, context=6
):
    """Return forecasts that are sines of the row, of cosines, and the history before them."""
    rows = context + windows * horizon
    index = pd.RangeIndex(rows) if index is None else index[:rows]
    pieces, past = [], []
    for name in names:
        for window in range(windows):
            first = context + window * horizon
            place = np.arange(first, first + horizon)
            table = pd.DataFrame({"series": name, "origin": index[first - 1]}, index=range(horizon))
            table["step"], table["time"] = np.arange(1, horizon + 1), index[place]
            table["prediction"] = np.sin(place)
            for level in levels:
                table[f"q{level:g}"] = table["prediction"] + norm.ppf(level)
            table["actual"] = np.cos(place) if known else np.nan
            pieces.append(table)
        place = np.arange(context)
        past.append(pd.DataFrame({"series": name, "time": index[place], "actual": np.cos(place)}))
    return pd.concat(pieces, ignore_index=True), pd.concat(past, ignore_index=True)


def lines(axes):
    """Return the lines of axes by label, without their breaks."""
    found: dict[object, list[Any]] = {}
    for line in axes.get_lines():
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        found.setdefault(line.get_label(), []).append((x, y))
    return {name: each[0] for name, each in found.items()}


def drawn(values):
    return values[~np.isnan(values)]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("levels", [(), (0.1, 0.5, 0.9)])
def test_forecasts_lie_over_what_happened(levels):
    forecasts, _ = make_tables(levels=levels)
    figure = forecast_figure(forecasts, "position [mm]", "time [s]", panels=2)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert figure.get_suptitle() == "Forecasts of position [mm]: first 2 of 3 series"
    assert {axes.get_ylabel() for axes in figure.axes} == {"position [mm]"}
    assert figure.axes[-1].get_xlabel() == "time [s]"
    bands = ["80 %"] if levels else []
    assert legend(figure) == ["actual", *bands, "forecast", "start of a forecast"]
    for axes in figure.axes:
        found = lines(axes)
        np.testing.assert_array_equal(found["actual"], (np.arange(6, 14), np.cos(range(6, 14))))
        x, y = found["forecast"]
        # two windows, and a break between them
        np.testing.assert_array_equal(np.isnan(y), np.arange(9) == 4)
        np.testing.assert_array_equal(drawn(y), np.sin(range(6, 14)))
        np.testing.assert_array_equal(drawn(x), np.arange(6, 14))
        drawn_lines = [line for line in axes.get_lines() if "start" in str(line.get_label())]
        starts = [np.asarray(line.get_xdata())[0] for line in drawn_lines]
        assert starts == [6, 10]
        assert len(axes.collections) == len(bands) * 2  # one more for steps that stand alone


def test_history_stands_before_the_forecast():
    forecasts, history = make_tables(known=False)
    figure = forecast_figure(forecasts, history=history)
    x, y = lines(figure.axes[0])["actual"]
    np.testing.assert_array_equal((x, y), (np.arange(6), np.cos(range(6))))
    # where it goes on over the forecasts, what happened is drawn once
    more, _ = make_tables()
    whole = pd.concat([history, more[["series", "time", "actual"]]])
    figure = forecast_figure(forecasts, history=whole.sample(frac=1, random_state=0))
    x, y = lines(figure.axes[1])["actual"]
    np.testing.assert_array_equal((x, y), (np.arange(14), np.cos(range(14))))


def test_what_is_not_known_is_not_in_the_legend():
    forecasts, _ = make_tables(known=False)
    assert legend(forecast_figure(forecasts)) == ["forecast", "start of a forecast"]
    assert legend(forecast_figure(forecasts.drop(columns="actual")))[0] == "forecast"


def test_intervals_are_the_symmetric_pairs_the_widest_below():
    forecasts, _ = make_tables(("a",), levels=SEVEN)
    (axes,) = (figure := forecast_figure(forecasts)).axes
    assert legend(figure)[1:4] == ["96 %", "80 %", "50 %"]
    bands = [item for item in axes.collections if str(item.get_label()).endswith("%")]
    widths = [np.ptp(np.asarray(item.get_paths()[0].vertices)[:, 1]) for item in bands]
    expected = [2 * norm.ppf(level) + np.ptp(np.sin(range(6, 10))) for level in (0.98, 0.9, 0.75)]
    np.testing.assert_allclose(widths, expected)
    # later ones lie on top, and are darker, so that none hides another
    colours = [np.asarray(item.get_facecolor())[0] for item in bands]
    shades = [float(np.sum(to_rgb(tuple(colour)))) for colour in colours]
    assert shades == sorted(shades, reverse=True)
    assert len(set(shades)) == 3
    assert {tuple(colour[3:]) for colour in colours} == {(1.0,)}
    assert intervals(pd.Index(["q0.5", "q0.9", "quality", "q"])) == []
    ((label, low, high),) = intervals(pd.Index(["q0.7", "q0.025", "q0.975"]))
    assert (label, low, high) == ("95 %", "q0.025", "q0.975")


@pytest.mark.parametrize(("gap", "is_broken"), [("90min", False), ("91min", True)])
def test_no_line_crosses_an_outage(gap, is_broken):
    hours = pd.date_range("2024-01-01", periods=14, freq="h")
    index = hours[:8].append(hours[8:] + (pd.Timedelta(gap) - pd.Timedelta("1h")))
    forecasts, history = make_tables(("a",), levels=(0.1, 0.9), index=index)
    (axes,) = forecast_figure(forecasts, history=history).axes
    found = lines(axes)
    # before the ninth row: in the first window, after two of its steps
    assert np.flatnonzero(np.isnan(found["actual"][1])).tolist() == ([8] if is_broken else [])
    breaks = [2, 5] if is_broken else [4]
    assert np.flatnonzero(np.isnan(found["forecast"][1])).tolist() == breaks
    (band,) = (item for item in axes.collections if item.get_label() == "80 %")
    assert len(band.get_paths()) == len(breaks) + 1


def test_an_actual_between_unknown_ones_is_a_dot():
    forecasts, _ = make_tables(("a",))
    forecasts.loc[[1, 3], "actual"] = np.nan
    (axes,) = forecast_figure(forecasts).axes
    dots = [line for line in axes.get_lines() if line.get_marker() == "."]
    assert [np.asarray(line.get_xdata()).tolist() for line in dots] == [[6, 8]]


@pytest.mark.parametrize("overlap", [1, 2])
def test_of_overlapping_forecasts_the_first_is_drawn_and_told(overlap):
    forecasts, _ = make_tables(("a",), windows=4)
    window = (forecasts["origin"] - 5) // 4
    for column in ("time", "origin"):
        forecasts[column] -= overlap * window
    (axes,) = forecast_figure(forecasts.sample(frac=1, random_state=1)).axes
    assert axes.get_title() == "a: 2 of 4 forecasts, which overlap"
    x, y = lines(axes)["forecast"]
    first, third = (forecasts[window == number] for number in (0, 2))
    np.testing.assert_array_equal(drawn(x), [*first["time"], *third["time"]])
    np.testing.assert_array_equal(drawn(y), [*first["prediction"], *third["prediction"]])


def test_forecasts_of_one_step_are_one_line():
    forecasts, _ = make_tables(("a",), windows=12, horizon=1, levels=(0.1, 0.9))
    (axes,) = forecast_figure(forecasts).axes
    assert not np.isnan(lines(axes)["forecast"][1]).any()
    only, _ = make_tables(("a",), windows=1, horizon=1, levels=(0.1, 0.9))
    (axes,) = (figure := forecast_figure(only)).axes
    assert sum(line.get_marker() == "." for line in axes.get_lines()) == 2
    bars = axes.collections[-1]
    assert isinstance(bars, LineCollection)
    ((low, high),) = (bar[:, 1] for bar in bars.get_segments())
    assert high - low == pytest.approx(2 * norm.ppf(0.9))
    assert np.ptp(axes.get_xlim()) == 2
    assert_tidy(figure)


def test_the_first_sequence_has_no_origin_and_is_drawn():
    forecasts, _ = make_tables()
    forecasts["origin"] = forecasts["origin"].where(forecasts["origin"] > 5)
    (axes,) = forecast_figure(forecasts, panels=1).axes
    np.testing.assert_array_equal(drawn(lines(axes)["forecast"][1]), np.sin(range(6, 14)))


def test_many_starts_are_not_drawn():
    forecasts, _ = make_tables(("a",), windows=41)
    assert legend(forecast_figure(forecasts)) == ["actual", "forecast"]


def test_time_stamps_are_read_in_their_own_zone():
    index = pd.date_range("2024-03-30 12:00", periods=40, freq="h", tz="America/St_Johns")
    forecasts, history = make_tables(("a",), windows=8, index=index)
    (axes,) = (figure := forecast_figure(forecasts, history=history)).axes
    assert axes.get_xlabel() == "time (America/St_Johns)"
    x, _ = lines(axes)["actual"]
    assert [stamp.replace(tzinfo=None) for stamp in num2date(x)] == list(
        index[:38].tz_convert("UTC").tz_localize(None)
    )
    assert_tidy(figure)
    # the zone is off UTC by half an hour, and midnights are marked
    labels = [text.get_text() for text in axes.get_xticklabels()]
    places = dict(zip(labels, num2date(axes.get_xticks()), strict=True))
    assert pd.Timestamp(places["Mar-31"]).tz_convert(index.tz).hour == 0
    assert pd.Timestamp(places["Mar-31"]).minute == 30


DATES = pd.date_range("2024-03-28", periods=2000, freq="h", tz="Europe/Zurich")
INDICES = {
    "hours": DATES,
    "seconds": pd.date_range("2024-03-28 23:59:30", periods=2000, freq="s"),
    "months": pd.date_range("1990-01-01", periods=2000, freq="MS")[:400],
    "rows": None,
    "nanoseconds": pd.Index(1_700_000_000_000_000_000 + 1_000_000 * np.arange(2000)),
    "fractions": pd.Index(np.arange(2000) * 1e-6),
}
LONG = "/data/measured/2024/a folder with a long name/$cycle$/number_00017.parquet"


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("windows", [1, 12])
def test_figures_are_tidy(index, windows):
    names = [LONG, *(f"series {number}" for number in range(3))]
    forecasts, history = make_tables(
        names, windows, horizon=24, levels=SEVEN, index=INDICES[index], context=100
    )
    if index == "hours":
        forecasts, history = (
            table[table["time"] != table["time"].iloc[7]] for table in (forecasts, history)
        )
    figure = forecast_figure(forecasts, "B_meas_T", "a rather long time column's name", 3, history)
    assert figure.get_suptitle().endswith("first 3 of 4 series")
    assert_tidy(figure)
    assert figure.axes[0].get_title().startswith("/data/measured/2024")
    assert len(figure.axes[0].get_title()) < 60


@pytest.mark.parametrize("panels", [1, 6])
@pytest.mark.parametrize("levels", [(), (0.1, 0.9)])
def test_other_sizes_are_tidy(panels, levels):
    names = [f"$x_{number}$" for number in range(panels)]
    forecasts, _ = make_tables(names, levels=levels, index=DATES)
    figure = forecast_figure(forecasts, panels=panels)
    assert_tidy(figure)
    # a name is not a formula
    assert figure.axes[0].get_title() == r"\$x_0\$"


def test_nothing_to_draw_is_told():
    forecasts, _ = make_tables()
    with pytest.raises(InputError, match="at least one row"):
        forecast_figure(forecasts.head(0))


def test_uneven_readings_are_no_outages():
    """A line goes on over steps of 20 to 45 minutes, and breaks at one of 3 hours."""
    minutes = np.random.default_rng(0).integers(20, 46, 60)
    minutes[30] = 180
    time = pd.Timestamp("2025-01-01") + pd.to_timedelta(minutes.cumsum(), unit="min")
    values = np.arange(60.0)
    table = pd.DataFrame(
        {
            "series": "a",
            "origin": time[0] - pd.Timedelta("1h"),
            "step": np.arange(1, 61),
            "time": time,
            "prediction": values,
            "actual": values + 1,
        }
    )
    figure = forecast_figure(table, "y")
    (line,) = (one for one in figure.axes[0].lines if one.get_label() == "actual")
    assert np.isnan(np.asarray(line.get_ydata(), float)).sum() == 1
