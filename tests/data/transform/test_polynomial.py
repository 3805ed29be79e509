"""Polynomial trends against numpy.polynomial."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from transformertf.data.transform import FixedPolynomialTransform, PolynomialTransform
from transformertf.errors import InputError

RNG = np.random.default_rng(3)
X = RNG.uniform(-2, 5, 60)
Y = RNG.normal(size=60)


@pytest.mark.parametrize("degree", [0, 1, 3, 6])
def test_the_trend_is_the_least_squares_fit(degree):
    transform = PolynomialTransform(degree).fit(X, Y)
    expected: Any = Polynomial.fit(X, Y, degree)
    np.testing.assert_allclose(transform.transform(X, Y), Y - expected(X), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(transform.coefficients, expected.convert().coef, rtol=1e-7)
    new = np.linspace(-3, 6, 10)
    np.testing.assert_allclose(
        transform.inverse_transform(new, 0 * new), expected(new), rtol=1e-9, atol=1e-10
    )


@settings(max_examples=60, deadline=None)
@given(
    coefficients=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
    x_power=st.integers(-12, 12),
    y_power=st.integers(-12, 12),
    shift=st.sampled_from([0.0, 1.0, -30.0]),
)
def test_a_polynomial_is_removed_whole_at_any_scale(coefficients, x_power, y_power, shift):
    t = np.linspace(-1, 1, 40)
    y = 10.0**y_power * np.polynomial.polynomial.polyval(t, np.round(coefficients, 3))
    x = 10.0**x_power * (t + shift)
    rest = PolynomialTransform(3).fit(x, y).transform(x, y)
    np.testing.assert_allclose(rest, 0.0, atol=1e-11 * np.abs(y).max())


@pytest.mark.parametrize("order", [1, -1])
def test_a_range_that_grows_value_by_value(order):
    x, y = np.sort(X)[::order], Y[np.argsort(X)][::order]
    transform = PolynomialTransform(3)
    for pair in zip(x, y, strict=True):
        transform.partial_fit(*([value] for value in pair))
    expected = Polynomial.fit(X, Y, 3)
    np.testing.assert_allclose(transform.transform(X, Y), Y - expected(X), rtol=1e-9, atol=1e-11)


def test_a_tiny_range_grows_from_a_single_value():
    x = 1e-100 * np.arange(1.0, 8.0)
    transform = PolynomialTransform(4).fit(x[:1], Y[:1]).partial_fit(x[1:], Y[1:7])
    whole = PolynomialTransform(4).fit(x, Y[:7])
    np.testing.assert_allclose(
        transform.transform(x, Y[:7]), whole.transform(x, Y[:7]), rtol=0, atol=1e-11
    )


def test_a_far_offset_does_not_cost_digits():
    x = 1e9 + X
    transform = PolynomialTransform(2).fit(x[:20], Y[:20]).partial_fit(x[20:], Y[20:])
    expected = Y - Polynomial.fit(x, Y, 2)(x)
    np.testing.assert_allclose(transform.transform(x, Y), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("x", [[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 1.0, 2.0, 1.0]])
def test_too_few_different_x_are_refused_until_more_come(x):
    transform = PolynomialTransform(2).fit(x, np.arange(5.0))
    found = len(set(x))
    message = rf"degree 2 needs 3 different x, found {found} in 5 values: lower the degree"
    for call in (transform.transform, transform.inverse_transform):
        with pytest.raises(InputError, match=message):
            call(np.ones(1), np.ones(1))
    transform.partial_fit([7.0, 9.0], [1.0, 4.0])
    expected = Polynomial.fit([*x, 7.0, 9.0], [*range(5), 1.0, 4.0], 2)
    np.testing.assert_allclose(
        transform.inverse_transform(np.array([3.0]), np.zeros(1)),
        expected(3.0),
        rtol=1e-9,
        atol=1e-12,
    )


def test_rounding_is_no_further_x():
    x = np.tile([0.1, 0.2, 0.7], 50)
    transform = PolynomialTransform(4)
    for part in np.split(np.arange(150), 10):
        transform.partial_fit(x[part] / 3, Y[part % 60])
    with pytest.raises(InputError, match="degree 4 needs 5 different x, found 3 in 150 values"):
        transform.transform(X, Y)


def test_a_given_polynomial_is_taken_off_constant_first():
    transform = FixedPolynomialTransform([1.0, -2.0, 0.5]).fit(X, Y)
    expected = Y - (1.0 - 2.0 * X + 0.5 * X**2)
    np.testing.assert_allclose(transform.transform(X, Y), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        transform.inverse_transform(X, transform.transform(X, Y)), Y, rtol=1e-12, atol=1e-13
    )
    assert transform.state_dict() == {}


def test_a_loaded_state_is_left_as_it_was():
    first = PolynomialTransform(1).fit(X, Y)
    state = first.state_dict()
    kept = state["factor"].clone()
    second = PolynomialTransform(1)
    second.load_state_dict(state)
    second.partial_fit(10 * X, Y)
    torch.testing.assert_close(state["factor"], kept, rtol=0, atol=0)
    with pytest.raises(InputError, match="the state is one of degree 1, expected degree 2"):
        PolynomialTransform(2).load_state_dict(state)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PolynomialTransform(-1), "degree must be a whole number from 0, found -1"),
        (
            lambda: PolynomialTransform(1.5),  # type: ignore[arg-type]  # refused
            "degree must be a whole number from 0, found 1.5",
        ),
        (lambda: PolynomialTransform().fit(X), "PolynomialTransform takes x and y, found one"),
        (lambda: PolynomialTransform().coefficients, "PolynomialTransform is not fitted"),
        (lambda: FixedPolynomialTransform([]), "must be a list of numbers"),
        (
            lambda: FixedPolynomialTransform(3.0),  # type: ignore[arg-type]  # refused
            "must be a list of numbers",
        ),
        (
            lambda: FixedPolynomialTransform(["a"]),  # type: ignore[list-item]  # refused
            "coefficients: expected numbers",
        ),
        (lambda: FixedPolynomialTransform([1.0]).transform(X), "takes x and y, found one"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
