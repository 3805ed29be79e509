"""Frames of every type of column, held against the files that Arrow writes of them."""

import datetime
import unicodedata
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from transformertf.data.columns import Columns
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.formats import open_tables
from transformertf.data.reading.frames import as_frame, frame_table
from transformertf.data.reading.panel import Rules
from transformertf.errors import InputError

HUGE = 2**53
DAYS = [datetime.date(2024, 1, day) for day in (1, 2, 3, 4)]
TIMES = pd.date_range("2024-03-31", periods=4, freq="h")
ROLES = {
    "real": Columns(("c",), (), "y", None),
    "category": Columns((), (), "y", None, known_categories=("c",)),
    "time": Columns((), (), "y", "c"),
    "id": Columns((), (), "y", None, ids=("c",)),
    "static": Columns((), (), "y", None, static_categories=("c",)),
}
ARROW = {
    "int64": pa.array([HUGE, HUGE + 1, None, 4], pa.int64()),
    "uint64": pa.array([2**63, 2**63 + 1, None, 4], pa.uint64()),
    "whole": pa.array([HUGE, HUGE + 1, HUGE + 2, HUGE + 3], pa.int64()),
    "double": pa.array([1.0, 2.0, None, 4.0], pa.float64()),
    "bool": pa.array([True, False, None, True], pa.bool_()),
    "text": pa.array(["a", "b", None, "a"], pa.large_string()),
    "dictionary": pa.array(["a", "b", None, "a"]).dictionary_encode(),
    "date": pa.array(DAYS, pa.date32()),
    "stamp": pa.array(TIMES, pa.timestamp("us")),
    "zoned": pa.array(TIMES, pa.timestamp("us", "Europe/Berlin")),
    "decimal": pa.array([Decimal("1.5"), Decimal(2), None, Decimal(4)], pa.decimal128(9, 1)),
    "duration": pa.array([1, 2, 3, 4], pa.duration("s")),
    "hour": pa.array([datetime.time(hour) for hour in range(4)], pa.time64("us")),
    "nothing": pa.nulls(4),
    "list": pa.array([[1], [2], [3], [4]], pa.list_(pa.int64())),
}


def panel_of(table, columns):
    """Return all that a table says, or why it says nothing."""
    try:
        made = fill_panel([table], columns, ["s"], Rules(mask=True))
    except InputError as error:
        return str(error).partition(": ")[2]
    (*parts,) = (made.names, made.values.tolist(), made.codes.tolist(), made.texts)
    return str([*parts, made.static_texts, made.stamps, made.time_type])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ARROW)
def test_a_frame_of_arrow_types_is_read_as_its_file(tmp_path, kind, role):
    table = pa.table({"c": ARROW[kind], "y": [0.0, 1.0, 2.0, 3.0]})
    pyarrow.parquet.write_table(table, tmp_path / "run.parquet")
    columns = ROLES[role]
    (file,) = open_tables(tmp_path / "run.parquet", columns.stored)
    expected = panel_of(file, columns)
    for frame in (table.to_pandas(types_mapper=pd.ArrowDtype), as_frame(table, "data")):
        assert panel_of(frame_table(frame, columns.stored), columns) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.array([1, 2, None, 4], "Int64"), [1, 2, np.nan, 4]),
        (pd.array([1.5, 2, None, 4], "Float64"), [1.5, 2, np.nan, 4]),
        (pd.array([True, False, None, True], "boolean"), [1, 0, np.nan, 1]),
        (pd.arrays.SparseArray([0.0, 1.0, 0.0, np.nan]), [0, 1, 0, np.nan]),
        (pd.Categorical([3, 1, None, 3]), [3, 1, np.nan, 3]),
        (np.array([Decimal("0.1"), 2, None, 4.5], object), [0.1, 2, np.nan, 4.5]),
        (pd.array(["1", "2"] * 2, "string"), "column 'c' must be numeric, found '1' in row 0 "),
        (pd.period_range("2024-01", periods=4, freq="M"), "must be numeric, found Period"),
        (pd.interval_range(0, 4), "must be numeric, found Interval"),
        (np.array(DAYS, object), "must be numeric, found datetime.date"),
    ],
)
def test_numbers_of_any_type_are_numbers_and_nothing_else_is(column, expected):
    columns = ROLES["real"]
    table = frame_table(pd.DataFrame({"c": column, "y": 0.0}), columns.stored)
    if isinstance(expected, str):
        assert expected in panel_of(table, columns)
        return
    found = fill_panel([table], columns, ["s"], Rules(mask=True)).values[0]
    np.testing.assert_array_equal(found, expected)


def test_dates_in_several_zones_are_in_utc_and_one_in_none_is_refused():
    stamps = [
        pd.Timestamp("2024-01-01 12:00", tz="UTC"),
        pd.Timestamp("2024-01-01 14:00", tz="Europe/Berlin"),
        pd.Timestamp("2024-01-01 09:00", tz="America/New_York"),
    ]
    columns = ROLES["time"]
    frame = pd.DataFrame({"c": pd.Series(stamps, dtype=object), "y": 0.0})
    (series,) = fill_panel([frame_table(frame, columns.stored)], columns, ["s"]).series()
    assert isinstance(series.time, pd.DatetimeIndex)
    assert series.time.hour.tolist() == [12, 13, 14]
    assert str(series.time.tz) == "UTC"
    frame.loc[1, "c"] = pd.Timestamp("2024-01-01 13:00")
    told = panel_of(frame_table(frame, columns.stored), columns)
    assert "'c' holds Timestamp('2024-01-01 13:00:00') in row 1 " in told


@pytest.mark.parametrize("make", [int, Decimal])
def test_whole_number_objects_are_exact_time_stamps(make):
    columns = ROLES["time"]
    stamps = [10**18 + step for step in range(3)]
    frame = pd.DataFrame({"c": pd.Series(list(map(make, stamps)), dtype=object), "y": 0.0})
    (series,) = fill_panel([frame_table(frame, columns.stored)], columns, ["s"]).series()
    assert series.time is not None
    assert series.time.tolist() == stamps


@pytest.mark.parametrize("header", [" c", "c ", "é"])
def test_headers_of_frames_match_as_those_of_files(tmp_path, header):
    name = header.strip()
    frame = pd.DataFrame({unicodedata.normalize("NFD", header): [1.0, 2.0], "y": 0.0})
    frame.to_csv(tmp_path / "run.csv", index=False)
    columns = Columns((name,), (), "y", None)
    (file,) = open_tables(tmp_path / "run.csv", columns.stored)
    for table in (file, frame_table(frame, columns.stored)):
        assert fill_panel([table], columns, ["s"]).values[0].tolist() == [1, 2]


def test_an_index_is_no_column_whatever_blanks_its_name_has():
    frame = pd.DataFrame({"y": [0.0]}, pd.Index([1], name=" c"))
    with pytest.raises(InputError, match=r"the frame: no column 'c', which is its index; give"):
        frame_table(frame, ["c", "y"])


class Polars:
    """Knows Arrow, and nothing of pandas."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, schema=None):
        return self.table.__arrow_c_stream__(schema)


@pytest.mark.parametrize("make", [lambda t: t, lambda t: t.to_batches()[0], Polars])
def test_tables_of_other_libraries_are_frames(make):
    table = pa.table({"x": [HUGE + 1, None], "name": ["a", None]})
    frame = as_frame(make(table), "data")
    assert frame["x"].iloc[0] == HUGE + 1
    assert frame["name"].iloc[0] == "a"
    assert frame.isna().to_numpy().tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize(
    "given",
    [None, 3, {"x": [1.0]}, np.zeros((2, 2)), pd.Series([1.0]), pa.chunked_array([[1]]), [1.0]],
)
def test_what_is_no_table_is_told_in_one_line(given):
    kind = type(given).__name__
    with pytest.raises(InputError, match=f"^rows: expected a DataFrame, found {kind}; give a Data"):
        as_frame(given, "rows")
