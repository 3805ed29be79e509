"""Rows that are unlike those of training, told against plain arithmetic."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.data.spans import sections_of
from transformertf.data import EncoderDecoderDataModule, Series
from transformertf.data.columns import Columns
from transformertf.data.scaling import Ranges, Watch
from transformertf.data.windows import Part

COLUMNS = Columns(("a",), ("b",), "y", "t", static=("s",))


def make_series(name: str, scale: float = 1.0, rows: int = 40, step: float = 0.5) -> Series:
    values = np.random.default_rng([*name.encode()]).uniform(-1, 1, (rows, 3))
    values[0], values[-1] = -1, 1
    time = pd.Index(np.arange(rows) * step)
    return Series(name, values * [scale, 1, 1], time, rows, static=np.array([3.0]))


def fitted(*series: Series, columns: Columns = COLUMNS) -> Ranges:
    made = Ranges.of(columns, series, [[(0, len(one))] for one in series])
    state = made.state_dict()
    again = Ranges.from_state_dict(state)
    assert again.state_dict() == state
    return again


def unlike(ranges: Ranges, *series: Series, level: bool = True) -> list[str]:
    return list(ranges.unlike(COLUMNS, series, sections_of(series), level=level))


def moved(series: Series, column: int, by: float) -> Series:
    values = series.values.copy()
    values[7, column] += by
    return Series(series.name, values, series.time, len(values), static=series.static)


def test_ranges_are_those_of_the_training_rows():
    one, other = make_series("one"), make_series("other", 3.0)
    values = one.values.copy()
    values[5, 1] = np.nan
    one = Series("one", values, one.time, 40, static=np.array([4.0]))
    ranges = Ranges.of(COLUMNS, [one, other], [[(2, 10), (20, 30)], [(0, 15)]])
    rows = np.concatenate([values[2:10], values[20:30], other.values[:15]])
    assert ranges.columns == ("a", "b", "y", "s")
    np.testing.assert_array_equal(ranges.low, [*np.nanmin(rows, axis=0), 3.0])
    np.testing.assert_array_equal(ranges.high, [*np.nanmax(rows, axis=0), 4.0])
    assert ranges.step == 0.5


def test_a_series_that_is_left_out_takes_no_part():
    ranges = Ranges.of(COLUMNS, [make_series("a"), make_series("b", 9.0)], [[(0, 40)], []])
    np.testing.assert_array_equal(ranges.high[:3], [1.0, 1.0, 1.0])


@pytest.mark.parametrize(("value", "is_told"), [(1.39, False), (1.41, True), (3.0, True)])
def test_values_far_beyond_the_range_are_told(value, is_told):
    one = make_series("new")
    found = moved(one, 0, value - one.values[7, 0])
    lines = unlike(fitted(make_series("one")), found, make_series("same"))
    wanted = (
        f"'a' is -1 to {value:.4g} in 1 series: 'new', in training it was -1 to 1: up to "
        f"{value - 1:.4g} beyond what the model has seen"
    )
    assert lines == ([wanted] if is_told else [])


def test_each_column_is_told_once_with_the_worst_of_all_series():
    ranges = fitted(make_series("one"))
    (line,) = unlike(
        ranges, *(moved(make_series(f"{n}"), 1, -10.0 * n) for n in range(1, 6)), make_series("x")
    )
    assert line.startswith("'b' is -5")
    assert "in 5 series: '1', '2', '3', ..." in line


def test_a_column_that_was_constant_is_told_where_it_is_another():
    one = make_series("one")
    values = one.values.copy()
    values[:, 1] = 0.1
    ranges = fitted(Series("one", values, one.time, 40, static=one.static))
    other = values * [1, 1 + 1e-12, 1]
    assert not unlike(ranges, Series("new", other, one.time, 40, static=one.static))
    other[3, 1] = 0.11
    assert len(unlike(ranges, Series("new", other, one.time, 40, static=one.static))) == 1


def test_a_static_beyond_training_is_told():
    one = make_series("one")
    other = Series("new", one.values, one.time, 40, static=np.array([7.0]))
    (line,) = unlike(fitted(one, make_series("two")), other)
    assert line.startswith("'s' is 7 to 7 in 1 series: 'new', in training it was 3 to 3")


@pytest.mark.parametrize(("scale", "is_told"), [(0.2, False), (0.05, False), (1e-3, True)])
def test_values_in_a_larger_unit_are_told(scale, is_told):
    ranges = fitted(*(make_series(name, 450.0) for name in "abc"))
    lines = unlike(ranges, make_series("new", 450.0 * scale))
    wanted = (
        "'a' is at most 0.45 from 0 in 1 series: 'new', where nearly all training series reach "
        "450; if that is another unit, rename with a scale brings it to the one of training"
    )
    assert lines == ([wanted] if is_told else [])


def test_values_in_a_smaller_unit_are_told_with_the_same_remedy():
    (line,) = unlike(fitted(make_series("a", 450.0)), make_series("new", 450e3))
    assert "up to 4.496e+05 beyond" in line
    assert line.endswith("rename with a scale brings it to the one of training")


@pytest.mark.parametrize("count", [2, 4, 12, 30])
def test_one_training_file_in_another_unit_is_told(count):
    series = [make_series(f"{n}", 450.0) for n in range(count - 1)] + [make_series("k", 0.45)]
    (line,) = unlike(fitted(*series), *series)
    assert "from 0 in 1 series: 'k'" in line


def test_values_that_do_not_vary_are_small_only_where_they_are_near_0():
    still = make_series("new")
    values = still.values.copy()
    values[:, 0] = 400 + 1e-3 * values[:, 0]
    ranges = fitted(make_series("a", 450.0))
    assert not unlike(ranges, Series("new", values, still.time, 40, static=still.static))
    values[:, 0] = 0.0
    assert not unlike(ranges, Series("new", values, still.time, 40, static=still.static))


def test_levels_of_windows_that_are_centred_are_not_told():
    ranges = fitted(make_series("a"))
    assert not unlike(ranges, moved(make_series("new"), 0, 30.0), level=False)
    assert unlike(ranges, make_series("new", 1e-3), level=False)


def test_rows_at_another_rate_are_told():
    ranges = fitted(make_series("a"), make_series("b"))
    (line,) = ranges.other_rates([make_series("new", step=2.0), make_series("same")])
    assert line == (
        "rows are 2 apart in 1 series: 'new', 0.5 in training, and a model takes each row for one "
        "step; bring them to that rate"
    )


def test_numbers_near_the_largest_are_told_as_any(recwarn):
    (line,) = unlike(fitted(make_series("a")), make_series("new", 1.7e308))
    assert "'a' is -1.7e+308 to 1.7e+308" in line
    assert not recwarn


def test_only_the_rows_of_a_section_count():
    ranges, one = fitted(make_series("a")), moved(make_series("new"), 0, 30.0)
    assert not list(ranges.unlike(COLUMNS, [one], [Part(0, "new", 8, 40)], level=True))
    assert list(ranges.unlike(COLUMNS, [one], [Part(0, "new", 0, 8)], level=True))


def test_a_session_is_told_once_of_each_column():
    ranges = fitted(make_series("a", 450.0))
    watch = Watch(ranges, COLUMNS, level=True)
    small, far = make_series("new", 0.45, rows=150), moved(make_series("new"), 1, 9.0)
    told = [list(watch.look(small, slice(row, row + 1), 1)) for row in range(150)]
    assert [row for row, lines in enumerate(told) if lines] == [99]
    assert "'a' is at most 0.45" in told[99][0]
    assert len(list(watch.look(far, slice(0, 40), 40))) == 1
    assert not list(watch.look(far, slice(0, 40), 40))
    assert not list(watch.look(far, slice(40, None), 0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        rng = np.random.default_rng(number)
        table = pd.DataFrame({"I [A]": 450 * rng.uniform(-1, 1, 60), "B": rng.normal(size=60)})
        table.to_csv(f"run{number}.csv", index=False)
        table["I [A]"] /= 1000
        table.to_csv(f"kilo{number}.csv", index=False)
    return tmp_path


def make(**given: Any) -> EncoderDecoderDataModule:
    return EncoderDecoderDataModule("B", "I [A]", ctxt_seq_len=8, tgt_seq_len=4, **given)


def test_a_fit_tells_of_its_own_files(folder, caplog):
    make(train_df_paths=["run[0-2].csv", "kilo3.csv"], val_df_paths="kilo0.csv").setup("fit")
    first, second = [line for line in caplog.messages if "rename with a scale" in line]
    assert first.startswith("train: 'I [A]' is at most 0.4")
    assert "in 1 series: 'kilo3'" in first
    assert second.startswith("validation: 'I [A]' is at most 0.4")


def test_a_rate_is_told_once(folder, caplog):
    for number, step in enumerate([1, 1, 1, 4]):
        table = pd.read_csv(f"run{number}.csv").assign(t=np.arange(60) * step)
        table.to_csv(f"run{number}.csv", index=False)
    data = make(train_df_paths="run[0-3].csv", val_fraction=0.3, time_column="t")
    data.setup("fit")
    assert len([line for line in caplog.messages if "apart" in line]) == 1
    caplog.clear()
    make(train_df_paths="run[0-2].csv", val_df_paths="run3.csv", time_column="t").setup("fit")
    (line,) = [line for line in caplog.messages if "apart" in line]
    assert line.startswith("validation: rows are 4 apart in 1 series: 'run3', 1 in training")


def test_what_a_fit_saw_goes_with_its_state(folder):
    data = make(train_df_paths="run[0-2].csv")
    data.setup("fit")
    torch.save(data.state_dict(), "state.pt")
    state = torch.load("state.pt", weights_only=True)
    again = make(predict_df_paths="run3.csv")
    again.load_state_dict(state)
    assert again.fitted.ranges is not None
    assert again.fitted.ranges.columns == ("I [A]", "B")
    del state["ranges"]
    again.load_state_dict(state)  # of an earlier version
    assert again.fitted.unlike("predict", again.predict_series, []) == []
