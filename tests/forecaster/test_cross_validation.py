"""Folds from Python are those of `evaluate --refit`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.forecaster.conftest import make_frame
from transformertf.cli import main
from transformertf.errors import InputError


def test_folds_are_those_of_the_command(there, fitted):
    before = {name: value.clone() for name, value in fitted.model.state_dict().items()}
    words = ["--ckpt_path", str(fitted.checkpoint.path), "--refit", "2", "--no-plots"]
    assert main(["evaluate", *words, "--output", "folds"]) == 0
    written = json.loads(Path("folds/metrics.json").read_text())
    found = fitted.cross_validate(2)
    for name, value in found.items():
        assert written[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name
    assert found.settings["refit"] == 2
    # the first fold is this model's, the second one another's
    assert not np.isclose(found["MAE"], fitted.evaluate()["MAE"], rtol=1e-9)
    assert all(torch.equal(fitted.model.state_dict()[name], before[name]) for name in before)


def test_a_folder_holds_what_the_command_leaves(there, fitted, tmp_path):
    fitted.evaluate(refit=2, folder=tmp_path / "folds")
    assert {"metrics.json", "forecasts.parquet"} <= {p.name for p in (tmp_path / "folds").iterdir()}
    assert len(pd.read_parquet(tmp_path / "folds" / "forecasts.parquet"))


def test_other_data_has_no_folds(fitted):
    with pytest.raises(InputError, match="leave data and batch_size out"):
        fitted.evaluate(make_frame(), refit=2)
