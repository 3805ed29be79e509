"""A fit from Python is the fit of the command: one configuration, the same weights."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import torch
import yaml

from tests.forecaster.conftest import HORIZON, ROLES, SMALL, make_frame
from tests.runs import content_of, same, weights
from transformertf import Forecaster
from transformertf.cli import main

RUN = Path("runs", "units", "version_0")


def test_the_command_makes_the_fit_of_a_frame_again(there, fitted):
    config = str(RUN / "config.yaml")
    before = torch.get_rng_state()
    assert main(["fit", "--config", config, "-n", "again"]) == 0
    one = content_of(RUN / "checkpoints" / "last.ckpt")
    other = content_of(Path("runs", "again", "version_0", "checkpoints", "last.ckpt"))
    assert same(one["state_dict"], other["state_dict"])
    assert same(one["EncoderDecoderDataModule"], other["EncoderDecoderDataModule"])
    assert same(one["datamodule_hyper_parameters"], other["datamodule_hyper_parameters"])
    assert before.shape


def test_a_frame_lies_in_the_run_folder_and_in_no_checkpoint(there, fitted):
    arguments = fitted.checkpoint.data["init_args"]
    path = Path(arguments["train_df_paths"])
    assert path.parent.parent.parent == RUN
    pd.testing.assert_frame_equal(pd.read_parquet(path), make_frame(), check_dtype=False)
    assert yaml.safe_load((RUN / "config.yaml").read_text())["data"]["init_args"][
        "train_df_paths"
    ] == str(path)


def test_what_is_given_is_forecast_as_a_checkpoint_does(there, fitted):
    future = make_frame()
    future.loc[future.groupby("unit").cumcount(ascending=False) < HORIZON, "y"] = float("nan")
    loaded = Forecaster.load(fitted.checkpoint.path, "cpu")
    pd.testing.assert_frame_equal(fitted.predict(future), loaded.predict(future))
    assert fitted.run == RUN


def test_generators_of_the_caller_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit = Forecaster.fit(make_frame(), **ROLES, **SMALL | {"epochs": 1}, name="g")
    assert torch.equal(torch.get_rng_state(), before)
    assert fit.run is not None


@pytest.mark.parametrize("kind", ["file", "arrow", "polars"])
def test_files_and_frames_of_all_kinds_give_the_same_weights(
    kind, there, fitted, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    frame = make_frame()
    given = frame
    if kind == "file":
        given = tmp_path / "frame.parquet"
        frame.to_parquet(given)
    elif kind == "arrow":
        given = pa.Table.from_pandas(frame)
    else:
        given = pytest.importorskip("polars").from_pandas(frame)
    made = Forecaster.fit(
        given, **ROLES, **SMALL, name="other", val_fraction=0.2, test_fraction=0.3
    )
    expected = weights(there / RUN / "checkpoints" / "last.ckpt")
    assert same(weights(tmp_path / made.run / "checkpoints" / "last.ckpt"), expected)
