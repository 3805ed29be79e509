"""Validation and test files that are trained on are told."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in "abc":
        table = pd.DataFrame({"t": np.arange(40), "id": name, "y": rng.normal(size=40)})
        table.to_csv(f"{name}.csv", index=False)
        table.to_parquet(f"{name}.parquet")

    def make(**options: Any) -> EncoderDecoderDataModule:
        return EncoderDecoderDataModule("y", ctxt_seq_len=4, tgt_seq_len=2, **options)

    return make


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if "train_df_paths" in line or "training rows" in line]


def linked(way: str, source: str) -> str:
    """Return another name of a file."""
    ways: dict[str, Any] = {"symbolic": os.symlink, "hard": os.link}
    other = f"other_{source}"
    if way in ways:
        ways[way](source, other)
        return other
    return {"same": source, "dotted": f"./{source}", "glob": f"{source[0]}*sv"}[way]


@pytest.mark.parametrize("way", ["same", "dotted", "glob", "symbolic", "hard"])
@pytest.mark.parametrize("argument", ["val_df_paths", "test_df_paths"])
def test_one_file_by_any_name(make, caplog, way, argument):
    make(train_df_paths="[abc].csv", **{argument: linked(way, "c.csv")}).setup("fit")
    (line,) = told(caplog)
    assert line.startswith(f"{argument}: ")
    assert "c.csv' also trained on, among train_df_paths" in line


def test_files_of_a_folder(make, caplog):
    Path("folder").mkdir()
    shutil.move("a.parquet", "folder/a.parquet")
    make(train_df_paths="folder", val_df_paths="folder/a.parquet").setup("fit")
    assert len(told(caplog)) == 1


def test_one_file_by_two_names_is_trained_on_once(make):
    os.link("a.csv", "z.csv")
    data = make(train_df_paths="[az].csv")
    data.setup("fit")
    assert [one.name for one in data.stage_series("train")] == ["a"]


@pytest.mark.parametrize(
    "named",
    [{}, {"time_column": "t"}, {"series_id": "id"}, {"time_column": "t", "series_id": "id"}],
)
def test_rows_of_other_files_are_told_by_their_number(make, caplog, named):
    table = pd.read_csv("c.csv", dtype=str)  # as numbers, pandas before 3.1 rounds them
    if "time_column" in named:
        table["t"] = table["t"].astype(int) + 10  # of rows 10 to 39
        table["y"] = [*table["y"][10:], *table["y"][:10]]
    table.to_csv("copy.csv", index=False)
    data = make(train_df_paths=["a.csv", "c.csv"], val_df_paths="copy.csv", **named)
    data.setup("fit")
    data.setup("fit")
    (line,) = told(caplog)
    seen = 30 if "time_column" in named else 40
    assert line.startswith(f"val_df_paths: {seen} of 40 rows lie in training rows: ")


def test_other_rows_are_not_told(make, caplog):
    table = pd.read_csv("c.csv")
    table.assign(t=table["t"] + 40).to_csv("later.csv", index=False)
    own = {"series_id": "id", "time_column": "t"}
    make(train_df_paths="[abc].csv", val_df_paths="later.csv", **own).setup("fit")
    make(train_df_paths="[ab].csv", val_df_paths="c.csv").setup("fit")
    make(train_df_paths="[ab].csv", val_fraction=0.3, test_fraction=0.2).setup("fit")
    assert not told(caplog)


@pytest.mark.parametrize("path", ["later.csv", "$NOT_SET_YET/test.csv"])
def test_test_files_that_are_not_there_yet_are_no_matter_of_a_fit(make, path):
    data = make(train_df_paths="a.csv", val_df_paths="b.csv", test_df_paths=path)
    data.setup("fit")
    with pytest.raises(InputError, match="test_df_paths"):
        data.setup("test")


def test_targets_that_are_all_alike_are_those_of_no_series(make, caplog):
    for name in ("d", "e"):
        pd.DataFrame({"y": np.zeros(40)}).to_csv(f"{name}.csv", index=False)
    make(train_df_paths=["a.csv", "d.csv"], val_df_paths="e.csv").setup("fit")
    assert not told(caplog)
