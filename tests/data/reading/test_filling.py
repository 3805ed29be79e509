"""Tables to panels, against the obvious way with groups of one large frame."""

import decimal
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tabular import (
    make_rows,
    panels,
    piece_of,
    read,
    series_of,
    texts,
    write,
)
from transformertf.data.columns import Columns
from transformertf.errors import InputError

PLAIN = Columns(("a",), (), "y", "t", ("store",))


# against the obvious way


def assert_same(series, frames):
    groups = list(pd.concat(frames).groupby("store", sort=True))
    assert [item.name for item in series] == [name for name, _ in groups]
    for item, (_, rows) in zip(series, groups, strict=True):
        group = rows.sort_values("t")
        np.testing.assert_array_equal(item.values, group[["a", "b", "y"]])
        assert item.time.tolist() == group["t"].tolist()
        assert [texts(item, 0), texts(item, 1)] == [
            group["k"].tolist(),
            group["p"].astype(str).tolist(),
        ]
        assert item.static.tolist() == [group["area"].iloc[0]]
        assert item.static_texts == (group["region"].iloc[0],)
        assert item.observed == len(group)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@settings(max_examples=15, deadline=None)
@given(frames=panels(), piece=st.integers(1, 7))
def test_any_panel_is_read_as_grouping_one_frame_gives(tmp_path_factory, ending, frames, piece):
    paths = write(frames, tmp_path_factory.mktemp("panel"), ending)
    with piece_of(piece):
        assert_same(read(paths), frames)
        assert_same(read(paths[::-1]), frames)


@settings(max_examples=8, deadline=None)
@given(frames=panels())
def test_any_panel_of_csv_files_is_read_alike(tmp_path_factory, frames):
    rounded = [frame.round({"a": 6, "b": 6, "y": 6, "area": 6}) for frame in frames]
    assert_same(read(write(rounded, tmp_path_factory.mktemp("panel"), "csv")), rounded)


@settings(max_examples=15, deadline=None)
@given(frames=panels(sorted_by_time=False), piece=st.integers(1, 7))
def test_any_order_of_rows_is_sorted_on_request(tmp_path_factory, frames, piece):
    paths = write(frames, tmp_path_factory.mktemp("panel"), "parquet")
    with piece_of(piece):
        assert_same(read(paths, sort=True), frames)


@settings(max_examples=15, deadline=None)
@given(frames=panels(), piece=st.integers(1, 4), data=st.data())
def test_missing_values_go_through_a_mask_where_they_are(frames, piece, data):
    for frame in frames:
        for name in ("a", "b", "y"):
            rows = data.draw(st.sets(st.integers(0, len(frame) - 1)))
            frame.loc[sorted(rows), name] = np.nan
    with piece_of(piece):
        series = series_of(*frames, mask=True)
    for item, (_, rows) in zip(series, pd.concat(frames).groupby("store"), strict=True):
        group = rows.sort_values("t")
        np.testing.assert_array_equal(item.values, group[["a", "b", "y"]])
        known = np.flatnonzero(group["y"].notna())
        assert item.observed == (known[-1] + 1 if known.size else 0)


# static columns


def with_static(values, name="area", rows=2):
    """Return series s0, s1, ... of as many rows, whose static column holds the values in turn."""
    frame = pd.concat([make_rows(f"s{n}", rows, n) for n in range(len(values) // rows)])
    return frame.assign(**{name: values}).reset_index(drop=True)


def test_a_static_value_may_stand_in_some_rows_only():
    one, two = series_of(with_static([np.nan, 2.5, 3.5, np.nan]))
    assert (one.static.tolist(), two.static.tolist()) == ([2.5], [3.5])
    one, two = series_of(with_static([None, "b", "a", None], "region"))
    assert (one.static_texts, two.static_texts) == (("b",), ("a",))


def test_static_values_that_change_are_refused_with_both():
    message = (
        r"^0\.csv: static column 'area' must be constant within a series, found 4\.5 in row 3 "
        r"\(counted from 0\) after 3\.5 in series 's1'; correct it, name it in known_covariates"
    )
    with pytest.raises(InputError, match=message):
        series_of(with_static([1.5, 1.5, 3.5, 4.5]))
    message = r"^1\.csv: static column 'region' .* found 'c' in row 1 .* after 'b' in series 's0'"
    late = with_static(["b", "c"], "region")
    with piece_of(1), pytest.raises(InputError, match=message):
        series_of(with_static(["b", "b"], "region"), late.assign(t=late["t"] + 99))


@pytest.mark.parametrize(("name", "lost"), [("area", np.nan), ("region", None)])
def test_a_static_column_without_a_value_is_refused_or_masked(name, lost):
    frame = with_static([1, 1, lost, lost], name)
    message = rf"0\.csv: series 's1': static column '{name}' has no value in series 's1'; fill it"
    with pytest.raises(InputError, match=message):
        series_of(frame)
    masked = series_of(frame, mask=True)[1]
    assert np.isnan(masked.static[0]) if name == "area" else masked.static_texts == (None,)


@pytest.mark.parametrize("mask", [True, False])
def test_an_infinite_static_value_is_refused(mask):
    message = r"'area' has an infinite value in series 's1'; correct it$"
    with pytest.raises(InputError, match=message):
        series_of(with_static([1, 1, np.inf, np.inf]), mask=mask)


def test_an_id_may_be_a_static_category():
    columns = Columns((), (), "y", "t", ("store",), static_categories=("store",))
    series = series_of(make_rows("b", 2), make_rows("a", 3), columns=columns)
    assert [(item.name, item.static_texts) for item in series] == [("a", ("a",)), ("b", ("b",))]


# categories


KINDS = {
    "text": (["b", "a", "b"], ["b", "a", "b"]),
    "integers": ([3, -1, 3], ["3", "-1", "3"]),
    "booleans": ([True, False, True], ["True", "False", "True"]),
    "text that reads like numbers": (["007", "7", "NA"], ["007", "7", "NA"]),
    "a dictionary": (pd.Categorical(["b", "a", "b"]), ["b", "a", "b"]),
}


@pytest.mark.parametrize("ending", ["parquet", "feather", "csv"])
@pytest.mark.parametrize(("column", "expected"), KINDS.values(), ids=KINDS)
def test_categories_are_text(tmp_path, ending, column, expected):
    paths = write([make_rows("s", 3).assign(k=column)], tmp_path, ending)
    with piece_of(2):
        (series,) = read(paths)
    assert texts(series, 0) == expected
    assert series.categories[0].codes.dtype == np.int32


@pytest.mark.parametrize("ending", ["parquet", "feather", "csv"])
@pytest.mark.parametrize("column", [["x", None, "y", None], [True, None, False, None]])
def test_missing_categories_are_masked_or_refused_with_their_place(tmp_path, ending, column):
    frame = pd.concat([make_rows("r", 1), make_rows("s", 4)]).assign(k=[column[0], *column])
    paths = write([make_rows("q", 2), frame], tmp_path, ending)
    message = (
        rf"1\.{ending}: series 's': column 'k' has 2 missing \(NaN\) values, first in row 2, 4 "
    )
    with piece_of(2):
        with pytest.raises(InputError, match=message):
            read(paths)
        assert texts(read(paths, mask=True)[2], 0) == [
            None if c is None else str(c) for c in column
        ]


def test_whole_numbers_beside_missing_ones_are_the_same_categories(tmp_path):
    codes: list[Any] = [7, 8, None, 7]
    paths = write([make_rows("s", 4).assign(k=codes)], tmp_path, "parquet")
    with piece_of(2):
        assert texts(read(paths, mask=True)[0], 0) == ["7", "8", None, "7"]


def test_a_fraction_is_no_category():
    message = r"0\.csv: categorical column 'k' holds 1\.5, expected text, whole numbers"
    with pytest.raises(InputError, match=message):
        series_of(make_rows("s", 2).assign(k=[1.5, 2.0]))


def test_a_partition_is_a_category(tmp_path):
    for region in ("07", "7"):
        folder = tmp_path / f"region={region}"
        folder.mkdir()
        rows = make_rows(f"s{region}", 3).drop(columns=["region", "k"])
        rows.to_parquet(folder / "part.parquet")
    columns = Columns(("a",), (), "y", "t", ("store",), known_categories=("region",))
    one, two = read(str(tmp_path), columns)
    assert (texts(one, 0), texts(two, 0)) == (["07"] * 3, ["7"] * 3)


# numbers


TRUTHS = ([True, False, True, True], [1, 0, 1, 1])


@pytest.mark.parametrize("ending", ["parquet", "feather", "csv"])
def test_truth_values_are_numbers(tmp_path, ending):
    given, expected = TRUTHS
    (series,) = read(write([make_rows("s", 4).assign(a=given)], tmp_path, ending))
    assert series.values[:, 0].tolist() == expected
    lost = pd.array([None, *given[1:]], dtype="boolean")
    paths = write([make_rows("s", 4).assign(a=lost)], tmp_path, ending)
    with piece_of(3):
        (series,) = read(paths, mask=True)
        np.testing.assert_array_equal(series.values[:, 0], [np.nan, *expected[1:]])
        with pytest.raises(InputError, match=r"column 'a' has 1 missing .* first in row 0 "):
            read(paths)


def test_decimals_are_numbers(tmp_path):
    values: list[Any] = [decimal.Decimal("1.25"), None, decimal.Decimal("-3")]
    paths = write([make_rows("s", 3).assign(a=values)], tmp_path, "parquet")
    (series,) = read(paths, mask=True)
    np.testing.assert_array_equal(series.values[:, 0], [1.25, np.nan, -3])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([None, "1", "x"], "'x' in row 2"),
        ([None, "1", "2"], "'1' in row 1"),
        ([1j] * 3, "1j in row 0"),
    ],
)
def test_what_is_no_number_is_shown(values, found):
    with pytest.raises(InputError, match=rf"column 'a' must be numeric, found {found} \("):
        series_of(make_rows("s", 3).assign(a=values))


def test_a_row_beyond_the_first_piece_is_named_by_its_row_in_the_file(tmp_path):
    frame = make_rows("s", 9).astype({"a": object})
    frame["a"] = ["1.5"] * 8 + ["n/a"]
    with piece_of(2), pytest.raises(InputError, match=r"found '1\.5' in row 0"):
        read(write([frame], tmp_path, "parquet"))
    frame = make_rows("s", 9).assign(area=[1.0] * 8 + [2.0])
    with piece_of(2), pytest.raises(InputError, match=r"found 2\.0 in row 8 .* after 1 in"):
        read(write([frame], tmp_path, "parquet"))


# memory


READER = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from transformertf.data.columns import Columns
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.panel import Rules, open_all

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e3

folder, step = sys.argv[1], 250_000
names = [f"x{n}" for n in range(8)]
columns = Columns(tuple(names[:-1]), (), names[-1], None, ("store",))
schema = pa.schema([("store", pa.string()), *((name, pa.float64()) for name in names)])

def make(name, shape, dtype):
    return np.lib.format.open_memmap(f"{folder}/{name}.npy", "w+", dtype, shape)

def read(groups):
    store = (np.arange(step) % 50).astype(str)
    with pq.ParquetWriter(f"{folder}/a.parquet", schema, use_dictionary=["store"]) as file:
        for group in range(groups):
            values = np.arange(group * step, (group + 1) * step) / 7
            file.write_table(pa.table([store, *([values] * 8)], schema=schema))
    tables, _ = open_all(f"{folder}/a.parquet", "", columns, Rules())
    panel = fill_panel(tables, columns, (), Rules(), make)
    assert panel.names[-1] == "9" and panel.values[0, -1] == (groups * step - 41) / 7

read(1)
before = anonymous()
read(16)
print(anonymous() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for its memory")
def test_a_panel_in_files_takes_no_memory_of_its_own(tmp_path):
    command = [sys.executable, "-c", READER, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    # in megabytes, beyond what one piece takes: some are read ahead; the values of all are 256
    assert float(result.stdout) < 100
