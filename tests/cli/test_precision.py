"""Data in one precision, computed with in another: by each command, and from Python alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.conftest import Experiment
from tests.runs import content_of, last
from transformertf import Forecaster
from transformertf.cli import main

WEIGHTS = {"64-true": torch.float64, "bf16-true": torch.bfloat16}
# the data's, the trainer's as given, and as it is
CASES = [
    ("float64", None, "64-true"),
    ("float64", "32-true", "32-true"),
    ("float64", "bf16-true", "bf16-true"),
    ("float64", "64-true", "64-true"),
    ("float32", "64-true", "64-true"),
    ("float32", "bf16-true", "bf16-true"),
    ("float32", None, "32-true"),
]


@pytest.mark.parametrize(("dtype", "given", "runs"), CASES)
@pytest.mark.filterwarnings("ignore:.*bf16-true:UserWarning")
def test_every_command_and_the_door(
    experiment: Experiment,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    dtype: str,
    given: str | None,
    runs: str,
) -> None:
    def change(tree: dict[str, Any]) -> None:
        tree["data"]["init_args"]["dtype"] = dtype
        tree["trainer"] |= {"precision": given, "max_epochs": 1}

    config = experiment.write(workdir, change)
    assert main(["fit", "--config", str(config)]) == 0
    told = capsys.readouterr().err
    assert (f"computed with in trainer.precision {runs}" in told) is (
        dtype == "float64" and runs != "64-true"
    )
    weights = content_of(last("tiny", 0))["state_dict"]
    assert weights["model.head.0.bias"].dtype == WEIGHTS.get(runs, torch.float32)
    path = ["--ckpt_path", str(last("tiny", 0))]
    for command in ("validate", "test"):
        assert main([command, *path]) == 0
    data = str(experiment.root / "test.parquet")
    predict = ["predict", *path, "--data.predict_df_paths", data, "--data.origin", "last"]
    assert main([*predict, "--output", "forecasts.parquet"]) == 0
    assert main(["evaluate", *path, "--output", "report"]) == 0
    forecaster = Forecaster.load(last("tiny", 0), accelerator="cpu")
    double = runs == "64-true"
    assert all((p.dtype == torch.float64) is double for p in forecaster.model.parameters())
    by_command = pd.read_parquet("forecasts.parquet")
    by_door = forecaster.predict(data, origin="last")
    pd.testing.assert_frame_equal(by_door, by_command, check_dtype=False, rtol=1e-12)
    scores = json.loads(Path("report/metrics.json").read_text())
    assert forecaster.evaluate()["MAE"] == pytest.approx(scores["MAE"], rel=1e-9)
    assert len(forecaster.importance())


def test_another_precision_asked_for_is_taken(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir, lambda t: t["data"]["init_args"].update(dtype="float64"))
    assert main(["fit", "--config", str(config), "--trainer.max_epochs", "1"]) == 0
    data = str(experiment.root / "test.parquet")
    words = ["predict", "--ckpt_path", str(last("tiny", 0)), "--data.predict_df_paths", data]
    assert main([*words, "--output", "double.parquet"]) == 0
    assert main([*words, "--output", "single.parquet", "--trainer.precision", "32-true"]) == 0
    double, single = (pd.read_parquet(f"{name}.parquet") for name in ("double", "single"))
    column = double.columns[-1]
    assert not double.equals(single)
    np.testing.assert_allclose(double[column], single[column], rtol=1e-5)
