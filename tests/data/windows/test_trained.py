"""Training rows found again, and rows counted, against trying them all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformertf.data.series import Codes, Series
from transformertf.data.windows import Content, Run, TrainedRows, count_rows

DATES = pd.date_range("2024-01-01", periods=60, freq="h")


@given(
    origin=st.integers(-1, 20),
    step=st.integers(1, 7),
    count=st.integers(1, 9),
    steps=st.integers(1, 8),
    end=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 60), min_size=4, max_size=4, unique=True),
)
def test_rows_are_counted_as_by_hand(origin, step, count, steps, end, cuts):
    first, second, third, fourth = sorted(cuts)
    spans = [(first, second), (third, fourth)]
    rows = [
        row
        for window in range(count)
        for row in range(origin + window * step + 1, origin + window * step + steps + 1)
        if row < end
    ]
    inside = sum(any(first <= row < last for first, last in spans) for row in rows)
    run = Run(0, origin, step, count, 5, steps)
    assert count_rows(run, steps, end, spans) == (len(rows), inside)


def make_series(name, seed, rows=60, time=DATES):
    values = np.random.default_rng(seed).normal(size=(rows, 1))
    return Series(name, values, None if time is None else time[:rows], rows)


def part(series, first, end, name=None):
    time = None if series.time is None else series.time[first:end]
    values = series.values[first:end]
    return Series(name or series.name, values, time, len(values))


def found(series, ends, other, *, by_name):
    trained = TrainedRows.of(series, ends, by_name=by_name)
    assert trained is not None
    state = trained.state_dict()
    again = TrainedRows.from_state_dict(state)
    assert again.state_dict() == state
    assert again.within(other) == trained.within(other)
    return again.within(other)


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Zurich"])
def test_by_name_rows_are_those_of_its_time(zone):
    time = DATES if zone is None else DATES.tz_localize(zone)
    a, b = make_series("a", 0, time=time), make_series("b", 1, time=time)
    for first, end, expected in ((0, 60, [(0, 40)]), (30, 60, [(0, 10)]), (40, 60, [])):
        revised = part(make_series("a", 7, time=time), first, end)
        assert found([a, b], [40, 50], revised, by_name=True) == expected
    assert found([a, b], [40, 50], part(a, 0, 60, "new"), by_name=True) == []


@pytest.mark.parametrize("time", [DATES, None, pd.Index(np.arange(60) * 0.5)])
def test_files_are_known_by_their_targets_whatever_their_names(time):
    a, b = make_series("a", 0, time=time), make_series("b", 1, time=time)
    assert found([a, b], [40, 50], part(a, 0, 60, "frame"), by_name=False) == [(0, 40)]
    assert found([a, b], [40, 50], part(b, 0, 20, "frame"), by_name=False) == [(0, 20)]
    # runs that all begin at 0, one of a training file's name
    assert found([a, b], [40, 50], make_series("a", 2, time=time), by_name=False) == []


def test_ids_without_time_are_known_by_both():
    a = make_series("a", 0, time=None)
    assert found([a], [40], a, by_name=True) == [(0, 40)]
    assert found([a], [40], part(a, 0, 60, "b"), by_name=True) == []
    assert found([a], [40], part(a, 30, 60), by_name=True) == []


def test_missing_targets_and_other_kinds_of_time_tell_nothing():
    a = make_series("a", 0)
    a.values[::2] = np.nan
    assert found([a], [40], part(a, 0, 60, "x"), by_name=False) == [(0, 40)]
    a.values[:] = np.nan
    assert found([a], [40], part(a, 0, 60, "x"), by_name=False) == []
    aware = make_series("a", 0, time=DATES.tz_localize("UTC"))
    assert found([make_series("a", 0)], [40], aware, by_name=True) == []
    assert found([make_series("a", 0)], [40], make_series("a", 0, time=None), by_name=True) == []


def test_a_file_of_two_training_files_has_the_rows_of_both_once():
    a = make_series("a", 0)
    parts = [part(a, 0, 20, "p"), part(a, 20, 40, "q"), part(a, 0, 20, "again")]
    assert found(parts, [20, 15, 20], part(a, 0, 60, "x"), by_name=False) == [(0, 35)]


def test_too_many_series_are_not_kept(monkeypatch):
    monkeypatch.setattr("transformertf.data.windows.trained.MOST", 1)
    series = [make_series("a", 0), make_series("b", 1)]
    assert TrainedRows.of(series, [40, 40], by_name=True) is None
    one = TrainedRows.of(series, [40, 0], by_name=True)
    assert one is not None
    assert one.names == ["a"]
    assert TrainedRows.of(series, [0, 0], by_name=True) is None


# what was trained on, to the bit


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
    return Content.of(series, [len(one) for one in series], named=named)


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
    monkeypatch.setattr("transformertf.data.windows.trained.PIECE", 7)
    assert content_of(other, named=True) == before


def test_rows_that_are_held_out_do_not_count():
    series = make_panel()
    changed = [
        replace(one, values=np.where(np.arange(6)[:, None] < 4, one.values, 0)) for one in series
    ]
    one, other = (Content.of(each, [4, 4], named=False) for each in (series, changed))
    assert one == other
    assert one.rows == 8
