"""Every shipped YAML is a test case: it must compose, and sample configs must train."""

import os
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from transformertf import models
from transformertf.cli import main
from transformertf.cli.config import Composer
from transformertf.cli.yaml_file import YamlFile

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "sample_configs").glob("*.yml"))
PANELS = [path for path in SAMPLES if path.stem.startswith("panel_")]
TEST_FILES = ROOT / "sample_configs" / "data" / "test" / "*.parquet"
# fragments for several processes lie over one of the others
CONFIGS = sorted((ROOT / "configs").rglob("*.yml"))
REAL = [path for path in CONFIGS if "\nmodel:" in path.read_text()]
SHORT = (
    "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2",
    "--trainer.limit_val_batches", "1", "--trainer.enable_progress_bar", "false",
)  # fmt: skip


@pytest.mark.parametrize(
    "path", [path for path in SAMPLES if path not in PANELS], ids=lambda path: path.stem
)
def test_sample_config(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(path), *SHORT]) == 0
    words = ["--config", str(path), "--ckpt_path", "last"]
    assert main(["predict", *words, "--data.predict_df_paths", str(TEST_FILES)]) == 0
    forecasts = pd.read_parquet(f"runs/{path.stem}/version_0/forecasts.parquet")
    assert forecasts["prediction"].notna().all()
    rows = {file.stem: len(pd.read_parquet(file)) for file in TEST_FILES.parent.glob("*.parquet")}
    found = forecasts.groupby("series").size().to_dict()
    data = yaml.safe_load(path.read_text())["data"]["init_args"]
    rows = {name: -(-count // data.get("downsample", 1)) for name, count in rows.items()}
    if "tgt_seq_len" in data:
        # one forecast after the other, as far as whole horizons go
        context, horizon = data["ctxt_seq_len"], data["tgt_seq_len"]
        rows = {name: (count - context) // horizon * horizon for name, count in rows.items()}
    assert found == rows


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.stem)
def test_sample_config_of_the_panel(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(path), *SHORT]) == 0
    new = ROOT / "sample_configs" / "data" / "panel_predict.parquet"
    words = ["--config", str(path), "--ckpt_path", "last", "--data.predict_df_paths", str(new)]
    assert main(["predict", *words]) == 0
    forecasts = pd.read_parquet(f"runs/{path.stem}/version_0/forecasts.parquet")
    assert forecasts["prediction"].notna().all()
    assert forecasts["actual"].isna().all()
    # the logger of one was down when the future begins, that of the other a few hours before
    units = set(pd.read_parquet(new)["unit"])
    assert set(forecasts["series"]) == units - {"T16", "T21"}
    horizon = yaml.safe_load(path.read_text())["data"]["init_args"]["tgt_seq_len"]
    assert (forecasts.groupby("series").size() == horizon).all()


def test_every_model_has_a_sample_config() -> None:
    exported = {getattr(models, name) for name in models.__all__}
    modules = {kind for kind in exported if issubclass(kind, models.ForecastModule)}
    trained = [yaml.safe_load(path.read_text())["model"]["class_path"] for path in SAMPLES]
    assert {getattr(models, name) for name in trained} == modules - {models.ForecastModule}


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_config_composes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$([A-Z_]+)", path.read_text()):
        monkeypatch.setenv(name, os.environ.get(name, "somewhere.csv"))
    composer = Composer()
    composer.add_file(YamlFile.read(path))
    config = composer.compose()
    assert config["model"]["init_args"]
    trainer = config["trainer"]
    # without an end of epochs there is one of steps
    assert trainer.get("max_steps", -1) > 0 or trainer["max_epochs"] > 0


@pytest.mark.skipif("EPF_NP" not in os.environ, reason="EPF_NP does not name the price file")
def test_real_prices_go_in_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = ROOT / "configs" / "benchmarks" / "epf_np_a.yml"
    assert main(["fit", "--config", str(path), *SHORT]) == 0
    words = ["--config", str(path), "--ckpt_path", "last", "--origin", "last"]
    assert main(["predict", *words, "--data.predict_df_paths", os.environ["EPF_NP"]]) == 0
    forecasts = pd.read_parquet(f"runs/{path.stem}/version_0/forecasts.parquet")
    prices = pd.read_csv(os.environ["EPF_NP"], skipinitialspace=True)
    stamps = pd.to_datetime(prices["date"])
    assert forecasts["time"].tolist() == stamps.iloc[-24:].tolist()
    assert forecasts["origin"].unique().tolist() == [stamps.iloc[-25]]
    assert forecasts["actual"].tolist() == prices["OT"].iloc[-24:].tolist()
