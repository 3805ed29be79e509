"""The standard scaler against NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.transform import RunningNormalizer, StandardScaler
from transformertf.data.transform.base import BLOCK
from transformertf.errors import InputError

FINITE = st.floats(-1e6, 1e6, allow_nan=False, width=64)


def noise(rows=200, seed=0):
    return np.random.default_rng(seed).normal(size=rows)


def test_agrees_with_numpy():
    values = 3.0 + 5.0 * noise()
    scaler = StandardScaler().fit(values)
    assert scaler.count == 200
    assert scaler.mean == pytest.approx(np.mean(values), rel=1e-13)
    assert scaler.std == pytest.approx(np.std(values), rel=1e-13)
    np.testing.assert_allclose(
        scaler.transform(values), (values - values.mean()) / values.std(), rtol=1e-12, atol=1e-14
    )


def test_the_longer_name_is_the_same_class():
    assert RunningNormalizer is StandardScaler


def test_statistics_are_those_of_float64():
    values = (1e4 + noise(5000)).astype(np.float32)
    scaler = StandardScaler().fit(values)
    assert scaler.std == pytest.approx(values.astype(np.float64).std(), rel=1e-10)


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(FINITE, min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_any_chunking_gives_the_same_fit(values, cuts):
    array = np.array(values)
    pieces = StandardScaler()
    for piece in np.split(array, sorted(cuts)):
        pieces.partial_fit(piece)
    assert pieces.count == len(array)
    reach = np.abs(array).max()
    assert pieces.mean == pytest.approx(array.mean(), rel=1e-9, abs=1e-12 * reach)
    if array.std() > 1e-6 * reach:
        assert pieces.std == pytest.approx(array.std(), rel=1e-8)


@pytest.mark.parametrize("rows", [BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
@pytest.mark.parametrize("offset", [0.0, -3.0, 1e9])
def test_blocks_are_as_exact_as_the_whole(rows, offset):
    values = offset + noise(rows)
    scaler = StandardScaler().fit(values)
    centred = values - offset
    # the mean of a block is a number near the offset, and rounded as such
    rounding = 1e-15 * abs(offset)
    assert scaler.count == rows
    assert scaler.mean - offset == pytest.approx(centred.mean(), rel=1e-9, abs=1e-12 + rounding)
    assert scaler.std == pytest.approx(centred.std(), rel=1e-11 + rounding / 1000)
    strided = np.column_stack([values, values])[:, 1]
    assert StandardScaler().fit(strided).state_dict() == scaler.state_dict()
    strided[BLOCK // 2] = np.nan
    kept = np.delete(values, BLOCK // 2)
    partial = StandardScaler().fit(strided)
    assert partial.count == rows - 1
    assert partial.std == pytest.approx(StandardScaler().fit(kept).std, rel=1e-11 + rounding / 1000)


def test_fit_forgets_and_partial_fit_remembers():
    scaler = StandardScaler().fit(noise() + 100)
    assert scaler.fit(np.array([1.0, 3.0])).mean == 2.0
    scaler.partial_fit(np.array([8.0]))
    assert scaler.mean == pytest.approx(4.0)
    assert scaler.count == 3


@pytest.mark.parametrize("span", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("shift", [0.0, 1.0, -1e4, 1e6])
def test_round_trip_over_ranges_and_offsets(span, shift):
    values = span * (noise() + shift)
    scaler = StandardScaler().fit(values)
    scaled = scaler.transform(values)
    assert np.std(scaled) == pytest.approx(1.0, rel=1e-6)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), values, rtol=1e-6, atol=0)


@pytest.mark.parametrize("span", [1e-12, 1.0, 1e12])
def test_a_small_spread_on_an_absolute_offset_survives(span):
    values = 1e3 * span + span * noise()
    scaler = StandardScaler().fit(values)
    assert not scaler.is_constant
    back = scaler.inverse_transform(scaler.transform(values))
    np.testing.assert_allclose(back, values, rtol=0, atol=1e-6 * span)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e-12, 1e12, 1 / 3])
def test_a_constant_column_keeps_scale_one(value):
    scaler = StandardScaler()
    for rows in (1, 7, 100):
        scaler.partial_fit(np.full(rows, value))
    assert scaler.is_constant
    assert scaler.std == 1.0
    scaled = scaler.transform(np.full(5, value))
    np.testing.assert_allclose(scaled, 0.0, atol=1e-14 * abs(value))
    np.testing.assert_allclose(scaler.inverse_transform(scaled), value, rtol=1e-14)


def test_one_value_is_constant_until_another_comes():
    scaler = StandardScaler().fit(np.array([5.0]))
    assert scaler.is_constant
    scaler.partial_fit(np.array([7.0]))
    assert not scaler.is_constant
    assert scaler.std == pytest.approx(1.0)
    assert scaler.mean == pytest.approx(6.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_stay_tensors_of_their_type(dtype):
    values = torch.from_numpy(2 + 3 * noise()).to(dtype)
    scaler = StandardScaler().fit(values)
    scaled = scaler.transform(values)
    assert scaled.dtype == dtype
    expected = StandardScaler().fit(values.numpy()).transform(values.numpy())
    np.testing.assert_allclose(scaled.numpy(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(scaler.inverse_transform(scaled), values, rtol=1e-5, atol=1e-5)


def test_gradients_pass_through():
    scaler = StandardScaler().fit(3 * noise())
    values = torch.zeros(4, requires_grad=True)
    scaler.inverse_transform(values).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.full((4,), scaler.std))


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_an_unfitted_scaler_says_so(method):
    with pytest.raises(InputError, match="StandardScaler is not fitted"):
        getattr(StandardScaler(), method)(np.zeros(3))
    with pytest.raises(InputError, match="StandardScaler is not fitted"):
        getattr(StandardScaler().fit(noise()).fit(()), method)(np.zeros(3))


def test_state_is_primitives_and_goes_on_where_it_was():
    values = 4 + noise()
    first = StandardScaler().fit(values[:120])
    state = first.state_dict()
    assert all(type(value) in (int, float) for value in state.values())
    second = StandardScaler()
    second.load_state_dict(state)
    np.testing.assert_array_equal(second.transform(values), first.transform(values))
    second.partial_fit(values[120:])
    assert second.std == pytest.approx(values.std(), rel=1e-12)
    assert first.count == 120
