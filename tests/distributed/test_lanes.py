"""Lanes on two processes: each has its own, and the weights are those of one with all of them."""

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pytest
import torch

from tests.distributed.conftest import RANKS
from transformertf.data import TimeSeriesDataModule
from transformertf.models import GRU, LSTM

LANES, STEPS = 3, 12
MODELS = {"LSTM": LSTM, "GRU": GRU}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "id": f"s{number}",
                "u": (known := generator.normal(size=rows)),
                "y": np.convolve(known, [0.2, 0.7, 0.4])[:rows],
            }
        )
        for number, rows in enumerate((46, 19, 87))
    ]
    path = tmp_path_factory.mktemp("lanes") / "all.parquet"
    pd.concat(parts).to_parquet(path)
    return path


def fit(path: Path, name: str, lanes: int, devices: int) -> dict[str, Any]:
    """Train for some steps, over the end of an epoch, and return weights and lanes."""
    data = TimeSeriesDataModule(
        target_covariate="y", known_covariates=["u"], series_id="id", train_df_paths=str(path),
        seq_len=6, carry_state=True, fresh_starts=0.1, washout=2, batch_size=lanes, dtype="float64",
    )  # fmt: skip
    torch.manual_seed(0)
    data.setup("fit")  # before anything else seeds the process
    model = MODELS[name](1, num_layers=1, d_model=4, dropout=0.0)
    trainer = lightning.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
        precision="64-true", max_steps=STEPS, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, data)
    weights = {key: value.numpy() for key, value in model.model.state_dict().items()}
    return {"weights": weights, "lanes": [part.numpy() for part in model.carried.lanes]}


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_train_as_one_with_all_lanes(table: Path, on_ranks: Any, name: str) -> None:
    one = fit(table, name, LANES * RANKS, 1)
    two = on_ranks(fit, table, name, LANES, RANKS)
    for rank, found in enumerate(two):
        for key, weight in one["weights"].items():
            np.testing.assert_allclose(found["weights"][key], weight, rtol=1e-9, atol=1e-12)
        *states, places = found["lanes"]
        *all_states, all_places = one["lanes"]
        np.testing.assert_array_equal(places, all_places[:, rank::RANKS])
        for part, expected in zip(states, all_states, strict=True):
            np.testing.assert_allclose(part, expected[:, rank::RANKS], atol=1e-9)
