"""Figures of errors and of reliability show the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from scipy.stats import binom

from tests.plots.layout import assert_tidy, bar_widths
from transformertf.errors import InputError
from transformertf.plots import calibration_figure, horizon_figure, residual_figure, series_figure


def by_label(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def make_steps(steps=24):
    index = pd.RangeIndex(1, steps + 1, name="step")
    return pd.DataFrame({"MAE": 0.1 * index, "RMSE": 0.2 * index}, index=index)


def test_errors_by_step_stand_beside_those_of_the_baselines():
    naive, seasonal = np.linspace(2, 5, 24), np.full(24, 4.0)
    steps = make_steps()
    steps["skill_naive"] = 1 - steps["MAE"] / naive
    steps["skill_seasonal_naive"] = 1 - steps["MAE"] / seasonal
    figure = horizon_figure(steps, "B_T")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "error of B_T"
    assert axes.get_xlabel() == "horizon step"
    assert axes.get_ylim()[0] == 0
    assert legend(figure) == ["MAE", "RMSE", "MAE of naive", "MAE of seasonal naive"]
    expected = dict(
        zip(legend(figure), (steps["MAE"], steps["RMSE"], naive, seasonal), strict=True)
    )
    for label, line in by_label(axes).items():
        np.testing.assert_array_equal(line.get_xdata(), range(1, 25))
        np.testing.assert_allclose(line.get_ydata(), expected[label])
    assert_tidy(figure)


def test_a_perfect_step_has_no_error_of_a_baseline():
    steps = make_steps(2).assign(skill_naive=[1.0, 0.5])
    steps.loc[1, "MAE"] = 0.0
    line = by_label(horizon_figure(steps).axes[0])["MAE of naive"]
    np.testing.assert_allclose(line.get_ydata(), [np.nan, 0.4])


def test_coverage_by_step_stands_below_over_what_it_should_be():
    steps = make_steps().assign(**{"coverage_0.96": 0.9, "coverage_0.8": 0.85, "coverage_0.5": 0.5})
    figure = horizon_figure(steps.assign(skill_naive=0.5, skill_seasonal_naive=0.1))
    upper, lower = figure.axes
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "horizon step")
    assert lower.get_ylabel() == "coverage [%]"
    lines = lower.get_lines()
    assert [np.asarray(line.get_ydata())[0] for line in lines] == pytest.approx(
        [96, 90, 80, 85, 50, 50]
    )
    labels = ["96 % interval", "80 % interval", "50 % interval"]
    assert [line.get_label() for line in lines[1::2]] == labels
    colours = [line.get_color() for line in lines]
    assert colours[::2] == colours[1::2]
    assert len(set(colours)) == 3
    assert_tidy(figure)


@pytest.mark.parametrize("steps", [1, 2, 600])
def test_any_horizon_is_tidy(steps):
    figure = horizon_figure(make_steps(steps))
    assert_tidy(figure)
    ticks = figure.axes[0].get_xticks()
    assert all(tick == round(tick) for tick in ticks)
    assert {line.get_marker() for line in figure.axes[0].get_lines()} == {"." if steps < 3 else ""}


def test_reliability_lies_over_the_diagonal_and_its_band():
    table = pd.DataFrame({"level": [0.9, 0.1, 0.5], "observed": [0.8, 0.15, 0.5], "rows": 40})
    figure = calibration_figure(table)
    (axes,) = figure.axes
    lines = by_label(axes)
    np.testing.assert_array_equal(
        lines["observed"].get_xydata(), [[0.1, 0.15], [0.5, 0.5], [0.9, 0.8]]
    )
    np.testing.assert_array_equal(lines["perfect"].get_xydata(), [[0, 0], [1, 1]])
    (band,) = axes.collections
    vertices = np.asarray(band.get_paths()[0].vertices)
    at = vertices[np.isclose(vertices[:, 0], 0.3), 1]
    # the narrowest band of counts that 40 throws of 0.3 miss in at most 2.5 % on either side
    assert (40 * at.min(), 40 * at.max()) == pytest.approx((7, 18))
    assert binom.cdf(6, 40, 0.3) <= 0.025 < binom.cdf(7, 40, 0.3)
    assert binom.sf(18, 40, 0.3) <= 0.025 < binom.sf(17, 40, 0.3)
    assert legend(figure) == ["95 % band, independent rows", "perfect", "observed"]
    assert_tidy(figure)


@pytest.mark.parametrize("count", [1, 5, 30])
def test_the_worst_series_stand_on_top(count):
    errors = np.random.default_rng(0).permutation(count) + 1.0
    names = [f"customer number {number} of $ {count}" for number in range(count)]
    table = pd.DataFrame({"MAE": errors, "RMSE": 2 * errors}, index=pd.Index(names, name="series"))
    figure = series_figure(table, "load [MW]")
    (axes,) = figure.axes
    shown = min(count, 20)
    bars = bar_widths(axes)
    assert bars == sorted(errors, reverse=True)[:shown]
    np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), 2 * np.array(bars))
    labels = [text.get_text().replace("\\", "") for text in axes.get_yticklabels()]
    assert labels == [names[list(errors).index(bar)] for bar in bars]
    assert axes.yaxis_inverted()
    assert figure.get_suptitle() == "Error by series" + (": worst 20 of 30" if count > 20 else "")
    assert axes.get_xlabel() == "error of load [MW]"
    assert_tidy(figure)


def make_forecasts(windows=3, horizon=6):
    """Return forecasts of two series, and a covariate that rises, rests, and falls in each."""
    covariate = np.resize([1.0, 2.0, 3.0, 3.0, 2.0, 1.5], horizon)
    step = np.arange(1, horizon + 1)
    pieces = [
        pd.DataFrame(
            {
                "series": series,
                "origin": origin,
                "step": step,
                "prediction": 10.0 * origin + step,
                "actual": 10.0 * origin + step**2 / 8,
            }
        )
        for series in ("a", "b")
        for origin in range(windows)
    ]
    return pd.concat(pieces, ignore_index=True), np.tile(covariate, 2 * windows)


def test_residuals_are_joined_within_each_forecast():
    forecasts, covariate = make_forecasts()
    order = np.random.default_rng(0).permutation(len(forecasts))
    figure = residual_figure(forecasts.iloc[order], covariate[order], "I [A]", "B [T]")
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("I [A]", "prediction - actual of B [T]")
    assert bar.get_ylabel() == "horizon step"
    step = np.arange(1, 7)
    expected = step - step**2 / 8
    loops = np.asarray(axes.get_lines()[1].get_xydata())
    np.testing.assert_array_equal(np.isnan(loops[:, 0]), np.resize([False] * 6 + [True], 41))
    np.testing.assert_allclose(loops[:6], np.stack([covariate[:6], expected], axis=1))
    (points,) = axes.collections
    np.testing.assert_allclose(np.asarray(points.get_offsets())[:, 1], np.tile(expected, 6))
    np.testing.assert_array_equal(points.get_array(), np.tile(step, 6))
    assert_tidy(figure)


def test_a_missing_step_or_actual_breaks_the_loop():
    forecasts, covariate = make_forecasts(windows=1)
    forecasts.loc[2, "actual"] = np.nan
    kept = forecasts.index != 9
    figure = residual_figure(forecasts[kept], covariate[kept], "I")
    loops = figure.axes[0].get_lines()[1].get_ydata()
    assert np.flatnonzero(np.isnan(loops)).tolist() == [2, 6, 10]
    assert_tidy(figure)


def test_residuals_by_direction_of_the_covariate():
    forecasts, covariate = make_forecasts(windows=1)
    figure = residual_figure(forecasts, covariate, "I [A]", colour="direction")
    found = by_label(figure.axes[0])
    assert legend(figure) == ["I [A] rising", "I [A] falling", "I [A] level"]
    # the first step goes where the second does
    assert found["I [A] rising"].get_xdata().tolist() == [1, 2, 3] * 2
    assert found["I [A] level"].get_xdata().tolist() == [3] * 2
    assert found["I [A] falling"].get_xdata().tolist() == [2, 1.5] * 2
    assert_tidy(figure)
    single, value = make_forecasts(horizon=1)
    found = by_label(residual_figure(single, value, "I", colour="direction").axes[0])
    assert set(found) & {"I rising", "I falling", "I level"} == {"I level"}


def test_of_many_forecasts_some_are_drawn_and_told():
    forecasts, covariate = make_forecasts(windows=200)
    figure = residual_figure(forecasts, covariate, "I")
    assert figure.get_suptitle() == "Residuals against I: 200 of 400 forecasts"
    assert len(np.asarray(figure.axes[0].collections[0].get_offsets())) == 200 * 6


def test_a_covariate_of_other_rows_is_told():
    forecasts, covariate = make_forecasts()
    with pytest.raises(InputError, match=r"covariate 'I': expected .* 36 rows .* shape \(35,\)"):
        residual_figure(forecasts, covariate[1:], "I")
