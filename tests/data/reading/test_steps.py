"""The time stamps that follow a history, held against the calendar of pandas."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from transformertf.data.reading.steps import next_times
from transformertf.errors import InputError

BERLIN, SAO_PAULO = "Europe/Berlin", "America/Sao_Paulo"


def after(time: pd.Index, count: int) -> Any:
    """Return what follows, of whatever type."""
    return next_times(time, count)


def goes_on(time, rows, count=15):
    """Hold what follows the first rows against those that do."""
    found = after(time[:rows], count)
    assert found.dtype == time.dtype
    assert found.tolist() == time[rows : rows + count].tolist()


@pytest.mark.parametrize("zone", [None, BERLIN])
@pytest.mark.parametrize(
    ("freq", "rows"),
    [
        *((freq, rows) for freq in ("MS", "ME", "QS", "QE", "2MS", "YS") for rows in (2, 3, 24)),
        ("YE-JUN", 3), ("YE", 2), ("QE-NOV", 4), ("BME", 3), ("BMS", 4), ("BQE", 14), ("SMS", 8),
        ("SME", 8), ("WOM-3FRI", 4), ("B", 6), ("B", 20), ("C", 40), ("D", 2), ("D", 40),
        ("W", 2), ("2W", 9), ("3D", 5), ("h", 2), ("15min", 30), ("7h", 30),
    ],
)  # fmt: skip
def test_time_goes_on_as_the_calendar_does(freq, rows, zone):
    goes_on(pd.date_range("2019-11-01", periods=60, freq=freq, tz=zone).as_unit("s"), rows)
    goes_on(pd.date_range("2023-02-03", periods=60, freq=freq, tz=zone).as_unit("us"), rows)


@pytest.mark.parametrize("day", [15, 28, 29, 30, 31])
@pytest.mark.parametrize("rows", [4, 30])
def test_a_day_of_the_month_stays_where_the_month_has_it(day, rows):
    start = pd.Timestamp(f"2020-01-{day} 08:30")
    time = pd.DatetimeIndex([start + pd.DateOffset(months=n) for n in range(50)])
    goes_on(time, rows)


def test_two_ends_of_months_are_followed_by_others():
    found = after(pd.DatetimeIndex(["2021-04-30", "2021-06-30"]), 3)
    assert found.strftime("%m-%d").tolist() == ["08-31", "10-31", "12-31"]


def test_years_have_their_leap_days():
    time = pd.date_range("2021-03-01", periods=10, freq="YS-MAR")
    for rows in (2, 3, 5):
        goes_on(time, rows, 4)


@pytest.mark.parametrize("zone", [BERLIN, SAO_PAULO, "America/New_York", "UTC", "+05:30"])
@pytest.mark.parametrize("hour", [0, 2, 12])
def test_days_keep_to_the_clocks_of_their_zone(zone, hour):
    wall = pd.date_range("2016-09-20", periods=600, freq="D") + pd.Timedelta(hours=hour)
    time = wall.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(600, dtype=bool))
    for rows in (2, 20, 29, 30, 200):
        goes_on(time, rows, 400)


def test_hours_go_through_a_change_of_the_clocks():
    goes_on(pd.date_range("2024-10-26 12:00", periods=50, freq="h", tz=BERLIN), 8, 40)


def test_what_is_even_by_the_clocks_only_stays_so():
    wall = pd.date_range("2024-03-30", periods=20, freq="6h") + pd.Timedelta(hours=1)
    goes_on(wall.tz_localize(BERLIN), 9, 10)


@pytest.mark.parametrize("lost", [3, 11, 19])
@pytest.mark.parametrize("freq", ["MS", "ME", "B", "BME", "D", "h"])
def test_a_missing_row_does_not_change_the_step(freq, lost):
    time = pd.date_range("2022-01-31", periods=40, freq=freq)
    assert (
        after(time[:20].delete(lost), 10).tolist()
        == (time[20:30] if lost < 19 else time[19:29]).tolist()
    )


def test_a_day_off_may_be_another_than_the_weekend():
    week = pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu")
    goes_on(pd.date_range("2024-01-01", periods=60, freq=week), 16)
    # a Wednesday that is missing once is missing by chance
    time = pd.date_range("2024-01-01", periods=10, freq="D").delete(2)
    assert after(time, 3).day.tolist() == [11, 12, 13]


def test_the_last_distance_goes_on_where_there_is_no_other():
    time = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 07:00", "2024-01-01 09:00"])
    assert after(time, 2).hour.tolist() == [11, 13]
    assert after(pd.Index([1, 10, 12]), 3).tolist() == [14, 16, 18]


def test_the_last_rows_tell():
    one = pd.date_range("2024-01-01", periods=500, freq="h")
    other = pd.date_range(one[-1], periods=30, freq="15min")[1:]
    assert (after(one.append(other), 2) - other[-1]).total_seconds().tolist() == [900, 1800]


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint64, np.float64, np.float32])
def test_numbers_go_on_in_their_type(kind):
    found = after(pd.Index(np.array([10, 20, 30, 50, 60], dtype=kind)), 3)
    assert found.dtype == kind
    assert found.tolist() == [70, 80, 90]


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_whole_numbers_are_exact(kind):
    stamps = np.array([1706659200000000001 + 100 * n for n in range(9)], dtype=kind)
    assert after(pd.Index(stamps[:5]), 4).tolist() == stamps[5:].tolist()


def test_fractions_go_on_without_a_drift():
    time = pd.Index(np.arange(1000) * 0.1)
    np.testing.assert_allclose(after(time[:500], 500), time[500:], rtol=1e-12)


def test_what_cannot_go_on_is_refused():
    with pytest.raises(InputError, match="one row has no distance in time"):
        after(pd.Index([5]), 1)
    with pytest.raises(InputError, match="goes on beyond int64"):
        after(pd.Index([0, 2**62]), 2)
