"""Scaling of whole series: columns, and the scale of time."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data.columns import Columns
from transformertf.data.frames import Series
from transformertf.data.scaling import Scaling
from transformertf.data.windows import Run, Windows

COLUMNS = Columns(("k",), ("p",), "y", "t")
ENDS = (30, 12)


def make_series(seed=0):
    generator = np.random.default_rng(seed)
    result = []
    for name, rows in (("a", 40), ("b", 25)):
        values = generator.normal([1.0, -5.0, 100.0], [0.1, 3.0, 40.0], size=(rows, 3))
        time = pd.Index(np.cumsum(generator.uniform(0.5, 2.0, rows)))
        result.append(Series(name, values, time, rows))
    return result


def make_windows():
    return Windows([Run(0, 4, 1, 20, 5, 3), Run(1, 4, 2, 3, 5, 3)])


def fitted(time_format="absolute", enabled=True, series=None):
    scaling = Scaling(COLUMNS, enabled, time_format)
    scaling.fit(series or make_series(), ENDS, make_windows())
    return scaling


def test_columns_are_fitted_on_the_training_rows_of_all_series():
    series = make_series()
    rows = np.concatenate([item.values[:end] for item, end in zip(series, ENDS, strict=True)])
    values = series[1].values
    expected = (values - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(fitted().transform(values), expected, rtol=1e-10, atol=1e-12)


def test_rows_behind_the_training_part_do_not_matter():
    series = make_series()
    for item, end in zip(series, ENDS, strict=True):
        item.values[end:] = 1e9
    assert fitted(series=series).state_dict() == fitted().state_dict()


def test_a_second_fit_forgets_the_first():
    scaling = fitted()
    scaling.fit(make_series(seed=1), ENDS, make_windows())
    assert scaling.state_dict() == fitted(series=make_series(seed=1)).state_dict()


@pytest.mark.parametrize("time_format", ["absolute", "relative"])
def test_time_is_divided_by_its_root_mean_square_over_the_windows(time_format):
    series, times = make_series(), []
    for index, origin in [(0, row) for row in range(4, 24)] + [(1, row) for row in (4, 6, 8)]:
        stamps = series[index].time.to_numpy()[origin - 4 : origin + 4]
        times += list(stamps - stamps[0] if time_format == "absolute" else np.diff(stamps))
    expected = np.sqrt(np.mean(np.square(times)))
    assert fitted(time_format).time_scale == pytest.approx(expected, rel=1e-12)


def test_the_time_scale_of_many_windows_is_a_sample_of_them():
    rows = 3000
    time = pd.Index(np.arange(rows) * 0.25)
    series = [Series("a", np.random.default_rng(0).normal(size=(rows, 3)), time, rows)]
    scaling = Scaling(COLUMNS, True, "absolute")
    scaling.fit(series, [rows], Windows([Run(0, 4, 1, rows - 7, 5, 3)]))
    assert scaling.time_scale == pytest.approx(0.25 * np.sqrt(np.mean(np.arange(8) ** 2)))


def test_one_row_windows_leave_time_as_it_is():
    scaling = Scaling(COLUMNS, True, "relative")
    time = pd.Index([0.0, 1.0])
    series = [Series("a", np.eye(2, 3), time, 2)]
    scaling.fit(series, [2], Windows([Run(0, 0, 1, 1, 1, 0)]))
    assert scaling.time_scale == 1.0


def test_constant_columns_are_named_and_kept():
    series = make_series()
    for item in series:
        item.values[:, 1] = 0.3
    scaling = fitted(series=series)
    assert scaling.constant_columns == ["p"]
    np.testing.assert_allclose(scaling.transform(series[0].values)[:, 1], 0.0, atol=1e-15)


def test_disabled_scaling_keeps_original_units():
    scaling, values = fitted(enabled=False), make_series()[0].values
    np.testing.assert_array_equal(scaling.transform(values), values)
    target = torch.tensor([1.5, -2.0])
    assert scaling.inverse_target(target).tolist() == [1.5, -2.0]


def test_the_target_comes_back_in_original_units_and_float64():
    scaling, series = fitted(), make_series()
    scaled = torch.from_numpy(scaling.transform(series[0].values)[:, -1]).view(4, 10, 1)
    back = scaling.inverse_target(scaled.float())
    assert back.dtype == torch.float64
    np.testing.assert_allclose(back.flatten(), series[0].values[:, -1], rtol=1e-5)


def test_state_is_primitives_and_makes_an_equal_scaling():
    scaling = fitted("relative")
    state = scaling.state_dict()
    assert json.loads(json.dumps(state)) == state
    fresh = Scaling(COLUMNS, True, "relative")
    fresh.load_state_dict(state)
    values = make_series()[0].values
    np.testing.assert_array_equal(fresh.transform(values), scaling.transform(values))
    assert fresh.time_scale == scaling.time_scale
