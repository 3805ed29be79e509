"""Parts of a series for training, validation and test."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.arguments import Stage
from transformertf.data.series import Series
from transformertf.data.windows.stages import Split
from transformertf.errors import InputError

STAGES: tuple[Stage, ...] = ("train", "validation", "test")


def parts(rows, validation, test):
    series = Series("run", np.zeros((rows, 1)), None, rows)
    fractions = Split(validation, test)
    return [part for stage in STAGES for part in fractions.parts(3, series, stage)]


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(1, 500),
    validation=st.floats(0, 0.5),
    test=st.floats(0, 0.49),
)
def test_parts_tile_the_rows_in_order(rows, validation, test):
    train, middle, last = parts(rows, validation, test)
    assert [part.series for part in (train, middle, last)] == [3, 3, 3]
    assert train.first_target == 0
    assert train.end == middle.first_target
    assert middle.end == last.first_target
    assert last.end == rows
    assert rows * validation - 1 < middle.end - middle.first_target <= rows * validation + 1e-8
    assert rows * test - 1 < last.end - last.first_target <= rows * test + 1e-8
    assert train.end > 0


def test_a_known_split():
    ranges = [(part.first_target, part.end) for part in parts(200, 0.25, 0.1)]
    assert ranges == [(0, 130), (130, 180), (180, 200)]


def test_without_fractions_all_rows_train():
    ranges = [(part.first_target, part.end) for part in parts(10, 0.0, 0.0)]
    assert ranges == [(0, 10), (10, 10), (10, 10)]


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (1.0, 0.0, "val_fraction must be at least 0 and below 1, found 1.0"),
        (-0.1, 0.0, "val_fraction must be at least 0 and below 1, found -0.1"),
        (0.0, 1.5, "test_fraction must be at least 0 and below 1, found 1.5"),
        (float("nan"), 0.0, "val_fraction must be at least 0 and below 1, found nan"),
        (0.5, 0.5, "val_fraction 0.5 and test_fraction 0.5 leave no rows for training"),
        (0.6, 0.7, "must add up to less than 1"),
    ],
)
def test_fractions_that_leave_nothing_are_refused(validation, test, message):
    with pytest.raises(InputError, match=message):
        Split(validation, test)


NAMES = [f"s{number:02d}" for number in range(20)]


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(10, 200),
    validation=st.floats(0.1, 0.5),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 2**63 - 1),
)
def test_series_held_out_are_disjoint_and_of_the_share(count, validation, test, seed):
    names = [str(number) for number in range(count)]
    held = Split(validation, test).hold_out(names, seed)
    assert set(held) == {"validation", "test"}
    assert not set(held["validation"]) & set(held["test"])
    assert set(held["validation"]) | set(held["test"]) < set(names)
    assert len(held["validation"]) == int(count * validation + 1e-9)
    assert len(held["test"]) == int(count * test + 1e-9)


def test_the_draw_depends_on_seed_and_names_alone():
    fractions = Split(0.2, 0.2)
    draws = [fractions.hold_out(NAMES, seed) for seed in range(5)]
    assert fractions.hold_out(reversed(NAMES), 3) == draws[3]
    assert len({tuple(draw["test"]) for draw in draws}) > 3
    # test series stay what they are when more are taken to validate
    assert [Split(0.5, 0.2).hold_out(NAMES, seed)["test"] for seed in range(5)] == [
        draw["test"] for draw in draws
    ]


def test_too_few_series_are_refused():
    assert Split(0.5, 0.0).hold_out(["a", "b"], 0)["test"] == []
    with pytest.raises(InputError, match=r"val_fraction 0\.2 of 4 series is less than one series"):
        Split(0.2, 0.25).hold_out(NAMES[:4], 0)
    with pytest.raises(InputError, match=r"test_fraction 0\.1 of 4 series is less than one series"):
        Split(0.5, 0.1).hold_out(NAMES[:4], 0)


HOURS = pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin")


def cut(series, **starts):
    split = Split(**starts)
    found = [part for stage in STAGES for part in split.parts(0, series, stage)]
    return [(part.first_target, part.end) for part in found]


def test_parts_begin_at_times_by_the_clocks():
    series = Series("run", np.zeros((60, 1)), HOURS, 60)
    # of the 31st the hour from 2 to 3 does not come
    assert cut(series, val_start="2024-03-31", test_start="2024-03-31 12:00") == [
        (0, 24), (24, 35), (35, 60),
    ]  # fmt: skip
    assert cut(series, val_start="2024-03-31 00:30") == [(0, 25), (25, 60), (60, 60)]
    assert cut(series, test=0.5, val_start="2024-03-30 10:00") == [(0, 10), (10, 30), (30, 60)]
    assert cut(series, validation=0.1, test_start="2024-03-31") == [(0, 18), (18, 24), (24, 60)]
    assert cut(series, val_start="2025-01-01") == [(0, 60), (60, 60), (60, 60)]


def test_without_time_parts_begin_at_rows():
    series = Series("run", np.zeros((60, 1)), None, 60)
    assert cut(series, val_start="40", test_start="50") == [(0, 40), (40, 50), (50, 60)]
    with pytest.raises(InputError, match="val_start '2024-03-31': expected a row number"):
        cut(series, val_start="2024-03-31")


@given(
    stamps=st.lists(st.integers(-50, 50), min_size=1, max_size=20, unique=True),
    start=st.one_of(st.integers(-60, 60), st.floats(-60, 60)),
    kind=st.sampled_from([np.int64, np.float64]),
)
def test_a_part_begins_with_the_first_row_at_or_after_a_time(stamps, start, kind):
    time = np.sort(np.array(stamps, dtype=kind))
    series = Series("run", np.zeros((len(time), 1)), pd.Index(time), len(time))
    text = format(start, "f")
    earlier = int((time < float(text)).sum())
    assert cut(series, test_start=text) == [(0, earlier), (earlier, earlier), (earlier, len(time))]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"validation": 0.1, "val_start": "9"}, "val_start and val_fraction are both given"),
        ({"test": 0.1, "test_start": "9"}, "test_start and test_fraction are both given"),
        ({"test_start": "9", "of": "series"}, "test_start is of the rows of a series"),
        ({"val_start": "9", "blocks": 2}, "val_blocks 2 are of the share that val_fraction"),
    ],
)
def test_times_and_shares_exclude_each_other(split, message):
    with pytest.raises(InputError, match=message):
        Split(**split)


def test_validation_begins_before_test():
    series = Series("run", np.zeros((60, 1)), HOURS, 60)
    with pytest.raises(InputError, match="'run': val_start 2024-04-01 lies in the rows for test"):
        cut(series, val_start="2024-04-01", test_start="2024-03-31")
