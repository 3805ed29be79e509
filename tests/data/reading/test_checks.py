"""What is refused of a panel, and the rows of the files that messages name."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.data.tabular import make_rows, panels, piece_of, read, series_of, texts, write
from transformertf.errors import InputError


def shuffled(frame, seed=0):
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


# rows of the files


@settings(max_examples=25, deadline=None)
@given(
    frames=panels(sorted_by_time=False),
    piece=st.integers(1, 7),
    bad=st.sampled_from(
        [("a", np.nan, "missing"), ("y", np.inf, "infinite"), ("k", "", "missing")]
    ),
    data=st.data(),
)
def test_a_bad_value_is_named_by_its_row_in_the_file(frames, piece, bad, data):
    name, value, word = bad
    number = data.draw(st.integers(0, len(frames) - 1))
    row = data.draw(st.integers(0, len(frames[number]) - 1))
    store = frames[number].loc[row, "store"]
    frames[number].loc[row, name] = value
    message = (
        rf"^{number}\.csv: series '{store}': column '{name}' has 1 {word}.* value, first in row "
        rf"{row} \(counted from 0\)"
    )
    with piece_of(piece), pytest.raises(InputError, match=message):
        series_of(*frames, sort=True)


@settings(max_examples=25, deadline=None)
@given(frames=panels(sorted_by_time=False), piece=st.integers(1, 7), data=st.data())
def test_a_repeat_is_named_by_its_row_in_the_file(frames, piece, data):
    number = data.draw(st.integers(0, len(frames) - 1))
    row = data.draw(st.integers(0, len(frames[number]) - 1))
    frame = frames[number]
    frames[number] = pd.concat([frame, frame.iloc[[row]]], ignore_index=True)
    store, time = frame.loc[row, "store"], frame.loc[row, "t"]
    message = (
        rf"^{number}\.csv: series '{store}': time column 't' does not rise in row {len(frame)} "
        rf"\(counted from 0\): {time} after {time}; drop repeats$"
    )
    with piece_of(piece), pytest.raises(InputError, match=message):
        series_of(*frames, sort=True)


def test_a_repeat_in_another_file_names_both():
    one, two = make_rows("s", 4), make_rows("s", 4)
    two["t"] += 2 * one["t"].max()
    stamp = one["t"][1]
    two.loc[2, "t"] = stamp
    message = rf"^1\.csv: .* not rise in row 2 .*: {stamp} after {stamp} in 0\.csv; drop repeats$"
    with pytest.raises(InputError, match=message):
        series_of(one, two, sort=True)


@settings(max_examples=15, deadline=None)
@given(frame=st.permutations(range(5)), piece=st.integers(1, 4))
def test_without_sorting_the_first_row_that_falls_is_named(frame, piece):
    assume(frame != sorted(frame))
    rows = make_rows("s", 5).iloc[frame].reset_index(drop=True)
    row = int(np.flatnonzero(np.diff(frame) < 0)[0]) + 1
    stamps = rf"{rows['t'][row]} after {rows['t'][row - 1]}; sort the rows, or set sort: true$"
    message = rf"^0\.csv: series 's': time column 't' does not rise in row {row} .*: {stamps}"
    with piece_of(piece), pytest.raises(InputError, match=message):
        series_of(rows)


def test_files_out_of_order_are_told_of_sort():
    rows = make_rows("s", 8)
    with pytest.raises(
        InputError, match=r"one file must end before the next one starts, or set sort: true"
    ):
        series_of(rows[::2], rows[1::2])
    (series,) = series_of(rows[1::2], rows[::2], sort=True)
    np.testing.assert_array_equal(series.values, rows[["a", "b", "y"]])
    assert texts(series, 0) == rows["k"].tolist()


def test_sorting_leaves_what_is_sorted_as_it_was():
    one, two = make_rows("r", 6, 1), make_rows("s", 6)
    first, second = series_of(pd.concat([one, shuffled(two)]), sort=True)
    np.testing.assert_array_equal(first.values, one[["a", "b", "y"]])
    np.testing.assert_array_equal(second.values, two[["a", "b", "y"]])


# counts


def test_values_of_the_first_file_and_series_are_counted():
    r, s = make_rows("r", 4), make_rows("s", 6)
    mixed = pd.concat([s[:3], r, s[3:]], ignore_index=True)
    mixed.loc[[0, 4, 6, 8], "a"] = np.nan
    later = make_rows("r", 3)
    later["t"] += 99
    later["a"] = np.nan
    message = r"^0\.csv: series 'r': column 'a' has 2 missing \(NaN\) values, first in row 4, 6 \("
    with piece_of(2), pytest.raises(InputError, match=message):
        series_of(mixed, later)


def test_values_are_counted_in_the_order_of_the_file_even_when_sorted():
    rows = make_rows("s", 6).iloc[::-1].reset_index(drop=True)
    rows.loc[[1, 2, 4, 5], "a"] = np.nan
    with pytest.raises(InputError, match=r"has 4 missing \(NaN\) values, first in row 1, 2, 4 "):
        series_of(rows, sort=True)


def test_missing_and_infinite_values_are_counted_apart():
    rows = make_rows("s", 6)
    rows.loc[[1, 3], "a"] = np.nan
    rows.loc[[2, 4, 5], "a"] = np.inf
    with pytest.raises(InputError, match=r"has 2 missing \(NaN\) values, first in row 1, 3 "):
        series_of(rows)
    with pytest.raises(InputError, match=r"has 3 infinite values, first in row 2, 4, 5 "):
        series_of(rows, mask=True)


# what is let through


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize(
    "rules", [{}, {"mask": True}, {"missing": "future"}, {"missing": "target"}]
)
def test_infinite_values_never_pass(bad, rules):
    rows = make_rows("s", 6)
    rows.loc[5, "y"] = bad
    with pytest.raises(InputError, match=r"column 'y' has 1 infinite value, first in row 5 "):
        series_of(rows, **rules)


def test_infinite_values_of_both_signs_are_one_mistake():
    rows = make_rows("s", 6)
    rows.loc[[2, 3], "a"] = [np.inf, -np.inf]
    with pytest.raises(InputError, match=r"column 'a' has 2 infinite values"):
        series_of(rows)


def test_numbers_whose_sum_is_too_large_are_finite():
    (series,) = series_of(make_rows("s", 4).assign(a=1e308))
    assert series.values[:, 0].tolist() == [1e308] * 4


FUTURE = [
    # column, first missing row, what it takes
    ("y", 3, {"missing": "future"}),
    ("b", 3, {"missing": "future"}),
    ("p", 3, {"missing": "future"}),
    ("y", 0, {"missing": "target"}),
]


@pytest.mark.parametrize("piece", [1, 4])
@pytest.mark.parametrize(("name", "row", "rules"), FUTURE)
def test_what_is_not_known_yet_may_be_missing(name, row, rules, piece):
    rows = make_rows("s", 6).astype({"p": float})
    rows.loc[3:, "y"] = np.nan
    rows.loc[row:, name] = np.nan
    with piece_of(piece):
        (series,) = series_of(rows, **rules)
        assert series.observed == np.isfinite(series.values[:, -1]).sum()
        if rules["missing"] == "future" and name != "y":
            rows.loc[2, name] = np.nan
            with pytest.raises(InputError, match=rf"column '{name}' has 1 missing .* row 2 "):
                series_of(rows, **rules)


@pytest.mark.parametrize("name", ["a", "k"])
def test_what_is_known_in_the_future_must_be_there(name):
    rows = make_rows("s", 6)
    rows.loc[3:, "y"] = np.nan
    rows.loc[5, name] = np.nan
    with pytest.raises(InputError, match=rf"column '{name}' has 1 missing .* first in row 5 "):
        series_of(rows, missing="future")


@pytest.mark.parametrize("mask", [True, False])
def test_a_series_without_a_target_has_no_future(mask):
    rows = pd.concat([make_rows("r", 3), make_rows("s", 3).assign(y=np.nan)], ignore_index=True)
    message = r"^0\.csv: series 's': column 'y' has no value; a forecast needs past values$"
    with pytest.raises(InputError, match=message):
        series_of(rows, missing="future", mask=mask)
    assert series_of(rows, missing="target")[1].observed == 0


@pytest.mark.parametrize("piece", [1, 2, 100])
def test_a_hole_before_the_last_target_does_not_end_what_is_observed(piece):
    rows = make_rows("s", 9)
    rows.loc[[1, 2, 6, 7, 8], "y"] = np.nan
    with piece_of(piece):
        assert series_of(rows, mask=True)[0].observed == 6


def test_a_row_of_a_folder_is_named_by_its_file(tmp_path):
    for store in ("r", "s"):
        (tmp_path / f"store={store}").mkdir()
        rows = make_rows(store, 5).drop(columns="store")
        rows.loc[4, "a"] = np.nan if store == "s" else 0.0
        rows.to_parquet(tmp_path / f"store={store}" / "part.parquet")
    message = r"store=s/part\.parquet: series 's': column 'a' has 1 .* first in row 4 "
    with piece_of(2), pytest.raises(InputError, match=message):
        read(str(tmp_path))


def test_a_repeat_in_pieces_of_a_file(tmp_path):
    rows = make_rows("s", 9)
    rows.loc[7, "t"] = rows["t"][6]
    paths = write([rows], tmp_path, "parquet")
    for piece in (1, 2, 3, 7):
        with piece_of(piece), pytest.raises(InputError, match=r"does not rise in row 7 "):
            read(paths)
