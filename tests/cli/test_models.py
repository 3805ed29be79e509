"""Choosing a model is changing one line of YAML."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import transformertf.models
from tests.cli.conftest import Experiment
from transformertf.cli import main
from transformertf.cli.classes import SECTIONS

KINDS = {
    name: getattr(transformertf.models, name).takes
    for name in SECTIONS["model"]
    if name != "ForecastModule"
}
# test_sequences.py has the others
MODELS = [name for name, kind in KINDS.items() if kind == "windows"]


def test_all_forecasters_are_there() -> None:
    names = {"EncoderDecoderLSTM", "AttentionLSTM", "TransformerLSTM", "TemporalFusionTransformer"}
    assert {*names, "TFT", "PFTemporalFusionTransformer", "xTFT"} == set(MODELS)
    assert set(KINDS) - set(MODELS) == {"LSTM", "GRU"}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_fits_goes_on_and_predicts(
    name: str, experiment: Experiment, workdir: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        width = {"d_encoder": 8} if name == "EncoderDecoderLSTM" else {"d_model": 8}
        config["model"] = {"class_path": name, "init_args": width}
        config["data"]["init_args"].update(randomize_seq_len=True, min_ctxt_seq_len=2)
        config["trainer"]["max_epochs"] = 1

    config = str(experiment.write(workdir, change))
    assert main(["fit", "--config", config]) == 0
    last = "runs/tiny/version_0/checkpoints/last.ckpt"
    first = torch.load(last, weights_only=True)
    assert first["hyper_parameters"]["_class_path"].rpartition(".")[2] in (
        name,
        {"TFT": "TemporalFusionTransformer"}.get(name),
    )
    assert (
        main(["fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "2"]) == 0
    )
    assert main(["test", "--ckpt_path", last]) == 0
    files = str(experiment.root / "test.parquet")
    assert main(["predict", "--ckpt_path", last, "--data.predict_df_paths", files]) == 0
    # a checkpoint of a run has its forecasts beside it
    forecasts = pd.read_parquet(Path(last).parents[1] / "forecasts.parquet")
    assert np.isfinite(forecasts["prediction"]).all()
    assert len(forecasts) == (45 - 8) // 4 * 4
    assert ("q0.5" in forecasts) == (first["hyper_parameters"]["output_dim"] == 7)
