"""evaluate --refit: folds, each forecast by a model that has seen all before it, and no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import HORIZON, Experiment, make_frame
from transformertf.class_paths import allowing
from transformertf.cli import main
from transformertf.cli.config import Composer
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.yaml_file import YamlFile

Fails = Callable[..., str]
ROWS, FOLDS = 120, 3
FIRST = ROWS - 36  # of the test rows


def change(config: dict[str, Any]) -> None:
    data = config["data"]["init_args"]
    for name in ("val_df_paths", "test_df_paths"):
        del data[name]
    data |= {"train_df_paths": "run.parquet", "val_fraction": 0.2, "test_fraction": 0.3}


@pytest.fixture
def fitted(experiment: Experiment, workdir: Path) -> Path:
    make_frame(ROWS, 8).to_parquet("run.parquet")
    assert main(["fit", "--config", str(experiment.write(workdir, change))]) == 0
    return workdir / "runs" / "tiny" / "version_0" / "checkpoints"


def evaluate(checkpoint: Path, *words: str) -> pd.DataFrame:
    command = ["evaluate", "--ckpt_path", str(checkpoint), "--no-plots", *words]
    assert main([*command, "--output", "evaluation"]) == 0
    return pd.read_parquet("evaluation/forecasts.parquet")


@pytest.mark.parametrize("best", [False, True])
def test_the_first_fold_is_the_checkpoint_s_and_no_fold_sees_what_follows(
    fitted: Path, best: bool
) -> None:
    checkpoint = next(fitted.glob("epoch*.ckpt")) if best else fitted / "last.ckpt"
    plain = evaluate(checkpoint)
    found = evaluate(checkpoint, "--refit", str(FOLDS))
    # 36 test rows in folds of 12: three horizons each, as many windows as without folds
    keys = ["series", "origin", "step", "time", "actual", "naive"]
    pd.testing.assert_frame_equal(found[keys], plain[keys])
    row = (found["time"] / 0.5).to_numpy().round().astype(int)
    fold = (row - FIRST) // 12
    assert fold.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    same = found["prediction"].to_numpy() == plain["prediction"].to_numpy()
    assert same[fold == 0].all()
    assert not same[fold > 0].any()

    # what lies in the last fold changes none but the forecasts that start within it
    frame = pd.read_parquet("run.parquet")
    frame.loc[FIRST + 24 :, "target"] += 100 * np.arange(12)
    frame.to_parquet("run.parquet")
    other = evaluate(checkpoint, "--refit", str(FOLDS))
    known = row - found["step"] < FIRST + 24
    assert known.sum() == 24 + HORIZON
    np.testing.assert_array_equal(other["prediction"][known], found["prediction"][known])
    assert (other["prediction"][~known] != found["prediction"][~known]).all()


def test_what_cannot_be_refitted_is_told(
    experiment: Experiment, fitted: Path, workdir: Path, fails: Fails
) -> None:
    words = ["evaluate", "--ckpt_path", str(fitted / "last.ckpt"), "--refit", "2"]
    assert "leave --stage validation out" in fails(*words, "--stage", "validation")
    words[2] = str(experiment.checkpoint)
    assert "expected test_fraction and split_by: time" in fails(*words)
    moved = workdir / "moved.ckpt"
    moved.write_bytes((fitted / "last.ckpt").read_bytes())
    words[2] = str(moved)
    assert "there is no" in fails(*words)


@pytest.mark.parametrize("several", [False, True])
def test_callbacks_that_watch_a_run_take_no_part(
    several: bool, experiment: Experiment, workdir: Path
) -> None:
    watching = {"class_path": "LearningRateMonitor"}
    own = [watching] if several else watching
    path = experiment.write(workdir, lambda config: config["trainer"].update(callbacks=own))
    composer = Composer()
    composer.add_file(YamlFile.read(path))
    with allowing():
        cli = ForecastCLI(composer, is_refit=True)
    assert not cli.config["trainer"]["callbacks"]
