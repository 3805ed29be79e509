"""A ridge regression lies in the checkpoint: it is fitted once, and comes along."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.cli.conftest import Experiment, make_frame
from tests.runs import last, same, weights
from transformertf.cli import main
from transformertf.forecaster import Forecaster
from transformertf.models.common.ridge import Ridge

NAMES = ("past", "future", "static", "bias", "fitted")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the penalties of all fits of a regression."""
    fit, found = Ridge.fit, list[float]()

    def noting(self: Ridge, windows: Any) -> float:
        found.append(fit(self, windows))
        return found[-1]

    monkeypatch.setattr(Ridge, "fit", noting)
    return found


def ridge(config: dict[str, Any]) -> None:
    config["model"]["init_args"]["prediction_type"] = "ridge"
    config["trainer"]["enable_model_summary"] = False


def fit(epochs: int, *words: object) -> int:
    limit = ("--trainer.max_epochs", str(epochs))
    return main(["fit", "--config", "tiny.yml", *limit, *map(str, words)])


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_a_fit_goes_on_with_the_one_it_had(
    precision: str, experiment: Experiment, workdir: Path, fits: list[float]
) -> None:
    def change(config: dict[str, Any]) -> None:
        ridge(config)
        config["trainer"]["precision"] = precision
        config["ema"] = 0.9

    experiment.write(workdir, change)
    assert fit(2) == 0
    assert fit(1) == 0
    assert len(fits) == 2
    assert fit(2, "--ckpt_path", last("tiny", 1)) == 0
    assert len(fits) == 2
    whole, resumed = weights(last("tiny", 0)), weights(last("tiny", 2))
    assert same(whole, resumed)
    assert all(f"baseline.{name}" in whole for name in NAMES)
    assert whole["baseline.bias"].dtype == (
        torch.float64 if precision == "64-true" else torch.float32
    )
    assert not same(whole, weights(last("tiny", 1)))


def test_a_forecast_from_the_file_is_that_of_the_fit(
    experiment: Experiment, workdir: Path, fits: list[float]
) -> None:
    experiment.write(workdir, ridge)
    assert fit(1) == 0
    rows = make_frame(40, 5)
    rows.to_parquet("frame.parquet")
    checkpoint = str(last("tiny"))
    assert main(
        ["predict", "--ckpt_path", checkpoint, "--data.predict_df_paths", "frame.parquet",
         "--output", "out.parquet"]
    ) == 0  # fmt: skip
    forecaster = Forecaster.load(checkpoint)
    pd.testing.assert_frame_equal(forecaster.predict(rows), pd.read_parquet("out.parquet"))
    assert len(fits) == 1
    kept = weights(last("tiny"))["baseline.bias"]
    assert kept.abs().min() > 0
    assert torch.equal(forecaster.model.get_buffer("baseline.bias"), kept)


def test_a_transfer_takes_it_along_where_it_fits(
    experiment: Experiment, workdir: Path, fits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.write(workdir, ridge)
    assert fit(1) == 0
    source = last("tiny")
    assert (
        fit(1, "--transfer-ckpt", source, "--data.train_df_paths", experiment.root / "b.parquet")
        == 0
    )
    before, after = weights(source), weights(last("tiny", 1))
    assert all(torch.equal(before[f"baseline.{name}"], after[f"baseline.{name}"]) for name in NAMES)
    assert len(fits) == 1
    assert fit(1, "--transfer-ckpt", source, "--data.tgt_seq_len", 3) == 0
    assert weights(last("tiny", 2))["baseline.bias"].shape == (3,)
    assert len(fits) == 2
    capsys.readouterr()
    assert fit(2, "--ckpt_path", source, "--model.ridge_context", 3) == 2
    assert "ridge_context is 3, but" in capsys.readouterr().err
