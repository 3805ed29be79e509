"""Regular grids and breaks at gaps, against constructions row by row."""

import time as clock
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tabular import time_of
from transformertf.data.reading import gaps as of_gaps
from transformertf.data.reading.gaps import break_at_gaps, on_grid
from transformertf.data.series import Codes, Series
from transformertf.errors import InputError

ZURICH = "Europe/Zurich"
STEPS = {"1h": timedelta(hours=1), "15min": timedelta(minutes=15), "1D": timedelta(days=1)}


def make_series(time, breaks=(), observed=None, name="run"):
    rows = len(time)
    values = np.arange(2.0 * rows).reshape(rows, 2)
    observed = rows if observed is None else observed
    values[observed:, -1] = np.nan
    codes = Codes(np.arange(rows, dtype=np.int32) % 3, ("a", "b", "c"))
    return Series(
        name, values, time, observed, (codes,), np.array([4.0]), ("x", None), tuple(breaks)
    )


def assert_same(one, other):
    assert one.name == other.name
    np.testing.assert_array_equal(one.values, other.values)
    assert list(one.time) == list(other.time)
    assert one.observed == other.observed
    assert one.breaks == other.breaks
    assert one.static_texts == other.static_texts
    np.testing.assert_array_equal(one.static, other.static)
    for left, right in zip(one.categories, other.categories, strict=True):
        np.testing.assert_array_equal(left.codes, right.codes)
        assert left.codes.dtype == right.codes.dtype == np.int32
        assert left.texts == right.texts


def slow_grid(series, places):
    """Return the series with rows put at their places, row by row; stamps are not looked at."""
    stretches = series.stretches
    values: list[list[float]] = []
    codes: list[int] = []
    breaks: list[int] = []
    observed = 0
    for first, end in stretches:
        if first:
            breaks.append(len(values))
        for row in range(first, end):
            missing = places[row] - places[row - 1] - 1 if row > first else 0
            values += [[np.nan, np.nan]] * missing + [series.values[row].tolist()]
            codes += [-1] * missing + [series.categories[0].codes[row]]
            if row < series.observed:
                observed = len(values)
    return values, codes, breaks, observed


@st.composite
def gappy(draw):
    """Return places on a grid that rise, with breaks, and how many rows are observed."""
    places = np.cumsum(draw(st.lists(st.integers(1, 4), min_size=1, max_size=30)))
    breaks = draw(st.sets(st.integers(1, max(len(places) - 1, 1)), max_size=3))
    breaks = sorted(row for row in breaks if row < len(places))
    return places, breaks, draw(st.integers(0, len(places)))


@settings(max_examples=150, deadline=None)
@given(rows=gappy(), freq=st.sampled_from([*STEPS, 3, 0.1, "0.25"]), origin=st.integers(-5, 10**9))
def test_a_grid_is_the_one_made_row_by_row(rows, freq, origin):
    places, breaks, observed = rows
    if freq in STEPS:
        start = datetime(1970, 1, 1) + timedelta(seconds=origin)

        def stamps(numbers):
            return pd.DatetimeIndex([start + int(number) * STEPS[freq] for number in numbers])
    else:
        step = float(freq)

        def stamps(numbers):
            return pd.Index(origin + np.asarray(numbers) * step)

    series = make_series(stamps(places), breaks, observed)
    found = on_grid(series, freq)
    values, codes, new_breaks, known = slow_grid(series, places)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.categories[0].codes, codes)
    assert found.breaks == tuple(new_breaks)
    assert found.observed == known
    expected = [
        number
        for first, end in series.stretches
        for number in range(places[first], places[end - 1] + 1)
    ]
    if freq in STEPS:
        assert list(time_of(found)) == list(stamps(expected))
    else:
        np.testing.assert_allclose(time_of(found), stamps(expected), rtol=1e-15, atol=1e-12)
    assert set(time_of(series)) <= set(time_of(found))
    assert found.static is series.static
    assert found.static_texts == series.static_texts
    assert_same(on_grid(found, freq), found)


@pytest.mark.parametrize(
    ("time", "freq"),
    [
        (pd.date_range("2024-01-01", periods=9, freq="15min"), "15min"),
        (pd.date_range("2024-01-01", periods=9, freq="MS"), "MS"),
        (pd.date_range("2024-03-28", periods=9, freq="D", tz=ZURICH), "D"),
        (pd.date_range("2024-03-28 02:30", periods=9, freq="h", tz=ZURICH), "1 hour"),
        (pd.Index(np.arange(9) * 0.1 + 1.7e9), 0.1),
        (pd.Index(np.arange(9, dtype=np.float32) * np.float32(0.1) + 1000), 0.1),
        (pd.Index(np.arange(9) * 3), 3.0),
        (pd.Index(np.array([-100, 0, 100], dtype=np.int8)), "100"),
        (pd.Index(2**62 + 7 * np.arange(9)), 7),
        (pd.Index([5.0]), 2),
    ],
    ids=str,
)
def test_a_regular_series_is_left_alone(time, freq):
    series = make_series(time)
    assert on_grid(series, freq) is series


@pytest.mark.parametrize("zone", [ZURICH, "Africa/Cairo", "America/Havana", "UTC"])
@pytest.mark.parametrize(("first", "count"), [("2023-04-20", 20), ("2023-10-20", 30)])
def test_days_keep_to_the_wall_clock(zone, first, count):
    # in Cairo clocks go on at midnight, which is skipped; in Havana back to it, so it comes twice
    midnights = [
        (datetime.fromisoformat(first) + timedelta(days=day)).replace(tzinfo=ZoneInfo(zone))
        for day in range(count)
    ]
    seconds = [midnight.timestamp() for midnight in midnights]
    every = pd.DatetimeIndex(pd.to_datetime(seconds, unit="s", utc=True)).tz_convert(zone)
    kept = [0, 1, 2, 5, count - 1]
    filled = on_grid(make_series(every[kept]), "D")
    assert list(time_of(filled)) == list(every)
    assert np.flatnonzero(np.isfinite(filled.values[:, 0])).tolist() == kept


def test_some_of_these_days_are_longer_than_others():
    days = pd.DatetimeIndex(["2023-10-20", "2023-11-18"]).tz_localize("America/Havana")
    hours = np.diff(time_of(on_grid(make_series(days), "D")).asi8 // 10**6 // 3600)
    assert sorted(set(hours.tolist())) == [24, 25]


def test_hours_go_through_a_change_of_the_clock():
    every = pd.date_range("2024-10-26 20:00", "2024-10-27 08:00", freq="h", tz=ZURICH)
    assert len(every) == 14  # one more than the clock shows
    filled = on_grid(make_series(every[[0, 5, 6, 13]]), "h")
    assert list(time_of(filled)) == list(every)


def test_months_are_steps_of_the_calendar():
    stamps = pd.DatetimeIndex(["2023-11-01", "2024-02-01", "2024-04-01"]).tz_localize(ZURICH)
    filled = on_grid(make_series(stamps), "MS")
    months = [(2023, 11), (2023, 12), *((2024, month) for month in range(1, 5))]
    assert [(stamp.year, stamp.month, stamp.day) for stamp in time_of(filled)] == [
        (*month, 1) for month in months
    ]


def test_a_grid_finer_than_the_unit_of_the_stamps():
    stamps = pd.DatetimeIndex(["2024-01-01 00:00:00", "2024-01-01 00:00:02"]).as_unit("s")
    filled = on_grid(make_series(stamps), "500ms")
    assert list(time_of(filled)) == [stamps[0] + n * timedelta(milliseconds=500) for n in range(5)]
    whole = on_grid(make_series(pd.Index([0, 2])), 0.5)
    assert list(time_of(whole)) == [0, 0.5, 1, 1.5, 2]
    assert time_of(on_grid(make_series(pd.Index([0, 2])), 1.0)).dtype == np.int64


@pytest.mark.parametrize(
    ("stamps", "freq", "row", "nearest"),
    [
        (["2024-01-01 00:00", "2024-01-01 01:10", "2024-01-01 02:00"], "h", 1, "01:00:00"),
        (["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 01:40"], "h", 2, "01:00:00"),
        (["2024-01-01 00:00", "2024-01-01 01:40", "2024-01-01 03:00"], "h", 1, "02:00:00"),
        (["2024-01-15", "2024-02-01"], "MS", 0, "2024-01-01 00:00:00"),
        (["2024-01-01", "2024-02-03"], "MS", 1, "2024-02-01 00:00:00"),
        (["2024-01-20"], "MS", 0, "2024-02-01 00:00:00"),
    ],
)
def test_a_date_off_the_grid_is_refused_with_the_nearest(stamps, freq, row, nearest):
    series = make_series(pd.DatetimeIndex(stamps))
    stamp = series.time[row]
    with pytest.raises(InputError) as refused:
        on_grid(series, freq)
    message = str(refused.value)
    assert message.startswith(
        f"series 'run': the time stamp of row {row} (counted from 0), {stamp}"
    )
    assert f"freq={freq!r}: expected " in message
    assert f"{nearest}, the nearest" in message
    assert message.endswith("round the time stamps, or give another freq")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("stamps", "row", "nearest"),
    [
        ([0.0, 0.5, 1.000002], 2, "1.0"),
        ([0.0, 0.4, 1.0], 1, "0.5"),
        ([0.0, 0.5, 0.5000001, 1.0], 2, "0.5"),  # two stamps for one row
        ([10.0, 10.5, 11.3], 2, "11.5"),
    ],
)
def test_a_number_off_the_grid_is_refused_with_the_nearest(stamps, row, nearest):
    expected = rf"row {row} \(counted from 0\), {stamps[row]}, is not on .* expected {nearest}, "
    with pytest.raises(InputError, match=expected):
        on_grid(make_series(pd.Index(stamps)), 0.5)


def test_numbers_may_be_off_by_a_millionth_of_a_step_and_by_their_rounding():
    near = make_series(pd.Index([0.0, 0.5 + 4e-7, 1.5 - 4e-7]))
    filled = on_grid(near, 0.5)
    assert list(time_of(filled)) == [0.0, 0.5 + 4e-7, 1.0, 1.5 - 4e-7]
    seconds = 1.7e9 + np.delete(np.arange(5000), [7, 8, 4000]) * 0.001
    assert (np.abs(np.diff(seconds) / 0.001 % 1 - 0.5) < 0.4999).any()  # more than a millionth
    assert len(on_grid(make_series(pd.Index(seconds)), 0.001)) == 5000


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "number"])
def test_stamps_may_be_off_by_a_share_of_a_step(zone):
    generator = np.random.default_rng(1)
    rows = np.sort(generator.choice(500, 400, replace=False))
    rows -= rows[0]
    shift = np.append(0.0, generator.uniform(-0.2, 0.2, 399))
    # 10 ms each, through the end of summer time
    numbers = (rows + shift) * 10
    dates = pd.Timestamp("2023-10-29 00:59:59") + pd.to_timedelta(numbers, "ms")
    local = None if zone == "number" or zone is None else dates.tz_localize("UTC").tz_convert(zone)
    time = pd.Index(numbers) if zone == "number" else dates if local is None else local
    freq = 10 if zone == "number" else "10ms"
    series = make_series(time)
    with pytest.raises(InputError, match=r"as freq_tolerance: 0\.2, round"):
        on_grid(series, freq)
    with pytest.raises(InputError, match="is not on the grid"):
        on_grid(series, freq, 0.1)
    found = on_grid(series, freq, 0.21)
    there = ~np.isnan(found.values[:, 0])
    assert np.flatnonzero(there).tolist() == rows.tolist()
    assert found.time is not None
    assert found.time.dtype == time.dtype
    assert (found.time[there] == time).all()
    assert found.time.is_monotonic_increasing
    # what is put in lies on the grid
    put = found.time[~there] - time[0]
    offset = put / pd.Timedelta("10ms") if zone != "number" else put / 10
    np.testing.assert_allclose(offset, np.flatnonzero(~there), atol=1e-6)


def test_two_stamps_of_one_place_are_refused_whatever_the_tolerance():
    time = pd.Index([0.0, 0.9, 1.1, 2.0])
    series = make_series(time)
    with pytest.raises(InputError, match=r"row 2 .*is not on the grid"):
        on_grid(series, 1, 0.3)


def test_a_step_of_the_calendar_has_no_tolerance():
    time = pd.date_range("2024-01-01", periods=4, freq="MS")
    series = make_series(time)
    with pytest.raises(InputError, match="freq_tolerance: 'MS' has no fixed length"):
        on_grid(series, "MS", 0.1)


def test_each_stretch_has_its_grid():
    series = make_series(pd.Index([0.0, 2.0, 100.3, 101.3, 103.3]), breaks=(2,))
    filled = on_grid(series, 1)
    np.testing.assert_allclose(time_of(filled), [0, 1, 2, 100.3, 101.3, 102.3, 103.3])
    assert filled.breaks == (3,)
    with pytest.raises(InputError, match=r"row 2 \(counted from 0\), 100.3"):
        on_grid(replace(series, breaks=()), 1)
    late = make_series(pd.Index([0.0, 2.0, 100.3, 101.3, 103.0]), breaks=(2,))
    with pytest.raises(InputError, match=r"row 4 \(counted from 0\), 103.0"):
        on_grid(late, 1)


@pytest.mark.parametrize("freq", [2, "2h"])
def test_stretches_whose_rows_are_all_there_are_laid_out_at_once(monkeypatch, freq):
    rows = np.arange(60) * 2 + 100 * (np.arange(60) // 6)
    rows[21:24] += 2
    whole = rows if freq == 2 else np.datetime64("2024-01-01", "h") + rows
    series = make_series(pd.Index(whole), breaks=range(6, 60, 6))
    laid, name = [], "_number_grid" if freq == 2 else "_date_grid"
    made = getattr(of_gaps, name)

    def lay(stretch, **how):
        laid.append(len(stretch))
        return made(stretch, **how)

    monkeypatch.setattr(of_gaps, name, lay)
    found = on_grid(series, freq)
    assert laid == [6]
    assert len(found) == 61
    assert np.flatnonzero(np.isnan(found.values[:, 0])).tolist() == [21]
    assert found.breaks == (6, 12, 18, 25, 31, 37, 43, 49, 55)
    assert time_of(found).delete(21).equals(series.time)


@pytest.mark.parametrize(("observed", "expected"), [(0, 0), (2, 2), (3, 4), (4, 8)])
def test_rows_up_to_the_last_known_target_stay_so(observed, expected):
    filled = on_grid(make_series(pd.Index([0, 1, 3, 7]), observed=observed), 1)
    known = np.flatnonzero(np.isfinite(filled.values[:, -1]))
    assert filled.observed == expected == (known[-1] + 1 if known.size else 0)


@pytest.mark.parametrize(
    ("stamps", "freq"),
    [(pd.DatetimeIndex(["1990-01-01", "2024-01-01"]), "1s"), (pd.Index([0.0, 1e300]), 1)],
)
def test_a_grid_of_nothing_but_gaps_is_refused(stamps, freq):
    with pytest.raises(InputError, match=f"freq: expected about .* found {freq!r}, which makes"):
        on_grid(make_series(stamps), freq)
    long = replace(make_series(stamps), breaks=(1,))
    assert on_grid(long, freq) is long


DATES = pd.DatetimeIndex(["2024-01-01", "2024-01-02"])
NUMBERS = pd.Index([0.0, 1.0])


@pytest.mark.parametrize(
    "act", [(on_grid, "freq"), (break_at_gaps, "max_gap")], ids=["freq", "gap"]
)
@pytest.mark.parametrize(
    ("time", "given", "expected"),
    [
        (DATES, 15, "a length of time with its unit"),
        (DATES, 0.5, "a length of time with its unit"),
        (DATES, "15", "a length of time with its unit"),
        (DATES, "hourly", "a length of time with its unit"),
        (DATES, "", "a length of time with its unit"),
        (DATES, "nan", "a length of time with its unit"),
        (DATES, "0h", "a length of time with its unit"),
        (DATES, "-1h", "a length of time with its unit"),
        (DATES, "-1D", "a length of time with its unit"),
        (DATES, True, "a length of time with its unit"),
        (NUMBERS, "1h", "a number above 0"),
        (NUMBERS, "D", "a number above 0"),
        (NUMBERS, 0, "a number above 0"),
        (NUMBERS, -0.5, "a number above 0"),
        (NUMBERS, float("nan"), "a number above 0"),
        (NUMBERS, "inf", "a number above 0"),
        (NUMBERS, True, "a number above 0"),
    ],
)
def test_what_is_no_step_is_refused(act, time, given, expected):
    function, argument = act
    with pytest.raises(InputError) as refused:
        function(make_series(time), given)
    message = str(refused.value)
    assert message.startswith(f"{argument}: expected {expected}")
    assert f"found {given!r}; give one, or leave {argument} out" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "act", [(on_grid, "freq"), (break_at_gaps, "max_gap")], ids=["freq", "gap"]
)
def test_steps_need_time_stamps(act):
    function, argument = act
    series = Series("run", np.zeros((3, 1)), None, 3)
    with pytest.raises(InputError, match=f"^{argument}: expected a time_column, found none; name"):
        function(series, "1h")


@pytest.mark.parametrize("month", ["MS", "B", "W", "YS"])
def test_a_gap_has_a_fixed_length(month):
    with pytest.raises(InputError, match=f"max_gap: expected a fixed length .* '{month}'; give"):
        break_at_gaps(make_series(DATES), month)


@settings(max_examples=100, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 9), max_size=30),
    most=st.integers(1, 9),
    dates=st.booleans(),
    scale=st.sampled_from([1, 0.1, 7]),
    before=st.sets(st.integers(1, 31)),
)
def test_breaks_are_where_a_loop_finds_them(gaps, most, dates, scale, before):
    ticks = np.concatenate([[0], np.cumsum(gaps, dtype=np.int64)])
    before = sorted(row for row in before if row < len(ticks))
    if dates:
        time = pd.DatetimeIndex([datetime(2024, 1, 1) + timedelta(minutes=int(t)) for t in ticks])
        max_gap = f"{most}min"
    else:
        time, max_gap = pd.Index(ticks * scale), most * scale
    series = make_series(time, before)
    expected = [row for row in range(1, len(ticks)) if gaps[row - 1] > most or row in before]
    found = break_at_gaps(series, max_gap)
    assert found.breaks == tuple(expected)
    assert all(type(row) is int for row in found.breaks)
    assert_same(replace(found, breaks=series.breaks), series)


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_gaps_of_whole_numbers_are_exact(kind):
    first = 2**63 + 11 if kind is np.uint64 else 1706659200000000011
    steps = np.array([0, 100, 200, 500, 3600 * 10**9 + 500, 2 * 3600 * 10**9 + 501], dtype=kind)
    series = make_series(pd.Index(steps + kind(first)))
    assert break_at_gaps(series, 3600 * 10**9).breaks == (5,)
    whole = on_grid(replace(series, breaks=(4, 5)), 100)
    assert time_of(whole).dtype == kind
    assert time_of(whole)[:6].tolist() == [first + 100 * n for n in range(6)]


def test_rounding_makes_no_gap():
    assert break_at_gaps(make_series(pd.Index(np.arange(99) * 0.1)), 0.1).breaks == ()
    seconds = 1.7e9 + np.arange(5000) * 0.001
    assert np.diff(seconds).max() > 0.001 * (1 + 1e-5)
    assert break_at_gaps(make_series(pd.Index(seconds)), 0.001).breaks == ()
    assert break_at_gaps(make_series(pd.Index([0.0, 1.0, 2.0 + 1e-6])), 1).breaks == (2,)


def test_the_day_on_which_summer_time_ends_is_no_gap():
    days = pd.date_range("2024-10-20", periods=14, freq="D", tz=ZURICH)
    assert break_at_gaps(make_series(days), "D").breaks == ()
    assert break_at_gaps(make_series(days), "24h").breaks == (8,)
    assert break_at_gaps(make_series(days.delete(3)), "1D").breaks == (3,)
    assert break_at_gaps(make_series(days.delete(3)), "2D").breaks == ()


@pytest.mark.parametrize("kind", ["date", "number"])
def test_a_million_rows_take_no_time(kind):
    kept = np.flatnonzero(np.random.default_rng(0).random(1_200_000) < 0.85)
    time = pd.Index(kept * 0.5)
    if kind == "date":
        time = pd.date_range("2020", periods=1_200_000, freq="min", tz=ZURICH)[kept]
    freq, gap = ("1min", "2min") if kind == "date" else (0.5, 1.0)
    series = make_series(time)
    start = clock.process_time()
    filled = on_grid(series, freq)
    broken = break_at_gaps(series, gap)
    assert clock.process_time() - start < 2
    assert len(filled) == kept[-1] - kept[0] + 1
    assert len(broken.breaks) == (np.diff(kept) > 2).sum()
