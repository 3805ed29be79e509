"""What was trained on is told apart from anything else, to the bit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.data.spans import sections_of
from transformertf.data.series import Codes, Series
from transformertf.data.windows import Content


def make_panel(names="ab", rows=6):
    generator = np.random.default_rng(3)
    return [
        Series(
            name,
            generator.normal(size=(rows, 2)),
            pd.date_range("2024-01-01", periods=rows, freq="h"),
            rows,
            (Codes(np.arange(rows, dtype=np.int32) % 2, ["k", "l"]),),
            np.array([number / 7]),
            ("p",),
        )
        for number, name in enumerate(names)
    ]


def content_of(series, named):
    return Content.of(series, sections_of(series), named=named)


def change_value(one):
    values = one.values.copy()
    values[3, 0] = np.nextafter(values[3, 0], 9)
    return replace(one, values=values)


CHANGES = {
    "a bit": change_value,
    "a missing value": lambda one: replace(
        one, values=np.where(one.values < 0, np.nan, one.values)
    ),
    "a row less": lambda one: replace(one, values=one.values[:-1], time=one.time[:-1]),
    "a category": lambda one: replace(
        one, categories=(Codes(one.categories[0].codes, ["k", "m"]),)
    ),
    "a code": lambda one: replace(
        one, categories=(Codes(0 * one.categories[0].codes, ["k", "l"]),)
    ),
    "a static value": lambda one: replace(one, static=one.static + 1),
    "a static text": lambda one: replace(one, static_texts=(None,)),
    "its start": lambda one: replace(one, time=one.time + pd.Timedelta("1h")),
    "a time": lambda one: replace(
        one, time=one.time[:-1].append(one.time[-1:] + pd.Timedelta("1s"))
    ),
    "its zone": lambda one: replace(one, time=one.time.tz_localize("Europe/Berlin")),
    "numbers": lambda one: replace(one, time=pd.Index(np.arange(6))),
    "no time": lambda one: replace(one, time=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_content_tells_of_any_change(change):
    series = make_panel()
    before = content_of(series, named=False)
    assert str(before) == "12 rows in 2 series"
    assert content_of([series[0], change(series[1])], named=False) != before
    assert content_of([change(series[0]), series[1]], named=False) != before


def test_order_and_number_of_series_count_and_names_where_they_are_wanted():
    series = make_panel()
    before = content_of(series, named=False)
    assert content_of(series[::-1], named=False) != before
    assert content_of(series[:1], named=False) != before
    renamed = [replace(one, name=f"{one.name}2") for one in series]
    assert content_of(renamed, named=False) == before
    assert content_of(renamed, named=True) != content_of(series, named=True)


def test_the_content_does_not_hang_on_how_rows_are_stored_and_read(monkeypatch):
    series = make_panel(rows=40)
    before = content_of(series, named=True)
    finer = [replace(one, time=one.time.as_unit("ns")) for one in series]
    other = [replace(one, values=np.asfortranarray(one.values)) for one in finer]
    monkeypatch.setattr("transformertf.data.windows.content.PIECE", 7)
    assert content_of(other, named=True) == before


def test_rows_that_are_held_out_do_not_count():
    series = make_panel()
    changed = [
        replace(one, values=np.where(np.arange(6)[:, None] < 4, one.values, 0)) for one in series
    ]
    one, other = (
        Content.of(each, sections_of(each, [4, 4]), named=False) for each in (series, changed)
    )
    assert one == other
    assert one.rows == 8


def test_texts_count_where_rows_have_them_however_they_are_numbered():
    series = make_panel()
    codes = [one.categories[0].codes for one in series]
    numbered = [
        replace(one, categories=(Codes(2 - 2 * own, ["l", "m", "k"]),))
        for one, own in zip(series, codes, strict=True)
    ]
    assert content_of(numbered, named=False) == content_of(series, named=False)
    lost = [
        replace(one, categories=(Codes(-own, ["k"]),))
        for one, own in zip(series, codes, strict=True)
    ]
    assert content_of(lost, named=False) != content_of(series, named=False)


def test_a_missing_value_has_no_sign():
    series = make_panel()
    lost, computed = (
        [replace(one, values=np.where(one.values < 0, np.copysign(np.nan, sign), one.values))
         for one in series]
        for sign in (1, -1)  # as 0 / 0 gives it
    )  # fmt: skip
    assert content_of(lost, named=False) == content_of(computed, named=False)
