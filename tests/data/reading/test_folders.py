"""Folders of parquet files, plain or partitioned."""

import numpy as np
import pandas as pd
import pytest

from tests.data.tabular import time_of
from transformertf.data.columns import Columns
from transformertf.data.reading.filling import read_series
from transformertf.data.reading.formats import open_tables, parquet_parts
from transformertf.errors import InputError

COLUMNS = Columns(("month",), (), "y", "t", ("store",))


def make_frame(rows=6, start=0):
    time = np.arange(start, start + rows)
    return pd.DataFrame({"t": time, "y": time / 7, "unused": "text"})


@pytest.fixture
def partitioned(tmp_path):
    """Two stores of three months; the months are not sorted as text."""
    for store in ("07", "a b"):
        for month in (1, 2, 10):
            part = make_frame(start=6 * month)
            folder = tmp_path / "data" / f"store={store}" / f"month={month}"
            folder.mkdir(parents=True)
            part.to_parquet(folder / "part-0.parquet")
    return tmp_path / "data"


def test_partitions_are_columns_and_a_series_in_many_parts_is_joined(partitioned):
    series = read_series(str(partitioned), "train_df_paths", COLUMNS)
    assert [item.name for item in series] == ["07", "a b"]
    for item in series:
        time = np.r_[6:18, 60:66]
        assert time_of(item).tolist() == time.tolist()
        np.testing.assert_array_equal(item.values[:, 0], np.repeat([1, 2, 10], 6))
        np.testing.assert_array_equal(item.values[:, 1], time / 7)


def test_ids_stay_as_the_folders_write_them(tmp_path):
    for store in ("07", "7"):
        (tmp_path / f"store={store}").mkdir()
        make_frame().to_parquet(tmp_path / f"store={store}" / "part.parquet")
    columns = Columns((), (), "y", "t", ("store",))
    assert [item.name for item in read_series(str(tmp_path), "x", columns)] == ["07", "7"]
    # as a value it is a number
    (one, _) = read_series(str(tmp_path), "x", Columns(("store",), (), "y", "t"))
    assert one.values[:, 0].tolist() == [7] * 6


def test_without_ids_each_file_is_a_series(partitioned):
    series = read_series(str(partitioned), "train_df_paths", Columns((), (), "y", "t"))
    assert len(series) == 6
    assert series[0].name == "store=07/month=1/part-0"


def test_a_folder_and_files_go_together(partitioned, tmp_path):
    more = make_frame(start=70).assign(store=["07", "b"] * 3, month=11)
    more.to_csv(tmp_path / "more.csv", index=False)
    spec = [str(tmp_path / "more.csv"), str(partitioned)]
    # a csv file would make 7 of 07, were it not read as written
    series = read_series(spec, "train_df_paths", COLUMNS)
    assert [(item.name, len(item)) for item in series] == [("07", 21), ("a b", 18), ("b", 3)]


def test_types_that_differ_between_parts_are_brought_together(tmp_path):
    make_frame().assign(y=1).to_parquet(tmp_path / "a.parquet")
    make_frame(start=6).assign(y=0.5).to_parquet(tmp_path / "b.parquet")
    make_frame(start=12).assign(y=None).to_parquet(tmp_path / "c.parquet")
    found = open_tables(tmp_path, ["y"])
    assert [table.path.name for table in found] == ["a.parquet", "b.parquet", "c.parquet"]
    one, two, three = (pd.concat(table.pieces(["y"])) for table in found)
    assert [one["y"].iloc[0], two["y"].iloc[0]] == [1, 0.5]
    assert three["y"].isna().all()


def test_only_parquet_files_in_sight_are_parts(tmp_path):
    for name in ("a.parquet", "_meta.parquet", ".b.parquet", "_temporary/c.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make_frame().to_parquet(tmp_path / name)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "notes.txt").write_text("hello")
    assert parquet_parts(tmp_path) == [tmp_path / "a.parquet"]
    assert len(open_tables(tmp_path, ["y"])) == 1


def test_parts_without_rows_are_left_out(tmp_path):
    make_frame().to_parquet(tmp_path / "a.parquet")
    make_frame(0).to_parquet(tmp_path / "b.parquet")
    (found,) = read_series(str(tmp_path), "train_df_paths", Columns((), (), "y", "t"))
    assert found.name == "a"
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(InputError, match=f"{tmp_path}: no rows"):
        read_series(str(tmp_path), "train_df_paths", Columns((), (), "y", "t"))


def test_only_wanted_columns_are_read_and_missing_ones_named(partitioned):
    (frame,) = open_tables(partitioned, ["y", "store"])[0].pieces(["y", "store"])
    assert list(frame.columns) == ["y", "store"]
    with pytest.raises(InputError, match=r"data: no column 'stor'; did you mean 'store'\?"):
        open_tables(partitioned, ["y", "stor"])


def test_a_mistake_names_the_part(partitioned):
    part = partitioned / "store=a b" / "month=2" / "part-0.parquet"
    make_frame(start=12).assign(y=[1, 2, np.nan, 4, 5, 6]).to_parquet(part)
    message = r"store=a b/month=2/part-0.parquet: series 'a b': column 'y' has 1 .* row 2 "
    with pytest.raises(InputError, match=message):
        read_series(str(partitioned), "train_df_paths", COLUMNS)


def test_a_broken_part_is_one_clear_line(partitioned):
    (partitioned / "store=07" / "month=2" / "part-0.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(InputError, match="not a readable folder of parquet files") as caught:
        open_tables(partitioned, ["y"])
    assert "\n" not in str(caught.value)


def test_a_part_outside_the_partitions_has_no_id(partitioned):
    make_frame(start=90).to_parquet(partitioned / "stray.parquet")
    message = r"stray.parquet: series_id column 'store' has 6 missing values, first in row 0, 1, 2"
    with pytest.raises(InputError, match=message):
        read_series(str(partitioned), "train_df_paths", COLUMNS)
