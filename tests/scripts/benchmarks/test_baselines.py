"""The baselines are what they say, so that beating them means something."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.benchmarks import baselines

HORIZON = 6


def linear_run(rows: int, seed: int) -> pd.DataFrame:
    """A run whose displacement is a linear filter of the force: ridge must be near exact."""
    force = np.random.default_rng(seed).normal(size=rows)
    kernel = np.array([0.0, 0.5, 0.3, -0.2])
    return pd.DataFrame(
        {
            "time_s": np.arange(rows) / 750,
            "force_n": force,
            "displacement_mm": np.convolve(force, kernel)[:rows] + 2,
        }
    )


def test_windows_hold_past_and_future() -> None:
    run = linear_run(80, 0)
    features, targets = baselines.windows(run, np.array([49, 60]), HORIZON)
    force, target = run["force_n"].to_numpy(), run["displacement_mm"].to_numpy()
    np.testing.assert_array_equal(features[1, :50], force[11:61])
    np.testing.assert_array_equal(features[1, 50:100], target[11:61])
    np.testing.assert_array_equal(features[1, 100:], force[61:67])
    np.testing.assert_array_equal(targets[1], target[61:67])


def test_errors_on_a_linear_system(tmp_path: Path) -> None:
    for name, rows, seed in (("train", 900, 1), ("test", 120, 2)):
        linear_run(rows, seed).to_parquet(tmp_path / f"{name}.parquet")
    test = pd.read_parquet(tmp_path / "test.parquet")
    origins = np.repeat([59, 65, 71], HORIZON)
    steps = np.tile(np.arange(1, HORIZON + 1), 3)
    forecasts = pd.DataFrame(
        {"series": "test", "origin": test["time_s"].to_numpy()[origins], "step": steps}
    )
    errors = baselines.baseline_errors(
        [tmp_path / "train.parquet"], forecasts, [tmp_path / "test.parquet"]
    )
    target = test["displacement_mm"].to_numpy()
    last = target[origins + steps] - target[origins]
    assert errors["repeat the last value"] == pytest.approx(np.sqrt(np.mean(last**2)))
    assert errors["ridge regression"] < 1e-2 * target.std()


def test_penalty_shrinks_the_weights() -> None:
    generator = np.random.default_rng(3)
    features, targets = generator.normal(size=(50, 4)), generator.normal(size=(50, 2))
    weak, strong = (baselines.Ridge(features, targets, p) for p in (1e-9, 10.0))
    exact = np.linalg.lstsq(
        np.column_stack([features, np.ones(50)]), targets, rcond=None
    )[0]  # fmt: skip
    expected = np.column_stack([features, np.ones(50)]) @ exact
    np.testing.assert_allclose(weak.predict(features), expected, atol=1e-6)
    assert np.abs(strong.weights).sum() < 0.2 * np.abs(weak.weights).sum()
