"""The same forecasts whatever the batch size, the workers and the processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import HORIZON, Experiment, make_frame

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


def forecast(
    command: str, experiment: Experiment, folder: Path, *words: str
) -> tuple[pd.DataFrame, str]:
    """Run a command in processes of its own, and return its table and what it said."""
    output = {"predict": "f.parquet", "evaluate": "e"}[command]
    own = [f"--data.{'predict' if command == 'predict' else 'test'}_df_paths", "*.parquet"]
    (folder / "f.parquet").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "transformertf", command, "--ckpt_path", str(experiment.checkpoint),
         *own, "--output", output, "--origin", "every:2", *words],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path = folder / (output if command == "predict" else "e/forecasts.parquet")
    return pd.read_parquet(path), done.stderr


@pytest.fixture(scope="module")
def expected(experiment: Experiment, folder: Path) -> pd.DataFrame:
    return forecast("predict", experiment, folder)[0]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_rows_are_the_same(
    experiment: Experiment, folder: Path, expected: pd.DataFrame, way: tuple[str, ...]
) -> None:
    found, told = forecast("predict", experiment, folder, *way)
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
    one, _ = forecast("evaluate", experiment, folder, "--no-plots")
    metrics = (folder / "e" / "metrics.json").read_text()
    words = ("--no-plots", "--trainer.devices", "2", "--data.batch_size", "16")
    two, told = forecast("evaluate", experiment, folder, *words)
    pd.testing.assert_frame_equal(two, one)
    assert (folder / "e" / "metrics.json").read_text() == metrics
    assert told.count("evaluation: ") == 1
