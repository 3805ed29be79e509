"""Thinning of series."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.costs import MANY, SMALL, peak_of
from tests.data.tabular import time_of
from transformertf.data.reading.gaps import downsample
from transformertf.data.series import Codes, Series
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
    assert list(time_of(thin)) == list(time_of(series)[::factor])
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
    assert list(time_of(thin)) == [time_of(series)[(n + 1) * factor - 1] for n in range(len(whole))]
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


def parts_of(series):
    """Return each stretch as a series without breaks."""
    return [
        replace(
            series,
            values=series.values[first:end],
            time=series.time[first:end],
            categories=tuple(replace(c, codes=c.codes[first:end]) for c in series.categories),
            observed=min(max(series.observed - first, 0), end - first),
            breaks=(),
        )
        for first, end in series.stretches
    ]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 40),
    breaks=st.sets(st.integers(1, 39), max_size=5),
    missing=st.sets(st.integers(0, 39), max_size=8),
    factor=st.integers(1, 6),
    method=st.sampled_from(["interval", "average", "median"]),
)
def test_each_stretch_is_thinned_by_itself(rows, breaks, missing, factor, method):
    series = make_series(rows)
    series.values[[row for row in missing if row < rows]] = np.nan
    known = np.flatnonzero(np.isfinite(series.values[:, -1]))
    series = replace(
        series,
        observed=int(known[-1]) + 1 if known.size else 0,
        breaks=tuple(sorted(row for row in breaks if row < rows)),
        categories=(Codes(np.arange(rows, dtype=np.int32) - 1, tuple(map(str, range(rows)))),),
        static=np.array([3.0, 4.0]),
        static_texts=("left", None),
    )
    pieces = [piece for piece in parts_of(series) if method == "interval" or len(piece) >= factor]
    if not pieces:
        with pytest.raises(TooShortError, match=f"too short: .* fewer than downsample={factor};"):
            downsample(series, factor, method)
        return
    thin, expected = downsample(series, factor, method), []
    for piece in pieces:
        expected.append(downsample(piece, factor, method))
    np.testing.assert_array_equal(thin.values, np.concatenate([e.values for e in expected]))
    np.testing.assert_array_equal(
        thin.categories[0].codes, np.concatenate([e.categories[0].codes for e in expected])
    )
    assert thin.categories[0].codes.dtype == np.int32
    assert list(time_of(thin)) == [stamp for e in expected for stamp in time_of(e)]
    assert thin.breaks == tuple(np.cumsum([len(e) for e in expected])[:-1].tolist())
    assert all(type(row) is int for row in thin.breaks)
    known = np.flatnonzero(np.isfinite(thin.values[:, -1]))
    assert thin.observed == (known[-1] + 1 if known.size else 0)
    assert thin.static is series.static
    assert thin.static_texts == series.static_texts
    # rows of categories and values are the same ones
    positions = series.time.get_indexer(thin.time)
    np.testing.assert_array_equal(thin.categories[0].codes, positions - 1)


@pytest.mark.parametrize("method", ["average", "median"])
def test_a_block_with_a_missing_value_is_missing(method):
    series = make_series(9)
    series.values[4, 0] = np.nan
    thin = downsample(series, 3, method)
    np.testing.assert_array_equal(np.isnan(thin.values), [[False] * 2, [True, False], [False] * 2])


@pytest.mark.parametrize(
    ("breaks", "expected"),
    [((2,), ()), ((7,), ()), ((2, 7), ()), ((4, 6), (1,)), ((4, 5, 6), (1,)), ((4, 9), (1,))],
)
def test_short_stretches_vanish_and_their_breaks_with_them(breaks, expected):
    assert downsample(replace(make_series(10), breaks=breaks), 4, "average").breaks == expected


def test_a_series_of_short_stretches_is_refused():
    with pytest.raises(TooShortError, match="4 rows in its longest stretch without a gap, fewer"):
        downsample(replace(make_series(10), breaks=(4, 7)), 5, "median")


def test_the_stretch_of_a_row_is_found_among_all():
    series = Series("s", np.zeros((9, 1)), None, 9, breaks=(2, 3, 7))
    assert series.starts.tolist() == [0, 2, 3, 7]
    for row in range(-1, 9):
        expected = next(one for one in series.stretches if row < one[1])
        assert series.stretch_at(row) == expected
    whole = Series("s", np.zeros((9, 1)), None, 9)
    assert whole.stretch_at(4) == (0, 9)


def test_to_find_the_stretch_of_a_row_takes_no_list_of_all():
    series = Series("s", np.zeros((2 * MANY, 1)), None, 9, breaks=tuple(range(1, 2 * MANY)))
    series.stretch_at(0)
    found, size = peak_of(lambda: series.stretch_at(MANY))
    assert found == (MANY, MANY + 1)
    assert size < SMALL
