"""Rows of scaled features, against a row-by-row reference."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.spans import spans_before
from transformertf.data.columns import Columns
from transformertf.data.scaling import features
from transformertf.data.scaling.features import Places
from transformertf.data.scaling.scaling import Scaling
from transformertf.data.scaling.time_features import calendar_pairs
from transformertf.data.series import Series
from transformertf.data.windows.windows import Windows
from transformertf.errors import InputError

EXTRA = {
    "k": "Log1pTransform",
    "p": "DeltaTransform",
    "y": ["DeltaTransform", "DivideByXTransform"],
}
FITTED = np.random.default_rng(0).gamma(2.0, size=(50, 4)) + 0.5


def make_columns(indicators=False, lags=(2, 5), calendar=("hour",)):
    return Columns(
        ("k", "l"), ("p",), "y", "t", calendar=calendar, lags=lags, indicators=indicators
    )


def make_series(values, breaks=(), name="s", **others):
    time = pd.date_range("2024-01-01", periods=len(values), freq="h")
    return Series(name, values, time, len(values), breaks=tuple(breaks), **others)


def make_scaling(columns, extra=None, impute="last", normalize=True, training=FITTED):
    depends = "k" if extra else None
    scaling = Scaling(columns, normalize, "absolute", extra, depends, impute)
    series = [make_series(training)]
    scaling.fit(series, spans_before(series), Windows([]))
    return scaling


def written(scaling, item, dtype=np.float64):
    out = np.full((len(item), len(scaling.columns.features)), np.nan, dtype)
    scaling.write_features(item, out)
    return out


def filled(column, stretches, mean, line):
    """Return the column with missing values filled in, one by one."""
    result = list(column)
    for first, end in stretches:
        for row in range(first, end):
            if not math.isnan(column[row]):
                continue
            before = [i for i in range(first, row) if not math.isnan(column[i])]
            after = [i for i in range(row, end) if not math.isnan(column[i])] if line else []
            if before and after:
                i, j = before[-1], after[0]
                result[row] = column[i] + (column[j] - column[i]) * (row - i) / (j - i)
            elif before or after:
                result[row] = column[(before[-1:] or after[:1])[0]]
            else:
                result[row] = mean
    return result


def transformed(name, raw, x, starts, extra):
    """Return the column after its extra transforms, value by value."""
    if not extra or name == "l":
        return list(raw)
    if name == "k":
        return [math.log1p(value) for value in raw]
    steps = [0.0 if i in starts else raw[i] - raw[i - 1] for i in range(len(raw))]
    return steps if name == "p" else [step / at for step, at in zip(steps, x, strict=True)]


def reference(columns, item, extra=None, impute="last"):
    """Return the features by name, scaled with the statistics of `FITTED`."""
    names, stretches, rows = columns.values, item.stretches, len(item)
    starts = [first for first, _ in stretches]
    result, raw = {}, {}
    for column, name in enumerate(names):
        raw[name] = list(item.values[:, column])
        if columns.indicators:
            line = impute == "interpolate" and name in columns.known
            raw[name] = filled(raw[name], stretches, FITTED[:, column].mean(), line)
        fit = np.array(transformed(name, list(FITTED[:, column]), list(FITTED[:, 0]), [0], extra))
        values = transformed(name, raw[name], raw["k"], starts, extra)
        result[name] = [(value - fit.mean()) / fit.std() for value in values]
        observed = [float(not math.isnan(value)) for value in item.values[:, column]]
        result[f"{name}_observed"] = observed
    for lag in columns.lags:
        lagged = [0.0] * rows
        for first, end in stretches:
            for row in range(first + lag, end):
                lagged[row] = result["y"][row - lag]
        result[f"y_lag_{lag}"] = lagged
    pairs = calendar_pairs(item.time, columns.calendar)
    for place, field in enumerate(columns.calendar):
        result[f"{field}_sin"], result[f"{field}_cos"] = pairs[:, 2 * place : 2 * place + 2].T
    return np.column_stack([result[name] for name in columns.features])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(1, 40),
    cuts=st.sets(st.integers(1, 39), max_size=4),
    missing=st.sampled_from([0.0, 0.2, 0.8]),
    chunk=st.sampled_from([1, 3, 7, 64]),
    extra=st.sampled_from([None, EXTRA]),
    impute=st.sampled_from(["last", "interpolate"]),
)
def test_features_are_those_of_the_reference(seed, rows, cuts, missing, chunk, extra, impute):
    generator = np.random.default_rng(seed)
    values = generator.gamma(2.0, size=(rows, 4)) + 0.5
    values[generator.random(values.shape) < missing] = np.nan
    item = make_series(values, sorted(cut for cut in cuts if cut < rows))
    columns = make_columns(indicators=True)
    scaling = make_scaling(columns, extra, impute)
    kept = features._CHUNK
    try:
        features._CHUNK = chunk
        found = written(scaling, item)
    finally:
        features._CHUNK = kept
    expected = reference(columns, item, extra, impute)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    single = written(scaling, item, np.float32)
    np.testing.assert_allclose(single, found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("extra", [None, EXTRA], ids=["plain", "extra"])
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_without_indicators_the_unknown_future_stays_missing(monkeypatch, extra, chunk):
    monkeypatch.setattr(features, "_CHUNK", chunk)
    values = np.random.default_rng(1).gamma(2.0, size=(30, 4)) + 0.5
    values[22:, -1] = np.nan
    item, columns = make_series(values, (9, 10)), make_columns()
    found = written(make_scaling(columns, extra), item)
    np.testing.assert_allclose(found, reference(columns, item, extra), rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(np.isnan(found[:, -1]), np.arange(30) >= 22)
    lag = columns.features.index("y_lag_5")
    np.testing.assert_array_equal(np.isnan(found[:, lag]), np.arange(30) >= 27)


@pytest.mark.parametrize("indicators", [False, True])
@pytest.mark.parametrize("lags", [(), (3,), (3, 7)])
@pytest.mark.parametrize("calendar", [(), ("hour", "month")])
def test_places_are_those_of_the_names(indicators, lags, calendar):
    columns = make_columns(indicators, lags, calendar)
    places, names = Places.of(columns), columns.features
    assert [names[place] for place in places.values] == ["k", "l", "p", "y"]
    observed = ["k_observed", "l_observed", "p_observed", "y_observed"]
    found = [(columns.values[column], names[place]) for column, place in places.observed]
    wanted = list(zip(columns.values, observed, strict=True))
    assert found == (wanted if indicators else [])
    assert not calendar or names[places.pairs] == "hour_sin"
    assert not lags or names[places.lags] == "y_lag_3"


def test_features_go_into_a_view_of_a_larger_array():
    columns = make_columns()
    item, scaling = make_series(FITTED[:20]), make_scaling(columns)
    out = np.zeros((40, len(columns.features) + 3), np.float32)
    scaling.write_features(item, out[10:30, 2:-1])
    np.testing.assert_allclose(out[10:30, 2:-1], written(scaling, item), rtol=1e-5, atol=1e-6)
    out[10:30, 2:-1] = 0
    assert not out.any()


def test_a_long_gap_is_crossed_by_a_line(monkeypatch):
    monkeypatch.setattr(features, "_CHUNK", 4)
    values = np.ones((30, 4))
    values[1:29, :] = np.nan
    values[29] = 30.0
    item = make_series(values)
    scaling = make_scaling(make_columns(indicators=True), impute="interpolate")
    np.testing.assert_allclose(scaling.original(item, "k"), np.arange(1.0, 31.0), rtol=1e-12)
    # what comes after is not known at a forecast's origin
    np.testing.assert_array_equal(scaling.original(item, "p"), [1.0] * 29 + [30.0])
    np.testing.assert_array_equal(scaling.original(item, "y"), [1.0] * 29 + [30.0])


def test_the_last_value_knows_nothing_of_later_ones():
    values = np.random.default_rng(2).gamma(2.0, size=(25, 4))
    values[4:9] = values[:2] = np.nan
    columns = make_columns(indicators=True)
    scaling = make_scaling(columns, EXTRA)
    whole = written(scaling, make_series(values))
    values[15:] = np.nan
    np.testing.assert_array_equal(written(scaling, make_series(values))[:15], whole[:15])


def test_without_indicators_original_values_are_the_series_own():
    scaling, item = make_scaling(make_columns()), make_series(FITTED)
    assert np.shares_memory(scaling.original(item, "k"), item.values)
    np.testing.assert_array_equal(scaling.original(item, "p"), FITTED[:, 2])


def test_no_normalising_leaves_original_units_after_the_extra_transforms():
    columns = make_columns(lags=(), calendar=())
    item = make_series(FITTED)
    found = written(make_scaling(columns, {"k": "Log1pTransform"} | EXTRA, normalize=False), item)
    np.testing.assert_allclose(found[:, 0], np.log1p(FITTED[:, 0]), rtol=1e-13)
    np.testing.assert_array_equal(found[:, 1], FITTED[:, 1])
    np.testing.assert_allclose(found[1:, 2], np.diff(FITTED[:, 2]), rtol=1e-13)


def test_a_huge_offset_survives_in_float64():
    generator = np.random.default_rng(3)
    values = 1e9 + generator.normal(size=(5000, 4))
    columns = make_columns(lags=(), calendar=())
    found = written(make_scaling(columns, training=values), make_series(values))
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=0), 1.0, rtol=1e-6)
    centred = values - 1e9
    expected = (centred - centred.mean(axis=0)) / centred.std(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_value_that_a_transform_refuses_is_named_with_series_and_column():
    scaling = make_scaling(make_columns(), {"l": "LogTransform"} | EXTRA)
    values = FITTED.copy()
    values[7, 1] = -2.0
    with pytest.raises(InputError, match=r"^series 's', column 'l': LogTransform takes values abo"):
        written(scaling, make_series(values))
    with pytest.raises(InputError, match=r"^extra_transforms: column 'l': LogTransform takes"):
        make_scaling(make_columns(), {"l": "LogTransform"} | EXTRA, training=values)
