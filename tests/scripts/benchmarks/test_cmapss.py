"""The turbofan engines' tables and score, from tiny raw files made up here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.benchmarks.cmapss import CAP, score, summary, write_tables


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder of raw files: training units of 200 and 3 rows, test units of 2 and 1."""
    for name, lengths in (("train_X", (200, 3)), ("test_X", (2, 1))):
        rows = [(unit, cycle) for unit, end in enumerate(lengths, 1) for cycle in range(1, end + 1)]
        lines = [
            f"{unit} {cycle} {' '.join(f'{i}.5' for i in range(24))}  " for unit, cycle in rows
        ]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "RUL_X.txt").write_text("7 \n300 \n")
    return tmp_path


def test_remaining_cycles_are_counted_down_and_capped(raw: Path) -> None:
    write_tables(raw, "X", raw)
    train = pd.read_parquet(raw / "train_X.parquet")
    lives = {name: unit["rul"].tolist() for name, unit in train.groupby("unit")}
    counted = [min(200 - cycle, CAP) for cycle in range(1, 201)]
    assert lives == {"train-1": counted, "train-2": [2, 1, 0]}
    test = pd.read_parquet(raw / "test_X.parquet")
    assert test["unit"].tolist() == ["test-1", "test-1", "test-2"]
    assert test["rul"].tolist() == [8, 7, CAP]


def test_columns_are_those_of_the_raw_file(raw: Path) -> None:
    write_tables(raw, "X", raw)
    table = pd.read_parquet(raw / "test_X.parquet")
    assert table.shape == (3, 27)
    assert (table[["setting_1", "sensor_1", "sensor_21"]] == [0.5, 3.5, 23.5]).all(axis=None)


def test_score_is_of_the_last_row_of_each_unit() -> None:
    forecasts = pd.DataFrame(
        {
            "series": ["a", "a", "b"],
            "prediction": [90.0, 13.0, 20.0],
            "actual": [10.0, 10.0, 24.0],
        }
    )
    assert score(forecasts) == pytest.approx(np.sqrt((3**2 + 4**2) / 2))


def test_summary_of_seeds() -> None:
    found = pd.DataFrame(
        {"subset": "X", "error": [10.0, 12.0], "seconds": [30.0, 34.0], "weights": 1000}
    )
    assert summary(found).splitlines()[-1] == "| X | 11.00 | 10.00 to 12.00 | 32 | 1,000 |"
