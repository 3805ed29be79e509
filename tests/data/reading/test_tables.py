"""Tables that are read piece by piece."""

import errno
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from tests.data.tabular import piece_of, read
from transformertf.data.columns import Columns
from transformertf.data.reading import tables
from transformertf.data.reading.formats import open_tables
from transformertf.data.reading.tables import Table, readable, shown
from transformertf.errors import InputError

COLUMNS = Columns(("a",), (), "y", None)


def test_a_frame_is_a_table():
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], 5: [6, 7]})
    table = Table.of_frame("x", frame)
    (piece,) = table.pieces(["b", "a", "missing"])
    assert piece.to_dict("list") == {"b": [3, 4], "a": [1, 2]}
    assert (table.rows, str(table.path)) == (2, "x")


def test_one_column_may_be_read_under_two_names():
    frame = pd.DataFrame({"a": [1, 2]})
    table = Table("x", 2, {"one": "a", "two": "a"}, lambda names: iter([frame[names]]))
    (piece,) = table.pieces(["one", "two"])
    assert piece.to_dict("list") == {"one": [1, 2], "two": [1, 2]}


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_row_groups_without_rows_do_not_matter(tmp_path, ending):
    whole = pa.table({"a": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0]})
    parts = [whole[:0], whole[:2], whole[:0], whole[2:], whole[:0]]
    path = tmp_path / f"run.{ending}"
    if ending == "parquet":
        with pa.parquet.ParquetWriter(path, whole.schema) as file:
            for part in parts:
                file.write_table(part)
    else:
        with pa.ipc.new_file(path, whole.schema) as file:
            for part in parts:
                # a table without rows would write nothing
                columns = [column.combine_chunks() for column in part.columns]
                file.write_batch(pa.record_batch(columns, schema=whole.schema))
    with piece_of(2):
        (series,) = read(str(path), COLUMNS)
    assert series.values.tolist() == [[1, 4], [2, 5], [3, 6]]


@pytest.mark.parametrize("folder", [True, False])
def test_a_file_that_breaks_on_the_way_is_one_clear_line(tmp_path, folder):
    rows = 4000
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(rows, 2)), columns=["a", "y"])
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "run.parquet"
    frame.to_parquet(path, row_group_size=500)
    content = bytearray(path.read_bytes())
    start = len(content) // 2
    content[start : start + 9000] = bytes(9000)
    path.write_bytes(content)
    spec = tmp_path / "data" if folder else path
    (table,) = open_tables(spec, ["a", "y"])
    assert table.rows == rows
    with piece_of(100), pytest.raises(InputError, match=r"run\.parquet: not a readable") as caught:
        read(str(spec), COLUMNS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [OSError("a\nb"), ValueError(""), pa.ArrowInvalid("x")])
def test_what_a_reader_raises_is_one_line(error):
    with (
        pytest.raises(InputError, match=r"^run: not a readable file \(.+\); see that it is .+$"),
        readable("run", "file"),
    ):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENOMEM, "no memory"),
        InputError("as it is"),
        KeyError("a failure of ours"),
    ],
)
def test_what_no_reader_raises_is_left_alone(error):
    with pytest.raises(type(error)) as caught, readable("run", "file"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("value", "text"), [(np.float64(1.5), "1.5"), (np.True_, "True"), ("a", "'a'"), (2, "2")]
)
def test_values_are_shown_without_their_types(value, text):
    assert shown(value) == text


def test_a_thread_reads_ahead_where_it_is_worth_to_start_it(monkeypatch):
    started = []

    def start(threads):
        started.append(threads)
        return ThreadPoolExecutor(threads)

    monkeypatch.setattr(tables, "ThreadPoolExecutor", start)
    assert list(tables.ahead(iter("abc"), 60)) == list(tables.ahead(iter("abc"), 10**7)) == [*"abc"]
    assert len(started) == 1
