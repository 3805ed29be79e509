"""Columns that have other names or units in some files: the series of files that have none."""

import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule
from transformertf.data.reading.formats import open_tables
from transformertf.data.reading.headers import Renamed, match_columns, renamed, scales
from transformertf.errors import InputError

AMPERE, KILO = "I_meas [A]", "I_meas [kA]"


def frame(rows: int) -> pd.DataFrame:
    time = np.arange(rows)
    return pd.DataFrame({"t": time, AMPERE: np.sin(time) * 300, "y": np.cos(time)})


def module(train: object, **given: object) -> EncoderDecoderDataModule:
    arguments = {"ctxt_seq_len": 5, "tgt_seq_len": 3, "time_column": "t", "dtype": "float64"}
    return EncoderDecoderDataModule(
        "y", AMPERE, train_df_paths=train, **arguments | given  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_file_in_another_unit_gives_the_series_of_the_first(tmp_path):
    plain, other = frame(40), frame(40)
    other.insert(0, KILO, other.pop(AMPERE) / 1000)
    other = other.rename(columns={"t": "t [ms]"}).assign(**{"t [ms]": np.arange(40) * 10})
    other.to_csv(tmp_path / "b.csv", index=False)
    plain.to_parquet(tmp_path / "a.parquet")
    rename = {AMPERE: {"from": KILO, "scale": 1000}, "t": {"from": "t [ms]", "scale": 0.1}}
    data = module([str(tmp_path / "a.parquet"), str(tmp_path / "b.csv")], rename=rename)
    first, second = data.stage_series("train")
    np.testing.assert_allclose(first.values, plain[[AMPERE, "y"]])
    np.testing.assert_allclose(second.values, first.values, rtol=1e-15)
    assert second.time is not None
    np.testing.assert_allclose(second.time, np.arange(40))
    (framed,) = module(other, rename=rename).stage_series("train")
    np.testing.assert_array_equal(framed.values, second.values)


def test_a_folder_renames_where_a_file_has_the_other_name(tmp_path):
    frame(4).to_parquet(tmp_path / "a.parquet")
    frame(4).rename(columns={AMPERE: KILO}).to_parquet(tmp_path / "b.parquet")
    how = renamed({AMPERE: {"from": KILO, "scale": 2}}, [AMPERE], [])
    one, two = (
        next(table.pieces([AMPERE]))[AMPERE]
        for table in open_tables(tmp_path, [AMPERE], renames=how)
    )
    assert (two == 2 * one).all()


def test_names_may_change_places():
    swap = renamed({"a": "b", "b": "a"}, ["a", "b"], [])
    assert match_columns(["a", "b"], ["b ", "a", "c"], "x", renames=swap) == {"a": "b ", "b": "a"}
    chain = [Renamed("a", "b"), Renamed("b", "c", 3)]
    assert match_columns(["a", "b"], ["b", "c"], "x", renames=chain) == {"a": "b", "b": "c"}
    assert scales({"a": "b", "b": "c"}, chain) == {"b": 3}
    # a header that only looks alike
    assert scales({"a": "a", "b": "b"}, chain) == {}


def test_a_file_that_has_both_names_is_refused(tmp_path):
    frame(9).assign(**{KILO: 1.0}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match=r"a\.csv: has 'I_meas \[A\]', and 'I_meas \[kA\]' that"):
        open_tables(tmp_path / "a.csv", ["y"], renames=[Renamed(AMPERE, KILO)])


def test_a_scale_wants_numbers_and_says_which_row_has_none(tmp_path):
    (tmp_path / "a.csv").write_text("k,y\n1,2\noff,3\n")
    (table,) = open_tables(tmp_path / "a.csv", ["A", "y"], renames=[Renamed("A", "k", 10)])
    with pytest.raises(InputError, match="column 'k' must be numeric, found 'off' in row 1"):
        list(table.pieces(["A"]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"I_maes [A]": KILO},
            r"rename: 'I_maes \[A\]' is no column with a role; did you mean 'I_",
        ),
        ({AMPERE: {"form": KILO}}, "rename: unknown key 'form' of .*; did you mean 'from'"),
        ({AMPERE: {"from": KILO, "scale": "k"}}, "rename: the scale of .* must be a number but 0"),
        ({AMPERE: {"scale": 0}}, "must be a number but 0, found 0"),
        ({AMPERE: 7}, "rename: expected the header of .*, found 7; put it in quotes"),
        ({AMPERE: "a", "y": "a "}, "rename: 'a ' becomes two columns; name it once"),
        ("a", "rename: expected new names to headers, found 'a'"),
    ],
)
def test_what_cannot_be_renamed_is_refused(given, told):
    with pytest.raises(InputError, match=told):
        module(None, rename=given)


def test_an_id_has_no_scale():
    with pytest.raises(InputError, match="rename: 'unit' is an id or a category; leave its scale"):
        module(None, series_id="unit", rename={"unit": {"from": "u", "scale": 2}})


def test_an_old_name_that_is_wanted_in_its_own_unit(tmp_path):
    (tmp_path / "a.csv").write_text("k,y\n1,2\n")
    (table,) = open_tables(
        tmp_path / "a.csv", ["k"], renames=renamed({"k": {"scale": 2}}, ["k"], [])
    )
    assert next(table.pieces(["k"]))["k"].tolist() == [2.0]
