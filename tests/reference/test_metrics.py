"""Scores equal the metrics of utilsforecast, darts, torchmetrics and gluonts.

utilsforecast and darts are no dependencies, not even of the tests: `recorded` compares with what
they gave when `make_golden.py` asked them, `live` with what they give, where they are installed.
Of gluonts it is the documented formula.
"""

import importlib.util
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torchmetrics

from tests.reference.golden import frame_of_arrays, load, within
from tests.reference.metrics import (
    GROUPS,
    INTERVALS,
    LEVELS,
    NAIVE_ORIGIN,
    NAIVE_SEASON,
    QUANTILES,
    SEASON,
    darts_scores,
    naive_series,
    utilsforecast_scores,
    with_actuals,
    with_actuals_of_zero,
)
from transformertf.evaluation.scores import Scores
from transformertf.forecasts.baselines import naive_scale, seasonal_naive

CLOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 0}
SOURCES = ["recorded", "live"]


@pytest.fixture(scope="module")
def golden():
    return load("metrics")


@pytest.fixture(scope="module")
def history(golden):
    """Return the training rows of each series, of unlike lengths and levels."""
    return within(golden, "history/")


@pytest.fixture(scope="module")
def table(golden, history):
    """Return forecasts of several origins, with horizons that end early and unknown actuals."""
    scales = {name: naive_scale(values, SEASON) for name, values in history.items()}
    table = frame_of_arrays(within(golden, "table/"))
    table["scale"] = table["series"].map(scales)
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
    return with_actuals(table)


def their_scores(source, library, ask, golden, known, history):
    """Return a library's tables by name, from it or as recorded."""
    if source == "live":
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
        return ask(known, history)
    arrays = within(golden, f"{library}/")
    names = {name.partition("/")[0] for name in arrays}
    return {name: frame_of_arrays(within(arrays, f"{name}/")) for name in names}


@pytest.fixture(scope="module", params=SOURCES)
def utilsforecast(request, golden, known, history):
    source = request.param
    return their_scores(source, "utilsforecast", utilsforecast_scores, golden, known, history)


@pytest.fixture(scope="module", params=SOURCES)
def darts(request, golden, known, history):
    return their_scores(request.param, "darts", darts_scores, golden, known, history)


def grouped(scores, group):
    if group == "all":
        return pd.DataFrame([scores.overall()], index=pd.Index(["all"], name="all"))
    return scores.by_step() if group == "step" else scores.by_series()


def assert_equal(found, expected):
    """Compare two columns by their index."""
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected.reindex(found.index), **CLOSE)


@pytest.mark.parametrize("group", GROUPS)
def test_utilsforecast_point_metrics(scores, utilsforecast, group):
    found = grouped(scores, group)
    for metric in ("MAE", "RMSE", "MAPE", "sMAPE"):
        assert_equal(found[metric], utilsforecast[group][metric])


def test_utilsforecast_mape_leaves_out_actuals_of_zero(known, utilsforecast):
    rows = with_actuals_of_zero(known)
    scores = Scores()
    scores.update(rows)
    assert_equal(scores.by_series()["MAPE"], utilsforecast["zeros"]["MAPE"])
    assert scores.skipped["MAPE"] == (rows["step"] == 2).sum() > 0


def test_utilsforecast_mase(scores, utilsforecast):
    assert_equal(scores.by_series()["MASE"], utilsforecast["series"]["MASE"])


@pytest.mark.parametrize("group", GROUPS)
def test_utilsforecast_quantile_metrics(scores, utilsforecast, group):
    found = grouped(scores, group)
    for metric in ("CRPS", "WQL", *(f"coverage_{nominal}" for nominal in INTERVALS)):
        assert_equal(found[metric], utilsforecast[group][metric])


def test_utilsforecast_reliability(scores, utilsforecast):
    expected = utilsforecast["reliability"]
    assert [*expected.index] == [*LEVELS]
    np.testing.assert_allclose(scores.reliability()["observed"], expected["observed"], **CLOSE)


def test_darts_point_metrics(scores, darts):
    found = scores.by_series()
    for metric in ("MAE", "RMSE", "MAPE", "sMAPE", "MASE"):
        assert_equal(found[metric], darts["series"][metric])


def test_darts_quantile_metrics(scores, darts):
    found = scores.by_series()
    for metric in (
        "CRPS",
        *(f"{kind}_{end}" for kind in ("coverage", "width") for end in INTERVALS),
    ):
        assert_equal(found[metric], darts["series"][metric])


def test_darts_seasonal_naive_forecast(darts):
    expected = darts["naive"]["prediction"]
    step = expected.index.to_numpy()
    origin = np.full(len(step), NAIVE_ORIGIN)
    found = seasonal_naive(naive_series(), origin, step, season=NAIVE_SEASON)
    np.testing.assert_allclose(found, expected, **CLOSE)


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
