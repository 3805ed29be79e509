"""Diebold and Mariano's test and the bootstrap, against formulas and by calibration."""

import numpy as np
import pytest
from scipy.stats import kstest, ttest_1samp

from transformertf.evaluation.significance import (
    DRAWS,
    _long_run_variance,
    bootstrap_interval,
    diebold_mariano,
)


def test_without_overlap_it_is_students_test() -> None:
    # n - 1 in the variance, which the correction of one step brings: (n - 1) / n
    difference = np.random.default_rng(0).normal(0.3, 1, 25)
    found, wanted = diebold_mariano(difference), ttest_1samp(difference, 0)
    assert found.statistic == pytest.approx(wanted.statistic, rel=1e-12)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-10)
    other = diebold_mariano(-difference)
    assert (other.statistic, other.p) == (-found.statistic, found.p)


def test_the_corrected_statistic_by_hand() -> None:
    difference = np.array([1.0, 2.0, 4.0, 3.0, 0.0, 2.0])
    n, mean, h = 6, 2.0, 2
    centred = [-1.0, 0.0, 2.0, 1.0, -2.0, 0.0]
    covariances = [(1 + 0 + 4 + 1 + 4 + 0) / 6, (0 + 0 + 2 - 2 + 0) / 6]
    assert sum(centred) == 0
    plain = mean / np.sqrt((covariances[0] + 2 * covariances[1]) / n)
    correction = np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert diebold_mariano(difference, h).statistic == pytest.approx(plain * correction, rel=1e-12)


def moving_sums(generator: np.random.Generator, samples: int, n: int, h: int) -> np.ndarray:
    """Differences of windows that share rows: sums of h numbers in a row, mean 0."""
    noise = np.cumsum(generator.normal(size=(samples, n + h)), axis=1)
    return noise[:, h:] - noise[:, :-h]


@pytest.mark.parametrize("h", [1, 3])
def test_under_equal_skill_p_is_uniform(h: int) -> None:
    samples = moving_sums(np.random.default_rng(1), 2000, 300, h)
    p = [diebold_mariano(sample, h).p for sample in samples]
    assert kstest(p, "uniform").pvalue > 0.01
    # who takes windows that share rows for independent ones finds far too much
    if h > 1:
        alone = np.array([diebold_mariano(sample).p for sample in samples])
        assert (alone < 0.05).mean() > 0.15


def test_intervals_hold_as_often_as_they_say() -> None:
    samples = moving_sums(np.random.default_rng(2), 200, 200, 3)
    ends = np.array([bootstrap_interval(sample, 3) for sample in samples])
    held = ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean()
    # standard error of the share: 1.5 points; a bootstrap of few origins is a little narrow
    assert 0.87 <= held <= 0.99


def test_the_interval_is_that_of_the_means_of_resamples() -> None:
    difference = np.random.default_rng(3).normal(1, 2, 400)
    low, high = bootstrap_interval(difference)
    width = 2 * 1.96 * difference.std() / np.sqrt(400)
    assert high - low == pytest.approx(width, rel=0.06)
    assert (low + high) / 2 == pytest.approx(difference.mean(), abs=0.05 * width)
    assert bootstrap_interval(np.full(7, 2.5), 3) == pytest.approx((2.5, 2.5))
    assert DRAWS % 50 == 0


def test_what_cannot_be_told() -> None:
    for difference, h in (([], 1), ([1.0], 1), ([1.0, 2.0, 1.0], 3), ([0.1] * 9, 2)):
        assert np.isnan(diebold_mariano(np.array(difference), h).p), (difference, h)
    assert diebold_mariano(np.zeros(5)) == (0.0, 1.0)
    # covariances that do not add up to a variance
    turning = np.array([1.0, -1.0] * 10)
    assert _long_run_variance(turning, 2) > 0
    assert diebold_mariano(turning, 2).p == pytest.approx(1)
