"""The Python door says what the command says, whatever criterion, numbers, data and scaling."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.runs import last
from transformertf import Forecaster
from transformertf.cli import main

CONTEXT, HORIZON, ROWS = 8, 4, 60
rng = np.random.default_rng(1)
FRAME = pd.concat(
    [
        pd.DataFrame(
            {
                "unit": unit,
                "x": rng.normal(size=ROWS),
                # counts above 0, which all families take, and what may be 0 or 1
                "y": rng.poisson(level, size=ROWS) + 1.0,
                "share": rng.integers(0, 2, size=ROWS) * 1.0,
            }
        )
        for unit, level in (("a", 20), ("b", 5))
    ]
)


class Case(NamedTuple):
    """What a fit is made of, where it differs from the plainest one."""

    criterion: str | dict[str, Any] = "MSELoss"
    normalize: bool | str = True
    precision: str | None = None
    data: dict[str, Any] | None = None
    target: str = "y"
    kind: str = "windows"
    prediction_type: str = "point"


def distribution(name: str) -> dict[str, Any]:
    return {"class_path": "DistributionLoss", "init_args": {"distribution": name}}


NORMAL, QUANTILES, POISSON = distribution("normal"), "QuantileLoss", "torch.nn.PoissonNLLLoss"
DOUBLE = {"dtype": "float64"}
CASES = {
    **{
        name: Case(name)
        for name in ("MSELoss", "MAELoss", "HuberLoss", "MAPELoss", "SMAPELoss", QUANTILES)
    },
    **{name: Case(f"torch.nn.{name}") for name in ("SmoothL1Loss", "PoissonNLLLoss")},
    **{name: Case(f"torch.nn.{name}", target="share") for name in ("BCEWithLogitsLoss", "BCELoss")},
    **{
        name: Case(distribution(name))
        for name in ("normal", "student_t", "negative_binomial", "log_normal")
    },
    **{
        f"{criterion}, normalize {normalize}": Case(criterion, normalize)
        for criterion in ("MSELoss", QUANTILES)
        for normalize in ("series", "window", False)
    },
    "delta of quantiles, by window": Case(QUANTILES, "window", prediction_type="delta"),
    **{
        f"{criterion if isinstance(criterion, str) else 'normal'}, {precision}": Case(
            criterion, precision=precision
        )
        for criterion in ("MSELoss", QUANTILES, NORMAL)
        for precision in ("64-true", "bf16-mixed", "bf16-true")
        if criterion is not NORMAL or precision == "64-true"
    },
    "float64": Case(data=DOUBLE),
    "normal, float64": Case(NORMAL, data=DOUBLE),
    "rates, 64-true": Case(POISSON, precision="64-true"),
    "log1p": Case(QUANTILES, data={"extra_transforms": {"y": "Log1pTransform"}}),
    "steps": Case(data={"extra_transforms": {"y": "DeltaTransform"}}),
    "right, lags, masks": Case(
        data={"encoder_alignment": "right", "target_lags": [4], "mask_encoder_features": "x"}
    ),
    "sequences": Case(kind="sequences"),
    "sequences, quantiles by series": Case(QUANTILES, "series", kind="sequences"),
    "sequences, 64-true": Case(NORMAL, precision="64-true", kind="sequences"),
    "sequences, float64": Case(data=DOUBLE, kind="sequences"),
}


def configuration(case: Case) -> dict[str, Any]:
    windows = case.kind == "windows"
    sizes = {"d_encoder": 4, "d_decoder": 4} if windows else {"d_model": 4, "num_layers": 1}
    lengths = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON} if windows else {"seq_len": 12}
    delta = {"prediction_type": case.prediction_type} if windows else {}
    data = {
        "target_covariate": case.target,
        "known_covariates": "x",
        "series_id": "unit",
        "train_df_paths": "y.csv",
        "test_fraction": 0.4,
        "normalize": case.normalize,
        **lengths,
        **(case.data or {}),
    }
    trainer = {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False}
    return {
        "model": {
            "class_path": "EncoderDecoderLSTM" if windows else "LSTM",
            "init_args": {"dropout": 0.0, "criterion": case.criterion, **sizes, **delta},
        },
        "data": {"init_args": data},
        "trainer": trainer | ({"precision": case.precision} if case.precision else {}),
    }


@pytest.fixture(scope="module", params=CASES)
def folder(request, tmp_path_factory):
    """Fit, forecast and evaluate by the commands; return where that was done."""
    folder = tmp_path_factory.mktemp("door")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        FRAME.to_csv("y.csv", index=False)
        FRAME.to_parquet("y.parquet", index=False)
        (folder / "door.yml").write_text(yaml.safe_dump(configuration(CASES[request.param])))
        assert main(["fit", "--config", "door.yml"]) == 0
        checkpoint = ["--ckpt_path", str(last("door"))]
        files = ["--data.predict_df_paths", "y.csv", "--output", "forecasts.parquet"]
        assert main(["predict", *checkpoint, *files]) == 0
        assert main(["evaluate", *checkpoint, "--output", "evaluation", "--no-plots"]) == 0
    return folder


@pytest.fixture
def forecaster(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return Forecaster.load(last("door"), "cpu")


def test_forecasts_are_those_of_the_command(forecaster):
    written = pd.read_parquet("forecasts.parquet")
    assert np.isfinite(written["prediction"]).all()
    pd.testing.assert_frame_equal(forecaster.predict("y.csv"), written, check_exact=True)
    pd.testing.assert_frame_equal(forecaster.predict(FRAME), written, check_exact=True)


def test_scores_are_those_of_the_command(forecaster):
    written = json.loads(Path("evaluation/metrics.json").read_text())
    scores = dict(forecaster.evaluate())
    assert scores
    for name, value in scores.items():
        assert written[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name


def test_a_session_forecasts_as_the_file_does(forecaster):
    own = FRAME[FRAME["unit"] == "a"]
    if forecaster.model.takes == "sequences":
        whole, future = forecaster.predict(own), None
        rows = forecaster.stream("a").update(own)
        whole = whole[-len(rows) :]
    else:
        whole = forecaster.predict(own[: 50 + HORIZON], origin="49")
        future = own[50 : 50 + HORIZON]
        rows = forecaster.stream("a", carry=False).update(own[:50], future=future)
    columns = [name for name in rows.columns if name.startswith(("prediction", "q"))]
    assert len(rows) >= HORIZON
    np.testing.assert_allclose(rows[columns], whole[columns], rtol=2e-4, atol=1e-5)


def test_a_model_is_looked_into(forecaster):
    importance = forecaster.importance()
    assert set(importance["variable"]) >= {"x"}
    assert np.isfinite(importance.select_dtypes("number").to_numpy()).any()
