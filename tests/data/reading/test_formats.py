"""Paths, globs and lists to tables."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transformertf.data.reading.formats import expand_paths, open_tables, series_names
from transformertf.errors import InputError

ARGUMENT = "train_df_paths"
CSV = (".csv", ".CSV")


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".feather":
        frame.to_feather(path)
    else:
        frame.to_csv(path, index=False)
    return path


def read_table(path, wanted):
    (table,) = open_tables(path, wanted)
    assert table.path == path
    frame = pd.concat(table.pieces(wanted), ignore_index=True)
    assert table.rows == len(frame)
    return frame


@pytest.fixture
def frame():
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "force": generator.normal(size=20) * 1e-7,
            "count": np.arange(20) * 3,
            "time": pd.date_range("2024-03-01", periods=20, freq="90s"),
        }
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("b.csv", "a.csv", "c.feather"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("b.csv", ["b.csv"]),
        ("*.csv", ["a.csv", "b.csv"]),
        ("*", ["a.csv", "b.csv", "c.feather"]),
        (["c.feather", "*.csv"], ["c.feather", "a.csv", "b.csv"]),
        (["b.csv", "*.csv"], ["b.csv", "a.csv"]),
        (["b.csv", "b.csv"], ["b.csv"]),
    ],
)
def test_paths_globs_and_lists_expand_in_order_without_repeats(folder, pattern, expected):
    spec = str(folder / pattern) if isinstance(pattern, str) else [str(folder / p) for p in pattern]
    assert expand_paths(spec, ARGUMENT) == [folder / name for name in expected]


def test_recursive_glob_looks_into_folders(folder):
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "d.csv").touch()
    found = expand_paths(str(folder / "**" / "*.csv"), ARGUMENT)
    assert {path.name for path in found} == {"a.csv", "b.csv", "d.csv"}


def test_a_path_object_is_taken(folder):
    assert expand_paths(folder / "a.csv", ARGUMENT) == [folder / "a.csv"]


def test_home_expands(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert expand_paths("~/a.csv", ARGUMENT) == [folder / "a.csv"]


@pytest.mark.parametrize("form", ["$WHERE/a.csv", "${WHERE}/a.csv"])
def test_environment_variables_expand(folder, monkeypatch, form):
    monkeypatch.setenv("WHERE", str(folder))
    assert expand_paths(form, ARGUMENT) == [folder / "a.csv"]


@pytest.mark.parametrize("name", ["run[1].csv", "what?.csv", "price$.csv"])
def test_a_file_whose_name_looks_like_a_pattern_is_found(tmp_path, name):
    (tmp_path / name).touch()
    assert expand_paths(str(tmp_path / name), ARGUMENT) == [tmp_path / name]


@pytest.mark.parametrize("pattern", ["*.csv", "**/*.csv", "[a].csv"])
def test_a_glob_in_a_folder_whose_name_looks_like_one(tmp_path, pattern):
    for name in ("run[1]", "run1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").touch()
    found = expand_paths(str(tmp_path / "run[1]" / pattern), ARGUMENT)
    assert found == [tmp_path / "run[1]" / "a.csv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", r"no file .*missing\.csv \(working directory "),
        ("*.txt", r"no file .*\*\.txt"),
        ("", r"the folder .* holds no parquet files; give files, or a glob such as .*\*\.csv"),
        ("$NOT_SET_ANYWHERE/a.csv", r"an environment variable in .*NOT_SET_ANYWHERE.* is not set"),
    ],
)
def test_what_is_not_there_is_named_with_its_argument(folder, monkeypatch, name, message):
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
    spec = name if name.startswith("$") else str(folder / name)
    with pytest.raises(InputError, match=f"^{ARGUMENT}: {message}"):
        expand_paths(spec, ARGUMENT)


def test_an_empty_list_is_refused():
    with pytest.raises(InputError, match=f"{ARGUMENT}: the list of files is empty"):
        expand_paths([], ARGUMENT)


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".csv", ".CSV"])
def test_every_format_gives_the_same_frame(tmp_path, frame, ending):
    path = write(frame, tmp_path / f"run{ending}")
    read = read_table(path, ["count", "force", "time"])
    assert list(read.columns) == ["count", "force", "time"]
    # older parsers of csv round the last bit
    np.testing.assert_allclose(read["force"], frame["force"], rtol=1e-15 if ending in CSV else 0)
    np.testing.assert_array_equal(read["count"], frame["count"])
    assert (pd.to_datetime(read["time"]) == frame["time"]).all()


def test_a_named_index_of_a_parquet_file_is_a_column(tmp_path, frame):
    path = tmp_path / "run.parquet"
    frame.set_index("time").to_parquet(path)
    read = read_table(path, ["force", "time"])
    np.testing.assert_array_equal(read["time"], frame["time"])


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".csv"])
def test_blanks_around_a_header_do_not_matter(tmp_path, frame, ending):
    blank = frame.rename(columns={"force": " Grid load forecast", "count": "count "})
    path = write(blank, tmp_path / f"run{ending}")
    read = read_table(path, ["Grid load forecast", " count"])
    assert list(read.columns) == ["Grid load forecast", " count"]
    np.testing.assert_array_equal(read["Grid load forecast"], frame["force"])
    np.testing.assert_array_equal(read[" count"], frame["count"])


def test_an_exact_header_wins_over_one_with_blanks(tmp_path):
    path = write(pd.DataFrame({" a": [1.0], "a": [2.0]}), tmp_path / "run.csv")
    assert read_table(path, ["a"])["a"].tolist() == [2.0]


def test_two_headers_that_differ_in_blanks_only_are_not_guessed_from(tmp_path):
    path = write(pd.DataFrame({" a": [1.0], "a ": [2.0]}), tmp_path / "run.csv")
    with pytest.raises(InputError, match="2 columns are named 'a'; rename all but one"):
        read_table(path, ["a"])


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".csv"])
@pytest.mark.parametrize(
    ("wanted", "hint"),
    [("forse", r"did you mean 'force'\?"), ("zzzz", "known: count, force, time")],
)
def test_a_missing_column_names_file_and_nearest_column(tmp_path, frame, ending, wanted, hint):
    path = write(frame, tmp_path / f"run{ending}")
    with pytest.raises(InputError, match=rf"run\{ending}: no column '{wanted}'; {hint}"):
        read_table(path, ["count", wanted])


@pytest.mark.parametrize("name", ["run.xlsx", "run.parquet.gz", "run"])
def test_an_unknown_ending_names_those_that_work(tmp_path, name):
    path = tmp_path / name
    path.touch()
    with pytest.raises(
        InputError, match=r"cannot read .*one of \.csv, \.feather, \.h5, \.hdf5, \.parquet"
    ):
        read_table(path, ["a"])


@pytest.mark.parametrize("ending", [".parquet", ".feather"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_one_clear_line(tmp_path, frame, ending, share):
    path = write(frame, tmp_path / f"run{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"run\{ending}: not a readable {ending[1:]}") as caught:
        read_table(path, ["force"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00\x01", b'a,b\n1,2\n"3,4\n'], ids=["empty", "binary", "quote"]
)
def test_a_broken_csv_is_one_clear_line(tmp_path, content):
    path = tmp_path / "run.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.csv: not a readable csv file") as caught:
        read_table(path, ["a"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/d/one.csv"], ["one"]),
        (["/d/one.csv", "/d/two.parquet"], ["one", "two"]),
        (["/d/run.1.csv", "/d/run.2.csv"], ["run.1", "run.2"]),
        (["/x/run.csv", "/y/run.csv", "/y/other.csv"], ["x/run", "y/run", "other"]),
        (["/x/m/run.csv", "/y/m/run.csv", "/y/n/run.csv"], ["x/m/run", "y/m/run", "n/run"]),
    ],
)
def test_series_are_named_by_stem_or_shortest_distinct_path(paths, expected):
    assert series_names([Path(path) for path in paths]) == expected


def test_files_that_differ_in_ending_only_have_names_of_their_own():
    names = series_names([Path("/d/run.csv"), Path("/d/run.parquet")])
    assert len(set(names)) == 2


def test_blank_lines_of_a_single_column_are_missing_values(tmp_path):
    path = tmp_path / "single.csv"
    path.write_text("y\n1\n\n3\n\n")
    frame = read_table(path, ["y"])
    assert frame["y"].isna().tolist() == [False, True, False, True]
    path.write_text("y,u\n1,2\n\n3,4\n")
    assert len(read_table(path, ["y", "u"])) == 2


def test_columns_kept_as_written_are_text_in_a_csv_file(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("store ,y\n007,1\nNA,2\n,3\n")
    (table,) = open_tables(path, ["store", "y"], text=["store"])
    (frame,) = table.pieces(["store", "y"])
    assert frame["store"].tolist() == ["007", "NA", ""]
    assert frame["y"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("ending", ["parquet", "feather", "csv"])
def test_a_file_is_read_in_pieces_and_only_the_columns_asked_for(
    tmp_path, frame, monkeypatch, ending
):
    path = write(frame, tmp_path / f"run.{ending}")
    for module in ("feather_files", "parquet_files"):
        monkeypatch.setattr(f"transformertf.data.reading.{module}.PIECE", 3)
    (table,) = open_tables(path, ["force", "count"])
    for _ in range(2):
        pieces = list(table.pieces(["force"]))
        assert [list(piece.columns) for piece in pieces] == [["force"]] * len(pieces)
        if ending != "csv":
            assert max(len(piece) for piece in pieces) == 3
        np.testing.assert_array_equal(pd.concat(pieces)["force"], frame["force"])


def test_text_of_a_parquet_file_is_read_as_a_dictionary(tmp_path):
    path = write(pd.DataFrame({"store": ["a", "b", "a"], "y": [1.0, 2, 3]}), tmp_path / "a.parquet")
    (table,) = open_tables(path, ["store", "y"], text=["store"])
    (frame,) = table.pieces(["store"])
    assert isinstance(frame["store"].dtype, pd.CategoricalDtype)
    assert frame["store"].tolist() == ["a", "b", "a"]


def test_a_recursive_glob_names_files_and_not_the_folders_they_are_in(folder, frame):
    (folder / "deep").mkdir()
    path = write(frame, folder / "deep" / "run.parquet")
    assert path in expand_paths(str(folder / "**"), ARGUMENT)
    assert folder / "deep" not in expand_paths(str(folder / "**"), ARGUMENT)
    assert expand_paths(str(folder / "d*"), ARGUMENT) == [folder / "deep"]


def test_many_files_are_named_at_once():
    paths = [Path(f"/d/store={n}/part.parquet") for n in range(5000)]
    assert series_names(paths)[:2] == ["store=0/part", "store=1/part"]


def test_one_file_by_two_names_is_one_file(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "up").symlink_to(folder, target_is_directory=True)
    names = ["b.csv", "a.csv", str(folder / "a.csv"), f"../{folder.name}/b.csv", "up/a.csv"]
    assert [str(path) for path in expand_paths(names, ARGUMENT)] == ["b.csv", "a.csv"]


def test_files_without_numbers_are_told_apart_by_their_paths(folder, monkeypatch):
    (folder / "link.csv").symlink_to(folder / "a.csv")
    state = os.stat_result([0o100644, 0, *[1] * 8])  # as some shares of Windows give
    monkeypatch.setattr(os, "stat", lambda *_, **__: state)
    names = [str(folder / f"{name}.csv") for name in ("a", "b", "link")]
    assert [path.name for path in expand_paths(names, ARGUMENT)] == ["a.csv", "b.csv"]


@pytest.mark.parametrize("name", ["run:1.parquet", "s3:1.parquet", "a b#?.parquet"])
def test_a_name_is_no_address(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"y": [1.0, 2.0]}).to_parquet(tmp_path / name)
    (table,) = open_tables(Path(name), ["y"])
    assert table.rows == 2


def test_columns_of_types_that_only_arrow_knows_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    texts = pa.array(["1", "2"], pa.json_())
    pq.write_table(pa.table({"y": [1.0, 2.0], "known": texts}), path)
    with pytest.raises(InputError, match=r"column 'known' is of the type arrow\.json; expected"):
        open_tables(path, ["y", "known"])
