"""What the windows of each series weigh, so that series of any size count alike."""

import numpy as np

from transformertf.data.arguments import RandomLengths
from transformertf.data.series import FloatArray, IntArray
from transformertf.data.windows.windows import WindowLimits, Windows


def balanced(windows: Windows, limits: WindowLimits, random: RandomLengths) -> FloatArray:
    """Return weights (S,) of the windows of each series, with which an epoch has as much of each.

    Over the steps to forecast of an epoch the weights of each series have the same sum, and all
    weights the mean 1; of random lengths that is so on average. They are weights, and no odds to
    be drawn by, so that each window still comes once an epoch: what a short series does not say
    is not said more often, and order, batches and a resumed fit are those without weights.

    Args:
        windows: of an epoch.
        limits: the lengths that are drawn from.
        random: whether lengths are drawn.
    """
    runs = windows.runs
    series: IntArray = np.array([run.series for run in runs], dtype=np.int64)
    horizon: IntArray = np.array([run.horizon for run in runs], dtype=np.int64)
    count: IntArray = np.array([run.count for run in runs], dtype=np.int64)
    steps: FloatArray = horizon.astype(np.float64)
    if random:
        steps = _mean_length(horizon, limits.min_horizon, limits.horizon)
    own = np.bincount(series, weights=count * steps)
    weights: FloatArray = np.zeros(len(own))
    np.divide(own.sum() / np.count_nonzero(own), own, out=weights, where=own > 0)
    return weights


def _mean_length(longest: IntArray, low: int, high: int) -> FloatArray:
    """Return the mean of a whole number from `low` to `high`, cut to `longest` (n,)."""
    cut = np.minimum(longest, high)
    below = np.maximum(cut - low + 1, 0)  # draws that are not cut
    mean: FloatArray = (below * (low + cut) / 2 + (high - low + 1 - below) * cut) / (high - low + 1)
    return mean
