"""Roles of columns, and the order of the features that follows from them."""

from typing import Any

import pytest

from transformertf.data import EncoderDecoderDataModule
from transformertf.data.columns import Columns, as_list
from transformertf.errors import InputError


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, []), ("load", ["load"]), (["a", "b"], ["a", "b"]), (("a",), ["a"]), ([], [])],
)
def test_one_name_or_several_become_a_list(value, expected):
    assert as_list(value) == expected


def test_as_list_copies():
    names = ["a"]
    as_list(names).append("b")
    assert names == ["a"]


def test_values_are_known_then_past_then_target():
    columns = Columns(("k2", "k1"), ("p",), "y", "t")
    assert columns.values == ("k2", "k1", "p", "y")


@pytest.mark.parametrize(
    ("known", "past", "time"),
    [
        (("a", "b", "a"), (), None),
        ((), ("a", "a"), None),
        (("a",), ("a",), None),
        (("a", "y"), (), None),
        ((), ("y",), None),
        (("a",), (), "a"),
        ((), ("a",), "a"),
        ((), (), "y"),
    ],
)
def test_a_column_with_two_roles_is_refused_by_name(known, past, time):
    name = "y" if "y" in (*known, *past, time) else "a"
    with pytest.raises(InputError, match=f"column '{name}' has two roles"):
        Columns(known, past, "y", time)


@pytest.mark.parametrize(
    ("known", "past", "time", "position"),
    [
        ((), (), None, True),
        ((), ("p",), None, True),
        (("k",), (), None, False),
        ((), (), "t", False),
        (("k",), ("p",), "t", False),
    ],
)
def test_position_stands_in_where_nothing_is_known_of_the_horizon(known, past, time, position):
    columns = Columns(known, past, "y", time)
    assert columns.needs_position is position
    assert columns.has_time is (time is not None)


def test_an_id_has_no_other_role():
    assert Columns(("a",), (), "y", "t", ("i", "j")).stored == ("a", "y", "t", "i", "j")
    for ids in (("y",), ("t",), ("a",), ("i", "i")):
        with pytest.raises(InputError, match=r"two roles among .* and series_id"):
            Columns(("a",), (), "y", "t", ids)


def test_one_lag_is_a_list_of_it() -> None:
    given: dict[str, Any] = {"ctxt_seq_len": 4, "tgt_seq_len": 2}
    alone, listed = (EncoderDecoderDataModule("y", "x", target_lags=lags, **given)
                     for lags in (3, [3]))  # fmt: skip
    assert alone.columns == listed.columns
    assert alone.hparams["target_lags"] == listed.hparams["target_lags"] == [3]
