"""The same forecasts whatever the batch size, the workers and the processes."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import HORIZON, Experiment, make_frame
from tests.depth import takes_long
from tests.processes import run_command
from tests.robustness.commands import run

WAYS = [
    ("--data.batch_size", "1"),
    ("--data.batch_size", "7"),
    ("--data.batch_size", "64"),
    ("--data.num_workers", "2"),
    ("--trainer.devices", "2"),
    ("--trainer.devices", "2", "--data.batch_size", "64"),  # one batch: the second has none
    ("--trainer.devices", "2", "--data.distributed", "false"),  # each has everything
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("same")
    for name, rows in (("one", 61), ("two", 33), ("three", 40)):
        make_frame(rows, rows).to_parquet(made / f"{name}.parquet")
    return made


OnRanks = Callable[..., list[Any]]


def words_of(command: str, experiment: Experiment, *words: str) -> list[str]:
    """Return a command over all tables of the folder."""
    output, own = {"predict": ("f.parquet", "predict"), "evaluate": ("e", "test")}[command]
    return [
        *(command, "--ckpt_path", str(experiment.checkpoint), "--output", output),
        *(f"--data.{own}_df_paths", "*.parquet", "--origin", "every:2", *words),
    ]


def run_rank(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a command in a folder, in one of the processes that are to share it."""
    with contextlib.chdir(folder):
        return run(*words)


def forecast(
    on_ranks: OnRanks, folder: Path, command: str, *options: Any
) -> tuple[pd.DataFrame, str]:
    """Run a command in other processes, and return its table and what they said."""
    (folder / "f.parquet").unlink(missing_ok=True)
    words = words_of(command, *options)
    if "--trainer.devices" in words:
        ended = on_ranks(run_rank, words, folder)
    else:
        done = run_command(words, folder)
        ended = [(done.returncode, done.stderr)]
    told = "".join(text for _, text in ended)
    assert {code for code, _ in ended} == {0}, told
    path = "f.parquet" if command == "predict" else "e/forecasts.parquet"
    return pd.read_parquet(folder / path), told


@pytest.fixture(scope="module")
def expected(experiment: Experiment, folder: Path, on_ranks: OnRanks) -> pd.DataFrame:
    return forecast(on_ranks, folder, "predict", experiment)[0]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_rows_are_the_same(
    experiment: Experiment,
    folder: Path,
    expected: pd.DataFrame,
    on_ranks: OnRanks,
    way: tuple[str, ...],
) -> None:
    found, told = forecast(on_ranks, folder, "predict", experiment, *way)
    keys = ["series", "origin", "step", "time", "actual"]
    pd.testing.assert_frame_equal(found[keys], expected[keys])
    assert expected["series"].nunique() == 3
    assert len(expected) % HORIZON == 0
    spread = expected["actual"].std()
    np.testing.assert_allclose(
        found["prediction"], expected["prediction"], rtol=0, atol=1e-5 * spread
    )
    # of several processes one speaks, and none leaves anything behind
    assert told.count("forecasts: f.parquet") == 1
    assert {path.name for path in folder.iterdir()} - {"e"} == {
        "f.parquet",
        "one.parquet",
        "two.parquet",
        "three.parquet",
    }


@takes_long
def test_a_command_starts_the_second_process_by_itself(
    experiment: Experiment, folder: Path, expected: pd.DataFrame
) -> None:
    (folder / "f.parquet").unlink(missing_ok=True)
    words = words_of("predict", experiment, "--trainer.devices", "2")
    command = [sys.executable, "-m", "transformertf", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "f.parquet"), expected, rtol=1e-5)
    assert done.stderr.count("forecasts: f.parquet") == 1


def test_two_processes_evaluate_as_one_does(
    experiment: Experiment, folder: Path, on_ranks: OnRanks
) -> None:
    own = (on_ranks, folder, "evaluate", experiment, "--no-plots")
    one, _ = forecast(*own)
    metrics = (folder / "e" / "metrics.json").read_text()
    two, told = forecast(*own, "--trainer.devices", "2", "--data.batch_size", "16")
    pd.testing.assert_frame_equal(two, one)
    assert (folder / "e" / "metrics.json").read_text() == metrics
    assert told.count("evaluation: ") == 1
