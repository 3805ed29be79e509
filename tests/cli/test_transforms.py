"""Transforms from YAML, all the way to a forecast and back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.conftest import Experiment
from tests.runs import last
from transformertf.cli.main import main

Fails = Callable[..., str]
POINTS = "x,y\n-100,-10\n0,0\n100,40\n"


def with_transforms(transforms: Any, **more: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        config["data"]["init_args"].update(extra_transforms=transforms, **more)

    return change


FORMS = {
    "class_path": {"class_path": "DiscreteFunctionTransform", "init_args": {"x": "curve.csv"}},
    "import path": {
        "class_path": "transformertf.data.transform.DiscreteFunctionTransform",
        "init_args": {"x": "curve.csv"},
    },
    "short": {"DiscreteFunctionTransform": {"x": "curve.csv"}},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_curve_lies_beside_its_yaml_and_is_not_needed_after_the_fit(
    experiment: Experiment, workdir: Path, form: Any
) -> None:
    elsewhere = workdir / "configs"
    elsewhere.mkdir()
    curve = elsewhere / "curve.csv"
    curve.write_text(POINTS)
    transforms = {"known": [form], "target": [{"class_path": "DeltaTransform"}]}
    config = experiment.write(elsewhere, with_transforms(transforms))
    assert main(["fit", "--config", str(config)]) == 0
    checkpoint = last("tiny", 0)
    content = torch.load(checkpoint, weights_only=True)
    kept = content["datamodule_hyper_parameters"]["extra_transforms"]
    assert kept["target"] == [{"transformertf.data.transform.functions.DeltaTransform": {}}]
    curve.unlink()
    (workdir / "runs" / "tiny" / "version_0" / "config.yaml").rename("again.yaml")
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0
    assert main(["test", "--config", "again.yaml", "--ckpt_path", str(checkpoint)]) == 0


def test_a_forecast_goes_back_through_what_the_target_went_through(
    experiment: Experiment, workdir: Path
) -> None:
    """A constant target that falls off with x is met by a network that knows nothing."""
    rows = 60
    x = 2 + np.sin(np.arange(rows))
    table = pd.DataFrame({"t": np.arange(rows), "known": x, "past": x, "target": 7 * x})
    table.to_parquet("line.parquet")
    transforms = {"target": {"DivideByXTransform": {"min_ratio": 0.01}}}
    files = {"train_df_paths": "line.parquet", "val_df_paths": "line.parquet"}
    config = experiment.write(
        workdir, with_transforms(transforms, target_depends_on="known", **files)
    )
    words = ["--data.normalize", "false", "--data.predict_df_paths", "line.parquet"]
    rate = ["--optimizer.init_args.lr", "0.05", "--trainer.max_epochs", "30"]
    assert main(["fit", "--config", str(config), *words[:2], *rate]) == 0
    assert main(["predict", "--config", str(config), "--ckpt_path", "last", *words]) == 0
    forecasts = pd.read_parquet("runs/tiny/version_0/forecasts.parquet")
    assert forecasts["actual"].std() > 3
    # the ratio is 7 throughout
    np.testing.assert_allclose(forecasts["prediction"], forecasts["actual"], rtol=0.1)


MISTAKES = [
    (
        {"target": {"class_path": "LogTransfrm"}},
        "no class 'LogTransfrm'; did you mean 'LogTransform'?",
    ),
    (
        {"target": [{"class_path": "PolynomialTransform", "init_args": {"degre": 1}}]},
        "did you mean 'degree'?",
    ),
    (
        {"tarjet": "LogTransform"},
        "extra_transforms: unknown column 'tarjet'; did you mean 'target'?",
    ),
    ({"target": {"PolynomialTransform": {"degree": 1}}}, "target_depends_on"),
]


@pytest.mark.parametrize(("transforms", "message"), MISTAKES)
def test_mistakes(
    experiment: Experiment, workdir: Path, fails: Fails, transforms: Any, message: str
) -> None:
    config = experiment.write(workdir, with_transforms(transforms))
    assert message in fails("fit", "--config", str(config))
