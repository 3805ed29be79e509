"""Calendar features against the standard library's dates, row by row."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.columns import CALENDAR, Columns
from transformertf.data.scaling.time_features import (
    calendar_codes,
    calendar_pairs,
    calendar_sizes,
)
from transformertf.errors import InputError

NAMES = list(CALENDAR)
# place of a date's field among its values, from 0, and how many values there are
SLOW = {
    "minute": (lambda date: date.minute, 60),
    "hour": (lambda date: date.hour, 24),
    "dayofweek": (lambda date: date.weekday(), 7),
    "day": (lambda date: date.day - 1, 31),
    "dayofyear": (lambda date: date.timetuple().tm_yday - 1, 366),
    "week": (lambda date: date.isocalendar().week - 1, 53),
    "month": (lambda date: date.month - 1, 12),
    "quarter": (lambda date: (date.month - 1) // 3, 4),
}


def test_every_field_is_tried():
    assert set(SLOW) == set(CALENDAR)


@settings(max_examples=100, deadline=None)
@given(
    seconds=st.lists(st.integers(0, 4 * 10**9), min_size=1, max_size=20),
    zone=st.sampled_from([None, "UTC", "Europe/Zurich", "Asia/Kathmandu"]),
    names=st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
)
def test_fields_are_those_of_the_local_time(seconds, zone, names):
    time = pd.DatetimeIndex(pd.to_datetime(seconds, unit="s", utc=True)).tz_convert(zone)
    dates = [
        datetime.fromtimestamp(second, UTC if zone is None else ZoneInfo(zone))
        for second in seconds
    ]
    codes, pairs = calendar_codes(time, names), calendar_pairs(time, names)
    assert codes.shape == (len(seconds), len(names))
    assert codes.dtype == np.int64
    assert pairs.shape == (len(seconds), 2 * len(names))
    assert pairs.dtype == np.float64
    for row, date in enumerate(dates):
        for place, name in enumerate(names):
            field, values = SLOW[name]
            angle = 2 * math.pi * field(date) / values
            assert codes[row, place] == field(date) + 1
            assert pairs[row, 2 * place] == pytest.approx(math.sin(angle), abs=1e-12)
            assert pairs[row, 2 * place + 1] == pytest.approx(math.cos(angle), abs=1e-12)


def test_a_change_of_the_clock_is_seen():
    time = pd.date_range("2024-03-31", periods=6, freq="h", tz="Europe/Zurich")
    assert (calendar_codes(time, ["hour"])[:, 0] - 1).tolist() == [0, 1, 3, 4, 5, 6]
    time = pd.date_range("2024-10-27", periods=6, freq="h", tz="Europe/Zurich")
    assert (calendar_codes(time, ["hour"])[:, 0] - 1).tolist() == [0, 1, 2, 2, 3, 4]


@pytest.mark.parametrize("name", NAMES)
def test_categories_fill_their_sizes_and_places_differ(name):
    step = "37min" if name in ("minute", "hour") else "D"
    time = pd.date_range("2000-01-01", "2040-12-31" if step == "D" else "2000-03-01", freq=step)
    codes = calendar_codes(time, [name])[:, 0]
    (size,) = calendar_sizes([name])
    assert np.unique(codes).tolist() == list(range(1, size))
    pairs = np.unique(calendar_pairs(time, [name]).round(9), axis=0)
    assert len(pairs) == size - 1
    np.testing.assert_allclose(np.hypot(*pairs.T), 1)


def test_the_first_value_is_at_angle_zero():
    time = pd.DatetimeIndex(["2024-01-01 00:00"])  # a Monday, in week 1
    np.testing.assert_array_equal(calendar_pairs(time, NAMES), [[0.0, 1.0] * len(NAMES)])


def test_names_of_the_features_come_in_the_same_order():
    columns = Columns((), (), "y", "t", calendar=("month", "hour"))
    time = pd.DatetimeIndex(["2024-02-03 04:00"])
    by_name = dict(
        zip(columns.future_features, calendar_pairs(time, columns.calendar)[0], strict=True)
    )
    assert by_name["hour_sin"] == pytest.approx(math.sin(math.pi / 3))
    assert by_name["month_cos"] == pytest.approx(math.cos(math.pi / 6))


def test_no_fields_are_no_features():
    time = pd.date_range("2024", periods=3)
    assert calendar_pairs(time, []).shape == (3, 0)
    assert calendar_codes(time, []).shape == (3, 0)
    assert calendar_sizes([]) == []


@pytest.mark.parametrize("function", [calendar_pairs, calendar_codes])
@pytest.mark.parametrize(
    ("time", "found"),
    [
        (None, "no time_column"),
        (pd.Index([1.0, 2.0]), "a time_column of float64"),
        (pd.Index([1, 2]), "a time_column of int64"),
    ],
)
def test_time_that_is_not_dates_is_refused(function, time, found):
    message = f"^calendar_features: expected a time_column of dates, found {found}; give one, or "
    with pytest.raises(InputError, match=message):
        function(time, ["hour"])


@pytest.mark.parametrize(
    "function",
    [
        lambda names: calendar_pairs(pd.date_range("2024", periods=3), names),
        lambda names: calendar_codes(pd.date_range("2024", periods=3), names),
        calendar_sizes,
    ],
    ids=["pairs", "codes", "sizes"],
)
def test_an_unknown_field_is_refused_with_the_nearest(function):
    with pytest.raises(InputError, match=r"^calendar_features: .* found 'hours'; .* 'hour'\?$"):
        function(["day", "hours"])
    with pytest.raises(InputError, match="found 'xyz'; known: day, dayofweek, "):
        function(["xyz"])
