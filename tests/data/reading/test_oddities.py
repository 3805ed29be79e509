"""What is odd about files that can be read is told in one line, once."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule

STARTS = "train_df_paths: "


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def make(**options: Any) -> EncoderDecoderDataModule:
        lengths = {"ctxt_seq_len": 4, "tgt_seq_len": 2}
        given = {"train_df_paths": "*.csv", "time_column": "t", **lengths, **options}
        return EncoderDecoderDataModule("y", **given)

    return make


def write(name: str, step: float = 0.01, rows: int = 60, gap: float = 0.0, seed: int = 0) -> None:
    time = np.arange(rows) * step + np.where(np.arange(rows) < rows // 2, 0.0, gap)
    values = np.random.default_rng([seed, *name.encode()]).normal(size=rows)
    pd.DataFrame({"t": time.round(6), "y": values}).to_csv(f"{name}.csv", index=False)


def lines(caplog: pytest.LogCaptureFixture, data: EncoderDecoderDataModule) -> list[str]:
    data.setup("fit")
    data.setup("fit")
    return [line for line in caplog.messages if "training data; it is not scaled" not in line]


def test_a_file_at_another_rate(make, caplog):
    for name in "abc":
        write(name)
    write("slow", step=0.04)
    (line,) = lines(caplog, make())
    assert line == (
        "train_df_paths: rows are 0.04 apart in 1 series: 'slow', 0.01 in most others, and a model "
        "takes each row for one step; bring them to one rate, or set freq with missing: mask"
    )


def test_files_that_are_brought_to_one_rate_are_not_told(make, caplog):
    write("a")
    write("slow", step=0.04)
    told = lines(caplog, make(freq=0.01, missing="mask"))
    assert not [line for line in told if "apart" in line]


@pytest.mark.parametrize("step", [0.0101, 0.01])
def test_clocks_that_differ_a_little_are_not_told(make, caplog, step):
    write("a")
    write("b", step=step)
    assert not lines(caplog, make())


def test_a_long_gap(make, caplog):
    write("a", gap=7.0)
    write("b", gap=3.0)
    write("c")
    (line,) = lines(caplog, make())
    assert line == (
        "train_df_paths: 2 long gaps in 2 series: 'a', 'b', of 7.01 at most (in 'a'): windows go "
        "across as if no row were missing; set max_gap to break series there, or freq with "
        "missing: mask to fill them"
    )


@pytest.mark.parametrize("given", [{"max_gap": 1.0}, {"freq": 0.01, "missing": "mask"}])
def test_a_gap_that_is_dealt_with_is_not_told_again(make, caplog, given):
    write("a", gap=2.0)
    assert not [line for line in lines(caplog, make(**given)) if "long gap" in line]


def test_a_gap_in_dates_has_a_unit(make, caplog):
    time = pd.date_range("2024-01-01", periods=40, freq="10ms").append(
        pd.date_range("2024-01-01 00:00:08", periods=40, freq="10ms")
    )
    pd.DataFrame({"t": time, "y": np.arange(80) % 7}).to_csv("a.csv", index=False)
    (line,) = lines(caplog, make())
    assert "of 7.61 s at most" in line


@pytest.mark.parametrize("way", ["same", "glob", "link"])
def test_a_file_that_is_named_twice(make, caplog, way):
    write("a")
    if way == "link":
        os.symlink("a.csv", "b.csv")
    given = {"same": ["a.csv", "./a.csv"], "glob": ["*.csv", "a.csv"], "link": "*.csv"}[way]
    data = make(train_df_paths=given)
    (line,) = lines(caplog, data)
    name = "b.csv" if way == "link" else "a.csv"
    assert line == f"train_df_paths: named more than once, read once: '{name}'"
    assert len(data.stage_series("train")) == 1


def test_a_copy_of_a_file(make, caplog):
    for name in "abc":
        write(name)
    shutil.copy("a.csv", "d.csv")
    (line,) = lines(caplog, make())
    assert line.startswith("train_df_paths: 'a' and 'd' have the same rows")


def test_files_that_only_begin_and_end_alike_are_no_copies(make, caplog):
    write("a")
    table = pd.read_csv("a.csv")
    table["y"] += np.arange(60) == 7
    table.to_csv("b.csv", index=False)
    for name in "cd":  # a target of one value tells nothing
        table.assign(y=0.0).to_csv(f"{name}.csv", index=False)
    assert not lines(caplog, make())


def test_files_to_forecast_are_told_of_too(make, caplog):
    write("a")
    data = make()
    data.setup("fit")
    write("gap", gap=5.0)
    data.hparams["predict_df_paths"] = "gap.csv"
    data.setup("predict")
    assert any(line.startswith("predict_df_paths: 1 long gap in") for line in caplog.messages)
