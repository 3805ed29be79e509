"""Runs of one machine, as a frame, and a small model that is fitted to them from Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from transformertf import Forecaster

CONTEXT, HORIZON, ROWS = 8, 4, 60
SMALL: dict[str, Any] = {
    "model": "EncoderDecoderLSTM",
    "d_encoder": 4,
    "d_decoder": 4,
    "criterion": "QuantileLoss",
    "context": CONTEXT,
    "horizon": HORIZON,
    "epochs": 2,
    "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
}
ROLES: dict[str, Any] = {
    "target": "y",
    "known": ["x", "kind"],
    "past": "p",
    "categorical_covariates": "kind",
    "series_id": "unit",
    "time": "t",
}


def make_frame(rows: int = ROWS) -> pd.DataFrame:
    """Return two series whose target follows a known covariate and a category."""
    pieces = []
    for number, unit in enumerate(["a", "b"]):
        rng = np.random.default_rng(number)
        x = rng.normal(size=rows).cumsum() / 3
        kind = np.array(["off", "on"])[rng.integers(0, 2, size=rows)]
        pieces.append(
            pd.DataFrame(
                {
                    "unit": unit,
                    "t": pd.date_range("2024-03-30", periods=rows, freq="h", tz="UTC"),
                    "x": x,
                    "kind": kind,
                    "p": rng.normal(size=rows),
                    "y": 5 + 2 * np.roll(x, 1) + (kind == "on"),
                }
            )
        )
    return pd.concat(pieces, ignore_index=True)


@pytest.fixture(scope="session")
def stay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the fit from a frame was made in."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="session")
def fitted(stay: Path) -> Forecaster:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(stay)
        return Forecaster.fit(
            make_frame(), **ROLES, **SMALL, name="units", val_fraction=0.2, test_fraction=0.3
        )


@pytest.fixture
def there(stay: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of the fit."""
    monkeypatch.chdir(stay)
    return stay
