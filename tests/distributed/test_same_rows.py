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


Forecasts = tuple[pd.DataFrame, str]


def command_words(command: str, experiment: Experiment, *words: str) -> list[str]:
    output = {"predict": "f.parquet", "evaluate": "e"}[command]
    own = [f"--data.{'predict' if command == 'predict' else 'test'}_df_paths", "*.parquet"]
    own += ["--ckpt_path", str(experiment.checkpoint), "--output", output, "--origin", "every:2"]
    return [command, *own, *words]


def run_rank(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a command in a folder, in one of the processes that are to share it."""
    with contextlib.chdir(folder):
        return run(*words)


def predict(
    experiment: Experiment, folder: Path, on_ranks: Callable[..., list[Any]], *words: str
) -> Forecasts:
    """Run the command in other processes, and return its table and what they said."""
    (folder / "f.parquet").unlink(missing_ok=True)
    words = tuple(command_words("predict", experiment, *words))
    if "--trainer.devices" in words:
        ended = on_ranks(run_rank, words, folder)
    else:
        done = run_command(words, folder)
        ended = [(done.returncode, done.stderr)]
    told = "".join(text for _, text in ended)
    assert {code for code, _ in ended} == {0}, told
    return pd.read_parquet(folder / "f.parquet"), told


def evaluate(experiment: Experiment, folder: Path, *words: str) -> Forecasts:
    """Run the command, which starts further processes by itself."""
    (folder / "f.parquet").unlink(missing_ok=True)
    words = tuple(command_words("evaluate", experiment, "--no-plots", *words))
    command = [sys.executable, "-m", "transformertf", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(folder / "e" / "forecasts.parquet"), done.stderr


@pytest.fixture(scope="module")
def expected(
    experiment: Experiment, folder: Path, on_ranks: Callable[..., list[Any]]
) -> pd.DataFrame:
    return predict(experiment, folder, on_ranks)[0]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_rows_are_the_same(
    experiment: Experiment,
    folder: Path,
    expected: pd.DataFrame,
    on_ranks: Callable[..., list[Any]],
    way: tuple[str, ...],
) -> None:
    found, told = predict(experiment, folder, on_ranks, *way)
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


def test_two_processes_evaluate_as_one_does(experiment: Experiment, folder: Path) -> None:
    one, _ = evaluate(experiment, folder)
    metrics = (folder / "e" / "metrics.json").read_text()
    two, told = evaluate(experiment, folder, "--trainer.devices", "2", "--data.batch_size", "16")
    pd.testing.assert_frame_equal(two, one)
    assert (folder / "e" / "metrics.json").read_text() == metrics
    assert told.count("evaluation: ") == 1
