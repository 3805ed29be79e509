"""Training rows found again, and rows counted, against trying them all."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.costs import peak_of
from tests.data.spans import sections_of, spans_before
from transformertf.data.series import Series
from transformertf.data.windows import Run, TrainedRows, count_rows

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
    trained = TrainedRows.of(
        series, spans_before(series, ends), sections_of(series), by_name=by_name
    )
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

    def of(*ends):
        spans = spans_before(series, ends)
        return TrainedRows.of(series, spans, sections_of(series), by_name=True)

    one = of(40, 0)
    assert one is not None
    assert one.names == ["a"]
    assert of(40, 40) is of(0, 0) is None


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("time", [DATES, None])
def test_a_series_is_looked_up_among_all(by_name, time):
    many = 4000
    series = [make_series(f"{number}", number, 9, time) for number in range(many)]
    spans = spans_before(series, [9] * many)
    trained = TrainedRows.of(series, spans, sections_of(series), by_name=by_name)
    assert trained is not None
    assert trained.within(series[0]) == [(0, 9)]
    found, size = peak_of(lambda: trained.within(series[many - 1]))
    assert found == [(0, 9)]
    assert size < 8 * many


def test_short_series_and_repeated_targets_are_told_apart():
    twice = np.arange(1.0, 10)[:, None] // 2
    stairs = [Series(f"{n}", n * twice, None, 9) for n in range(3)]
    assert found(stairs, [9, 9, 9], Series("x", 2 * twice, None, 9), by_name=False) == [(0, 9)]
    assert found(stairs, [1, 2, 3], Series("x", twice[:4], None, 4), by_name=False) == [(0, 2)]
    assert found(stairs, [9, 9, 9], Series("x", 3 * twice, None, 9), by_name=False) == []
