"""Checkpoints and configurations of format 1, written by version 0.1.0, still serve.

Numbers may differ in the last bits between machines, whose libraries add up in other orders: hence
a relative tolerance of 1e-5, some 100 units in the last place of float32.
"""

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf import Forecaster
from transformertf.cli import main

WRITTEN = Path(__file__).parent / "format_1"
NAMES = ("windows", "sequences")
# epochs and optimizer steps that the checkpoints have behind them
TRAINED = {"windows": (4, 28), "sequences": (6, 36)}
TOLERANCE = 1e-5


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an experiment, a copy of whose folder is the working directory."""
    folder = tmp_path / "experiment"
    shutil.copytree(WRITTEN / request.param, folder)
    monkeypatch.chdir(folder)
    return str(request.param)


def read(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    for column in ("origin", "time"):
        if frame[column].dtype.kind not in "fi":
            frame[column] = pd.to_datetime(frame[column])
    return frame


def check(found: pd.DataFrame, written: pd.DataFrame) -> None:
    # id columns, which stand last, came later
    assert list(found.columns[: len(written.columns)]) == list(written.columns)
    found = found[written.columns]
    pd.testing.assert_frame_equal(
        found, written, check_dtype=False, check_exact=False, rtol=TOLERANCE, atol=0
    )


def content(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def losses(folder: Path) -> dict[int, float]:
    """Return the training loss of each epoch that a run went through."""
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {int(row["epoch"]): float(row["train/loss"]) for row in rows if row["train/loss"]}


@pytest.mark.parametrize("name", ["windows"], indirect=True)
def test_checkpoint_predicts_the_same(name: str) -> None:
    written = read(Path("forecasts.csv"))
    words = ["predict", "--ckpt_path", "last.ckpt", "--data.predict_df_paths", "new.csv"]
    assert main([*words, "--output", "found.parquet"]) == 0
    check(pd.read_parquet("found.parquet"), written)
    check(Forecaster.load("last.ckpt", accelerator="cpu").predict("new.csv"), written)


@pytest.mark.parametrize("name", ["sequences"], indirect=True)
def test_sequences_that_begin_are_forecast_the_same(name: str) -> None:
    # each was forecast from a state of zeros, which now the first of a series begins with alone
    written = read(Path("forecasts.csv"))
    words = ["predict", "--ckpt_path", "last.ckpt", "--data.predict_df_paths", "new.csv"]
    assert main([*words, "--output", "found.parquet"]) == 0
    first = int(written["origin"].isna().sum())
    check(pd.read_parquet("found.parquet")[:first], written[:first])
    frame, forecaster = pd.read_csv("new.csv"), Forecaster.load("last.ckpt", accelerator="cpu")
    for _, rows in written.groupby("origin", dropna=False):
        found = forecaster.predict(frame.loc[rows.index])["prediction"]
        np.testing.assert_allclose(found, rows["prediction"], rtol=TOLERANCE)


def test_checkpoint_says_nothing_of_what_it_was_trained_on(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Forecaster.load("last.ckpt", accelerator="cpu").predict("train.csv")
    assert not [message for message in caplog.messages if "training rows" in message]


@pytest.mark.parametrize("name", ["windows"], indirect=True)
def test_command_rolls_the_same(name: str) -> None:
    words = "predict --ckpt_path last.ckpt --data.predict_df_paths new.csv --horizon 6 --samples 0"
    assert main([*words.split(), "--output", "rolled.parquet"]) == 0
    check(pd.read_parquet("rolled.parquet"), read(Path("rolled.csv")))


def test_configuration_fits_again(name: str) -> None:
    assert main(["fit", "--config", "config.yaml", "--trainer.max_steps", "1", "-n", "again"]) == 0
    fitted = content(Path("runs/again/version_0/checkpoints/last.ckpt"))
    written = content(Path("last.ckpt"))
    assert fitted["global_step"] == 1
    shapes = [
        {key: weight.shape for key, weight in each["state_dict"].items()}
        for each in (fitted, written)
    ]
    assert shapes[0] == shapes[1]


def test_checkpoint_goes_on(name: str) -> None:
    epochs, steps = TRAINED[name]
    words = ["--ckpt_path", "last.ckpt", "--trainer.max_epochs", str(epochs + 1)]
    assert main(["fit", "--config", "config.yaml", *words]) == 0
    run = Path("runs/config/version_0")
    assert (run / "config.yaml").read_text().startswith("# resumed from last.ckpt\n")
    assert list(losses(run)) == [epochs]
    before, after = content(Path("last.ckpt")), content(run / "checkpoints" / "last.ckpt")
    assert before["global_step"] == steps
    assert after["global_step"] == steps + steps // epochs
    for state in after["optimizer_states"][0]["state"].values():  # of Adam alone
        assert state.get("step", after["global_step"]) == after["global_step"]
    for scheduler in after["lr_schedulers"]:
        assert scheduler["last_epoch"] == after["global_step"]
    changed = [
        key
        for key, weight in before["state_dict"].items()
        if not torch.equal(weight, after["state_dict"][key])
    ]
    assert changed
