"""The Python door forecasts what the command forecasts, whatever the criterion is."""

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.runs import last
from transformertf import Forecaster
from transformertf.cli import main

CONTEXT, HORIZON = 8, 4
# counts above 0, which all families take
FRAME = pd.DataFrame(
    {
        "x": np.random.default_rng(0).normal(size=60),
        "y": np.random.default_rng(1).poisson(20, size=60) + 1.0,
    }
)


@pytest.fixture(scope="module", params=["normal", "student_t", "negative_binomial", "log_normal"])
def checkpoint(request, tmp_path_factory):
    """Fit a small model of each family of distributions."""
    folder = tmp_path_factory.mktemp("door")
    criterion = {"class_path": "DistributionLoss", "init_args": {"distribution": request.param}}
    sizes = {"d_encoder": 4, "d_decoder": 4, "dropout": 0.0, "criterion": criterion}
    data = {
        "target_covariate": "y",
        "known_covariates": "x",
        "train_df_paths": "y.csv",
        "ctxt_seq_len": CONTEXT,
        "tgt_seq_len": HORIZON,
    }
    trainer = {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False}
    tree = {
        "model": {"class_path": "EncoderDecoderLSTM", "init_args": sizes},
        "data": {"class_path": "EncoderDecoderDataModule", "init_args": data},
        "trainer": trainer,
    }
    (folder / "door.yml").write_text(yaml.safe_dump(tree))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        FRAME.to_csv("y.csv", index=False)
        assert main(["fit", "--config", "door.yml"]) == 0
        files = ["--data.predict_df_paths", "y.csv", "--output", "y.parquet"]
        assert main(["predict", "--ckpt_path", str(last("door")), *files]) == 0
    return folder / last("door")


@pytest.fixture
def forecaster(checkpoint, monkeypatch):
    monkeypatch.chdir(checkpoint.parents[4])
    return Forecaster.load(checkpoint, "cpu")


def test_forecasts_are_those_of_the_command(forecaster):
    pd.testing.assert_frame_equal(forecaster.predict("y.csv"), pd.read_parquet("y.parquet"))


def test_a_session_forecasts_as_the_file_does(forecaster):
    whole = forecaster.predict(FRAME, origin="49")
    rows = forecaster.stream(carry=False).update(FRAME[:50], future=FRAME[50:54])
    columns = [name for name in rows.columns if name.startswith(("prediction", "q"))]
    np.testing.assert_allclose(rows[columns], whole[columns], rtol=1e-5)


def test_a_model_is_looked_into(forecaster):
    importance = forecaster.importance("y.csv")
    assert set(importance["variable"]) >= {"x", "y"}
    assert np.isfinite(importance.select_dtypes("number").to_numpy()).any()
