"""A tiny experiment, fitted once for all command-line tests."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from transformertf.cli import main

CONTEXT, HORIZON = 8, 4


def make_frame(rows: int, seed: int) -> pd.DataFrame:
    """A target that follows its known covariate with a lag, and a past-only column."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=rows).cumsum() / 3
    target = 5 + 2 * np.convolve(known, [0.0, 0.6, 0.4])[:rows]
    return pd.DataFrame(
        {
            "t": np.arange(rows) * 0.5,
            "known": known,
            "past": np.gradient(target),
            "target": target,
        }
    )


@dataclass
class Experiment:
    """Folder with config, data and a fitted run."""

    root: Path
    config: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        return self.root / "runs" / "tiny" / "version_0" / "checkpoints" / "last.ckpt"

    def write(self, folder: Path, change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
        """Write the config, changed, into a folder."""
        config = yaml.safe_load(yaml.safe_dump(self.config))
        if change is not None:
            change(config)
        path = folder / "tiny.yml"
        path.write_text(yaml.safe_dump(config))
        return path


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    root = tmp_path_factory.mktemp("experiment")
    for name, rows, seed in (("a", 60, 1), ("b", 47, 2), ("val", 40, 3), ("test", 45, 4)):
        make_frame(rows, seed).to_parquet(root / f"{name}.parquet")
    config = {
        "model": {
            "class_path": "EncoderDecoderLSTM",
            "init_args": {"d_encoder": 6, "d_decoder": 6, "dropout": 0.1},
        },
        "optimizer": {"class_path": "Adam", "init_args": {"lr": 0.01}},
        "data": {
            "class_path": "EncoderDecoderDataModule",
            "init_args": {
                "target_covariate": "target",
                "known_covariates": ["known"],
                "known_past_covariates": ["past"],
                "time_column": "t",
                "train_df_paths": [str(root / "a.parquet"), str(root / "b.parquet")],
                "val_df_paths": str(root / "val.parquet"),
                "test_df_paths": str(root / "test.parquet"),
                "ctxt_seq_len": CONTEXT,
                "tgt_seq_len": HORIZON,
                "batch_size": 16,
            },
        },
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False},
    }
    made = Experiment(root, config)
    path = made.write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["fit", "--config", str(path)]) == 0
    return made


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with code 2, one line, and nothing new on disk."""

    def run(*words: str | os.PathLike[str]) -> str:
        before = sorted(Path.cwd().rglob("*"))
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if line.startswith("error:")]
        assert len(lines) == 1
        assert "Traceback" not in captured.err
        assert sorted(Path.cwd().rglob("*")) == before
        return lines[0]

    return run
