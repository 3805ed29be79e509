"""Records of the Bouc-Wen benchmark: the signals that it prescribes, noise on what is learnt."""

from pathlib import Path

import numpy as np
import pandas as pd

from scripts.data import records
from scripts.data.bouc_wen import decimate, simulate


def test_the_force_is_a_multisine_of_random_phases() -> None:
    force = records.multisine(np.random.default_rng(0))[:: records.FACTOR]
    assert len(force) == 8192
    assert np.sqrt(np.mean(force**2)) == np.float64(50.0).round(9) or np.isclose(
        np.sqrt(np.mean(force**2)), 50.0, rtol=1e-9
    )
    lines = np.abs(np.fft.rfft(force))
    excited = np.flatnonzero(lines > 1e-6 * lines.max())
    # lines of 750 Hz / 8192: from 5 to 150 Hz
    np.testing.assert_array_equal(excited, np.arange(55, 1640))
    np.testing.assert_allclose(lines[excited], lines[excited[0]], rtol=1e-9)
    other = records.multisine(np.random.default_rng(1))[:: records.FACTOR]
    assert abs(np.corrcoef(force, other)[0, 1]) < 0.1


def test_the_sweep_rises_evenly() -> None:
    force = records.sweep(40.0, 20.0, 0.5, 4.0)
    assert len(force) == 4 * 15000
    crossings = np.flatnonzero(np.diff(np.signbit(force))) / 15000
    # half periods: of 20 Hz at the beginning, of 22 Hz after four seconds
    np.testing.assert_allclose(np.diff(crossings)[[0, -1]], [1 / 40, 1 / 44], rtol=0.01)
    assert abs(force).max() <= 40.0


def test_records_to_learn_from_are_noisy_and_the_others_are_not(tmp_path: Path) -> None:
    records.write_records(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.rglob("*.parquet")) == [
        "000.parquet", "000.parquet", "001.parquet", "002.parquet"
    ]  # fmt: skip
    force = records.multisine(np.random.default_rng([0, 5]))
    exact = 1e6 * decimate(simulate(force)[0])[:8192]
    noise = pd.read_parquet(tmp_path / "train" / "000.parquet")["displacement_um"] - exact
    assert abs(noise.mean()) < 0.5
    np.testing.assert_allclose(noise.std(), 8.0, rtol=0.05)
    force = records.multisine(np.random.default_rng([0, 6]))
    exact = 1e6 * decimate(simulate(force)[0])[:8192]
    kept = pd.read_parquet(tmp_path / "validation" / "000.parquet")
    np.testing.assert_allclose(kept["displacement_um"], exact, atol=1e-9)
    assert len(pd.read_parquet(tmp_path / "validation" / "002.parquet")) == 45000
