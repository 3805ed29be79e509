"""Sequences on two processes: whole series on each, and the numbers of one."""

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Experiment, make_frame
from tests.cli.test_sequences import sequences
from transformertf.cli import main

OnRanks = Callable[..., list[Any]]
ROWS = {"one": 61, "two": 33, "three": 8}


@pytest.fixture(scope="module")
def folder(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained LSTM, and three series to forecast."""
    made = tmp_path_factory.mktemp("sequences")
    config = experiment.write(made, sequences())
    for name, rows in ROWS.items():
        make_frame(rows, rows).to_parquet(made / f"{name}.parquet")
    assert run_in(["fit", "--config", str(config), "-n", "tiny"], made)[0] == 0
    return made


def run_in(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Return the exit code of a command, and what it printed."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        return main(list(words)), printed.getvalue()


def command(name: str, *words: str) -> list[str]:
    checkpoint = "runs/tiny/version_0/checkpoints/last.ckpt"
    return [name, "--ckpt_path", checkpoint, "--data.seq_len", "7", *words]


def test_forecasts_are_those_of_one_process(folder: Path, on_ranks: OnRanks) -> None:
    words = command("predict", "--data.predict_df_paths", "*.parquet", "--output")
    assert run_in([*words, "f.parquet"], folder)[0] == 0
    expected = pd.read_parquet(folder / "f.parquet")
    (folder / "f.parquet").unlink()
    for size in ("1", "64"):
        given = [*words, "f.parquet", "--trainer.devices", "2", "--data.batch_size", size]
        ended = on_ranks(run_in, given, folder)
        assert {code for code, _ in ended} == {0}, ended
        found = pd.read_parquet(folder / "f.parquet")
        (folder / "f.parquet").unlink()
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-5)
    assert len(expected) == sum(ROWS.values())


@pytest.mark.parametrize("paths", ["*.parquet", "three.parquet"])  # one process has no series
def test_metrics_are_those_of_one_process(folder: Path, on_ranks: OnRanks, paths: str) -> None:
    words = command("test", "--data.test_df_paths", paths)
    (code, told), *ended = [run_in(words, folder)]
    ended = on_ranks(run_in, [*words, "--trainer.devices", "2"], folder)
    assert {code, *(code for code, _ in ended)} == {0}, ended
    one, two = numbers(told), numbers(ended[0][1])
    assert len(one) == 3
    np.testing.assert_allclose(two, one, rtol=1e-5)


def numbers(told: str) -> list[float]:
    """Return the metrics in what a command printed."""
    lines = [line.replace("│", " ").split() for line in told.splitlines() if "test/" in line]
    return [float(value) for _, value in lines]
