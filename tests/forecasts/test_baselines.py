"""Baselines against their definitions, written as loops over one row at a time."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformertf.errors import InputError
from transformertf.forecasts.baselines import naive, naive_scale, seasonal_naive

MISSING = float("nan")
targets = st.lists(
    st.one_of(st.just(MISSING), st.floats(-1e6, 1e6)), min_size=1, max_size=30
).map(np.array)  # fmt: skip


@st.composite
def questions(draw):
    """Return a target, origins, steps that go beyond its end, and a first row for each origin."""
    values = draw(targets)
    rows = draw(
        st.lists(
            st.tuples(st.integers(-1, len(values) - 1), st.integers(1, 40), st.integers(0, 30)),
            min_size=1,
            max_size=10,
        )
    )
    origin, step, first = np.array(rows).T
    return values, origin, step, first


@given(questions())
def test_naive_is_the_last_value_seen(question):
    values, origin, step, first = question
    expected = []
    for end, start in zip(origin, first, strict=True):
        seen = [v for v in values[start : end + 1] if not math.isnan(v)]
        expected.append(seen[-1] if seen else MISSING)
    np.testing.assert_array_equal(naive(values, origin, step, first), expected)


@given(questions(), st.integers(1, 12))
def test_seasonal_naive_goes_back_whole_seasons_to_what_is_known(question, season):
    values, origin, step, first = question
    expected = []
    for end, ahead, start in zip(origin, step, first, strict=True):
        row = end + ahead
        while row > end:
            row -= season
        expected.append(values[row] if row >= start else MISSING)
    found = seasonal_naive(values, origin, step, season, first)
    np.testing.assert_array_equal(found, expected)


def test_a_seasonal_series_is_forecast_exactly_through_the_horizon():
    values = np.tile([3.0, 1.0, 4.0, 1.5, 9.0], 8)
    step = np.arange(1, 14)
    found = seasonal_naive(values, np.full(13, 21), step, season=5)
    np.testing.assert_array_equal(found, values[21 + step])


def test_nothing_after_the_origin_is_used():
    values = np.arange(20.0)
    origin, step = np.array([4, 9]), np.array([3, 30])
    later = values.copy()
    later[10:] = 1e9
    for baseline in (naive, partial(seasonal_naive, season=4)):
        np.testing.assert_array_equal(
            baseline(values, origin, step), baseline(later, origin, step)
        )  # fmt: skip
    assert naive(values, origin, step).tolist() == [4, 9]


@given(targets, st.integers(1, 12), st.integers(0, 5))
def test_scale_is_the_mean_of_the_pairs_there_are(values, season, first):
    pairs = [
        abs(values[row] - values[row - season])
        for row in range(first + season, len(values))
        if not math.isnan(values[row]) and not math.isnan(values[row - season])
    ]
    expected = math.fsum(pairs) / len(pairs) if any(pairs) else MISSING
    np.testing.assert_allclose(naive_scale(values, season, first), expected, rtol=1e-12)


@given(targets, st.integers(1, 12), st.sets(st.integers(1, 30)))
def test_no_pair_of_the_scale_lies_across_a_gap(values, season, breaks):
    pairs = [
        abs(values[row] - values[row - season])
        for row in range(season, len(values))
        if not math.isnan(values[row]) and not math.isnan(values[row - season])
        and not any(row - season < begin <= row for begin in breaks)
    ]  # fmt: skip
    expected = math.fsum(pairs) / len(pairs) if any(pairs) else MISSING
    found = naive_scale(values, season, breaks=sorted(breaks))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_constant_series_has_no_scale():
    assert math.isnan(naive_scale(np.full(9, 2.5), 1))
    assert math.isnan(naive_scale(np.array([1.0, 2.0]), 2))


def test_a_season_below_one_is_refused():
    rows = np.array([3])
    with pytest.raises(InputError, match=r"^season must be at least 1, found 0$"):
        seasonal_naive(np.arange(5.0), rows, rows, 0)
    with pytest.raises(InputError, match=r"^season must be at least 1, found -2$"):
        naive_scale(np.arange(5.0), -2)
