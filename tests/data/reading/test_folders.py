"""Folders of parquet files, plain or partitioned."""

import datetime
import os
import unicodedata

import numpy as np
import pandas as pd
import pytest

from tests.data.tabular import read, time_of
from transformertf.data.columns import Columns
from transformertf.data.reading.filling import read_series
from transformertf.data.reading.folders import parquet_parts
from transformertf.data.reading.formats import open_tables
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


def test_each_part_has_types_of_its_own(tmp_path):
    """Also in columns without a role, and where a stamp is a date in one and text in another."""
    day = pd.Timestamp("2024-01-01")
    for name, note, unit, time in (
        ("a", 1, 7, [day, day + pd.Timedelta("1D")]),
        ("b", "text", "7", ["2024-01-03", "2024-01-04"]),
        ("c", [1], 7.0, [datetime.date(2024, 1, 5), datetime.date(2024, 1, 6)]),
    ):
        frame = pd.DataFrame({"t": time, "y": 1.0, "note": [note] * 2, "unit": [unit] * 2})
        frame.to_parquet(tmp_path / f"{name}.parquet")
    (one,) = read_series(str(tmp_path), "x", Columns((), (), "y", "t", ("unit",)))
    assert one.name == "7"
    assert one.time is not None
    assert one.time.tolist() == pd.date_range(day, periods=6).tolist()


def test_headers_of_each_part_match_by_themselves(tmp_path):
    name = "Température"
    for part, header in enumerate((name, f" {name} ", unicodedata.normalize("NFD", name))):
        pd.DataFrame({header: [1.0, 2.0], "y": 0.0}).to_parquet(tmp_path / f"{part}.parquet")
    series = read_series(str(tmp_path), "x", Columns((name,), (), "y", None))
    assert [one.values[:, 0].tolist() for one in series] == [[1, 2]] * 3


def hidden(tmp_path, folder, **columns):
    """Return a folder that a key names, over a file with a column of that name."""
    (tmp_path / "data" / folder).mkdir(parents=True)
    frame = pd.DataFrame({"y": [0.0, 1.0, 2.0], **columns})
    frame.to_parquet(tmp_path / "data" / folder / "run.parquet")
    return str(tmp_path / "data")


@pytest.mark.parametrize(
    ("folder", "columns", "found"),
    [
        ("x=5", {"x": [5, 5, 6]}, "column 'x' holds 6 in row 2 .* its folder says '5'; rename"),
        ("x=5/z=1", {"x": [4.0, 5, 5]}, "'x' holds 4.0 in row 0 .* its folder says '5'"),
        ("x=five", {"x": [5, 5, 5]}, "'x' holds 5 in row 0 .* its folder says 'five'"),
        ("x =5", {"x": [9, 9, 9]}, "'x' holds 9 in row 0 .* its folder says '5'"),
        ("x=5", {" x": [9, 9, 9]}, "' x' holds 9 in row 0 .* its folder says '5'"),
        ("x=__HIVE_DEFAULT_PARTITION__", {"x": [9, 9, 9]}, "'x' holds 9 .* says None"),
        ("x=5/x=6", {}, "its folders have the key 'x' twice"),
    ],
)
@pytest.mark.parametrize("role", ["real", "id", "category"])
def test_a_folder_and_its_file_say_one_thing(tmp_path, folder, columns, found, role):
    spec = hidden(tmp_path, folder, **columns)
    roles = {
        "real": Columns(("x",), (), "y", None),
        "id": Columns((), (), "y", None, ("x",)),
        "category": Columns((), (), "y", None, known_categories=("x",)),
    }
    with pytest.raises(InputError, match=found):
        read_series(spec, "x", roles[role])


@pytest.mark.parametrize(
    ("told", "column"),
    [
        ("5", [5, 5, 5]),
        ("5", [5.0, None, 5.0]),
        ("5", ["5", "5", "5"]),
        ("05", [5, 5, 5]),
        ("true", [True, True, True]),
        ("2024-01-31", [datetime.date(2024, 1, 31)] * 3),
        ("a%20b", pd.Categorical(["a b"] * 3)),
    ],
)
def test_a_column_that_says_what_its_folder_does_is_no_matter(tmp_path, told, column):
    """As writers leave them that keep the columns they partition by."""
    spec = hidden(tmp_path, f"x={told}", x=column)
    (one,) = read_series(spec, "x", Columns((), (), "y", None, ("x",)))
    assert one.name == told.replace("%20", " ")


@pytest.mark.parametrize(
    ("key", "found"),
    [("X=5", [1, 2, 3]), ("é=5", [1, 2, 3]), ("e\N{COMBINING ACUTE ACCENT}=5", None)],
)
def test_a_key_is_another_column_by_its_case_and_not_by_its_form(tmp_path, key, found):
    name = "x" if key == "X=5" else "é" if found is None else "e"
    spec = hidden(tmp_path, key, **{name: [1.0, 2.0, 3.0]})
    columns = Columns((name,), (), "y", None)
    if found is None:
        with pytest.raises(InputError, match="its folder says '5'"):
            read_series(spec, "x", columns)
        return
    (one,) = read_series(spec, "x", columns)
    assert one.values[:, 0].tolist() == found


def test_what_a_part_lacks_is_missing(tmp_path):
    make_frame().assign(x=1.0, mode="on").to_parquet(tmp_path / "a.parquet")
    make_frame().to_parquet(tmp_path / "b.parquet")
    columns = Columns(("x",), (), "y", "t", known_categories=("mode",))
    one, other = read(str(tmp_path), columns, mask=True)
    assert (one.values[:, 0] == 1).all()
    assert one.categories[0].codes.tolist() == [0] * 6
    assert np.isnan(other.values[:, 0]).all()
    assert other.categories[0].codes.tolist() == [-1] * 6
    with pytest.raises(InputError, match=r"b\.parquet: column 'x' has 6 missing"):
        read(str(tmp_path), columns)


def test_more_parts_than_may_be_open_can_be_read(tmp_path):
    resource = pytest.importorskip("resource")
    for number in range(40):
        make_frame(2).to_parquet(tmp_path / f"{number:02}.parquet")
    _, most = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    paths = [tmp_path, *parquet_parts(tmp_path)]
    open_tables(tmp_path, ["y"])  # what is loaded with the first one stays
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 20, most))
    try:
        tables = [table for path in paths for table in open_tables(path, ["y"])]
        found = [piece["y"].tolist() for table in tables for piece in table.pieces(["y"])]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found == [[0, 1 / 7]] * 80


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
    message = r"store=07/month=2/part-0\.parquet: not a readable parquet file"
    with pytest.raises(InputError, match=message) as caught:
        open_tables(partitioned, ["y"])
    assert "\n" not in str(caught.value)


def test_a_part_outside_the_partitions_has_no_id(partitioned):
    make_frame(start=90).to_parquet(partitioned / "stray.parquet")
    message = r"stray.parquet: series_id column 'store' has 6 missing values, first in row 0, 1, 2"
    with pytest.raises(InputError, match=message):
        read_series(str(partitioned), "train_df_paths", COLUMNS)
