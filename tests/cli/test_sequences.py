"""The sequence models on the command line, from fit to forecasts, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.cli.conftest import Experiment, make_frame
from tests.processes import run_command
from transformertf.cli import main
from transformertf.cli.config import Composer

Fails = Callable[..., str]
STEPS = 8


def sequences(name: str = "LSTM", **data: Any) -> Callable[[dict[str, Any]], None]:
    """Return what turns the tiny experiment into one of a sequence model."""

    def change(config: dict[str, Any]) -> None:
        config["model"] = {
            "class_path": name,
            "init_args": {"num_layers": 2, "d_model": 6, "dropout": 0.1},
        }
        arguments = config["data"]["init_args"]
        for key in ("ctxt_seq_len", "tgt_seq_len"):
            arguments.pop(key)
        arguments.update(seq_len=STEPS, min_seq_len=3, randomize_seq_len=True, **data)
        config["data"]["class_path"] = "TimeSeriesDataModule"
        config["trainer"]["max_epochs"] = 2

    return change


@pytest.fixture(scope="module")
def checkpoint(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trained LSTM."""
    folder = tmp_path_factory.mktemp("sequences")
    config = experiment.write(folder, sequences())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "--config", str(config)]) == 0
    return str(folder / "runs" / "tiny" / "version_0" / "checkpoints" / "last.ckpt")


def predict(checkpoint: str, *words: str) -> pd.DataFrame:
    command = ["predict", "--ckpt_path", checkpoint, "--data.predict_df_paths", *words]
    assert main([*command, "--output", "f.parquet"]) == 0
    return pd.read_parquet("f.parquet")


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_fit_goes_on_bit_for_bit_and_predicts(
    name: str, experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(experiment.write(workdir, sequences(name)))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    assert main(["fit", "--config", config, "-n", "parts", "--trainer.max_epochs", "1"]) == 0
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    paths = [f"runs/{n}/checkpoints/last.ckpt" for n in ("whole/version_0", "parts/version_1")]
    whole, parts = (torch.load(path, weights_only=True) for path in paths)
    assert whole["hyper_parameters"]["_class_path"] == f"transformertf.models.{name.lower()}.{name}"
    assert whole["hyper_parameters"]["num_features"] == 3
    for key, weight in whole["state_dict"].items():
        assert torch.equal(weight, parts["state_dict"][key]), key
    resolved = yaml.safe_load(Path("runs/whole/version_0/config.yaml").read_text())
    assert resolved["model"]["init_args"]["num_features"] == 3

    capsys.readouterr()
    assert main(["test", "--ckpt_path", paths[0]]) == 0
    assert "test/RMSE" in capsys.readouterr().out
    assert main(["validate", "--ckpt_path", paths[0]]) == 0
    found = predict(paths[0], str(experiment.root / "test.parquet"))
    assert len(found) == 45
    assert np.isfinite(found["prediction"]).all()


def test_predict_in_a_fresh_process_from_the_inputs_alone(checkpoint: str, workdir: Path) -> None:
    frame = make_frame(20, 8)
    frame.drop(columns="target").to_parquet("inputs.parquet")
    frame.to_parquet("whole.parquet")
    words = ["predict", "--ckpt_path", checkpoint, "--output", "f.parquet"]
    done = run_command([*words, "--data.predict_df_paths", "inputs.parquet"], workdir)
    assert done.returncode == 0, done.stderr
    assert "no column 'target': forecasts come without actuals" in done.stderr
    found = pd.read_parquet("f.parquet")
    assert list(found.columns) == ["series", "origin", "step", "time", "prediction", "actual"]
    assert found["time"].tolist() == frame["t"].tolist()
    assert found["step"].tolist() == [*range(1, 9), *range(1, 9), *range(1, 5)]
    assert found["origin"].isna().tolist() == [True] * 8 + [False] * 12
    assert found["origin"].dropna().unique().tolist() == [frame["t"][7], frame["t"][15]]
    assert found["actual"].isna().all()
    known = predict(checkpoint, "whole.parquet")
    np.testing.assert_array_equal(known["prediction"], found["prediction"])
    np.testing.assert_allclose(known["actual"], frame["target"], rtol=1e-12)
    # original units
    assert (known["prediction"] - 5).abs().max() < 10 < (known["prediction"].sum())


def test_the_same_for_any_batch_and_alignment(
    checkpoint: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rows in (("long", 37), ("short", 2)):
        make_frame(rows, rows).to_parquet(f"{name}.parquet")
    tables = [
        predict(
            checkpoint, "short.parquet", "long.parquet", "--data.batch_size", size,
            "--data.alignment", alignment,
        )
        for size in ("1", "3", "64") for alignment in ("left", "right")
    ]  # fmt: skip
    assert "in the checkpoint" not in capsys.readouterr().err
    assert tables[0]["series"].tolist() == ["long"] * 37 + ["short"] * 2
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], rtol=1e-5, atol=1e-5)


def test_every_command_takes_any_length_and_carries_the_state(
    checkpoint: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_frame(5 * STEPS, 4).to_parquet("run.parquet")
    whole = predict(checkpoint, "run.parquet", "--data.seq_len", "50000")
    assert whole["step"].tolist() == list(range(1, 5 * STEPS + 1))
    first = predict(checkpoint, "run.parquet", "--data.seq_len", "7")
    np.testing.assert_allclose(first["prediction"], whole["prediction"], rtol=1e-5, atol=1e-5)
    error = whole["prediction"] - whole["actual"]
    for command, argument, words in (
        ("test", "test", ()),
        ("validate", "val", ()),
        ("evaluate", "test", ("--output", "e", "--no-plots")),
        ("calibrate", "val", ("--output", "calibrated.ckpt")),
    ):
        for steps in ("7", "50000"):
            given = ["--ckpt_path", checkpoint, f"--data.{argument}_df_paths", "run.parquet"]
            assert main([command, *given, "--data.seq_len", steps, *words]) == 0
            out = capsys.readouterr().out
            if command in ("test", "validate"):
                (line,) = (x for x in out.splitlines() if "/RMSE" in x)
                found = float(line.replace("│", " ").split()[1])
                assert found == pytest.approx((error**2).mean() ** 0.5, rel=1e-5)
            if command == "evaluate":
                metrics = json.loads(Path("e/metrics.json").read_text())
                assert metrics["MAE"] == pytest.approx(error.abs().mean(), rel=1e-5)


def test_metrics_are_those_of_the_forecasts(
    checkpoint: str, experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data.stride", str(STEPS), "--data.test_df_paths", "test.parquet")
    make_frame(5 * STEPS, 4).to_parquet("test.parquet")
    assert main(["test", "--ckpt_path", checkpoint, *words, "--data.batch_size", "2"]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if "test/RMSE" in x)
    found = predict(checkpoint, "test.parquet")
    error = np.sqrt(((found["prediction"] - found["actual"]) ** 2).mean())
    assert float(line.replace("│", " ").split()[1]) == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_the_bare_name_is_ours_and_brings_its_data_module(name: str) -> None:
    composer = Composer()
    composer.add_tree("test", {"model": name, "data": {"target_covariate": "y", "seq_len": 4}})
    config = composer.compose()
    assert config["model"]["class_path"] == f"transformertf.models.{name.lower()}.{name}"
    assert config["data"]["class_path"] == ("transformertf.data.time_series.TimeSeriesDataModule")


def misfit(model: str, data: str) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        config["model"]["class_path"] = model
        config["model"]["init_args"] = {}
        config["data"]["class_path"] = data

    return change


def test_models_and_data_that_do_not_fit(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    experiment.write(workdir, misfit("GRU", "EncoderDecoderDataModule"))
    message = fails("fit", "--config", "tiny.yml")
    assert "model.class_path is GRU" in message
    assert "set data.class_path to TimeSeriesDataModule, or model.class_path to one of" in message
    assert "xTFT" in message
    experiment.write(workdir, misfit("TFT", "TimeSeriesDataModule"))
    message = fails("fit", "--config", "tiny.yml")
    assert "set data.class_path to EncoderDecoderDataModule, or model.class_path to one" in message
    assert message.endswith("one of GRU, LSTM")


def test_mistakes(checkpoint: str, experiment: Experiment, workdir: Path, fails: Fails) -> None:
    make_frame(20, 8).to_parquet("run.parquet")
    files = ("--data.predict_df_paths", "run.parquet")
    assert "--origin last: TimeSeriesDataModule has no origins" in fails(
        "predict", "--ckpt_path", checkpoint, *files, "--origin", "last"
    )
    assert "downsample is 2 in --data.downsample and 1 in the checkpoint" in fails(
        "predict", "--ckpt_path", checkpoint, *files, "--data.downsample", "2"
    )
    experiment.write(workdir)
    assert "a checkpoint of LSTM, but the config asks for EncoderDecoderLSTM" in fails(
        "fit", "--config", "tiny.yml", "--ckpt_path", checkpoint
    )
    for option, message in (
        (
            {"normalize": "window"},
            "normalize in tiny.yml: expected bool or one of 'global', 'series'; found 'window'",
        ),
        ({"ctxt_seq_len": 4}, "unknown key 'data.init_args.ctxt_seq_len'"),
        ({"min_seq_len": 99}, "seq_len is 8 and min_seq_len 99"),
        (
            {"known_covariates": None, "known_past_covariates": None, "time_column": None},
            "a sequence has no real input",
        ),
    ):
        path = experiment.write(workdir, sequences())
        config = yaml.safe_load(path.read_text())
        config["data"]["init_args"].update(option)
        path.write_text(yaml.safe_dump(config))
        assert message in fails("fit", "--config", "tiny.yml")
    experiment.write(workdir, sequences())
    assert "'delta' counts from the target's values in a context" in fails(
        "fit", "--config", "tiny.yml", "--model.prediction_type", "delta"
    )
