"""Windows as index arithmetic, against lists made the slow way."""

import contextlib
import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.series import Series
from transformertf.data.windows.stages import Split
from transformertf.data.windows.windows import (
    Part,
    Run,
    WindowLimits,
    Windows,
    consecutive,
    sliding,
)
from transformertf.errors import InputError, TooShortError


@st.composite
def limits_strategy(draw):
    context, horizon = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    return WindowLimits(
        context, horizon, draw(st.integers(1, context)), draw(st.integers(1, horizon))
    )


def expand(run):
    return [
        (run.series, run.origin + n * run.step, run.context, run.horizon) for n in range(run.count)
    ]


def slow_windows(part, limits, stride):
    """List (series, origin, context, horizon) by trying every row; None where none is allowed."""
    whole = [
        (part.series, origin, limits.context, limits.horizon)
        for origin in range(-1, part.end)
        if origin + 1 >= part.first_target
        and origin - limits.context + 1 >= part.begin
        and origin + limits.horizon < part.end
    ]
    if whole:
        return whole[::stride]
    for horizon in range(limits.horizon, limits.min_horizon - 1, -1):
        before = part.end - horizon  # row of the first target
        room = before - part.begin  # rows a context can take, as far back as it may
        if before >= part.first_target and room >= limits.min_context:
            return [(part.series, before - 1, min(limits.context, room), horizon)]
    return None


@settings(max_examples=300, deadline=None)
@given(
    rows=st.integers(1, 40),
    first=st.integers(0, 40),
    begin=st.integers(0, 40),
    limits=st.one_of(
        limits_strategy(),
        st.just(WindowLimits.of_sequences(5, 2)),
        st.just(WindowLimits(6, 4, 6, 4)),
    ),
    stride=st.integers(1, 7),
)
def test_windows_of_a_part_are_those_found_by_trying_every_row(rows, first, begin, limits, stride):
    part = Part(2, "run", min(first, rows), rows, min(begin, rows))
    expected = slow_windows(part, limits, stride)
    if expected is None:
        where = f", rows {part.begin} to {rows - 1}," if part.begin else ""
        if part.begin >= rows:
            where = f", whose first {part.begin} rows only give target_lags,"
        with pytest.raises(InputError, match=f"series 'run'{where} is too short: "):
            sliding(part, limits, stride)
        return
    assert expand(sliding(part, limits, stride)) == expected


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 60),
    breaks=st.sets(st.integers(1, 59), max_size=6),
    limits=limits_strategy(),
)
def test_no_window_crosses_a_break(rows, breaks, limits):
    breaks = tuple(sorted(row for row in breaks if row < rows))
    series = Series("run", np.zeros((rows, 1)), None, rows, breaks=breaks)
    found = []
    for begin, end in series.stretches:
        with contextlib.suppress(TooShortError):
            found += expand(sliding(Part(0, "run", 0, end, begin), limits, 1))
    for _, origin, context, horizon in found:
        first, last = origin - context + 1, origin + horizon
        assert 0 <= first <= last < rows
        assert not any(first < row <= last for row in breaks)
    whole = [
        origin
        for origin in range(rows)
        if origin - limits.context + 1 >= 0
        and origin + limits.horizon < rows
        and not any(origin - limits.context + 1 < row <= origin + limits.horizon for row in breaks)
    ]
    full = (limits.context, limits.horizon)
    assert [origin for _, origin, *lengths in found if tuple(lengths) == full] == whole
    room = [end - begin for begin, end in series.stretches]
    short = [n for n in room if limits.min_context + limits.min_horizon <= n < sum(full)]
    assert len(found) == len(whole) + len(short)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(20, 120),
    limits=limits_strategy(),
    stride=st.integers(1, 5),
    validation=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
)
def test_targets_of_the_parts_never_overlap(rows, limits, stride, validation, test):
    series = Series("run", np.zeros((rows, 1)), None, rows)
    fractions = Split(validation, test)
    seen: set[int] = set()
    for stage in ("train", "validation", "test"):
        (part,), targets = fractions.parts(0, series, stage), set()
        try:
            run = sliding(part, limits, stride)
        except InputError:
            assert slow_windows(part, limits, stride) is None
            continue
        for _, origin, context, horizon in expand(run):
            assert origin - context + 1 >= 0
            targets |= set(range(origin + 1, origin + horizon + 1))
        assert targets
        assert min(targets) >= part.first_target
        assert max(targets) < part.end
        assert not targets & seen
        if stride == 1 and run.count > 1:
            assert targets == set(range(max(part.first_target, limits.context), part.end))
        seen |= targets


def test_contexts_reach_back_into_the_part_before():
    run = sliding(Part(0, "run", 60, 80), WindowLimits(30, 5, 30, 5), 1)
    assert run.origin == 59  # its first target is row 60, its context rows 30 to 59
    assert run.count == 16


FULL = WindowLimits(10, 4, 3, 2)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (15, [(0, 9, 10, 4), (0, 10, 10, 4)]),
        (14, [(0, 9, 10, 4)]),
        (13, [(0, 8, 9, 4)]),
        (7, [(0, 2, 3, 4)]),
        (6, [(0, 2, 3, 3)]),
        (5, [(0, 2, 3, 2)]),
    ],
)
def test_a_short_series_loses_context_first(rows, expected):
    assert expand(sliding(Part(0, "run", 0, rows), FULL, 1)) == expected


@pytest.mark.parametrize("rows", [1, 4])
def test_a_series_below_the_minima_is_refused_by_name_and_count(rows):
    message = f"series 'run' is too short: {rows} rows, expected at least 3 of context and 2 of "
    with pytest.raises(InputError, match=message):
        sliding(Part(0, "run", 0, rows), FULL, 1)


def test_a_part_below_the_minima_counts_its_own_rows():
    with pytest.raises(InputError, match="'run' is too short: 1 rows in this split, expected"):
        sliding(Part(0, "run", 49, 50), FULL, 1)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Part(0, "a", 0, 124, 120), "'a', rows 120 to 123, is too short: 4 rows, expected"),
        (Part(0, "a", 120, 124, 120), "'a', rows 120 to 123, is too short: 4 rows, expected"),
        (Part(0, "a", 123, 124, 90), "'a', rows 90 to 123, is too short: 1 rows in this split, "),
    ],
)
def test_a_short_stretch_is_refused_with_its_rows(part, message):
    with pytest.raises(TooShortError, match=f"^series {message}"):
        sliding(part, FULL, 1)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], True),
        ([(5, 3, 4)], True),
        ([(5, 3, 4), (5, 3, 1)], True),
        ([(5, 3, 4), (5, 2, 1)], False),
        ([(5, 3, 4), (4, 3, 1)], False),
        ([(5, 3, 4), (4, 3, 0)], True),
    ],
)
def test_windows_know_whether_they_have_one_length(lengths, expected):
    runs = [Run(0, 50, 1, count, context, horizon) for context, horizon, count in lengths]
    assert Windows(runs).one_length is expected


@pytest.mark.parametrize(
    ("lengths", "name"),
    [
        ((0, 4, 0, 1), "ctxt_seq_len is 0"),
        ((-3, 4, 1, 1), "ctxt_seq_len is -3"),
        ((4, 0, 1, 0), "tgt_seq_len is 0"),
        ((4, 4, 5, 1), "ctxt_seq_len is 4 and min_ctxt_seq_len 5"),
        ((4, 4, 1, 5), "tgt_seq_len is 4 and min_tgt_seq_len 5"),
        ((4, 4, 0, 1), "ctxt_seq_len is 4 and min_ctxt_seq_len 0"),
        ((4, 4, 1, 0), "tgt_seq_len is 4 and min_tgt_seq_len 0"),
    ],
)
def test_lengths_that_contradict_each_other_are_refused(lengths, name):
    with pytest.raises(InputError, match=name):
        WindowLimits(*lengths)


RUNS = st.builds(
    Run,
    series=st.integers(0, 5),
    origin=st.integers(0, 100),
    step=st.integers(1, 9),
    count=st.integers(0, 6),
    context=st.integers(1, 20),
    horizon=st.integers(1, 20),
)


@settings(max_examples=50, deadline=None)
@given(runs=st.lists(RUNS, max_size=6), data=st.data())
def test_locate_is_a_lookup_in_the_list_of_all_windows(runs, data):
    windows = Windows(iter(runs))
    table = [row for run in runs for row in expand(run)]
    assert len(windows) == len(table)
    if not table:
        return
    places = st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=20)
    index = np.array(data.draw(places))
    found = windows.locate(index)
    assert all(array.dtype == np.int64 for array in found)
    assert list(zip(*(array.tolist() for array in found), strict=True)) == [
        table[place] for place in index
    ]


def test_memory_grows_with_the_series_not_with_the_windows():
    windows = Windows([Run(0, 9, 1, 10**12, 10, 4), Run(1, 9, 1, 5, 10, 4)])
    assert len(windows) == 10**12 + 5
    series, origin, _, _ = windows.locate(np.array([10**12 - 1, 10**12]))
    assert series.tolist() == [0, 1]
    assert origin.tolist() == [10**12 + 8, 9]


@pytest.mark.parametrize("rows", [1, 4, 5, 8, 23])
def test_consecutive_windows_hold_each_row_once(rows):
    windows = Windows(consecutive([Part(3, "run", 0, rows)], 4))
    series, origin, context, horizon = windows.locate(np.arange(len(windows)))
    found = [row for o, h in zip(origin, horizon, strict=True) for row in range(o + 1, o + 1 + h)]
    assert found == list(range(rows))
    assert (series == 3).all()
    assert (context == 0).all()
    assert (horizon[:-1] == 4).all()


@pytest.mark.parametrize(("first", "begin"), [(0, 7), (9, 7), (7, 0), (22, 3)])
def test_consecutive_windows_go_on_from_where_they_may_begin(first, begin):
    windows = Windows(consecutive([Part(0, "run", first, 23, begin)], 4))
    index = np.arange(len(windows))
    _, origin, _, horizon = windows.locate(index)
    since, counts = windows.pieces(index)
    rows = [range(o + 1, o + 1 + h) for o, h in zip(origin, horizon, strict=True)]
    assert [row for own in rows for row in own] == list(range(begin, 23))
    forecast = [row for own, each in zip(rows, counts, strict=True) if each for row in own]
    assert forecast == list(range(max(first, begin), 23))
    assert (since == begin).all()


@pytest.mark.parametrize(("first", "begin"), [(30, 40), (23, 23), (23, 0)])
def test_a_part_without_rows_is_refused_by_name(first, begin):
    with pytest.raises(TooShortError, match="series 'run' has no row in this split; give a larger"):
        consecutive([Part(0, "run", first, 23, begin)], 4)


@pytest.mark.parametrize("rows", [3, 5, 6, 20])
def test_sequences_slide_from_the_first_row(rows):
    run = sliding(Part(0, "run", 0, rows), WindowLimits.of_sequences(6, 3), 2)
    assert (run.context, run.horizon) == (0, min(rows, 6))
    origins = [origin for _, origin, *_ in expand(run)]
    assert origins == list(range(-1, max(rows - 6, 0), 2))


def test_limits_of_sequences_have_their_own_names():
    with pytest.raises(InputError, match=r"^seq_len is 4 and min_seq_len 5: expected 1 <= min_seq"):
        WindowLimits.of_sequences(4, 5)


def test_a_lag_longer_than_a_series_is_named():
    part = Part(0, "a", 0, 40, begin=100)
    message = r"series 'a', whose first 100 rows only give target_lags, is too short: 0 rows"
    with pytest.raises(InputError, match=message):
        sliding(part, WindowLimits(4, 2, 4, 2), 1)


def test_runs_are_not_copied_to_be_laid_out(monkeypatch):
    monkeypatch.setattr(copy, "deepcopy", lambda _: pytest.fail("copies each number"))
    windows = Windows([Run(0, 3, 1, 2, 3, 2), Run(1, 3, 1, 1, 3, 2, 0, False)])
    assert windows.locate(np.arange(3))[0].tolist() == [0, 0, 1]
    assert windows.pieces(np.arange(3))[1].tolist() == [True, True, False]
