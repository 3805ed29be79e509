"""The command line, given files that are not what they should be."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Experiment
from tests.cli.conftest import make_frame as make_run
from tests.robustness.frames import Tried
from transformertf.cli import main

Fails = Callable[..., str]


SPOILT: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "huge": (
        lambda frame: frame.assign(known=frame["known"].where(frame.index != 20, 1e30)),
        "column 'known' holds 1e+30 in row ",
    ),
    "text": (
        lambda frame: frame.assign(known="off"),
        "column 'known' must be numeric, found 'off'",
    ),
    "missing": (lambda frame: frame.assign(known=np.nan), "column 'known' has "),
    "a column less": (lambda frame: frame.drop(columns="known"), "no column 'known'; "),
    "no rows": (lambda frame: frame[:0], "no rows"),
    "stamps far away": (
        lambda frame: frame.assign(t=frame["t"].where(frame.index < 29, 1e40)),
        "correct the time stamps",
    ),
}


@pytest.mark.parametrize("argument", ["predict_df_paths", "future_df_paths"])
@pytest.mark.parametrize(("change", "message"), SPOILT.values(), ids=SPOILT)
def test_rows_to_forecast_that_are_spoilt(
    tried: Tried,
    experiment: Experiment,
    workdir: Path,
    fails: Fails,
    argument: str,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    frame = make_run(30, 9)
    past, future = frame[:16], frame[16:].drop(columns=["target", "past"])
    words = ["predict", "--ckpt_path", str(experiment.checkpoint)]
    if argument == "predict_df_paths":
        change(frame).to_parquet("run.parquet")
        words += ["--data.predict_df_paths", "run.parquet", "--origin", "all"]
    else:
        past.to_parquet("run.parquet")
        change(future).to_parquet("later.parquet")
        words += ["--data.predict_df_paths", "run.parquet"]
        words += ["--data.future_df_paths", "later.parquet"]
    line = fails(*words)
    assert message in line
    tried("refused")


@pytest.mark.parametrize("argument", ["predict_df_paths", "future_df_paths"])
@pytest.mark.parametrize("kind", ["truncated", "a picture", "a folder", "a link", "nothing"])
def test_files_to_forecast_that_are_damaged(
    tried: Tried, experiment: Experiment, workdir: Path, fails: Fails, argument: str, kind: str
) -> None:
    path = workdir / "bad.parquet"
    make_run(30, 9).to_parquet("run.parquet")
    if kind == "truncated":
        path.write_bytes(Path("run.parquet").read_bytes()[:-100])
    elif kind == "a picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a link":
        path.symlink_to("none.parquet")
    words = ["predict", "--ckpt_path", str(experiment.checkpoint)]
    if argument == "future_df_paths":
        words += ["--data.predict_df_paths", "run.parquet"]
    line = fails(*words, f"--data.{argument}", path)
    assert "bad.parquet" in line
    tried("refused")


OUTPUTS = {
    "folder.parquet": "expected a file, found a folder",
    "none/forecasts.parquet": "must exist",
    "run.parquet": "would overwrite what is no table of forecasts",
    "link.parquet": "would overwrite what is no table of forecasts",
    "forecasts": "expected a name that ends in .parquet",
    "run.parquet/forecasts.parquet": "must exist",
}


@pytest.mark.parametrize(("output", "message"), OUTPUTS.items())
def test_outputs_that_cannot_be_written(
    tried: Tried, experiment: Experiment, workdir: Path, fails: Fails, output: str, message: str
) -> None:
    make_run(30, 9).to_parquet("run.parquet")
    Path("folder.parquet").mkdir()
    Path("link.parquet").symlink_to("run.parquet")
    before = Path("run.parquet").read_bytes()
    line = fails(
        "predict", "--ckpt_path", experiment.checkpoint, "--data.predict_df_paths", "run.parquet",
        "--output", output,
    )  # fmt: skip
    assert message in line
    assert Path("run.parquet").read_bytes() == before
    tried("refused")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_an_output_in_a_folder_that_may_not_be_written_to(
    tried: Tried, experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    make_run(30, 9).to_parquet("run.parquet")
    Path("locked").mkdir(mode=0o500)
    line = fails(
        "predict", "--ckpt_path", experiment.checkpoint, "--data.predict_df_paths", "run.parquet",
        "--output", "locked/forecasts.parquet",
    )  # fmt: skip
    assert "cannot be written to" in line
    tried("refused")


@pytest.mark.parametrize(
    ("change", "message"), [SPOILT["text"], SPOILT["no rows"], SPOILT["missing"]]
)
def test_training_on_what_is_spoilt_leaves_nothing(
    tried: Tried,
    experiment: Experiment,
    workdir: Path,
    fails: Fails,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    change(make_run(30, 9)).to_csv("bad.csv", index=False)
    for argument in ("train_df_paths", "val_df_paths"):
        config = experiment.write(workdir)
        words = ["fit", "--config", config, "--trainer.max_steps", "1"]
        line = fails(*words, f"--data.{argument}", "bad.csv")
        assert message in line
        tried("refused")


def test_forecasts_of_odd_names_and_paths_are_finite(
    tried: Tried, experiment: Experiment, workdir: Path
) -> None:
    for name in ("größe [1].parquet", "it's a\nb.parquet"):
        make_run(30, 9).to_parquet(name)
        words = ["--data.predict_df_paths", name, "--output", f"of {name}"]
        assert main(["predict", "--ckpt_path", str(experiment.checkpoint), *words]) == 0
        forecasts = pd.read_parquet(f"of {name}")
        assert np.isfinite(forecasts["prediction"]).all()
        assert set(forecasts["series"]) == {Path(name).stem}
        tried("works")
