"""Thinning of series."""

import numpy as np
import pandas as pd
import pytest

from transformertf.data.frames import Series, downsample
from transformertf.errors import TooShortError


def make_series(rows, observed=None, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, 2))
    observed = rows if observed is None else observed
    values[observed:, -1] = np.nan
    time = pd.date_range("2024-01-01", periods=rows, freq="min")
    return Series("run", values, time, observed)


def test_factor_one_changes_nothing():
    series = make_series(7)
    assert downsample(series, 1, "average") is series


@pytest.mark.parametrize("observed", [20, 19, 16, 15, 13, 1])
@pytest.mark.parametrize("factor", [2, 3, 7])
def test_interval_keeps_the_first_row_of_each_block(factor, observed):
    series = make_series(20, observed)
    thin = downsample(series, factor, "interval")
    np.testing.assert_array_equal(thin.values, series.values[::factor])
    assert list(thin.time) == list(series.time[::factor])
    assert thin.observed == sum(row < observed for row in range(0, 20, factor))
    assert thin.observed == int(np.isfinite(thin.values[:, -1]).sum())


@pytest.mark.parametrize("observed", [20, 19, 16, 15, 13, 1])
@pytest.mark.parametrize("factor", [2, 3, 7, 20])
@pytest.mark.parametrize(("method", "summary"), [("average", np.mean), ("median", np.median)])
def test_blocks_are_summarised_and_stamped_when_complete(method, summary, factor, observed):
    series = make_series(20, observed)
    thin = downsample(series, factor, method)
    blocks = [series.values[start : start + factor] for start in range(0, 20, factor)]
    whole = [block for block in blocks if len(block) == factor]
    expected = np.array([[summary(column) for column in block.T] for block in whole])
    np.testing.assert_allclose(thin.values, expected, rtol=1e-12)
    assert list(thin.time) == [series.time[(n + 1) * factor - 1] for n in range(len(whole))]
    assert thin.observed == int(np.isfinite(expected[:, -1]).sum())
    assert np.isfinite(thin.values[:, 0]).all()


def test_average_and_median_differ():
    series = make_series(30)
    average, median = (downsample(series, 5, method) for method in ("average", "median"))
    assert np.abs(average.values - median.values).max() > 0.01


def test_thinning_works_without_time():
    series = make_series(9)
    thin = downsample(Series("run", series.values, None, 9), 3, "average")
    assert thin.time is None
    np.testing.assert_array_equal(thin.elapsed(), [0, 1, 2])


@pytest.mark.parametrize("method", ["average", "median"])
def test_a_series_shorter_than_a_block_is_refused_by_name(method):
    with pytest.raises(
        TooShortError, match="series 'run' is too short: 4 rows, fewer than downsample=5"
    ):
        downsample(make_series(4), 5, method)
