"""Whether one forecaster errs less than another by more than chance.

Both are judged at the same n origins, in the order of time. `difference` (n,) is what the loss of
one exceeds that of the other by at each. Windows that begin less than a horizon apart share rows,
so their differences are alike: those of `overlap` origins in a row.
"""

from typing import NamedTuple

import numpy as np

from transformertf.data import FloatArray

# of the bootstrap: resamples, and how many of them are held in memory at once
DRAWS, _AT_ONCE = 2000, 50


class Verdict(NamedTuple):
    """The outcome of a test.

    Attributes:
        statistic: above 0 where the first one loses more; NaN where it cannot be told.
        p: two-sided.
    """

    statistic: float
    p: float


def diebold_mariano(difference: FloatArray, overlap: int = 1) -> Verdict:
    """Test whether two forecasters lose as much in the mean.

    Diebold and Mariano, "Comparing predictive accuracy", 1995, with the correction for few origins
    and Student's t of Harvey, Leybourne and Newbold, "Testing the equality of prediction mean
    squared errors", 1997, whose h is `overlap`. Where the sum of autocovariances is not positive,
    those of Bartlett's weights take its place, which always are.

    Args:
        difference: (n,).
        overlap: origins in a row whose windows share rows, itself among them; at least 1.

    Returns:
        NaN with fewer than two origins, with so few that the correction has no root, and where
        all differences are equal but for 0, which has p = 1.
    """
    n, h = len(difference), overlap
    factor = (n + 1 - 2 * h + h * (h - 1) / n) / n if n else 0.0
    if n < 2 or factor <= 0:
        return Verdict(np.nan, np.nan)
    if not difference.any():
        return Verdict(0.0, 1.0)
    variance = _long_run_variance(difference, h)
    if variance <= 0:
        return Verdict(np.nan, np.nan)
    from scipy.stats import t

    statistic = float(np.sqrt(factor) * difference.mean() / np.sqrt(variance / n))
    return Verdict(statistic, float(2 * t.sf(abs(statistic), n - 1)))


def _long_run_variance(difference: FloatArray, overlap: int) -> float:
    """Return the variance of the mean of n differences, times n; 0 of equal ones."""
    n, centred = len(difference), difference - difference.mean()
    lags = np.arange(1, min(overlap, n))
    covariance = np.array([centred[lag:] @ centred[: n - lag] for lag in (0, *lags)]) / n
    # what is left of equal numbers by rounding
    if covariance[0] <= (np.finfo(np.float64).eps * np.abs(difference).max()) ** 2 * n:
        return 0.0
    plain = covariance[0] + 2 * covariance[1:].sum()
    if plain > 0:
        return float(plain)
    return float(covariance[0] + 2 * ((1 - lags / overlap) * covariance[1:]).sum())


def bootstrap_interval(
    difference: FloatArray, overlap: int = 1, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return an interval of the mean difference, by drawing origins anew.

    Blocks of `overlap` origins in a row are drawn with replacement, round the end to the start
    (Politis and Romano, "A circular block-resampling procedure for stationary data", 1992).

    Args:
        difference: (n,).
        overlap: length of a block.
        level: share of the resamples' means inside, the same left out on both sides.
        seed: of the draws.

    Returns:
        Its ends; NaN without an origin.
    """
    n = len(difference)
    if n == 0:
        return np.nan, np.nan
    length = min(overlap, n)
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([difference, difference[:length]]))])
    sums = around[length : length + n] - around[:n]  # of the block from each origin on
    generator = np.random.default_rng(seed)
    blocks = -(-n // length)
    means = np.concatenate([
        sums[generator.integers(0, n, (_AT_ONCE, blocks))].mean(axis=1) / length
        for _ in range(DRAWS // _AT_ONCE)
    ])  # fmt: skip
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
