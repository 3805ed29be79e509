"""What a command says of the data that it has read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Experiment, make_frame
from transformertf import Forecaster
from transformertf.cli import main

Fails = Callable[..., str]


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[str]:
    """Run a command that must do, and return the lines on standard error and in the log."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().err.splitlines()


def test_a_fit_says_what_it_has_read_before_it_begins(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir, lambda c: c["trainer"].update(max_steps=1))
    lines = run(capsys, "fit", "--config", config)
    first = next(place for place, line in enumerate(lines) if line.startswith("run: "))
    assert lines[first + 1 : first + 10] == [
        "data        3 files, 3 series, 147 rows (40 to 60 each)",
        "time        t, 0 to 29.5, rows 0.5 apart",
        "training    2 series, 107 rows, 0 to 29.5, 85 windows, 6 batches",
        "validation  1 series, 40 rows, 0 to 19.5, 29 windows, 2 batches",
        f"test        {str(experiment.root / 'test.parquet')[:40]}..., not read yet",
        "windows     ctxt_seq_len 8, tgt_seq_len 4, stride 1, 16 a batch",
        "context     4: t, known, past, target",
        "horizon     2: t, known",
        "target      target; normalize global",
    ]


def test_values_and_rates_beyond_training_are_told_once_by_each_command(
    experiment: Experiment,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = make_frame(60, 1)  # of training
    table["t"] *= 4
    table["known"] += 100 * (np.arange(60) == 7)
    table["past"] /= 1000
    table.to_parquet("odd.parquet")
    given = ["--ckpt_path", str(experiment.checkpoint)]
    commands = {
        "predict": ["predict", *given, "--data.predict_df_paths", "odd.parquet"],
        "test": ["evaluate", *given, "--data.test_df_paths", "odd.parquet", "--output", "out"],
        "test ": ["test", *given, "--data.test_df_paths", "odd.parquet"],
        "validation": ["validate", *given, "--data.val_df_paths", "odd.parquet"],
    }
    for what, words in commands.items():
        lines = [line for line in run(capsys, *words) if "in 1 series: 'odd'" in line]
        rate, known, past = lines
        assert rate.startswith(f"{what.strip()}: rows are 2 apart")
        assert known.startswith(f"{what.strip()}: 'known' is ")
        assert "beyond what the model has seen" in known
        assert past.startswith(f"{what.strip()}: 'past' is at most 0.00")
    forecaster = Forecaster.load(experiment.checkpoint, accelerator="cpu")
    caplog.clear()
    forecaster.predict("odd.parquet")
    assert len([line for line in caplog.messages if "in 1 series: 'odd'" in line]) == 3


def test_rows_like_those_of_training_are_not_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(
        capsys, "predict", "--ckpt_path", experiment.checkpoint,
        "--data.predict_df_paths", experiment.root / "a.parquet",
    )  # fmt: skip
    assert not [line for line in lines if "predict:" in line]


def test_a_session_tells_of_each_column_once(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    stream = Forecaster.load(experiment.checkpoint, accelerator="cpu").stream("lab")
    table = make_frame(16, 4)
    table.loc[3:, "past"] = 50.0
    future = table[["t", "known"]].iloc[-4:].assign(known=-60.0)
    for row in range(12):
        ahead = future.assign(t=table["t"][row] + 0.5 * np.arange(1, 5))
        stream.update(table.iloc[[row]], ahead)
    known, past = [line for line in caplog.messages if "beyond" in line]
    assert known.startswith("lab: 'known' is -60 to ")
    assert past.startswith("lab: 'past' is ")


def test_a_role_that_contradicts_the_checkpoint_is_told_by_its_name(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    config = experiment.write(workdir)
    run_of = "runs/tiny/version_0/checkpoints/last.ckpt"
    words = ["fit", "--config", str(config), "--trainer.max_steps", "1"]
    assert main([*words, "--data.known_past_covariates", "null"]) == 0
    wanted = (
        f"known_past_covariates is 'past' in {config} and none in the checkpoint {run_of}; "
        "leave --config out, or train again"
    )
    test = ["test", "--config", str(config), "--ckpt_path", run_of]
    assert fails(*test) == f"error: {wanted}"
    told = fails(*words, "--ckpt_path", run_of)
    assert told == f"error: {wanted.replace('leave --config out', 'give it as it was')}"
    told = fails("test", "--ckpt_path", run_of, "--data.known_past_covariates", "past")
    assert "'past' in --data.known_past_covariates and none in the checkpoint" in told
    assert told.endswith("leave --data.known_past_covariates out, or train again")


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("time_column", "null", "time_column is none and 't' in the checkpoint"),
        ("missing", "mask", "missing is mask in --data.missing and error in the checkpoint"),
        ("add_target_to_past", "false", "is False in --data.add_target_to_past and True in"),
        ("target_lags", "[4]", "target_lags is [4] in --data.target_lags and none in"),
        ("target_covariate", "past", "target_covariate is 'past' in"),
    ],
)
def test_whatever_changes_the_features_is_told_before_their_number(
    experiment: Experiment, workdir: Path, fails: Fails, flag: str, value: str, told: str
) -> None:
    words = ["test", "--ckpt_path", str(experiment.checkpoint), f"--data.{flag}", value]
    more = ["--data.known_past_covariates", "null"] if flag == "target_covariate" else []
    assert told in fails(*words, *more)


def test_a_horizon_beyond_the_rows_is_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_frame(40, 5)
    table.loc[38:, "target"] = np.nan
    table.to_parquet("new.parquet")
    words = ["predict", "--ckpt_path", str(experiment.checkpoint)]
    words += ["--data.predict_df_paths", "new.parquet", "--horizon", "4"]
    words += ["--output", "forecasts.parquet"]
    lines = [line for line in run(capsys, *words) if line.startswith("horizon")]
    assert lines == [
        "horizon 4: 1 of 1 forecasts end before, after 2 steps at the least, where the rows do, "
        "or a stretch without a gap; append the rows to come, with their known covariates"
    ]
    assert len(pd.read_parquet("forecasts.parquet")) == 2
