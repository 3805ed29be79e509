"""From a checkpoint to a report: every command and snippet of the guide runs, in its order."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.pages import ROOT, blocks, measure, run
from tests.processes import run_snippet

PAGE = ROOT / "docs" / "evaluation.md"
CONFIG = {
    "model": {
        "class_path": "EncoderDecoderLSTM",
        "init_args": {"d_encoder": 8, "d_decoder": 8, "criterion": "QuantileLoss"},
    },
    "data": {
        "target_covariate": "temperature",
        "known_covariates": ["heater"],
        "time_column": "time",
        "train_df_paths": "measurements/monday.csv",
        "ctxt_seq_len": 50,
        "tgt_seq_len": 20,
    },
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's folder, with a checkpoint and the files that the guide names."""
    made = tmp_path_factory.mktemp("guide")
    (made / "measurements").mkdir()
    for name, rows in (("monday", 700), ("validation", 500), ("test", 560)):
        measure(rows, rows).to_csv(made / "measurements" / f"{name}.csv", index=False)
    new = measure(120, 7)
    new[:100].to_csv(made / "past.csv", index=False)
    new[100:][["time", "heater"]].to_csv(made / "plan.csv", index=False)
    new.loc[100:, ["temperature"]] = np.nan
    new.to_csv(made / "new.csv", index=False)
    (made / "my.yml").write_text(yaml.safe_dump(CONFIG))
    result = run("transformertf fit --config my.yml", made)
    assert result.returncode == 0, result.stderr
    last = made / "runs" / "my" / "version_0" / "checkpoints" / "last.ckpt"
    shutil.copy(last, made / "last.ckpt")
    return made


@pytest.fixture(scope="module")
def judged(folder: Path) -> Path:
    """The folder after the three commands."""
    three, _ = blocks(PAGE, "bash")
    assert len(three.splitlines()) == 3
    for line in three.splitlines():
        result = run(line, folder)
        assert result.returncode == 0, f"{line}\n{result.stderr}"
    return folder


def test_three_commands_from_a_checkpoint_to_a_report(judged: Path) -> None:
    folder = judged / "evaluation"
    promised = ["report.html", "metrics.json", "forecasts.parquet"]
    promised += ["by_step.parquet", "by_series.parquet", "plots"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(promised)
    metrics = json.loads((folder / "metrics.json").read_text())
    table = pd.read_parquet(folder / "forecasts.parquet")
    error = table["prediction"] - table["actual"]
    assert metrics["MAE"] == pytest.approx(error.abs().mean(), rel=1e-12)
    assert metrics["rows"] == len(table) == (560 - 50) // 20 * 20
    assert metrics["settings"]["calibrated"]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(list((folder / "plots").glob("*.png"))) >= 5
    assert "temperature" in page
    assert pd.read_parquet(judged / "forecasts.parquet")["time"].tolist() == [
        2.0 * row for row in range(100, 120)
    ]


def test_a_plan_in_a_table_of_its_own_gives_the_same(judged: Path) -> None:
    whole = pd.read_parquet(judged / "forecasts.parquet")
    _, plan = blocks(PAGE, "bash")
    result = run(plan.strip(), judged)
    assert result.returncode == 0, result.stderr
    split = pd.read_parquet(judged / "forecasts.parquet")
    assert split["series"].unique().tolist() == ["past"]
    columns = [name for name in whole.columns if name != "series"]
    pd.testing.assert_frame_equal(split[columns], whole[columns], check_exact=True)


def test_the_snippet_runs(judged: Path) -> None:
    (snippet,) = blocks(PAGE, "python")
    result = run_snippet(snippet, judged)
    assert result.returncode == 0, result.stderr
    assert (judged / "calibrated.ckpt").exists()
    assert (judged / "forecast.png").stat().st_size > 10_000
