"""Where forecasts start at predict."""

import datetime
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.series import Series
from transformertf.data.windows.origins import Origin
from transformertf.data.windows.windows import Part, WindowLimits
from transformertf.errors import InputError, TooShortError

LIMITS = WindowLimits(context=10, horizon=4, min_context=3, min_horizon=2)
DATES = pd.date_range("2024-01-01", periods=40, freq="h")
AWARE = DATES.tz_localize("Europe/Zurich")
FLOATS = pd.Index(np.arange(40) * 0.25)
INTEGERS = pd.Index(np.arange(40) * 10)


def make_series(rows=40, observed=None, time=None):
    values = np.arange(rows, dtype=np.float64)[:, None]
    observed = rows if observed is None else observed
    values[observed:] = np.nan
    return Series("run", values, None if time is None else time[:rows], observed)


def windows(origin, series, limits=LIMITS, lag=0):
    parsed = Origin.parse(origin)
    parts = [Part(5, series.name, first, end, first + lag) for first, end in series.stretches]
    runs = [
        run
        for part in parsed.choose(parts, series, limits)
        for run in parsed.windows(part, series, limits)
    ]
    assert {run.series for run in runs} <= {5}
    return [
        (run.origin + n * run.step, run.context, run.horizon)
        for run in runs
        for n in range(run.count)
    ]


def whole(*origins):
    return [(origin, 10, 4) for origin in origins]


@pytest.mark.parametrize(
    ("origin", "rows", "expected"),
    [
        ("auto", 40, whole(9, 13, 17, 21, 25, 29, 33)),
        ("auto", 41, whole(9, 13, 17, 21, 25, 29, 33)),
        ("auto", 42, whole(*range(9, 38, 4))),
        ("auto", 14, whole(9)),
        ("all", 40, whole(*range(9, 36))),
        ("every:1", 40, whole(*range(9, 36))),
        ("every:5", 40, whole(9, 14, 19, 24, 29, 34)),
        ("every:100", 40, whole(9)),
        ("last", 40, whole(35)),
        ("last", 14, whole(9)),
    ],
)
def test_a_known_target_gives_whole_horizons_with_their_actuals(origin, rows, expected):
    assert windows(origin, make_series(rows)) == expected
    assert all(row + horizon < rows for row, _, horizon in expected)


@pytest.mark.parametrize(
    ("origin", "observed", "expected"),
    [
        ("auto", 36, whole(35)),
        ("auto", 38, [(37, 10, 2)]),
        ("auto", 39, [(38, 10, 1)]),
        ("auto", 20, whole(19)),
        ("auto", 7, [(6, 7, 4)]),
        ("end", 36, whole(35)),
        ("end", 38, [(37, 10, 2)]),
        ("last", 36, whole(35)),
        ("last", 38, whole(35)),
        ("last", 20, whole(19)),
        ("all", 36, whole(*range(9, 36))),
        ("all", 38, whole(*range(9, 36))),
        ("all", 15, whole(*range(9, 15))),
        ("every:3", 16, whole(9, 12, 15)),
        ("every:3", 15, whole(9, 12)),
    ],
)
def test_a_missing_tail_is_the_horizon(origin, observed, expected):
    found = windows(origin, make_series(40, observed))
    assert found == expected
    assert all(row < observed for row, _, _ in found)  # contexts end where the target is known


@pytest.mark.parametrize(
    ("origin", "rows", "expected"),
    [("auto", 9, [(4, 5, 4)]), ("all", 6, [(2, 3, 3)]), ("last", 9, [(4, 5, 4)])],
)
def test_a_short_series_has_one_forecast(origin, rows, expected):
    assert windows(origin, make_series(rows)) == expected


@pytest.mark.parametrize("origin", ["all", "every:2"])
@pytest.mark.parametrize(("rows", "observed"), [(40, 5), (12, 7)])
def test_a_series_without_any_origin_is_not_left_out_in_silence(origin, rows, observed):
    try:
        found = windows(origin, make_series(rows, observed))
    except InputError as error:
        assert "'run'" in str(error)  # noqa: PT017 -- a forecast would do as well
        return
    assert found


@pytest.mark.parametrize(
    ("time", "at", "row"),
    [
        (None, "20", 20),
        (DATES, "2024-01-01 20:00", 20),
        (DATES, "2024-01-01T20:00:00", 20),
        (DATES, "2024-01-01 20:59:59", 20),
        (DATES, "2024-01-02", 24),
        (AWARE, "2024-01-01 20:00", 20),
        (AWARE, "2024-01-01 20:00+01:00", 20),
        (AWARE, "2024-01-01 19:00Z", 20),
        (FLOATS, "5.0", 20),
        (FLOATS, "5.1", 20),
        (FLOATS, "5", 20),
        (INTEGERS, "200", 20),
        (INTEGERS, "209.9", 20),
    ],
)
def test_a_time_stamp_means_the_last_row_at_or_before_it(time, at, row):
    assert windows(at, make_series(time=time)) == whole(row)


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_whole_numbers_are_compared_to_the_digit(kind):
    stamps = 1706659200000000000 + 100 * np.arange(40)
    time = pd.Index(stamps.astype(kind))
    for row in range(9, 36):
        assert windows(str(stamps[row]), make_series(time=time)) == whole(row)
        assert windows(str(stamps[row] - 1), make_series(time=time)) == windows(
            str(row - 1), make_series()
        )
    with pytest.raises(InputError, match="lies outside"):
        windows("-1e999999999", make_series(time=time))


def test_a_number_is_one_of_the_type_that_the_column_has():
    tenths = (np.arange(40) / 10).astype(np.float32)
    for row in range(9, 36):
        assert windows(str(row / 10), make_series(time=pd.Index(tenths))) == whole(row)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_may_be_finer_than_those_of_the_rows(unit):
    for time in (DATES.as_unit(unit), AWARE.as_unit(unit)):
        found = windows("2024-01-01 20:00:00.123456789", make_series(time=time))
        assert found == whole(20)


@pytest.mark.parametrize(
    "written", ["%d.%m.%Y %H:%M", "%d/%m/%Y", "%Y%m%d%H", "%Y%m%d", "%b %d %Y"]
)
def test_a_whole_date_is_read_in_any_way_it_is_told(written):
    time = pd.date_range("2024-01-22", periods=40, freq="D")
    assert windows(time[9].strftime(written), make_series(time=time)) == whole(9)


@pytest.mark.parametrize(
    ("time", "at", "message"),
    [
        (DATES, "01/02/2024", "may mean 2024-02-01 or 2024-01-02; write the year first"),
        (DATES, "02.01.24", "may mean"),
        *(
            (DATES, text, "expected a whole date")
            for text in ("12:00", "now", "today", "2024", "9")
        ),
        *((AWARE, text, "expected a whole date") for text in ("now", "tomorrow", "", "nan", "NaT")),
        (DATES, "2024-01-01 20:00+01:00", "has an offset from UTC, and the time stamps have none"),
        *((INTEGERS, text, "expected a number") for text in ("nan", "inf", "2024-01-01", "1_0")),
        *((FLOATS, text, "expected a number") for text in ("nan", "-inf", "infinity")),
        *((None, text, "nor a row number") for text in ("1_0", "9" * 5000, "12:00")),
    ],
)
def test_what_may_mean_something_else_is_refused(time, at, message):
    with pytest.raises(InputError, match=message):
        windows(at, make_series(time=time))


def test_an_hour_that_the_clocks_repeat_or_skip_is_told_with_both_instants():
    for first, asked, told in (
        ("2024-10-26 12:00", "2024-10-27 02:30", ("comes twice", "+02:00", "+01:00")),
        ("2024-03-30 12:00", "2024-03-31 02:30", ("is skipped", "+01:00", "+02:00")),
    ):
        time = pd.date_range(first, periods=40, freq="h", tz="Europe/Berlin")
        with pytest.raises(InputError, match="Europe/Berlin") as caught:
            windows(asked, make_series(time=time))
        assert all(word in str(caught.value) for word in told)
        for offset in told[1:]:
            written = f"{asked}{offset}"
            row = int((time <= pd.Timestamp(written)).sum()) - 1
            assert windows(written, make_series(time=time)) == whole(row)


@pytest.mark.parametrize(
    ("time", "given"),
    [
        (DATES, DATES[20]),
        (DATES, DATES[20].to_pydatetime()),
        (DATES, DATES[20].to_datetime64()),
        (DATES, np.datetime64("2024-01-01T20")),
        (DATES[:40].shift(-20), datetime.date(2024, 1, 1)),
        (AWARE, AWARE[20]),
        (AWARE, AWARE[20].tz_convert("UTC").to_pydatetime()),
        (None, 20),
        (None, np.int32(20)),
        (None, 20.0),
        (INTEGERS, 200),
        (FLOATS, 5),
        (FLOATS, np.float64(5.1)),
    ],
)
def test_python_may_give_any_kind_of_time(time, given):
    assert windows(given, make_series(time=time)) == whole(20)


def test_none_is_auto_and_what_is_no_time_is_refused():
    assert Origin.parse(None) == Origin("auto")
    none: list[Any] = [
        pd.NaT, np.datetime64("NaT"), True, np.nan, np.inf, [1], pd.Series([1]), b"last"
    ]  # fmt: skip
    for asked in none:
        with pytest.raises(InputError, match="origin: expected auto"):
            Origin.parse(asked)


@pytest.mark.parametrize(
    ("row", "expected"),
    [(4, (4, 5, 4)), (37, (37, 10, 2)), (2, (2, 3, 4)), (1, (1, 2, 4)), (0, (0, 1, 4))],
)
def test_a_row_near_an_end_has_what_context_and_horizon_there_are(row, expected):
    assert windows(str(row), make_series()) == [expected]


@pytest.mark.parametrize(
    ("time", "at", "message"),
    [
        (None, "40", "origin 40 lies outside 0 to 39"),
        (None, "-1", "origin -1 lies outside 0 to 39"),
        (None, "39", "nothing to predict after row 39: append the rows"),
        (None, "2.5", "origin '2.5' is neither auto, last, all, every:N, end nor a row number"),
        (None, "2024-01-01", "nor a row number"),
        (
            DATES,
            "soon",
            "origin 'soon' is neither auto, last, all, every:N, daily@HH:MM, end nor a time stamp",
        ),
        (DATES, "2023-12-31", "lies outside 2024-01-01 00:00:00 to 2024-01-02 15:00:00"),
        (FLOATS, "noon", "nor a time stamp"),
        (FLOATS, "-0.1", "lies outside 0.0 to 9.75"),
    ],
)
def test_a_place_where_no_forecast_can_start_is_refused(time, at, message):
    with pytest.raises(InputError, match=message):
        windows(at, make_series(time=time))


@pytest.mark.parametrize(("origin", "observed"), [("auto", 30), ("2024-01-02 05:00", 40)])
def test_a_gap_between_origin_and_horizon_is_named(origin, observed):
    series = replace(make_series(observed=observed, time=DATES), breaks=(30,))
    message = "'run': a gap longer than max_gap follows row 29, the origin; raise max_gap, or leave"
    with pytest.raises(TooShortError, match=message):
        windows(origin, series)


@pytest.mark.parametrize(("time", "at"), [(None, "30"), (DATES, "2024-01-02 06:00")])
def test_an_origin_in_the_missing_tail_is_refused(time, at):
    with pytest.raises(InputError, match=r"series 'run': origin .* where the target is known"):
        windows(at, make_series(observed=30, time=time))


@pytest.mark.parametrize("origin", ["auto", "last", "all", "every:3"])
@pytest.mark.parametrize("observed", [1, 2])
def test_a_context_may_be_shorter_than_in_training(origin, observed):
    assert windows(origin, make_series(observed=observed)) == [(observed - 1, observed, 4)]


@pytest.mark.parametrize("origin", ["auto", "all", "every:3"])
@pytest.mark.parametrize(
    ("rows", "expected"), [(5, (2, 3, 2)), (4, (1, 2, 2)), (3, (0, 1, 2)), (14, (9, 10, 4))]
)
def test_contexts_of_training_stay_the_rule_where_there_is_room(origin, rows, expected):
    assert windows(origin, make_series(rows)) == [expected]


@pytest.mark.parametrize("origin", ["auto", "last"])
def test_no_context_at_all_is_refused_by_name(origin):
    message = r"'run': 0 rows of context up to the origin from row 6 on, .* at least 1; give rows"
    with pytest.raises(TooShortError, match=message):
        windows(origin, make_series(observed=6), lag=6)


@pytest.mark.parametrize("origin", ["auto", "all", "every:3"])
def test_too_short_a_series_is_refused_by_name(origin):
    with pytest.raises(InputError, match="series 'run' is too short: 2 rows"):
        windows(origin, make_series(2))


@pytest.mark.parametrize("origin", ["auto", "all"])
@pytest.mark.parametrize(("rows", "breaks"), [(12, ()), (40, (30,))])
def test_a_stretch_that_lags_take_whole_is_not_left_out_in_silence(origin, rows, breaks):
    series = replace(make_series(rows), breaks=breaks)
    with pytest.raises(TooShortError, match=r"'run', whose first \d+ rows only give target_lags"):
        windows(origin, series, lag=15)


@pytest.mark.parametrize("step", ["", "0", "-2", "1.5", "x", " 3", "²", "9" * 5000])
def test_every_wants_a_whole_number(step):
    with pytest.raises(InputError, match="every:N wants a whole number above 0, found"):
        Origin.parse(f"every:{step}")


def at(origin, time, limits=LIMITS):
    """Origins as times, of a series of one stretch."""
    series = make_series(len(time), time=time)
    return [time[row] for row, *_ in windows(origin, series, limits)]


def test_each_day_at_an_hour_is_by_the_clocks_when_these_change():
    time = pd.date_range("2023-10-27", "2023-10-31", freq="h", tz="Europe/Berlin")
    found = at("daily@23:00", time)
    assert [str(stamp)[:19] for stamp in found] == [
        f"2023-10-{day} 23:00:00"
        for day in (27, 28, 29)  # of the 30th the horizon is not there
    ]
    # the day the clocks go back has 25 hours
    assert np.diff([stamp.value for stamp in found]).tolist() == [24 * 3600e9, 25 * 3600e9]


def test_an_hour_between_rows_is_the_last_row_before_it():
    time = pd.date_range("2024-01-01 00:20", periods=60, freq="h")
    assert at("daily@13:00", time) == [pd.Timestamp(f"2024-01-0{day} 12:20") for day in (1, 2)]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("every:1D", ["2024-01-02 00:00"]),
        ("every:12h", ["2024-01-01 12:00", "2024-01-02 00:00"]),
        ("every:1D from 2023-12-25T11:00", ["2024-01-01 11:00", "2024-01-02 11:00"]),
        ("every:1D from 2024-01-02", ["2024-01-02 00:00"]),
        ("every:MS from 2023-05-01", []),
    ],
)
def test_origins_lie_a_time_apart(origin, expected):
    assert at(origin, DATES) == [pd.Timestamp(each) for each in expected]


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("daily@24:00", r"expected daily@HH:MM"),
        ("daily", r"expected daily@HH:MM"),
        ("every:2fortnights", r"every:N wants .* found '2fortnights'; or a time by"),
        ("every:0D", r"every:N wants a whole number above 0, found '0D'"),
        ("every:1ns", r"more than 10,000,000 times"),
        ("every:1D from 05/06/2018", r"may mean .* write the year first"),
    ],
)
def test_times_of_the_calendar_that_are_none_are_refused(origin, message):
    with pytest.raises(InputError, match=message):
        at(origin, DATES)


@pytest.mark.parametrize("time", [None, FLOATS])
def test_rows_without_dates_have_no_clock(time):
    with pytest.raises(InputError, match="wants a time_column of dates"):
        windows("daily@12:00", make_series(time=time))


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=14, max_size=60), st.integers(0, 1439))
def test_no_row_lies_between_an_origin_and_its_hour(steps, hour):
    time = pd.Timestamp("2024-03-30") + pd.to_timedelta(np.cumsum(steps) * 30, unit="min")
    found = at(f"daily@{hour // 60:02}:{hour % 60:02}", pd.DatetimeIndex(time).as_unit("us"))
    room = time[9:-4]
    days = pd.date_range(time[0].normalize(), time[-1], freq="D") + pd.Timedelta(minutes=hour)
    expected = {time[time <= each][-1] for each in days if (time <= each).any()}
    assert found == sorted(expected & set(room))
