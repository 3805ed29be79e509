"""Tables to checked series: one a file, or several in one table."""

import numpy as np
import pandas as pd
import pytest

from transformertf.data.columns import Columns
from transformertf.data.reading.filling import fill_panel, read_series
from transformertf.data.reading.panel import Rules
from transformertf.data.reading.tables import Table
from transformertf.errors import InputError

COLUMNS = Columns(("known",), ("past",), "target", "time")
DATES = pd.date_range("2024-01-01", periods=8, freq="h")


def check_tables(located, columns, names=(), **rules):
    tables = [Table.of_frame(where, frame) for where, frame in located]
    return fill_panel(tables, columns, names, Rules(**rules)).series()


def make_frame(**columns):
    rows = np.arange(8.0)
    base = {"known": rows + 0.5, "past": rows * 10, "target": rows**2, "time": rows}
    return pd.DataFrame({**base, **columns})


def check(frame, columns=COLUMNS, *, missing="nothing"):
    (series,) = check_tables([("run.csv", frame)], columns, ["run"], missing=missing)
    return series


def place(column, *values):
    """Return a frame whose column holds (row, value) pairs in place of its numbers."""
    frame = make_frame()
    frame[column] = frame[column].astype(object if isinstance(values[0][1], str) else float)
    for row, value in values:
        frame.loc[row, column] = value
    return frame


BAD_FRAMES = {
    "empty": (make_frame().iloc[:0], r"run\.csv: no rows"),
    "text in a number": (
        place("known", (3, "n/a")),
        r"run\.csv: column 'known' must be numeric, found 'n/a' in row 3 \(counted from 0\)",
    ),
    "numbers as text": (
        make_frame(past=[str(row) for row in range(8)]),
        r"column 'past' must be numeric, found '0' in row 0",
    ),
    "complex": (make_frame(past=np.arange(8) * 1j), r"column 'past' must be numeric"),
    "dates as values": (make_frame(known=DATES), r"column 'known' must be numeric"),
    "missing known": (
        place("known", (2, np.nan)),
        r"run\.csv: column 'known' has 1 missing \(NaN\) value, first in row 2 \(counted",
    ),
    "missing past": (
        place("past", *((row, np.nan) for row in (1, 4, 5, 7))),
        r"column 'past' has 4 missing \(NaN\) values, first in row 1, 4, 5 \(",
    ),
    "missing target": (place("target", (7, np.nan)), r"column 'target' has 1 missing"),
    "all missing": (make_frame(past=[None] * 8), r"column 'past' has 8 missing"),
    "infinite": (place("target", (6, np.inf)), r"'target' has 1 infinite value, first in row 6"),
    "minus infinite": (place("known", (0, -np.inf)), r"'known' has 1 infinite value"),
    "repeated time": (
        place("time", (4, 3.0)),
        r"time column 'time' does not rise in row 4 \(counted from 0\): 3\.0 after 3\.0; drop",
    ),
    "falling time": (
        place("time", (4, 1.0), (6, 0.0)),
        r"time column 'time' does not rise in row 4 .*: 1\.0 after 3\.0",
    ),
    "falling dates": (make_frame(time=DATES[::-1]), r"'time' does not rise in row 1 "),
    "repeated aware dates": (
        make_frame(time=[DATES[0].tz_localize("UTC")] * 8),
        r"'time' does not rise in row 1 ",
    ),
    "missing time": (place("time", (5, np.nan)), r"time column 'time' holds nan in row 5 "),
    "infinite time": (place("time", (7, np.inf)), r"time column 'time' holds inf in row 7 "),
    "missing date": (
        make_frame(time=DATES.delete(2).insert(2, pd.NaT)),
        r"time column 'time' holds NaT in row 2 .*expected a time stamp or a finite number",
    ),
    "one unreadable date": (
        make_frame(time=[*DATES[:6].strftime("%Y-%m-%d %H:%M"), "noon", "one"]),
        r"time column 'time' holds 'noon' in row 6",
    ),
    "unreadable dates": (
        make_frame(time=list("abcdefgh")),
        r"time column 'time' holds 'a' in row 0",
    ),
    "truth values as time": (make_frame(time=[True] * 8), r"time column 'time' holds .*True"),
    "durations as time": (
        make_frame(time=DATES - DATES[0]),
        r"time column 'time' holds .*expected a time stamp or a finite number",
    ),
}


@pytest.mark.parametrize(("frame", "message"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_bad_frames_are_refused_with_place_and_cause(frame, message):
    with pytest.raises(InputError, match=message) as caught:
        check(frame)
    assert str(caught.value).startswith("run.csv: ")
    assert "\n" not in str(caught.value)


def test_values_stand_in_the_order_of_the_roles():
    series = check(make_frame()[["target", "time", "past", "known"]])
    expected = np.column_stack([np.arange(8) + 0.5, np.arange(8) * 10.0, np.arange(8.0) ** 2])
    np.testing.assert_array_equal(series.values, expected)
    assert series.values.dtype == np.float64
    assert (series.name, series.observed, len(series)) == ("run", 8, 8)


@pytest.mark.parametrize("kind", ["int8", "uint16", "int64", "float32", "bool", "Int64", "Float64"])
def test_every_numeric_type_becomes_float64(kind):
    series = check(make_frame(known=pd.Series(np.arange(8) % 2, dtype=kind)))
    assert series.values.dtype == np.float64
    np.testing.assert_array_equal(series.values[:, 0], np.arange(8) % 2)


def test_a_missing_value_of_a_nullable_column_is_seen():
    frame = make_frame(known=pd.array([0, 1, None, 3, 4, 5, 6, 7], dtype="Int64"))
    with pytest.raises(InputError, match=r"'known' has 1 missing .* row 2"):
        check(frame)


STEPS = np.array([0.0, 1.0, 3.0, 4.0, 5.0, 8.0, 9.0, 10.0])  # irregular, in minutes
START = pd.Timestamp("2024-01-01")
TIMES = {
    "datetime": (START + pd.to_timedelta(STEPS, unit="min"), 60 * STEPS),
    "aware datetime": (
        START.tz_localize("Europe/Zurich") + pd.to_timedelta(STEPS, unit="min"),
        60 * STEPS,
    ),
    "integer": (STEPS.astype(np.int64) + 10**18, STEPS),
    "unsigned": (STEPS.astype(np.uint8), STEPS),
    "float": (STEPS / 4 - 7, STEPS / 4),
    "string": ([f"2024-01-01T00:{int(step):02d}:00" for step in STEPS], 60 * STEPS),
    "aware string": ([f"2024-01-01T00:{int(step):02d}:00+02:00" for step in STEPS], 60 * STEPS),
}


@pytest.mark.parametrize(("stamps", "elapsed"), TIMES.values(), ids=TIMES)
def test_time_is_datetime_integer_float_or_text(stamps, elapsed):
    series = check(make_frame(time=stamps))
    np.testing.assert_array_equal(series.elapsed(), elapsed)
    assert series.elapsed().dtype == np.float64
    is_date = elapsed[-1] == 600
    assert isinstance(series.time, pd.DatetimeIndex) == is_date
    if not is_date:
        np.testing.assert_array_equal(series.time, stamps)


def test_offsets_that_change_with_daylight_saving_are_read_right_or_refused():
    hours = ["00:00+01:00", "01:00+01:00", *(f"{hour:02d}:00+02:00" for hour in range(3, 9))]
    try:
        series = check(make_frame(time=[f"2024-03-31 {hour}" for hour in hours]))
    except InputError as error:
        assert "time column 'time'" in str(error)  # noqa: PT017 -- reading it would do as well
    else:
        np.testing.assert_array_equal(series.elapsed(), 3600 * np.arange(8))


def test_without_a_time_column_rows_count():
    columns = Columns(("known",), (), "target", None)
    series = check(make_frame().drop(columns=["time", "past"]), columns)
    assert series.time is None
    np.testing.assert_array_equal(series.elapsed(), np.arange(8))


def test_the_target_may_be_missing_at_the_end_for_predict():
    frame = place("target", *((row, np.nan) for row in (5, 6, 7)))
    frame.loc[6:, "past"] = np.nan
    series = check(frame, missing="future")
    assert (series.observed, len(series)) == (5, 8)
    np.testing.assert_array_equal(series.values[:5, -1], np.arange(5.0) ** 2)
    assert np.isnan(series.values[5:, -1]).all()


def test_a_target_known_to_the_end_is_observed_to_the_end():
    assert check(make_frame(), missing="future").observed == 8


BAD_FUTURES = {
    "hole in the target": (place("target", (2, np.nan)), r"'target' has 1 missing .* row 2"),
    "hole before the tail": (
        place("target", (3, np.nan), (6, np.nan), (7, np.nan)),
        r"'target' has 1 missing .* row 3",
    ),
    "no target": (make_frame(target=[None] * 8), r"column 'target' has no value; a forecast needs"),
    "known missing at the end": (
        place("known", (7, np.nan)).assign(target=[*range(5), *[np.nan] * 3]),
        r"'known' has 1 missing .* row 7",
    ),
    "past missing too early": (
        place("past", (6, np.nan), (7, np.nan)).assign(target=[*range(7), np.nan]),
        r"'past' has 1 missing .* row 6",
    ),
    "infinite last value": (place("target", (7, np.inf)), r"'target' has 1 infinite value"),
}


@pytest.mark.parametrize(("frame", "message"), BAD_FUTURES.values(), ids=BAD_FUTURES)
def test_only_the_end_of_the_target_may_be_missing(frame, message):
    with pytest.raises(InputError, match=message):
        check(frame, missing="future")


def test_files_become_named_series_in_order(tmp_path):
    for name, shift in (("b", 1.0), ("a", 2.0)):
        make_frame(target=np.arange(8) + shift).to_csv(tmp_path / f"{name}.csv", index=False)
    series = read_series(str(tmp_path / "*.csv"), "train_df_paths", COLUMNS)
    assert [item.name for item in series] == ["a", "b"]
    assert [item.values[0, -1] for item in series] == [2.0, 1.0]


def test_a_bad_file_is_named_in_full(tmp_path):
    place("known", (3, "n/a")).to_csv(tmp_path / "run.csv", index=False)
    with pytest.raises(InputError, match=r"run\.csv: column 'known'") as caught:
        read_series(str(tmp_path / "run.csv"), "train_df_paths", COLUMNS)
    assert str(caught.value).startswith(str(tmp_path / "run.csv"))


DAYS = pd.date_range("2024-01-01", periods=8, freq="D")
COARSE_AND_FINE = {
    "numbers": (pd.Index(range(8)), pd.Index(np.arange(8) / 4)),
    "dates": (DAYS.as_unit("s"), DAYS.as_unit("ns") + pd.Timedelta(1, unit="ns")),
}


@pytest.mark.parametrize("times", COARSE_AND_FINE.values(), ids=COARSE_AND_FINE)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["coarse first", "fine first"])
def test_time_stamps_of_several_files_share_one_type(times, order):
    given = [(f"{kind}.csv", make_frame(time=times[kind])) for kind in order]
    shared = check_tables(given, COLUMNS, [str(kind) for kind in order])
    assert shared[0].time.dtype == shared[1].time.dtype
    for kind, after in zip(order, shared, strict=True):
        assert after.time.tolist() == times[kind].tolist()
        assert after.name == str(kind)


def test_time_stamps_of_different_kinds_are_refused():
    given = [("a.csv", make_frame(time=DAYS)), ("b.csv", make_frame(time=range(8)))]
    with pytest.raises(
        InputError, match=r"of different kinds \(datetime64.* in a.csv, int64 in b.csv\)"
    ):
        check_tables(given, COLUMNS, ["a", "b"])
