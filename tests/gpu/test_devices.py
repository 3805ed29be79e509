"""Several CUDA devices fit as one does with twice the batch; skipped where there are none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.cli.conftest import make_frame

pytestmark = pytest.mark.skipif(
    torch.cuda.device_count() < 2, reason="wants two CUDA devices of this machine"
)


def fit(folder: Path, name: str, devices: int, batch: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the metrics and the weights of a fit."""
    command = f"-m transformertf fit --config tiny.yml -n {name} --trainer.devices {devices}"
    done = subprocess.run(
        [sys.executable, *command.split(), "--data.batch_size", str(batch)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = folder / "runs" / name / "version_0"
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
    values = [value.flatten().double().numpy() for value in state["state_dict"].values()]
    return pd.read_csv(run / "metrics.csv"), np.concatenate(values)


def test_two_devices_fit_as_one(tmp_path: Path) -> None:
    make_frame(200, 1).to_parquet(tmp_path / "train.parquet")
    make_frame(60, 2).to_parquet(tmp_path / "val.parquet")
    config = {
        "model": {
            "class_path": "EncoderDecoderLSTM",
            "init_args": {"d_encoder": 8, "d_decoder": 8, "dropout": 0.0},
        },
        "optimizer": {"class_path": "Adam", "init_args": {"lr": 0.01, "eps": 1e-4}},
        "data": {
            "class_path": "EncoderDecoderDataModule",
            "init_args": {
                "target_covariate": "target",
                "known_covariates": ["known"],
                "train_df_paths": "train.parquet",
                "val_df_paths": "val.parquet",
                "ctxt_seq_len": 8,
                "tgt_seq_len": 4,
                "dtype": "float64",
            },
        },
        "trainer": {"max_epochs": 2, "accelerator": "gpu", "enable_progress_bar": False},
    }
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(config))
    two, one = fit(tmp_path, "two", 2, 8), fit(tmp_path, "one", 1, 16)
    pd.testing.assert_frame_equal(two[0], one[0], rtol=1e-6)
    np.testing.assert_allclose(two[1], one[1], rtol=1e-5, atol=1e-6)
