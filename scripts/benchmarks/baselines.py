"""Two naive forecasts of the sample data, for a model to be measured against.

- repeat the last value of the target;
- ridge regression from the last 50 steps of force and displacement and the force over the
  horizon to the displacement over the horizon, all steps at once.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

FORCE, TARGET = "force_n", "displacement_mm"
PAST_STEPS = 50
PENALTIES = (1e-4, 1e-2, 1.0, 100.0)

Array = npt.NDArray[np.float64]


def windows(run: pd.DataFrame, origins: npt.NDArray[np.int64], horizon: int) -> tuple[Array, Array]:
    """Return features and targets of forecasts that start after the rows `origins`.

    Returns:
        features (n, 2 * 50 + horizon) in the order force, displacement, future force, and
        targets (n, horizon), in the columns' units.
    """
    past = origins[:, None] + np.arange(1 - PAST_STEPS, 1)
    future = origins[:, None] + np.arange(1, horizon + 1)
    force, target = (run[name].to_numpy(dtype=np.float64) for name in (FORCE, TARGET))
    features = np.concatenate([force[past], target[past], force[future]], axis=1)
    return features, target[future]


class Ridge:
    """Ridge regression on standardised features, in closed form.

    Args:
        features: (n, p).
        targets: (n, q).
        penalty: weight of the squared coefficients, for each sample.
    """

    def __init__(self, features: Array, targets: Array, penalty: float) -> None:
        self.mean, self.offset = features.mean(axis=0), targets.mean(axis=0)
        self.scale = features.std(axis=0)
        scaled = (features - self.mean) / self.scale
        gram = scaled.T @ scaled / len(scaled) + penalty * np.eye(scaled.shape[1])
        self.weights: Array = np.linalg.solve(
            gram, scaled.T @ (targets - self.offset) / len(scaled)
        )

    def predict(self, features: Array) -> Array:
        """Return targets (n, q)."""
        targets: Array = (features - self.mean) / self.scale @ self.weights + self.offset
        return targets


def rmse(forecast: Array, actual: Array) -> float:
    """Return the root mean square error over all windows and steps."""
    return float(np.sqrt(np.mean(np.square(forecast - actual))))


def baseline_errors(
    train: Sequence[Path], forecasts: pd.DataFrame, test: Sequence[Path]
) -> dict[str, float]:
    """Return the RMSE of both baselines, in mm, on the origins and steps of given forecasts.

    The ridge penalty is the one of `PENALTIES` that does best on the test windows: the
    comparison leans to the baseline's side.

    Args:
        train: training runs, parquet.
        forecasts: a table as `transformertf predict` writes it for the test runs.
        test: the test runs.
    """
    horizon = int(forecasts["step"].max())
    runs = {path.stem: pd.read_parquet(path) for path in test}
    features, actual = [], []
    for name, own in forecasts.groupby("series"):
        run = runs[str(name)]
        stamps = own["origin"].unique()
        origins = np.searchsorted(run["time_s"].to_numpy(), stamps)
        own_features, own_actual = windows(run, origins, horizon)
        features.append(own_features)
        actual.append(own_actual)
    test_x, test_y = np.concatenate(features), np.concatenate(actual)
    train_x, train_y = _training_windows(train, horizon)
    ridge = [rmse(Ridge(train_x, train_y, p).predict(test_x), test_y) for p in PENALTIES]
    last = test_x[:, 2 * PAST_STEPS - 1 : 2 * PAST_STEPS]
    return {"repeat the last value": rmse(last, test_y), "ridge regression": min(ridge)}


def _training_windows(train: Sequence[Path], horizon: int, step: int = 3) -> tuple[Array, Array]:
    features, targets = [], []
    for path in train:
        run = pd.read_parquet(path)
        origins = np.arange(PAST_STEPS - 1, len(run) - horizon, step)
        own_features, own_targets = windows(run, origins, horizon)
        features.append(own_features)
        targets.append(own_targets)
    return np.concatenate(features), np.concatenate(targets)
