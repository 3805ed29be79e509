"""Scores equal the metrics of utilsforecast, darts, torchmetrics and gluonts.

utilsforecast and darts are no dependencies, not even of the tests; where they are installed,
this compares with them. Of gluonts it is the documented formula.
"""

import importlib
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import torchmetrics

from transformertf.evaluation.scores import Scores
from transformertf.forecasts.baselines import naive_scale, seasonal_naive

LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
QUANTILES = [f"q{level:g}" for level in LEVELS]
INTERVALS = {"0.5": ("q0.25", "q0.75"), "0.8": ("q0.1", "q0.9"), "0.96": ("q0.02", "q0.98")}
SEASON = 3
CLOSE = {"rtol": 1e-6, "atol": 0}


def peer(name):
    """Import a library, or skip the test; what it warns of while it is imported is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name, reason=f"{name} is not installed")
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def history():
    """Return the training rows of each series, of unlike lengths and levels."""
    generator = np.random.default_rng(1)
    return {
        name: generator.normal(level, 1 + level / 9, rows)
        for name, level, rows in [("a", 0.0, 30), ("b", 50.0, 45), ("c", -4.0, 20), ("d", 7.0, 61)]
    }


@pytest.fixture(scope="module")
def table(history):
    """Return forecasts of several origins, with horizons that end early and unknown actuals."""
    generator = np.random.default_rng(2)
    windows = []
    for name, values in history.items():
        scale = naive_scale(values, SEASON)
        for origin in range(int(generator.integers(2, 9))):
            steps = int(generator.integers(1, 7))
            actual = generator.normal(values.mean(), values.std(), steps)
            actual[generator.random(steps) < 0.15] = np.nan
            quantiles = np.sort(generator.normal(values.mean(), 2, (steps, len(LEVELS))), axis=1)
            window = pd.DataFrame(quantiles, columns=QUANTILES)
            places = {"series": name, "origin": origin, "step": 1 + np.arange(steps)}
            windows.append(window.assign(**places, prediction=window["q0.5"], actual=actual))
            windows[-1]["scale"] = scale
    table = pd.concat(windows, ignore_index=True)
    assert table["actual"].isna().any()
    assert (table["step"] == 1).sum() > (table["step"] == 6).sum() > 0
    return table


@pytest.fixture(scope="module")
def scores(table):
    scores = Scores(LEVELS)
    for first in range(0, len(table), 13):
        scores.update(table.iloc[first : first + 13])
    return scores


@pytest.fixture(scope="module")
def known(table):
    return table.dropna(subset="actual").assign(all="all")


def grouped(scores, group):
    if group == "all":
        return pd.DataFrame([scores.overall()], index=pd.Index(["all"], name="all"))
    return scores.by_step() if group == "step" else scores.by_series()


def assert_equal(found, expected):
    """Compare two columns by their index."""
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected.reindex(found.index), **CLOSE)


@pytest.mark.parametrize("group", ["all", "series", "step"])
def test_utilsforecast_point_metrics(scores, known, group):
    losses = peer("utilsforecast.losses")
    found = grouped(scores, group)
    names = {"MAE": ("mae", 1), "RMSE": ("rmse", 1), "MAPE": ("mape", 1), "sMAPE": ("smape", 2)}
    for metric, (name, factor) in names.items():
        loss = getattr(losses, name)
        expected = loss(known, ["prediction"], id_col=group, target_col="actual")
        assert_equal(found[metric], factor * expected.set_index(group)["prediction"])


def test_utilsforecast_mape_leaves_out_actuals_of_zero(known):
    losses = peer("utilsforecast.losses")
    rows = known.assign(actual=known["actual"].where(known["step"] != 2, 0.0))
    scores = Scores()
    scores.update(rows)
    expected = losses.mape(rows, ["prediction"], id_col="series", target_col="actual")
    assert_equal(scores.by_series()["MAPE"], expected.set_index("series")["prediction"])
    assert scores.skipped["MAPE"] == (rows["step"] == 2).sum() > 0


def test_utilsforecast_mase(scores, known, history):
    losses = peer("utilsforecast.losses")
    train = pd.concat(
        pd.DataFrame({"series": name, "ds": range(len(values)), "actual": values})
        for name, values in history.items()
    )
    expected = losses.mase(
        known, ["prediction"], SEASON, train, id_col="series", target_col="actual"
    )
    assert_equal(scores.by_series()["MASE"], expected.set_index("series")["prediction"])


@pytest.mark.parametrize("group", ["all", "series", "step"])
def test_utilsforecast_quantile_metrics(scores, known, group):
    losses = peer("utilsforecast.losses")
    found = grouped(scores, group)
    names = {"id_col": group, "target_col": "actual"}
    levels = np.array(LEVELS)
    loss = losses.mqloss(known, {"m": QUANTILES}, levels, **names).set_index(group)["m"]
    assert_equal(found["CRPS"], 2 * loss)
    weighted = losses.scaled_crps(known, {"m": QUANTILES}, levels, **names).set_index(group)["m"]
    assert_equal(found["WQL"], weighted)
    for nominal, (low, high) in INTERVALS.items():
        ends = known.rename(columns={low: "m-lo-9", high: "m-hi-9"})
        inside = losses.coverage(ends, ["m"], 9, **names).set_index(group)["m"]
        assert_equal(found[f"coverage_{nominal}"], inside)


def test_utilsforecast_reliability(scores, known):
    losses = peer("utilsforecast.losses")
    found = scores.reliability()
    for level, column, observed in zip(LEVELS, QUANTILES, found["observed"], strict=True):
        models = {"m": column}
        expected = losses.calibration(known, models, id_col="all", target_col="actual")
        np.testing.assert_allclose(observed, expected["m"].item(), err_msg=str(level), **CLOSE)


def darts_series(rows, columns, start=0):
    """Return columns of a table as a series of darts, one row after another."""
    darts = peer("darts")
    index = pd.RangeIndex(start, start + len(rows))
    return darts.TimeSeries.from_times_and_values(index, rows[columns].to_numpy(), columns=columns)


def test_darts_point_metrics(scores, known, history):
    metrics = peer("darts.metrics")
    for name, found in scores.by_series().iterrows():
        rows = known[known["series"] == name].rename(columns={"actual": "y"})
        start = len(history[name])
        actual = darts_series(rows, ["y"], start)
        forecast = darts_series(rows.assign(y=rows["prediction"]), ["y"], start)
        past = darts_series(pd.DataFrame({"y": history[name]}), ["y"])
        expected = {
            "MAE": metrics.mae(actual, forecast),
            "RMSE": metrics.rmse(actual, forecast),
            "MAPE": metrics.mape(actual, forecast) / 100,
            "sMAPE": metrics.smape(actual, forecast) / 100,
            "MASE": metrics.mase(actual, forecast, past, m=SEASON),
        }
        np.testing.assert_allclose(
            found[list(expected)].astype(float), [*expected.values()], **CLOSE
        )


def test_darts_quantile_metrics(scores, known):
    metrics = peer("darts.metrics")
    names = [f"y_q{level:.3f}" for level in LEVELS]
    levels = (np.array(LEVELS), pd.Index(names))
    for name, found in scores.by_series().iterrows():
        rows = known[known["series"] == name]
        rows = rows.rename(columns={"actual": "y", **dict(zip(QUANTILES, names, strict=True))})
        actual, forecast = darts_series(rows, ["y"]), darts_series(rows, names)
        loss = metrics.mql(actual, forecast, q=levels, component_reduction=None)
        np.testing.assert_allclose(found["CRPS"], np.mean(loss), **CLOSE)
        for nominal, ends in INTERVALS.items():
            ends = tuple(float(end[1:]) for end in ends)
            inside = metrics.mic(actual, forecast, q_interval=ends)
            width = metrics.miw(actual, forecast, q_interval=ends)
            np.testing.assert_allclose(found[f"coverage_{nominal}"], inside, **CLOSE)
            np.testing.assert_allclose(found[f"width_{nominal}"], width, **CLOSE)


def test_darts_seasonal_naive_forecast():
    models = peer("darts.models")
    values = np.random.default_rng(3).normal(size=40)
    model = models.NaiveSeasonal(K=7)
    model.fit(darts_series(pd.DataFrame({"y": values[:31]}), ["y"]))
    step = np.arange(1, 18)
    found = seasonal_naive(values, np.full(17, 30), step, season=7)
    np.testing.assert_allclose(found, model.predict(17).values()[:, 0], **CLOSE)


def test_torchmetrics(known):
    scores = Scores()
    scores.update(known)
    found = scores.overall()
    for metric, name, squared in [
        ("MAE", "MeanAbsoluteError", {}),
        ("RMSE", "MeanSquaredError", {"squared": False}),
        ("MAPE", "MeanAbsolutePercentageError", {}),
        ("sMAPE", "SymmetricMeanAbsolutePercentageError", {}),
        ("WQL", "WeightedMeanAbsolutePercentageError", {}),
    ]:
        theirs = getattr(torchmetrics, name)(**squared)
        theirs.set_dtype(torch.float64)
        prediction, actual = (
            torch.from_numpy(known[column].to_numpy(copy=True))
            for column in ("prediction", "actual")
        )
        np.testing.assert_allclose(found[metric], theirs(prediction, actual).item(), **CLOSE)


def test_gluonts_mean_weighted_sum_quantile_loss(scores, known):
    actual = known["actual"].to_numpy()
    weighted = []
    for level, column in zip(LEVELS, QUANTILES, strict=True):
        quantile = known[column].to_numpy()
        loss = 2 * np.sum(np.abs((quantile - actual) * ((actual <= quantile) - level)))
        weighted.append(loss / np.sum(np.abs(actual)))
    np.testing.assert_allclose(scores.overall()["WQL"], np.mean(weighted), **CLOSE)
