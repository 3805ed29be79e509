"""The sample data: the simulator behind them, the cycles and the committed files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from scripts.data import bouc_wen
from scripts.data import sample as sample_data

ROOT = Path(__file__).parents[3]
DATA = ROOT / "sample_configs" / "data"
FILES = sorted(DATA.glob("*/*.parquet"))
OFFICIAL_VARIABLE = "TRANSFORMERTF_BOUC_WEN_H5"


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _assert_same_run(actual: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(actual.columns) == list(expected.columns)
    for name in expected:
        spread = float(np.ptp(expected[name]))
        np.testing.assert_allclose(actual[name], expected[name], rtol=0, atol=1e-6 * spread)


def _step_response(system: Any, force_n: float, time_s: np.ndarray) -> Any:
    """The displacement (m) of the oscillator without hysteresis after a step of force."""
    decay = system.damping_n_s_m / (2 * system.mass_kg)
    turn = np.sqrt(system.stiffness_n_m / system.mass_kg - decay**2)
    swing = np.cos(turn * time_s) + decay / turn * np.sin(turn * time_s)
    return force_n / system.stiffness_n_m * (1 - np.exp(-decay * time_s) * swing)


class TestSimulate:
    def test_zero_force_gives_no_motion(self) -> None:
        displacement, velocity = bouc_wen.simulate(np.zeros(500))
        assert not displacement.any()
        assert not velocity.any()

    @pytest.mark.parametrize("length", [0, 1])
    def test_keeps_the_length_of_very_short_forces(self, length: int) -> None:
        displacement, velocity = bouc_wen.simulate(np.ones(length))
        assert len(displacement) == len(velocity) == length

    def test_linear_limit_is_the_damped_oscillator(self) -> None:
        system = bouc_wen.BoucWen(alpha_n_m=0.0, beta_per_m=0.0)
        errors = []
        for rate_hz in (15000.0, 30000.0):
            time = np.arange(round(0.1 * rate_hz)) / rate_hz
            displacement, _ = bouc_wen.simulate(np.full(len(time), 10.0), system, rate_hz)
            errors.append(_rms(displacement - _step_response(system, 10.0, time)))
        static = 10.0 / system.stiffness_n_m
        assert errors[0] < 1e-4 * static
        assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.02)  # a method of second order

    def test_velocity_is_the_derivative_of_the_displacement(self) -> None:
        force = sample_data.chirp(np.random.default_rng(0), 0.5)
        displacement, velocity = bouc_wen.simulate(force)
        slope = np.diff(displacement) * bouc_wen.SIMULATION_RATE_HZ
        np.testing.assert_allclose(slope, (velocity[1:] + velocity[:-1]) / 2, atol=1e-9)

    def test_opposite_force_gives_opposite_motion(self) -> None:
        force = sample_data.triangle(np.random.default_rng(0), 0.5)
        forth, back = bouc_wen.simulate(force)[0], bouc_wen.simulate(-force)[0]
        np.testing.assert_allclose(back, -forth, rtol=0, atol=1e-12)

    def test_slow_closed_cycle_loses_energy_to_hysteresis(self) -> None:
        system = bouc_wen.BoucWen(damping_n_s_m=0.0)
        rate_hz, cycle_s = 2000.0, 4.0
        time = np.arange(round(2 * cycle_s * rate_hz) + 1) / rate_hz
        force = 80.0 * np.sin(2 * np.pi * time / cycle_s)
        displacement, _ = bouc_wen.simulate(force, system, rate_hz)
        last = slice(round(cycle_s * rate_hz), None)  # the first cycle only closes the loop
        loss_j = np.trapezoid(force[last], displacement[last])
        assert loss_j > 0.05 * np.ptp(force) * np.ptp(displacement)

    def test_refuses_a_force_that_is_not_finite(self) -> None:
        with pytest.raises(RuntimeError, match="finite"):
            bouc_wen.simulate(np.array([0.0, np.nan, 0.0]))


class TestDecimate:
    def test_keeps_a_slow_wave_in_place(self) -> None:
        time = np.arange(15000) / 15000
        thinned = bouc_wen.decimate(np.sin(2 * np.pi * 10 * time))
        assert len(thinned) == 750
        np.testing.assert_allclose(
            thinned[20:-20], np.sin(2 * np.pi * 10 * time[::20])[20:-20], atol=1e-3
        )

    def test_keeps_a_straight_line_up_to_its_ends(self) -> None:
        line = np.linspace(-1.0, 2.0, 2001)
        np.testing.assert_allclose(bouc_wen.decimate(line), line[::20], atol=1e-12)

    def test_removes_what_the_slower_rate_cannot_carry(self) -> None:
        time = np.arange(15000) / 15000
        assert _rms(bouc_wen.decimate(np.sin(2 * np.pi * 700 * time))[20:-20]) < 1e-2


class TestCycles:
    @pytest.mark.parametrize("kind", sample_data.CYCLES)
    @pytest.mark.parametrize("steps", [400, 3000])
    def test_fills_its_time_and_starts_and_ends_at_zero(self, kind: str, steps: int) -> None:
        for seed in range(3):
            force = sample_data.CYCLES[kind](np.random.default_rng(seed), steps / 750)
            assert abs(len(force) - 20 * steps) <= 10
            assert abs(force[0]) < 1e-9
            assert abs(force[-1]) < 1e-9
            assert 15.0 < np.abs(force).max() <= 120.0

    @pytest.mark.parametrize("kind", sample_data.CYCLES)
    def test_is_smooth_enough_for_the_recorded_rate(self, kind: str) -> None:
        force = sample_data.CYCLES[kind](np.random.default_rng(1), 2.0)
        index = np.arange(len(force))
        rebuilt = np.interp(index, index[::20], force[::20])
        # A straight line between the samples of a 70 Hz sine, the fastest here, errs by 3 %.
        assert _rms(force - rebuilt) < 0.04 * _rms(force)


class TestMakeRun:
    def test_same_seed_gives_the_same_run(self) -> None:
        first, second = (sample_data.make_run(27, "sine_bursts") for _ in range(2))
        pd.testing.assert_frame_equal(first, second)

    def test_reproduces_a_committed_file(self) -> None:
        run = next(run for run in sample_data.runs() if run.number == 27)
        committed = pd.read_parquet(DATA / run.path)
        _assert_same_run(sample_data.make_run(run.number, run.kind), committed)

    def test_every_kind_is_trained_on(self) -> None:
        trained = {run.kind for run in sample_data.runs() if run.split == "train"}
        assert trained == {run.kind for run in sample_data.runs()} == set(sample_data.CYCLES)


class TestCommittedFiles:
    def test_are_the_planned_runs(self) -> None:
        planned = {DATA / run.path for run in sample_data.runs()}
        assert set(FILES) == planned
        assert len({path.stem for path in FILES}) == len(FILES)

    def test_are_small_enough_for_a_repository(self) -> None:
        assert 0 < sum(path.stat().st_size for path in FILES) <= 2_000_000

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
    def test_have_the_described_columns(self, path: Path) -> None:
        frame = pd.read_parquet(path)
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
            "time_s": "float64",
            "force_n": "float32",
            "displacement_mm": "float32",
            "velocity_mm_s": "float32",
        }
        assert 400 <= len(frame) <= 3000
        assert np.isfinite(frame.to_numpy()).all()
        np.testing.assert_array_equal(frame["time_s"], np.arange(len(frame)) / 750)


class TestCommandLine:
    def test_writes_one_file_per_run(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        run = sample_data.Run(27, "validation", "sine_bursts")
        monkeypatch.setattr(sample_data, "runs", lambda: [run])
        monkeypatch.setattr(sys, "argv", ["sample.py", "--output", str(tmp_path)])
        sample_data.main()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / run.path]
        _assert_same_run(pd.read_parquet(tmp_path / run.path), pd.read_parquet(DATA / run.path))
        assert "run_27_sine_bursts.parquet" in capsys.readouterr().out

    def test_runs_as_a_plain_script(self) -> None:
        command = [sys.executable, "-m", "scripts.data.sample", "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "--output" in done.stdout


@pytest.fixture(scope="module")
def official() -> dict[str, np.ndarray]:
    """The official records: force (N) and displacement (m) of both tests, at 750 Hz."""
    name = os.environ.get(OFFICIAL_VARIABLE)
    if not name:
        pytest.skip(f"{OFFICIAL_VARIABLE} does not name the official record file")
    with h5py.File(name) as file:
        keys = ("multisine/u", "multisine/y", "sinesweep/u", "sinesweep/y")
        return {key: file[key][:, 0] for key in keys}


class TestOfficialRecords:
    """Noël and Schoukens' own simulation, as an independent reference."""

    def test_multisine(self, official: dict[str, np.ndarray]) -> None:
        force, expected = official["multisine/u"], official["multisine/y"]
        count = len(force)
        # The record is band-limited: its spectrum holds the force at any higher rate.
        fast = 20 * np.fft.irfft(np.fft.rfft(force), 20 * count)
        # The second of three periods has left the transient behind and the edge effect ahead.
        displacement = bouc_wen.decimate(bouc_wen.simulate(np.tile(fast, 3))[0])
        assert _rms(displacement[count : 2 * count] - expected) < 1e-9

    def test_start_of_sine_sweep(self, official: dict[str, np.ndarray]) -> None:
        count, margin = 3000, 20
        time = np.arange(20 * (count + margin)) / 15000
        force = 40 * np.sin(2 * np.pi * (18 * time + time**2 / 12))
        np.testing.assert_allclose(
            force[::20], official["sinesweep/u"][: count + margin], rtol=0, atol=1e-9
        )
        displacement = bouc_wen.decimate(bouc_wen.simulate(force)[0], stages=(20,))
        assert _rms(displacement[:count] - official["sinesweep/y"][:count]) < 1e-9
