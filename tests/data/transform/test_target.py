"""Transforms of a target that depend on a covariate: ratio and discrete function."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.transform import DiscreteFunctionTransform, DivideByXTransform
from transformertf.errors import InputError

X = np.array([[1.0, -2.0, 4.0], [0.5, 3.0, -1.0]])
Y = np.array([[2.0, 3.0, -1.0], [0.0, 9.0, 5.0]])


def test_the_ratio_is_y_over_x():
    transform = DivideByXTransform().fit(X, Y)
    np.testing.assert_allclose(transform.transform(X, Y), Y / X, rtol=1e-15)
    np.testing.assert_allclose(transform.inverse_transform(X, Y), Y * X, rtol=1e-15)
    np.testing.assert_array_equal(transform.inverse_transform(0 * X, Y), 0 * Y)


def test_x_near_zero_is_refused_by_its_share_of_the_largest():
    transform = DivideByXTransform(min_ratio=0.01).fit(1e-6 * X, Y)
    assert np.isfinite(transform.transform(np.array([5e-8, -5e-8]), np.ones(2))).all()
    message = r"takes abs\(x\) above 4e-08, found 2 of 3 nearer to 0: leave these rows out"
    with pytest.raises(InputError, match=message):
        transform.transform(torch.tensor([1e-6, -3e-8, 0.0]), torch.ones(3))
    transform.partial_fit(np.array([-1.0]), np.array([1.0]))
    with pytest.raises(InputError, match=r"above 0.01, found 1 of 1"):
        transform.transform(np.array([5e-3]), np.ones(1))
    with pytest.raises(InputError, match=r"above 0, found 1 of 1"):
        DivideByXTransform(0.0).fit(X, Y).transform(np.zeros(1), np.ones(1))


def test_x_spreads_over_y_but_never_widens_it():
    transform = DivideByXTransform().fit(X, Y)
    np.testing.assert_allclose(transform.transform(X[:, :1], Y), Y / X[:, :1])
    np.testing.assert_allclose(transform.transform(X[0], Y), Y / X[0])
    for x, y in ((X[..., None], Y), (X, Y[:, :1]), (X[:, :2], Y), (X[0], Y[0, :, None])):
        with pytest.raises(InputError, match=r"x of shape .* does not fit y of shape"):
            transform.transform(x, y)


def test_a_float64_covariate_keeps_its_digits_beside_a_float32_target():
    transform = DiscreteFunctionTransform([0.0, 2e9], [0.0, 2e9])
    x, y = np.array([1e9 + 0.25]), np.array([1e9], dtype=np.float32)
    found = transform.transform(x, y)
    assert found.dtype == np.float32
    assert found[0] == -0.25


def test_fit_takes_whole_pairs_of_one_shape():
    x, y = np.array([1.0, 50.0, np.nan]), np.array([1.0, np.nan, 2.0])
    with pytest.raises(InputError, match=r"above 1e-06,"):
        DivideByXTransform().fit(x, y).transform(np.zeros(1), np.zeros(1))
    with pytest.raises(InputError, match=r"must have one shape, found \(3,\) and \(2,\)"):
        DivideByXTransform().fit(x, y[:2])
    for call in ("fit", "transform", "inverse_transform"):
        with pytest.raises(InputError, match=r"DivideByXTransform takes x and y, found one"):
            getattr(DivideByXTransform().fit(X, Y), call)(X)
    with pytest.raises(InputError, match="min_ratio must be from 0 to below 1, found 1"):
        DivideByXTransform(1.0)


KNOTS, LEVELS = np.array([0.0, 1.0, 3.0, 4.0]), np.array([2.0, -1.0, 0.0, 5.0])


def test_the_function_is_numpys_between_its_ends_and_goes_on_straight():
    transform = DiscreteFunctionTransform(KNOTS, LEVELS)
    inside = np.linspace(0, 4, 81)
    np.testing.assert_allclose(
        transform.transform(inside), np.interp(inside, KNOTS, LEVELS), rtol=1e-13, atol=1e-13
    )
    np.testing.assert_allclose(transform.transform(np.array([-2.0, 5.0])), [8.0, 10.0])


def test_with_x_and_y_it_comes_off_the_target():
    transform = DiscreteFunctionTransform(KNOTS, LEVELS).fit(X, Y)
    expected = Y - np.interp(X, [-3, *KNOTS], [11, *LEVELS])
    found = transform.transform(X, Y)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(transform.inverse_transform(X, found), Y, rtol=1e-13, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.floats(0.1, 10), min_size=1, max_size=20),
    at=st.lists(st.floats(-30, 30), min_size=1, max_size=20),
    power=st.integers(-12, 12),
    falling=st.booleans(),
)
def test_a_monotone_function_has_an_inverse_everywhere(steps, at, power, falling):
    x = np.concatenate([[0.0], np.cumsum(steps)])
    y = 10.0**power * np.concatenate([[0.0], np.cumsum(steps[::-1])]) * (-1 if falling else 1)
    transform = DiscreteFunctionTransform(x, y)
    values = np.array(at)
    found = transform.inverse_transform(transform.transform(values))
    np.testing.assert_allclose(found, values, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("levels", [LEVELS, [0.0, 1.0, 1.0, 2.0], [1.0, 1.0, 2.0, 3.0]])
def test_a_function_that_turns_has_no_inverse_of_one_argument(levels):
    transform = DiscreteFunctionTransform(KNOTS, levels)
    with pytest.raises(InputError, match="needs a function that rises or falls throughout"):
        transform.inverse_transform(Y)
    transform.inverse_transform(X, Y)


def test_the_turn_is_named():
    with pytest.raises(InputError, match="found none between x = 1 and 3"):
        DiscreteFunctionTransform(KNOTS, LEVELS).inverse_transform(Y)


def test_points_come_in_any_order():
    mixed = DiscreteFunctionTransform(KNOTS[[2, 0, 3, 1]], LEVELS[[2, 0, 3, 1]].tolist())
    np.testing.assert_array_equal(mixed.points[0], KNOTS)
    np.testing.assert_array_equal(mixed.points[1], LEVELS)


@pytest.mark.parametrize("path", ["http://127.0.0.1:9/x", "s3://x", "memory://x", "a::memory://x"])
def test_no_address_is_asked(path, monkeypatch):
    asked = []
    monkeypatch.setattr("pandas.io.common.get_handle", lambda *_, **__: asked.append(path))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        assert DiscreteFunctionTransform(path).points
    assert not asked


def test_a_device_is_no_file_of_points():
    with pytest.raises(InputError, match=r"/dev/zero: expected a file"):
        assert DiscreteFunctionTransform("/dev/zero").points


@pytest.mark.parametrize("header", ["", "current,field\n"])
def test_a_csv_gives_the_points_until_the_state_has_them(tmp_path, monkeypatch, header):
    path = tmp_path / "curve.csv"
    rows = "".join(f"{x}, {y}\n" for x, y in zip(KNOTS, LEVELS, strict=True))
    path.write_text(header + rows)
    monkeypatch.setenv("CURVES", str(tmp_path))
    transform = DiscreteFunctionTransform("$CURVES/curve.csv")
    np.testing.assert_array_equal(transform.points[0], KNOTS)
    np.testing.assert_array_equal(DiscreteFunctionTransform(path).points[1], LEVELS)
    path.unlink()
    elsewhere = DiscreteFunctionTransform(path)
    elsewhere.load_state_dict(transform.state_dict())
    np.testing.assert_array_equal(elsewhere.transform(X, Y), transform.transform(X, Y))
    with pytest.raises(InputError, match=r"curve.csv: cannot be read: No such file"):
        DiscreteFunctionTransform(path).fit(X, Y)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no csv of two columns"),
        ("1,2\n3,4,5\n", "is no csv of two columns"),
        ("1,2,3\n4,5,6\n", "expected two columns, x and y, found 3"),
        ("x,y\n", r"at least 2, found shapes \(0,\) and \(0,\)"),
        ("x,y\n0,0\n1,two\n", "expected finite numbers, found '1', 'two' in row 2 of the points"),
        ("0,0\n1,inf\n", "expected finite numbers, found '1', 'inf' in row 2"),
        ("0,0\n1,2\n1,3\n", "curve.csv: each x must stand once, found 1 repeated, the first 1"),
    ],
)
def test_a_csv_that_is_no_function(tmp_path, text, message):
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        DiscreteFunctionTransform(path).fit(X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1],), "y is missing"),
        (("curve.csv", [0, 1]), "give a file or x and y, found both"),
        (([0, 1], [0, 1, 2]), r"found shapes \(2,\) and \(3,\)"),
        (([0], [0]), r"at least 2, found shapes \(1,\)"),
        (([[0, 1]], [[0, 1]]), r"found shapes \(1, 2\)"),
        (([0, 1], [0, float("nan")]), "y: expected finite numbers, found 1 that are not"),
        (([0, "a"], [0, 1]), "x: expected numbers"),
        (([1, 0, 1], [0, 1, 2]), "each x must stand once, found 1 repeated, the first 1"),
    ],
)
def test_points_that_are_no_function(arguments, message):
    with pytest.raises(InputError, match=message):
        DiscreteFunctionTransform(*arguments)
