"""MinMaxScaler and MaxScaler against their formulas."""

import numpy as np
import pytest

from transformertf.data.transform import MaxScaler, MinMaxScaler
from transformertf.errors import InputError

SEEN = np.array([2.0, -6.0, 10.0])
NEW = np.array([-6.0, 2.0, 10.0, 26.0, -22.0])


def test_min_max_is_the_formula_and_goes_past_the_range_it_saw():
    scaled = MinMaxScaler().fit(SEEN).transform(NEW)
    np.testing.assert_allclose(scaled, [0.0, 0.5, 1.0, 2.0, -1.0], rtol=1e-15)
    scaler = MinMaxScaler(low=-1, high=3).fit(SEEN)
    scaled = scaler.transform(NEW)
    np.testing.assert_allclose(scaled, [-1.0, 1.0, 3.0, 7.0, -5.0], rtol=1e-15)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), NEW, rtol=1e-15)


def test_max_divides_by_the_largest_absolute_value_and_goes_past_it():
    scaler = MaxScaler().fit(SEEN)
    np.testing.assert_allclose(scaler.transform(NEW), NEW / 10, rtol=1e-15)
    assert scaler.partial_fit(np.array([-20.0])).scale == 20.0
    np.testing.assert_allclose(scaler.inverse_transform(NEW), NEW * 20, rtol=1e-15)


def test_pieces_widen_the_range_either_way():
    scaler = MinMaxScaler().fit(np.array([4.0]))
    assert scaler.is_constant
    scaler.partial_fit(np.array([6.0])).partial_fit(np.array([2.0]))
    assert not scaler.is_constant
    np.testing.assert_allclose(scaler.transform(np.array([2.0, 6.0])), [0, 1])
    assert scaler.fit(np.array([5.0])).minimum == 5.0


@pytest.mark.parametrize("value", [0.0, -7.0, 1e-12, 1e12])
@pytest.mark.parametrize("rows", [1, 5])
def test_a_constant_column_has_a_scale(value, rows):
    column = np.full(rows, value)
    scaler = MinMaxScaler(low=-1).fit(column)
    assert scaler.is_constant
    assert scaler.scale == 1.0
    np.testing.assert_array_equal(scaler.transform(column), np.full(rows, -1.0))
    np.testing.assert_array_equal(scaler.inverse_transform(np.full(rows, -1.0)), column)
    largest = MaxScaler().fit(column)
    assert largest.is_constant
    np.testing.assert_array_equal(largest.transform(column), np.full(rows, np.sign(value)))


def test_statistics_are_exact_whatever_comes_in():
    values = np.array([0.1, 0.7], dtype=np.float32)
    assert MinMaxScaler().fit(values).minimum == float(values[0])
    assert MaxScaler().fit(values.tolist()).scale == float(values[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 1.0, "high": 1.0}, r"MinMaxScaler: high must be above low 1.0, found 1.0"),
        ({"low": "x"}, r"MinMaxScaler: low: expected numbers, found 'x'"),
        ({"high": float("inf")}, r"MinMaxScaler: high: expected finite numbers, found 1"),
        ({"high": [1, 2]}, r"MinMaxScaler: high: expected one number, found \[1, 2\]"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        MinMaxScaler(**arguments)
