"""Id columns to series, against one file for each series."""

import datetime
import itertools
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.costs import MANY, SMALL, peak_of
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.columns import Columns
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.formats import open_tables
from transformertf.data.reading.frames import frame_table
from transformertf.data.reading.grouping import (
    Numbering,
    SeriesNumbering,
    _count,
    group_files,
    group_rows,
)
from transformertf.data.reading.panel import Rules
from transformertf.data.reading.tables import Table
from transformertf.errors import InputError

COLUMNS = Columns(("known",), (), "y", "t", ("store",))
NO_TIME = Columns(("known",), (), "y", None, ("store",))


def make_frame(store, rows, start=0, seed=0):
    generator = np.random.default_rng([seed, rows])
    frame = pd.DataFrame({"store": [store] * rows, "t": np.arange(start, start + rows)})
    return frame.assign(known=generator.normal(size=rows), y=generator.normal(size=rows))


def numbered(*columns):
    frame = pd.DataFrame({f"c{n}": c for n, c in enumerate(columns)})
    return number_rows([("a.csv", frame)], [f"c{n}" for n in range(len(columns))])


def number_rows(frames, ids):
    """Return the series of each row, and the names of the series."""
    tables = [Table.of_frame(where, frame) for where, frame in frames]
    grouping = group_rows(tables, ids, None)
    codes = [grouping.series_of(frame, n, "") for n, (_, frame) in enumerate(frames)]
    return np.concatenate(codes), grouping.names


# names

STAMP = pd.Timestamp("2024-03-01 13:00")
IDS = {
    "text": (["b", "a", "b"], ["a", "b"]),
    "integers": ([10, 9, 10], ["10", "9"]),
    "nullable integers": (pd.array([10, 9, 10], dtype="Int64"), ["10", "9"]),
    "booleans": ([True, False, True], ["False", "True"]),
    "whole floats": ([2.0, 1.0, 2.0], ["1", "2"]),
    "categories": (pd.Categorical(["b", "a", "b"]), ["a", "b"]),
    "dates": (
        [datetime.date(2024, 3, 2), datetime.date(2024, 3, 1)] * 2,
        ["2024-03-01", "2024-03-02"],
    ),
    "stamps": (pd.DatetimeIndex([STAMP, STAMP.normalize()]), ["2024-03-01", "2024-03-01 13:00:00"]),
    "text that reads like a number": (["07", "7", "NA"], ["07", "7", "NA"]),
}  # fmt: skip


@pytest.mark.parametrize(("column", "expected"), IDS.values(), ids=IDS)
def test_names_are_ids_as_sorted_text(column, expected):
    codes, names = numbered(column)
    assert names == expected
    assert names[codes[0]] == str(column[0]).removesuffix(".0")


def test_several_ids_are_joined():
    codes, names = numbered(["a", "a", "b", "a"], [1, 2, 1, 1])
    assert names == ["a/1", "a/2", "b/1"]
    assert codes.tolist() == [0, 1, 2, 0]


def test_ids_are_compared_as_text_across_files():
    frames = [("a", pd.DataFrame({"c": [7, 8]})), ("b", pd.DataFrame({"c": ["8", "9"]}))]
    codes, names = number_rows(frames, ["c"])
    assert ([*codes], names) == ([0, 1, 1, 2], ["7", "8", "9"])


NO_NAMES = [
    ([["a", None, "b", None]], r"a\.csv: series_id column 'c0' has 2 missing .* first in row 1, 3"),
    ([[1.0, np.nan]], r"'c0' has 1 missing value, first in row 1 \(counted from 0\); fill or cut"),
    ([["a", ""]], r"column 'c0' has 1 missing value, first in row 1"),
    ([["a", "b"], [pd.NaT, STAMP]], r"column 'c1' has 1 missing value, first in row 0"),
    ([[1.5, 2.0]], r"series_id column 'c0' holds 1\.5, expected text, whole numbers, booleans"),
    ([["a/b", "a"], ["c", "b/c"]], r"two series would have the name 'a/b/c', as 'c0', 'c1' hold"),
]


@pytest.mark.parametrize(("columns", "message"), NO_NAMES)
def test_ids_that_make_no_name_are_refused(columns, message):
    with pytest.raises(InputError, match=message):
        numbered(*columns)


# order


def series_of(*frames, columns=COLUMNS, **options):
    tables = [Table.of_frame(f"{n}.csv", frame) for n, frame in enumerate(frames)]
    return fill_panel(tables, columns, (), Rules(**options)).series()


def test_a_series_in_several_files_is_joined_in_time_whatever_the_order_of_the_files():
    whole = make_frame("a", 12)
    pieces = [whole[:5], whole[5:9], whole[9:]]
    other = make_frame("b", 4, seed=1)
    for order in itertools.permutations(pieces):
        joined = series_of(order[0], pd.concat([other, order[1]]), order[2])
        assert [item.name for item in joined] == ["a", "b"]
        np.testing.assert_array_equal(joined[0].values, whole[["known", "y"]])
        np.testing.assert_array_equal(joined[1].values, other[["known", "y"]])
        assert joined[0].time.tolist() == list(range(12))


def test_without_time_a_series_is_joined_in_the_order_of_the_files():
    one, two = make_frame("a", 5), make_frame("a", 3, start=-20)
    (joined,) = series_of(one, two, columns=NO_TIME)
    np.testing.assert_array_equal(joined.values, pd.concat([one, two])[["known", "y"]])


def test_files_of_a_series_that_overlap_are_refused():
    message = (
        r"1\.csv: series 'a': the series starts at t 4 in row 2 \(counted from 0\), but goes on to "
        r"4 in 0\.csv; of a series in several files, one file must end before"
    )
    with pytest.raises(InputError, match=message):
        series_of(make_frame("a", 5), pd.concat([make_frame("b", 2), make_frame("a", 3, start=4)]))


def test_a_mistake_names_file_series_and_row():
    one, two = make_frame("a", 4), make_frame("b", 4, seed=1)
    mixed = pd.concat([one, two]).iloc[[0, 4, 5, 1, 2, 6, 7, 3]].reset_index(drop=True)
    falling = mixed.assign(t=[0, 0, 1, 1, 2, 2, 2, 3])
    with pytest.raises(
        InputError, match=r"1\.csv: series 'b': time column 't' does not rise in row 6"
    ):
        series_of(make_frame("c", 3), falling)  # fmt: skip
    gaps = mixed.assign(known=[0, 0, np.nan, 0, 0, 0, np.nan, np.nan])
    message = r"1\.csv: series 'a': column 'known' has 1 missing \(NaN\) value, first in row 7 "
    with pytest.raises(InputError, match=message):
        series_of(make_frame("c", 3), gaps)
    with pytest.raises(InputError, match=r"series 'b': column 'known' has 2 .* first in row 2, 6 "):
        series_of(gaps[:7])


def test_rows_of_another_file_are_not_counted():
    one, two = make_frame("a", 4), make_frame("a", 4, start=4)
    one.loc[3, "known"] = two.loc[[1, 2], "known"] = np.nan
    with pytest.raises(InputError, match=r"0\.csv: series 'a': .* has 1 missing .* in row 3 \("):
        series_of(one, two)


def test_what_is_observed_is_found_for_each_series():
    one, two = make_frame("a", 4), make_frame("b", 6, seed=1)
    one.loc[2:, "y"] = two.loc[5:, "y"] = np.nan
    mixed = pd.concat([two[:3], one, two[3:]])
    assert [item.observed for item in series_of(mixed, missing="future")] == [2, 5]
    assert [item.observed for item in series_of(mixed, missing="target")] == [2, 5]
    with pytest.raises(
        InputError, match=r"0\.csv: series 'a': column 'y' has no value; a forecast"
    ):
        series_of(mixed.assign(y=mixed["y"].where(mixed["store"] == "b")), missing="future")
    holed = mixed.reset_index(drop=True)
    holed.loc[1, "y"] = np.nan
    with pytest.raises(
        InputError, match=r"series 'b': column 'y' has 1 missing .* first in row 1 "
    ):
        series_of(holed, missing="future")


# the same as one file for each series


@st.composite
def interleavings(draw):
    """Lengths of series, and for each row of the table the series it is of."""
    lengths = draw(st.lists(st.integers(12, 20), min_size=1, max_size=4))
    rows = [place for place, length in enumerate(lengths) for _ in range(length)]
    files = draw(st.integers(1, 3))
    return lengths, draw(st.permutations(rows)), files


def modules(timed):
    shared = {
        "target_covariate": "y",
        "known_covariates": "known",
        "time_column": "t" if timed else None,
        "batch_size": 7,
        "val_fraction": 0.3,
    }
    windows = {"ctxt_seq_len": 5, "tgt_seq_len": 3, "origin": "all"}
    return [
        (EncoderDecoderDataModule, {**shared, **windows}),
        (TimeSeriesDataModule, {**shared, "seq_len": 3}),
    ]


@pytest.mark.parametrize("timed", [True, False])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=interleavings())
def test_any_interleaving_gives_the_batches_of_separate_files(tmp_path_factory, timed, drawn):
    lengths, rows, files = drawn
    folder = tmp_path_factory.mktemp("panel")
    singles = [make_frame(f"s{n}", length, seed=n) for n, length in enumerate(lengths)]
    for frame in singles:
        frame.to_parquet(folder / f"{frame['store'][0]}.parquet")
    taken = [iter(range(length)) for length in lengths]
    mixed = pd.concat([singles[place].iloc[[next(taken[place])]] for place in rows])
    for number, piece in enumerate(np.array_split(np.arange(len(mixed)), files)):
        mixed.iloc[piece].to_parquet(folder / f"mixed_{number}.parquet")
    for kind, options in modules(timed):
        torch.manual_seed(3)
        batches = []
        for pattern, series_id in (("s*", None), ("mixed_*", "store")):
            paths = str(folder / f"{pattern}.parquet")
            data = kind(
                train_df_paths=paths, predict_df_paths=paths, series_id=series_id, **options
            )
            data.setup("fit")
            loaders = data.train_dataloader(), data.val_dataloader(), data.predict_dataloader()
            batches.append([batch for loader in loaders for batch in loader])
            assert [item.name for item in data.predict_series] == [
                f"s{n}" for n in range(len(lengths))
            ]
        assert len(batches[0]) == len(batches[1]) > 0
        for one, other in zip(*batches, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) for key in one)


HUGE = 2**53


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([HUGE, HUGE + 1, None], dtype="Int64"),
        pd.Series([HUGE, HUGE + 1, None], dtype=object),
        pd.Series([HUGE, HUGE + 1, None], dtype="int64[pyarrow]"),
        pd.Series([2**63, 2**63 + 1, None], dtype="UInt64"),
        pd.Series([Decimal(HUGE), Decimal(HUGE + 1), None], dtype=object),
        pd.Series(pd.Categorical.from_codes([0, 1, -1], pd.Index([HUGE, HUGE + 1]))),
    ],
)
@pytest.mark.parametrize("ending", ["parquet", "feather", "csv", "folder", "frame"])
def test_whole_numbers_beside_a_missing_one_are_exact(tmp_path, column, ending):
    first = HUGE if int(column[0]) == HUGE else 2**63
    columns = Columns(
        (), (), "y", None, ("unit",), known_categories=("c",), static_categories=("s",)
    )
    # a unit is each number twice, so that its static is missing in one row and not in the other
    units = column[:2].repeat(2).reset_index(drop=True)
    frame = pd.DataFrame(
        {"unit": units, "s": units, "c": column.take([0, 1, 2, 0]).array, "y": 0.0}
    )
    frame["s"] = frame["s"].where(np.array([True, False, True, False]))
    table = frame_table(frame, columns.stored)
    if ending != "frame":
        path = tmp_path / f"run.{'parquet' if ending == 'folder' else ending}"
        if ending == "csv":
            frame.astype(object).map(str, na_action="ignore").to_csv(path, index=False)
        else:
            getattr(frame, "to_feather" if ending == "feather" else "to_parquet")(path)
        place = tmp_path if ending == "folder" else path
        (table,) = open_tables(place, columns.stored, text=columns.text)
    panel = fill_panel([table], columns, rules=Rules(mask=True))
    texts = [str(first), str(first + 1)]
    assert panel.names == texts
    assert panel.static_texts == [(texts[0],), (texts[1],)]
    assert [panel.texts[0][code] if code >= 0 else None for code in panel.codes[0]] == [
        *texts,
        None,
        texts[0],
    ]


@pytest.mark.parametrize(("kind", "first"), [("f8", 2**53), ("f4", 2**24)])
def test_floats_that_cannot_tell_names_apart_are_refused(kind, first):
    numbers = Numbering("unit", "series_id")
    assert numbers.number(pd.Series([first - 1.0, np.nan], dtype=kind), "x").tolist() == [0, -1]
    assert list(numbers.texts) == [str(first - 1)]
    # where the next number has the same float, nobody knows which one was meant
    assert np.array(first, kind) == np.array(first + 1, kind)
    with pytest.raises(InputError, match=r"x: series_id column 'unit' holds .* as float.*; store"):
        numbers.number(pd.Series([first, np.nan], dtype=kind), "x")


def test_one_number_in_all_types_is_one_name_and_true_is_another():
    numbers = Numbering("c", "categorical")
    mixed = pd.Series([7, 7.0, "7", Decimal("7.0"), np.float32(7), 1, True, None, 1.0, np.True_])
    assert numbers.number(mixed, "x").tolist() == [0, 0, 0, 0, 0, 1, 2, -1, 1, 2]
    for column in ([7, 7], [7.0, None], ["7", None], [Decimal(7), None]):
        assert numbers.number(pd.Series(column), "x")[0] == 0
    assert list(numbers.texts) == ["7", "1", "True"]


def test_parts_of_a_series_keep_their_order_by_stamps_beyond_63_bits():
    late, early = (
        pd.DataFrame({"t": np.arange(2, dtype=np.uint64) + np.uint64(start), "u": "a", "y": value})
        for start, value in ((2**63 + 3, 1.0), (2**63 + 1, 0.0))
    )
    first = pd.DataFrame({"t": np.arange(2, dtype=np.uint64), "u": "a", "y": -1.0})
    tables = [Table.of_frame(f"{n}.csv", frame) for n, frame in enumerate((late, early, first))]
    panel = fill_panel(tables, Columns((), (), "y", "t", ("u",)))
    assert panel.values[0].tolist() == [-1, -1, 0, 0, 1, 1]


# as many tables as series


@pytest.mark.parametrize("ids", [[], ["store"]])
def test_a_table_of_one_series_takes_no_more_than_that_of_many(ids):
    tables = [Table.of_frame("all.csv", pd.DataFrame({"store": np.arange(MANY)}))]
    if ids:
        grouping = group_rows([*tables, Table.of_frame("one.csv", make_frame(7, 3))], ids, None)
        assert grouping.pieces(0)[0].size == MANY
    else:
        one = Table.of_frame("one.csv", make_frame(7, 3))
        grouping = group_files([one] * MANY, [f"{number:05}" for number in range(MANY)])
        grouping.pieces(0)
    (series, start, end), size = peak_of(lambda: grouping.pieces(1))
    assert (end - start).tolist() == [3]
    assert grouping.names[series[0]] == ("7" if ids else "00001")
    assert size < SMALL


def test_to_count_the_rows_of_one_series_takes_no_more_than_that_of_many():
    numbering = SeriesNumbering(["store"])
    numbering.number(pd.DataFrame({"store": np.arange(MANY)}), "all.csv")
    table = Table.of_frame("one.csv", make_frame(MANY - 1, 3))
    (series, rows, _), size = peak_of(lambda: _count(1, table, numbering, None))
    assert (series.tolist(), rows.tolist()) == ([MANY - 1], [3])
    assert size < SMALL
