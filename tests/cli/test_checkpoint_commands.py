"""validate, test and predict: a checkpoint and data are all they need."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import CONTEXT, HORIZON, Experiment, make_frame
from tests.processes import run_command
from tests.runs import last, same, weights
from transformertf.checkpoint import Checkpoint
from transformertf.cli import main
from transformertf.forecasts import Calibration

Fails = Callable[..., str]


def predict(experiment: Experiment, *words: str) -> pd.DataFrame:
    command = ["predict", "--ckpt_path", str(experiment.checkpoint), *words]
    assert main([*command, "--output", "f.parquet"]) == 0
    return pd.read_parquet("f.parquet")


def test_predict_from_anywhere_in_a_fresh_process(experiment: Experiment, workdir: Path) -> None:
    frame = make_frame(50, 8)
    frame.to_parquet("run.parquet")
    words = ["predict", "--ckpt_path", str(experiment.checkpoint), "--output", "f.parquet"]
    done = run_command([*words, "--data.predict_df_paths", "run.parquet"], workdir)
    assert done.returncode == 0, done.stderr
    found = pd.read_parquet("f.parquet")
    assert list(found.columns) == ["series", "origin", "step", "time", "prediction", "actual"]
    assert sorted(path.name for path in workdir.iterdir()) == ["f.parquet", "run.parquet"]

    rows = np.arange(CONTEXT - 1, 50 - HORIZON, HORIZON)
    assert found["origin"].unique().tolist() == frame["t"].iloc[rows].tolist()
    assert found["step"].tolist() == list(range(1, HORIZON + 1)) * len(rows)
    expected = frame.set_index("t")["target"].loc[found["time"]]
    np.testing.assert_allclose(found["actual"], expected, rtol=1e-12)
    # original units: a barely trained model stays near the mean of the training data
    train = pd.concat([pd.read_parquet(experiment.root / f"{n}.parquet") for n in "ab"])["target"]
    assert found["prediction"].sub(train.mean()).abs().max() < train.std() < train.mean()


def test_predict_beyond_the_last_target(experiment: Experiment, workdir: Path) -> None:
    whole = make_frame(30, 8)
    ahead = whole.copy()
    ahead.loc[30 - HORIZON :, ["target", "past"]] = np.nan
    ahead.to_parquet("ahead.parquet")
    whole.to_parquet("whole.parquet")
    found = predict(experiment, "--data.predict_df_paths", "ahead.parquet")
    assert len(found) == HORIZON
    assert found["actual"].isna().all()
    assert found["time"].tolist() == whole["t"].iloc[-HORIZON:].tolist()
    known = predict(experiment, "--data.predict_df_paths", "whole.parquet", "--origin", "last")
    np.testing.assert_array_equal(found["prediction"], known["prediction"])


def test_rows_beyond_the_horizon_are_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = make_frame(30, 8)
    frame.loc[20:, ["target", "past"]] = np.nan
    frame.to_parquet("run.parquet")
    assert len(predict(experiment, "--data.predict_df_paths", "run.parquet")) == HORIZON
    told = capsys.readouterr().err
    assert "series 'run': 10 rows to forecast, the model's horizon covers the first 4" in told


@pytest.mark.parametrize(
    ("origin", "count"),
    [("all", 30 - CONTEXT - HORIZON + 1), ("every:5", 4), ("last", 1), ("6.0", 1)],
)
def test_origins(experiment: Experiment, workdir: Path, origin: str, count: int) -> None:
    make_frame(30, 8).to_parquet("run.parquet")
    found = predict(experiment, "--data.predict_df_paths", "run.parquet", "--origin", origin)
    assert found["origin"].nunique() == count


def test_same_forecasts_for_any_batch_and_alignment(experiment: Experiment, workdir: Path) -> None:
    for name, rows in (("long", 40), ("short", CONTEXT + 2)):
        make_frame(rows, rows).to_parquet(f"{name}.parquet")
    shorter = ("--data.min_ctxt_seq_len", "3", "--data.min_tgt_seq_len", "2")
    files = ("--data.predict_df_paths", "long.parquet", "short.parquet", *shorter)
    spread = make_frame(60, 1)["target"].std()
    tables = [
        predict(
            experiment, *files, "--data.batch_size", size,
            "--data.encoder_alignment", encoder, "--data.decoder_alignment", decoder,
        )
        for size in ("1", "64") for encoder in ("left", "right") for decoder in ("left", "right")
    ]  # fmt: skip
    assert set(tables[0]["series"]) == {"long", "short"}
    assert (tables[0].groupby("series")["step"].max() == HORIZON).all()
    for table in tables[1:]:
        pd.testing.assert_frame_equal(
            table.drop(columns="prediction"), tables[0].drop(columns="prediction")
        )
        difference = (table["prediction"] - tables[0]["prediction"]).abs().max()
        assert difference < 1e-5 * spread


def test_metrics_are_those_of_the_forecasts(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_file = str(experiment.root / "test.parquet")
    words = ["--ckpt_path", str(experiment.checkpoint), "--data.batch_size", "7"]
    assert main(["test", *words]) == 0
    table = capsys.readouterr().out
    logged = {
        name: float(value)
        for name, value in (
            line.replace("│", " ").split() for line in table.splitlines() if "test/" in line
        )
    }
    found = predict(experiment, "--data.predict_df_paths", test_file, "--origin", "all")
    error = found["prediction"] - found["actual"]
    assert logged["test/RMSE"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    assert logged["test/MAE"] == pytest.approx(error.abs().mean(), rel=1e-5)
    train = pd.concat([pd.read_parquet(experiment.root / f"{n}.parquet") for n in "ab"])
    scaled = error / train["target"].std(ddof=0)
    assert logged["test/loss"] == pytest.approx((scaled**2).mean(), rel=1e-5)


def test_validate_alone(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "--ckpt_path", str(experiment.checkpoint)]) == 0
    assert "validation/RMSE" in capsys.readouterr().out
    assert list(workdir.iterdir()) == []


def test_quantile_forecasts(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir)
    criterion = '{"class_path": "QuantileLoss", "init_args": {"quantiles": [0.1, 0.5, 0.9]}}'
    fit = ["fit", "--config", str(config), "-n", "quantiles", "--model.criterion", criterion]
    assert main(fit) == 0
    make_frame(30, 8).to_parquet("run.parquet")
    command = ["predict", "-n", "quantiles", "--ckpt_path", "last"]
    assert main([*command, "--data.predict_df_paths", "run.parquet"]) == 0
    found = pd.read_parquet("forecasts.parquet")
    levels = found[["q0.1", "q0.5", "q0.9"]]
    assert (levels.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    np.testing.assert_allclose(found["q0.5"], found["prediction"], rtol=1e-6)


def test_per_window_normalisation_end_to_end(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir, lambda c: c["data"]["init_args"].update(normalize="window"))
    assert main(["fit", "--config", str(config), "-n", "window"]) == 0
    frame = make_frame(30, 8)
    frame.to_parquet("run.parquet")
    frame.assign(target=frame["target"] + 1000, past=frame["past"]).to_parquet("moved.parquet")
    words = ["predict", "-n", "window", "--ckpt_path", "last", "--data.predict_df_paths"]
    assert main([*words, "run.parquet", "--output", "run_f.parquet"]) == 0
    assert main([*words, "moved.parquet", "--output", "moved_f.parquet"]) == 0
    near, far = pd.read_parquet("run_f.parquet"), pd.read_parquet("moved_f.parquet")
    # a level far from training moves the forecast with it
    np.testing.assert_allclose(far["prediction"] - 1000, near["prediction"], atol=5e-3)


def test_settings_that_change_forecasts_are_told_or_refused(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str], fails: Fails
) -> None:
    make_frame(30, 8).to_parquet("run.parquet")
    files = ("--data.predict_df_paths", "run.parquet")
    predict(experiment, *files, "--data.batch_size", "3")
    assert "in the checkpoint" not in capsys.readouterr().err
    predict(experiment, *files, "--data.ctxt_seq_len", "9")
    assert "data.ctxt_seq_len is 9 now, 8 in the checkpoint" in capsys.readouterr().err

    command = ("predict", "--ckpt_path", experiment.checkpoint, *files)
    changes = {
        "normalize": "window",
        "known_covariates": "past",
        "downsample": "2",
        "target_covariate": "other",
    }
    for flag, value in changes.items():
        swap = ("--data.known_past_covariates", "known") if value == "past" else ()
        message = fails(*command, f"--data.{flag}", value, *swap)
        shown = repr(value) if flag.endswith("covariates") or "target" in flag else value
        assert f"{flag} is {shown} in --data.{flag} and " in message
        assert f"in the checkpoint {experiment.checkpoint}; leave --data.{flag} out" in message


def test_origin_may_stand_in_the_data_section(experiment: Experiment, workdir: Path) -> None:
    make_frame(30, 8).to_parquet("run.parquet")
    files = ("--data.predict_df_paths", "run.parquet")
    assert len(predict(experiment, *files, "--data.origin", "last")) == HORIZON


def test_forecasts_never_replace_their_data(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    make_frame(30, 8).to_parquet("run.parquet")
    before = Path("run.parquet").read_bytes()
    command = ("predict", "--ckpt_path", experiment.checkpoint)
    files = ("--data.predict_df_paths", "run.parquet")
    message = fails(*command, *files, "--output", "../" + workdir.name + "/run.parquet")
    assert "would overwrite what is no table" in message
    assert Path("run.parquet").read_bytes() == before
    assert "nothing was predicted" in fails(
        *command, *files, "--trainer.limit_predict_batches", "0"
    )


def test_time_of_another_kind_is_refused(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    frame = make_frame(30, 8)
    frame["t"] = pd.date_range("2024-01-01", periods=30, freq="h")
    frame.to_parquet("run.parquet")
    message = fails(
        "predict", "--ckpt_path", experiment.checkpoint, "--data.predict_df_paths", "run.parquet"
    )
    assert "time column 't' holds dates, in training it held numbers" in message


# files that are replaced once they were read


@pytest.fixture
def replaced(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """Let a file take the place of a checkpoint as soon as this one was read."""
    path = workdir / "runs" / "model" / "version_0" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    shutil.copy(experiment.checkpoint, path)
    own = Checkpoint.read

    def read(*args: Any) -> Checkpoint:
        found = own(*args)
        path.write_bytes(b"another")
        return found

    monkeypatch.setattr(Checkpoint, "read", read)
    yield ["--config", str(experiment.write(workdir)), "--ckpt_path", str(path)]
    assert path.read_bytes() == b"another"


@pytest.mark.parametrize(
    "words",
    [["predict", "--data.predict_df_paths", "a.parquet"], ["validate"], ["test"], ["evaluate"]],
    ids=lambda words: words[0],
)
def test_a_command_uses_the_checkpoint_that_it_read(replaced: list[str], words: list[str]) -> None:
    make_frame(30, 8).to_parquet("a.parquet")
    more = ["--no-plots"] if words == ["evaluate"] else []
    assert main([*words, *replaced, *more]) == 0


def test_a_fit_goes_on_from_the_checkpoint_that_it_read(
    experiment: Experiment, workdir: Path, replaced: list[str]
) -> None:
    longer = ["--trainer.max_epochs", "3"]
    assert main(["fit", *replaced, *longer, "-n", "own"]) == 0
    words = ["--config", replaced[1], "--ckpt_path", str(experiment.checkpoint)]
    assert main(["fit", *words, *longer, "-n", "other"]) == 0
    assert same(weights(last("own")), weights(last("other")))


def test_calibrate_writes_over_no_checkpoint_but_the_one_that_it_read(
    replaced: list[str], fails: Fails
) -> None:
    told = fails("calibrate", *replaced)
    assert "last.ckpt: changed since it was read; run again" in told


@pytest.mark.parametrize("words", [["link.ckpt"], ["last.ckpt", "--output", "../work/last.ckpt"]])
def test_calibrate_writes_over_no_later_one_by_another_name(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: Fails,
    words: list[str],
) -> None:
    (workdir / "work").mkdir()
    monkeypatch.chdir("work")
    for path in (Path("last.ckpt"), Path("last.new")):
        shutil.copy(experiment.checkpoint, path)
    Path("link.ckpt").symlink_to("last.ckpt")
    own = Calibration.fit

    def fit(*args: Any) -> Calibration:
        Path("last.ckpt").write_bytes(Path("last.new").read_bytes())  # as an epoch's end does
        return own(*args)

    monkeypatch.setattr(Calibration, "fit", fit)
    assert "changed since it was read; run again" in fails("calibrate", "--ckpt_path", *words)
