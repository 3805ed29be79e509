"""Series that are too short: refused together, or left out and told."""

import logging
from types import SimpleNamespace

import pytest

from transformertf.data.series import ShortSeries
from transformertf.errors import InputError, TooShortError


def items(*rows):
    return [SimpleNamespace(name=chr(97 + place), rows=count) for place, count in enumerate(rows)]


def rows_of(item):
    if item.rows < 0:
        raise InputError("another mistake")
    if item.rows < 5:
        raise TooShortError(f"series {item.name!r} is too short: {item.rows} rows, or leave it out")
    return item.rows


def test_all_long_enough(caplog):
    short = ShortSeries(leave_out=False)
    assert short.keep("train", items(5, 9), rows_of) == [5, 9]
    assert short.names == {"train": []}
    assert not caplog.records


@pytest.mark.parametrize(("rows", "more"), [((9, 3), ""), ((1, 9, 2, 3), r" \(and 2 more\)")])
def test_the_first_is_named_and_all_are_counted(rows, more):
    message = rf"series '[ab]' is too short: \d rows, or leave it out with drop_short_series{more}$"
    with pytest.raises(TooShortError, match=message):
        ShortSeries(leave_out=False).keep("train", items(*rows), rows_of)


def test_what_is_left_out_is_told_once(caplog):
    short = ShortSeries(leave_out=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert short.keep("train", items(1, 9, 2, 3, 4, 8), rows_of) == [9, 8]
    (told,) = caplog.messages
    assert told == "train: 4 series too short, left out: 'a', 'c', 'd', ..."
    assert short.names == {"train": ["a", "c", "d", "e"]}


def test_nothing_left_and_other_mistakes_are_refused():
    short = ShortSeries(leave_out=True)
    with pytest.raises(
        TooShortError, match=r"'a' is too short: 1 rows, or leave it out \(and 1 more"
    ):
        short.keep("train", items(1, 2), rows_of)
    with pytest.raises(InputError, match="another mistake"):
        short.keep("train", items(9, -1), rows_of)


def test_a_series_with_other_stretches_is_not_left_out(caplog):
    short = ShortSeries(leave_out=True)
    given = [("a", 9), ("a", 1), ("a", 2), ("b", 1), ("c", 8)]
    stretches = [SimpleNamespace(name=name, rows=rows) for name, rows in given]
    with caplog.at_level(logging.WARNING):
        assert short.keep("train", stretches, rows_of) == [9, 8]
    assert caplog.messages == [
        "train: 1 series too short, left out: 'b'",
        "train: 2 stretches of series too short, left out: 'a'",
    ]
    assert short.names == {"train": ["b"]}
