"""The sample panel from fit to forecasts: statics, categories, gaps, masks, uneven time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from transformertf.cli import main

Fails = Callable[..., str]

SAMPLES = Path(__file__).parents[2] / "sample_configs"
CONTEXT, HORIZON = 12, 6
UNITS = ["T03", "T04", "T05", "T22"]
TOO_SHORT, NEW = "T23", "T24"
WINDOWS = {
    "TFT": {"d_model": 4, "d_hidden_continuous": 2, "num_heads": 2},
    "EncoderDecoderLSTM": {"d_encoder": 6, "d_decoder": 6},
    "xTFT": {"d_model": 4, "d_hidden_continuous": 2, "num_heads": 2},
    "PFTemporalFusionTransformer": {"d_model": 4, "d_hidden_continuous": 2, "num_heads": 2},
    "AttentionLSTM": {"d_model": 4, "num_heads": 2},
    "TransformerLSTM": {"d_model": 4, "num_heads": 2},
}


def table(name: str) -> pd.DataFrame:
    """Some units of a table, and the last eight days of them; one with too few rows."""
    rows = pd.read_parquet(SAMPLES / "data" / f"{name}.parquet")
    rows = rows[rows["time"] > rows["time"].max() - pd.Timedelta(days=8)]
    short = rows[rows["unit"] == TOO_SHORT].head(CONTEXT + HORIZON - 3)
    own = rows[rows["unit"].isin([*UNITS, NEW])]
    whole: pd.DataFrame = pd.concat([own, short])
    return whole.sort_values("time", kind="stable", ignore_index=True)


@pytest.fixture
def panel(workdir: Path) -> Path:
    """A folder with the three tables."""
    for name in ("panel", "panel_test", "panel_predict"):
        table(name).to_parquet(workdir / f"{name}.parquet")
    return workdir


def configure(folder: Path, name: str, **data: Any) -> str:
    """Write the sample configuration for the small tables and a tiny model."""
    config = yaml.safe_load((SAMPLES / "panel_tft.yml").read_text())
    del config["lr_scheduler"]
    config["model"] = {"class_path": name, "init_args": {"dropout": 0.1, **WINDOWS.get(name, {})}}
    arguments = config["data"]["init_args"]
    arguments.update(train_df_paths="panel.parquet", test_df_paths="panel_test.parquet")
    arguments.update(ctxt_seq_len=CONTEXT, tgt_seq_len=HORIZON, stride=8, batch_size=32)
    if name in ("LSTM", "GRU"):
        config["data"]["class_path"] = "TimeSeriesDataModule"
        config["model"]["init_args"] = {"num_layers": 1, "d_model": 4, "dropout": 0.1}
        del arguments["ctxt_seq_len"], arguments["tgt_seq_len"]
        arguments.update(seq_len=CONTEXT + HORIZON)
    arguments.update(data)
    config["trainer"] = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False}
    path = folder / "panel.yml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def predict(checkpoint: str, *words: str, source: str = "panel_predict.parquet") -> pd.DataFrame:
    command = ["predict", "--ckpt_path", checkpoint, "--data.predict_df_paths", source]
    assert main([*command, "--output", "f.parquet", *words]) == 0
    return pd.read_parquet("f.parquet")


def check_future(found: pd.DataFrame, quantiles: bool) -> None:
    """Forecasts are of the rows of the future, as many as the horizon has, of every unit."""
    new = table("panel_predict")
    assert found["series"].unique().tolist() == [*UNITS, TOO_SHORT, NEW]
    # known to its end, and forecast from the context that it has
    short = found["series"] == TOO_SHORT
    assert found[short]["actual"].notna().any()
    found = found[~short]
    assert (found.groupby("series").size() == HORIZON).all()
    assert str(found["time"].dtype) == str(found["origin"].dtype) == str(new["time"].dtype)
    assert found["prediction"].notna().all()
    assert found["actual"].isna().all()
    assert ("q0.5" in found) == quantiles
    for unit, own in found.groupby("series"):
        rows = new[new["unit"] == unit]
        last = int(np.flatnonzero(rows["oil_c"].notna())[-1])
        assert own["origin"].unique().tolist() == [rows["time"].iloc[last]]
        assert own["time"].tolist() == rows["time"].iloc[last + 1 :].tolist()[:HORIZON]


def test_the_small_tables_have_it_all() -> None:
    panel, test, new = (table(name) for name in ("panel", "panel_test", "panel_predict"))
    assert panel.groupby("unit").size()[TOO_SHORT] < CONTEXT + HORIZON
    assert (panel.groupby("unit")["time"].diff() > pd.Timedelta(hours=3)).sum() > 1
    assert panel.groupby("unit")["time"].diff().nunique() > 10
    assert 0 < panel["oil_c"].isna().mean() < 0.2
    assert 0 < panel["air_c"].isna().mean() < 0.2
    assert set(panel["alarm"]) == {"none", "cooling", "hot"}
    assert "gas" in set(test["alarm"])
    assert "coast" in set(new["site"]) - set(panel["site"])


@pytest.mark.parametrize("name", ["TFT", "EncoderDecoderLSTM"])
def test_fit_resume_test_and_predict(
    name: str,
    panel: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = configure(panel, name)
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    told = [text for text in caplog.messages if text.startswith("train")]
    assert any("gaps break" in text for text in told)
    assert any("values of 'air_c' are missing and masked" in text for text in told)
    assert any("too short, left out" in text and TOO_SHORT in text for text in told)
    assert main(["fit", "--config", config, "-n", "parts", "--trainer.max_epochs", "1"]) == 0
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    paths = [f"runs/{n}/checkpoints/last.ckpt" for n in ("whole/version_0", "parts/version_1")]
    whole, parts = (torch.load(path, weights_only=True) for path in paths)
    assert whole["epoch"] == parts["epoch"] == 1
    for key, weight in whole["state_dict"].items():
        assert torch.equal(weight, parts["state_dict"][key]), key
    assert TOO_SHORT in whole["EncoderDecoderDataModule"]["short_series"]

    caplog.clear()
    capsys.readouterr()
    assert main(["test", "--ckpt_path", paths[0]]) == 0
    assert "test/RMSE" in capsys.readouterr().out
    unknown = [text for text in caplog.messages if "unknown" in text]
    assert len(unknown) == 2  # once for each column
    assert "'alarm'" in unknown[0]
    assert unknown[0].endswith("'gas'")
    assert "'site'" in unknown[1]
    assert unknown[1].endswith("'coast'")

    found = predict(paths[0])
    check_future(found, quantiles=name == "TFT")
    alone = predict(paths[0], "--data.batch_size", "1")
    pd.testing.assert_frame_equal(alone, found, rtol=1e-5, atol=1e-4)


def test_known_targets_of_the_test_table_are_compared(panel: Path) -> None:
    config = configure(panel, "EncoderDecoderLSTM")
    assert main(["fit", "--config", config, "--trainer.max_epochs", "1"]) == 0
    path = "runs/panel/version_0/checkpoints/last.ckpt"
    found = predict(path, source="panel_test.parquet")
    actual = table("panel_test").set_index(["unit", "time"])["oil_c"]
    wanted = actual.loc[pd.MultiIndex.from_frame(found[["series", "time"]])]
    np.testing.assert_array_equal(found["actual"], wanted.to_numpy())
    assert 0 < found["actual"].isna().mean() < 0.2
    assert found["prediction"].notna().all()
    # no forecast crosses an outage
    first = found.groupby(["series", "origin"], as_index=False).first()
    assert (found.groupby(["series", "origin"])["time"].diff() < pd.Timedelta(hours=3)).sum() > 0
    assert (first["time"] - first["origin"]).max() < pd.Timedelta(hours=3)
    assert found.groupby(["series", "origin"])["time"].diff().max() < pd.Timedelta(hours=3)


@pytest.mark.parametrize(
    "name", [name for name in WINDOWS if name not in ("TFT", "EncoderDecoderLSTM")]
)
def test_every_forecaster_takes_it(name: str, panel: Path) -> None:
    config = configure(panel, name)
    assert main(["fit", "--config", config, "--trainer.max_epochs", "1"]) == 0
    found = predict("runs/panel/version_0/checkpoints/last.ckpt")
    check_future(found, quantiles="q0.5" in found)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_sequences_take_it(name: str, panel: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = configure(panel, name)
    assert main(["fit", "--config", config, "--trainer.max_epochs", "1"]) == 0
    found = predict("runs/panel/version_0/checkpoints/last.ckpt")
    # each row is forecast once
    assert len(found) == len(table("panel_predict"))
    assert found["prediction"].notna().all()
    assert found["actual"].isna().sum() == table("panel_predict")["oil_c"].isna().sum()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"missing": "error"}, "missing: mask"),
        ({"categorical_covariates": ["mode", "alarm", "kind"]}, "'site' must be numeric"),
        (
            {
                "static_covariates": ["rated_mva", "kind", "site", "load"],
                "known_covariates": "mode",
            },
            "static column 'load' must be constant within a series",
        ),
        ({"known_past_covariates": ["air", "alarm"]}, "no column 'air'; did you mean 'air_c'?"),
        ({"categorical_covariates": ["mod"]}, "did you mean 'mode'?"),
        ({"calendar_features": ["hours"]}, "did you mean 'hour'?"),
        (
            {
                "series_id": None,
                "static_covariates": "rated_mva",
                "categorical_covariates": ["mode", "alarm"],
            },
            "static column 'rated_mva' must be constant",
        ),
        ({"max_gap": 3}, "'15min', '1h' or '1D'"),
        ({"freq": "30min"}, "is not on the grid of freq='30min'"),
        ({"drop_short_series": False}, "drop_short_series"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_mistakes(panel: Path, fails: Fails, options: dict[str, Any], expected: str) -> None:
    message = fails("fit", "--config", configure(panel, "EncoderDecoderLSTM", **options))
    assert expected in message
