"""Logarithms, sigmoids and differences against NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.transform import (
    AdaptiveSigmoidTransform,
    DeltaTransform,
    Log1pTransform,
    LogTransform,
    SigmoidTransform,
)
from transformertf.errors import InputError

VALUES = np.random.default_rng(1).gamma(2.0, size=(3, 7))


def test_logarithms_are_natural():
    np.testing.assert_allclose(LogTransform().transform(VALUES), np.log(VALUES), rtol=1e-15)
    np.testing.assert_allclose(Log1pTransform().transform(VALUES), np.log1p(VALUES), rtol=1e-15)
    assert LogTransform().transform(np.array([np.e])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("transform", "values", "message"),
    [
        (
            LogTransform(),
            [[1.0, 0.0], [-3.5, np.nan]],
            r"LogTransform takes values above 0, found 2 of 4 not above it, the smallest -3.5: shi",
        ),
        (LogTransform(), [-np.inf, 1.0], r"found 1 of 2 not above it, the smallest -inf"),
        (
            Log1pTransform(),
            [0.0, -1.0, -0.5],
            r"Log1pTransform takes values above -1, found 1 of 3 not above it, the smallest -1: s",
        ),
    ],
)
def test_a_logarithm_outside_its_domain_names_count_and_smallest(transform, values, message):
    for given_values in (np.array(values), torch.tensor(values)):
        with pytest.raises(InputError, match=message):
            transform.transform(given_values)


def test_forecasts_of_any_size_have_an_inverse():
    wild = np.array([-800.0, 800.0])
    np.testing.assert_array_equal(LogTransform().inverse_transform(wild), [0.0, np.inf])
    np.testing.assert_array_equal(Log1pTransform().inverse_transform(wild), [-1.0, np.inf])


@pytest.mark.parametrize(("k", "x0"), [(1.0, 0.0), (2.5, 1.0), (-0.7, -2.0), (1e-9, 1e9)])
def test_the_sigmoid_is_its_formula(k, x0):
    transform = SigmoidTransform(k, x0)
    values = x0 + np.linspace(-10, 10, 41) / k
    expected = 1 / (1 + np.exp(-k * (values - x0)))
    scaled = transform.transform(values)
    np.testing.assert_allclose(scaled, expected, rtol=1e-12)
    np.testing.assert_allclose(
        transform.inverse_transform(scaled), x0 + np.log(expected / (1 - expected)) / k, rtol=1e-9
    )


@settings(max_examples=100, deadline=None)
@given(
    z=st.lists(st.floats(-15, 15), min_size=1, max_size=20),
    power=st.integers(-12, 12),
    shift=st.sampled_from([0.0, 1.0, -10.0]),
)
def test_the_sigmoid_round_trip(z, power, shift):
    unit = 10.0**power
    transform = SigmoidTransform(k=1 / unit, x0=shift * unit)
    values = unit * (np.array(z) + shift)
    returned = transform.inverse_transform(transform.transform(values))
    # near 1 a step of float64 is 1e-16 of the sigmoid and exp(15) = 3e6 as much of the value
    np.testing.assert_allclose(returned, values, rtol=1e-6, atol=2e-9 * unit)
    inner = values[np.abs(z) < 5].astype(np.float32)
    returned = transform.inverse_transform(transform.transform(torch.from_numpy(inner)))
    np.testing.assert_allclose(returned.numpy(), inner, rtol=1e-5, atol=5e-5 * unit)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_sigmoid_is_stable_far_out_and_its_inverse_stays_finite(dtype):
    transform = SigmoidTransform(k=2.0, x0=1.0)
    far = torch.tensor([-1e30, 1e30, 1.0], dtype=dtype)
    assert transform.transform(far).tolist() == [0.0, 1.0, 0.5]
    ends = transform.inverse_transform(torch.tensor([-0.5, 0.0, 1.0, 1.5, 0.5], dtype=dtype))
    limit = 1.0 + np.log(2 / torch.finfo(dtype).eps) / 2
    np.testing.assert_allclose(
        ends, [2 - limit, 2 - limit, limit, limit, 1.0], rtol=1e-6, atol=1e-6
    )
    assert torch.isnan(transform.inverse_transform(torch.tensor(float("nan"), dtype=dtype)))
    far.requires_grad_()
    transform.transform(far).sum().backward()
    assert far.grad is not None
    assert far.grad.tolist() == [0.0, 0.0, 0.5]


def test_the_adaptive_sigmoid_is_centred_on_the_mean_and_as_wide_as_the_spread():
    transform = AdaptiveSigmoidTransform().fit(VALUES)
    assert transform.x0 == pytest.approx(VALUES.mean(), rel=1e-12)
    assert transform.k == pytest.approx(1 / VALUES.std(), rel=1e-12)
    expected = 1 / (1 + np.exp(-(VALUES - VALUES.mean()) / VALUES.std()))
    np.testing.assert_allclose(transform.transform(VALUES), expected, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e12])
def test_the_adaptive_sigmoid_of_a_constant_column(value):
    transform = AdaptiveSigmoidTransform().fit(np.full(7, value))
    assert transform.is_constant
    assert transform.k == 1.0
    np.testing.assert_allclose(transform.transform(np.full(2, value)), 0.5, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0.0}, "SigmoidTransform: k must not be 0"),
        ({"k": float("nan")}, "SigmoidTransform: k: expected finite numbers"),
        ({"x0": None}, "SigmoidTransform: x0: expected"),
    ],
)
def test_sigmoid_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        SigmoidTransform(**arguments)


def test_differences_run_along_the_last_axis_and_start_at_zero():
    found = DeltaTransform().transform(VALUES)
    np.testing.assert_array_equal(found[:, 1:], np.diff(VALUES, axis=-1))
    np.testing.assert_array_equal(found[:, 0], 0.0)


def test_a_start_is_the_value_before_the_first():
    before, later = VALUES[:, 2], VALUES[:, 3:]
    whole = DeltaTransform().transform(VALUES)
    found = DeltaTransform().transform(later, before)
    np.testing.assert_array_equal(found, whole[:, 3:])
    np.testing.assert_allclose(DeltaTransform().inverse_transform(found, before), later, rtol=1e-14)
    np.testing.assert_array_equal(DeltaTransform().transform(later[0], 0.25)[0], later[0, 0] - 0.25)
    np.testing.assert_allclose(
        DeltaTransform().inverse_transform(np.ones((2, 3)), 5), [[6, 7, 8], [6, 7, 8]]
    )


def test_differences_on_padding_count_for_nothing():
    mask = torch.tensor([[False, False, True, True], [True, True, True, False]])
    steps = torch.tensor([[9.0, 9.0, 1.0, 2.0], [1.0, 2.0, 3.0, 9.0]])
    found = DeltaTransform().inverse_transform(steps, torch.tensor([5.0, 0.0]), mask)
    assert found.tolist() == [[5.0, 5.0, 6.0, 8.0], [1.0, 3.0, 6.0, 6.0]]


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(-(2**40), 2**40), min_size=0, max_size=50))
def test_whole_numbers_return_to_the_bit(values):
    column = np.array(values, dtype=np.float64)
    start = column[0] if values else 0.0
    differences = DeltaTransform().transform(column)
    np.testing.assert_array_equal(DeltaTransform().inverse_transform(differences, start), column)


def test_long_sums_of_float32_do_not_drift():
    column = torch.full((200_000,), 0.1)
    summed = DeltaTransform().inverse_transform(column, 0.0)
    assert summed.dtype == torch.float32
    assert float(summed[-1]) == pytest.approx(200_000 * float(column[0]), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.inverse_transform(VALUES), "DeltaTransform: the inverse needs start"),
        (
            lambda t: t.inverse_transform(VALUES, VALUES[:, :1]),
            r"start must be a number or of shape \(3,\), one for each series, found shape \(3, 1\)",
        ),
        (lambda t: t.transform(VALUES, VALUES[0]), r"of shape \(3,\).*found shape \(7,\)"),
        (lambda t: t.transform(np.array(1.0)), "along time, found a single number"),
        (lambda t: t.inverse_transform(torch.tensor(1.0), 0.0), "along time, found a single"),
    ],
)
def test_delta_errors(call, message):
    with pytest.raises(InputError, match=message):
        call(DeltaTransform())
