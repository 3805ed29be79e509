"""compare and show: checkpoints and files beside each other, and what a checkpoint says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.cli.conftest import HORIZON, Experiment
from transformertf.cli import main
from transformertf.wording import number

Fails = Callable[..., str]


@pytest.fixture
def forecasts(experiment: Experiment, workdir: Path) -> pd.DataFrame:
    """What the checkpoint forecasts of the test data."""
    command = ["evaluate", "--ckpt_path", str(experiment.checkpoint), "--no-plots"]
    assert main([*command, "--output", "e"]) == 0
    return pd.read_parquet("e/forecasts.parquet")


def test_a_checkpoint_and_files_are_compared(
    experiment: Experiment, forecasts: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["series", "origin", "step", "time", "prediction", "actual"]
    worse = forecasts[columns].assign(prediction=forecasts["prediction"] + 5)
    worse[worse["origin"] > worse["origin"].min()].to_csv("worse.csv", index=False)
    forecasts[columns].to_parquet("same.parquet")
    capsys.readouterr()
    words = [str(experiment.checkpoint), "same.parquet", "worse.csv"]
    assert main(["compare", *words, "--season", "3", "--output", "c"]) == 0
    printed = capsys.readouterr()
    assert f"{experiment.checkpoint}: 1 windows that not all have are left out" in printed.err
    assert "worse.csv: 1 windows" not in printed.err
    found = json.loads(Path("c/comparison.json").read_text())
    kept = forecasts[forecasts["origin"] > forecasts["origin"].min()]
    assert found["windows"] == len(kept) / HORIZON
    error = (kept["prediction"] - kept["actual"]).abs().mean()
    scores = found["scores"]
    assert list(scores) == [*words, "naive", "seasonal_naive"]
    assert scores["same.parquet"] == pytest.approx(scores[words[0]])
    assert scores["same.parquet"]["MAE"] == pytest.approx(error, rel=1e-6)
    naive = (kept["naive"] - kept["actual"]).abs().mean()
    assert scores["naive"]["MAE"] == pytest.approx(naive, rel=1e-6)
    assert found["pairs"]["worse.csv"]["p"] < 0.01
    assert found["pairs"]["same.parquet"]["p"] == 1
    page = Path("c/comparison.html").read_text()
    assert "worse.csv" in page
    assert number(error) in printed.out


def test_mistakes_of_compare(experiment: Experiment, forecasts: pd.DataFrame, fails: Fails) -> None:
    forecasts.to_parquet("f.parquet")
    assert "f.parquet is given twice" in fails("compare", "f.parquet", "f.parquet")
    assert "none.ckpt: no such file" in fails("compare", "f.parquet", "none.ckpt")
    assert "--data.batch_size is for checkpoints" in fails(
        "compare", "f.parquet", "--data.batch_size", "3"
    )
    Path("c").mkdir()
    Path("c/comparison.html").write_text("mine")
    assert "comparison.html in it was not written" in fails("compare", "f.parquet", "--output", "c")


def test_show_is_a_card_of_the_checkpoint(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copy(experiment.checkpoint, "own.ckpt"))
    assert main(["calibrate", "--ckpt_path", "own.ckpt", "--levels", "0.1", "0.5", "0.9"]) == 0
    capsys.readouterr()
    assert main(["show", "own.ckpt", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    content = torch.load(own, weights_only=True)
    weights = content["state_dict"].values()
    assert card["parameters"] == sum(w.numel() for w in weights if w.is_floating_point())
    assert card["model"] == "EncoderDecoderLSTM"
    assert card["columns"] == {
        "target_covariate": "target", "known_covariates": ["known"],
        "known_past_covariates": ["past"], "time_column": "t",
    }  # fmt: skip
    assert card["windows"]["ctxt_seq_len"] == 8
    assert card["trained_on"]["rows"] == 60 + 47
    assert (card["epochs"], card["calibrated"]["coverage"]) == (2, [0.8])
    assert card["made_with"]["torch"] == str(torch.__version__)
    assert card["best"]["validation/loss"] == pytest.approx(
        next(float(state["best_model_score"]) for name, state in content["callbacks"].items()
             if name.startswith("BestCheckpoint")))  # fmt: skip
    assert main(["show", str(experiment.checkpoint)]) == 0
    out = capsys.readouterr().out
    assert "tiny/version_0" in out
    assert "target_covariate" in out
