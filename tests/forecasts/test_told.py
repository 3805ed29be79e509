"""What is told of rows before they are scored, or calibrated on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule
from transformertf.forecasts.told import calibrated_rows, remarks, scored_rows

LEVELS = (0.1, 0.5, 0.98)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> EncoderDecoderDataModule:
    """120 rows, of which the last 50 are for test and 30 before them for validation."""
    path = tmp_path_factory.mktemp("told") / "a.csv"
    rows = np.arange(120)
    table = pd.DataFrame({"t": rows + 100 * (rows >= 100), "y": np.sin(rows)})
    table.to_csv(path, index=False)
    data = EncoderDecoderDataModule(
        "y", train_df_paths=str(path), val_fraction=30 / 120, test_fraction=50 / 120,
        time_column="t", max_gap=2, ctxt_seq_len=8, tgt_seq_len=12,
    )  # fmt: skip
    data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("horizon", "scored"),
    # 30 rows before the gap hold two horizons, 20 behind it one after its context
    [(None, 3 * 12), (12, 3 * 12), (5, 3 * 5), (15, 12 + 15 + 12), (100, 30 + 12)],
)
def test_rows_that_no_forecast_reaches_are_counted(
    data: EncoderDecoderDataModule, horizon: int | None, scored: int
) -> None:
    data.forecast_on("test")
    (line,) = scored_rows(data, horizon)
    assert line.startswith(f"{50 - scored} of 50 test rows are not scored: ")
    assert f"one forecast of {min(horizon or 12, 12)} steps follows each 12 rows" in line


@pytest.mark.parametrize("origin", ["all", "every:30", "last"])
def test_origins_of_ones_own_choice_are_not_told(
    data: EncoderDecoderDataModule, origin: str
) -> None:
    data.forecast_on("test", origin)
    assert not list(scored_rows(data))


def told(data: EncoderDecoderDataModule, origin: str, **options: Any) -> list[str]:
    data.forecast_on("validation", origin)
    given = {"by_series": False, "as_in_fit": False, **options}
    return list(calibrated_rows(data, LEVELS, **given))


def test_windows_that_overlap_are_counted_apart(data: EncoderDecoderDataModule) -> None:
    (line,) = told(data, "every:5")
    assert line.startswith("4 windows overlap, 2 of them share no row with another: level ")
    assert "0.1 wants 9, 0.98 wants 49 that do not" in line
    assert not told(data, "auto")
    data.forecast_on("validation", "every:5")
    assert not list(calibrated_rows(data, (0.5,), by_series=True, as_in_fit=False))


def test_rows_that_validated_the_fit_are_told(data: EncoderDecoderDataModule) -> None:
    (line,) = told(data, "auto", as_in_fit=True)
    assert "may have chosen the checkpoint among the epochs" in line
    data.forecast_on("test", "auto")
    assert not list(calibrated_rows(data, LEVELS, by_series=False, as_in_fit=True))


@pytest.mark.parametrize("impute", ["last", "interpolate"])
@pytest.mark.parametrize("end", [1.0, np.nan])
def test_covariates_that_end_without_a_value_are_told(
    tmp_path: Path, impute: Any, end: float
) -> None:
    x, y = np.arange(40.0), np.r_[np.sin(np.arange(36)), [np.nan] * 4]
    pd.DataFrame({"x": x[:36], "y": y[:36]}).to_csv(tmp_path / "a.csv", index=False)
    x[-3:] = np.nan, np.nan, end
    pd.DataFrame({"x": x, "y": y}).to_csv(tmp_path / "new.csv", index=False)
    data = EncoderDecoderDataModule(
        "y", "x", train_df_paths=str(tmp_path / "a.csv"), missing="mask", impute=impute,
        predict_df_paths=str(tmp_path / "new.csv"), ctxt_seq_len=8, tgt_seq_len=4,
    )  # fmt: skip
    data.setup("fit")
    lines = [line for line in remarks(data) if "interpolate keeps the last value" in line]
    assert len(lines) == (impute == "interpolate" and np.isnan(end))
    assert all("last rows of 1 series: 'new'" in line for line in lines)


@pytest.mark.parametrize("origin", ["auto", "all", "every:7", "last", "end"])
@pytest.mark.parametrize("steps", [None, 2, 4, 5, 9, 40])
@pytest.mark.parametrize("future", [0, 4])
def test_forecasts_that_end_before_the_horizon_asked_for_are_told(
    tmp_path: Path, origin: str, steps: int | None, future: int
) -> None:
    y = np.r_[np.sin(np.arange(36)), [np.nan] * future]
    pd.DataFrame({"y": y[:36]}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"y": y}).to_csv(tmp_path / "new.csv", index=False)
    data = EncoderDecoderDataModule(
        "y", train_df_paths=str(tmp_path / "a.csv"), predict_df_paths=str(tmp_path / "new.csv"),
        ctxt_seq_len=8, tgt_seq_len=4, origin=origin,
    )  # fmt: skip
    data.setup("fit")
    data.reach(steps or 0)
    (one,) = data.forecast_series
    windows = data.forecast_windows()
    _, origins, _, _ = windows.locate(np.arange(len(windows)))
    given = np.minimum(steps or 0, len(one) - 1 - origins)
    few = int((given < (steps or 0)).sum())
    lines = [line for line in remarks(data, steps) if line.startswith("horizon")]
    if few:
        (line,) = lines
        assert line.startswith(
            f"horizon {steps}: {few} of {len(origins)} forecasts end before, after {given.min()} "
        )
    else:
        assert not lines
    assert not few or origin != "end"
