"""What every transform promises: types, NaN, gradients, state, pieces, round trips."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data import transform as package
from transformertf.data.transform import (
    DeltaTransform,
    TargetTransform,
    Transform,
    TransformCollection,
    make_transform,
)
from transformertf.errors import InputError

COLUMN = [
    "StandardScaler",
    "MinMaxScaler",
    {"class_path": "MinMaxScaler", "init_args": {"low": -1.0, "high": 3.0}},
    "MaxScaler",
    "DeltaTransform",
    "LogTransform",
    "Log1pTransform",
    {"class_path": "SigmoidTransform", "init_args": {"k": -0.5, "x0": 2.0}},
    "AdaptiveSigmoidTransform",
]
TARGET = [
    "DivideByXTransform",
    {"class_path": "DiscreteFunctionTransform", "init_args": {"x": [0.5, 1, 3], "y": [1, -2, 9]}},
    {"class_path": "PolynomialTransform", "init_args": {"degree": 2}},
    {"class_path": "FixedPolynomialTransform", "init_args": {"coefficients": [1.0, -2.0, 0.5]}},
]
LEARNERS = ["StandardScaler", "MinMaxScaler", "MaxScaler", "AdaptiveSigmoidTransform"]
X = np.linspace(0.5, 4.0, 24).reshape(4, 6)
Y = 1.0 + np.random.default_rng(0).gamma(2.0, size=(4, 6))


def name_of(spec):
    return spec if isinstance(spec, str) else spec["class_path"]


def arguments(transform, y, x=X):
    """What the transform's methods take: y, or x and y."""
    if isinstance(transform, Transform):
        return (y,)
    return (torch.from_numpy(x) if isinstance(y, torch.Tensor) else x, y)


def fitted(spec):
    transform = make_transform(spec)
    return transform.fit(*arguments(transform, Y))


def back(transform, result, original, x=X):
    extra = {"start": original[..., 0]} if isinstance(transform, DeltaTransform) else {}
    return transform.inverse_transform(*arguments(transform, result, x), **extra)


def values_close(found, expected, rtol):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("spec", COLUMN + TARGET, ids=name_of)
def test_arrays_and_tensors_come_back_as_they_went(spec, dtype):
    transform = fitted(spec)
    tensor = torch.from_numpy(Y).to(dtype)
    array = tensor.numpy()
    out = transform.transform(*arguments(transform, tensor))
    assert type(out) is torch.Tensor
    assert (out.dtype, out.shape, out.device) == (dtype, tensor.shape, tensor.device)
    from_array = transform.transform(*arguments(transform, array))
    assert type(from_array) is np.ndarray
    assert (from_array.dtype, from_array.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(from_array, out.numpy())
    returned = back(transform, from_array, array)
    assert (type(returned), returned.dtype) == (np.ndarray, array.dtype)
    precision = {torch.float16: 2e-2, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    values_close(returned, array, precision)
    np.testing.assert_array_equal(back(transform, out, tensor).numpy(), returned)


@pytest.mark.parametrize("spec", COLUMN + TARGET, ids=name_of)
def test_neither_the_input_nor_its_flags_matter(spec):
    transform = fitted(spec)
    expected = transform.transform(*arguments(transform, Y))
    kept = Y.copy()
    kept.flags.writeable = False
    np.testing.assert_array_equal(transform.transform(*arguments(transform, kept)), expected)
    np.testing.assert_array_equal(kept, Y)
    backwards = np.ascontiguousarray(Y[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(transform.transform(*arguments(transform, backwards)), expected)
    swapped = Y.astype(Y.dtype.newbyteorder())
    np.testing.assert_array_equal(transform.transform(*arguments(transform, swapped)), expected)


@pytest.mark.parametrize("kind", [np.int32, np.uint8])
@pytest.mark.parametrize("spec", COLUMN + TARGET, ids=name_of)
def test_integers_become_float64(spec, kind):
    transform = fitted(spec)
    whole = np.ceil(Y).astype(kind)
    expected = transform.transform(*arguments(transform, whole.astype(np.float64)))
    found = transform.transform(*arguments(transform, whole))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)
    tensor = transform.transform(*arguments(transform, torch.from_numpy(whole), np.ceil(X)))
    assert tensor.dtype == torch.float64


@pytest.mark.parametrize("spec", COLUMN + TARGET, ids=name_of)
def test_gradients_are_those_of_the_formula(spec):
    transform = fitted(spec)
    values = torch.from_numpy(Y).requires_grad_()
    covariate = torch.from_numpy(X + 0.01).requires_grad_()
    if isinstance(transform, TargetTransform):
        for method in (transform.transform, transform.inverse_transform):
            assert torch.autograd.gradcheck(method, (covariate, values))
        return
    assert torch.autograd.gradcheck(transform.transform, values)
    inside = torch.rand(3, 5, dtype=torch.float64).clamp(0.1, 0.9).requires_grad_()
    extra = (values[:3, 0],) if isinstance(transform, DeltaTransform) else ()
    assert torch.autograd.gradcheck(transform.inverse_transform, (inside, *extra))


@pytest.mark.parametrize("spec", COLUMN + TARGET, ids=name_of)
def test_a_missing_value_stays_missing_and_counts_for_nothing(spec):
    transform = fitted(spec)
    holes = Y.copy()
    holes[1, -1] = holes[3, -1] = np.nan
    mask = np.isnan(holes)
    out = transform.transform(*arguments(transform, holes))
    np.testing.assert_array_equal(np.isnan(out), mask)
    np.testing.assert_array_equal(np.isnan(back(transform, out, holes)), mask)
    partial = make_transform(spec).fit(*arguments(transform, holes))
    kept = [item[~mask] for item in arguments(transform, Y)]
    whole = make_transform(spec).fit(*kept)
    if not isinstance(transform, DeltaTransform):
        np.testing.assert_allclose(
            partial.transform(*kept), whole.transform(*kept), rtol=1e-12, atol=1e-12
        )
        holes[mask] = [np.inf, -np.inf]
        infinite = make_transform(spec).fit(*arguments(transform, holes))
        np.testing.assert_array_equal(infinite.transform(*kept), partial.transform(*kept))


@pytest.mark.parametrize("spec", COLUMN + TARGET, ids=name_of)
def test_the_state_survives_a_file_of_weights_only(spec):
    transform = fitted(spec)
    file = io.BytesIO()
    torch.save(transform.state_dict(), file)
    file.seek(0)
    other = make_transform(spec)
    other.load_state_dict(torch.load(file, weights_only=True))
    expected = transform.transform(*arguments(transform, Y))
    np.testing.assert_array_equal(other.transform(*arguments(other, Y)), expected)
    more = [item + 1 for item in arguments(transform, Y)]
    other.partial_fit(*more)
    np.testing.assert_array_equal(transform.transform(*arguments(transform, Y)), expected)
    transform.partial_fit(*more)
    np.testing.assert_array_equal(other.transform(*more), transform.transform(*more))


@pytest.mark.parametrize("spec", [*LEARNERS, TARGET[0], TARGET[2]], ids=name_of)
def test_an_unfitted_transform_says_so(spec):
    transform = make_transform(spec)
    nothing = arguments(transform, np.full(3, np.nan), np.ones(3))
    for used in (transform, transform.fit(*nothing), fitted(spec).fit(*nothing)):
        with pytest.raises(InputError, match=f"^{name_of(spec)} is not fitted: call fit first"):
            used.transform(*arguments(transform, Y))


@pytest.mark.parametrize("spec", COLUMN + TARGET, ids=name_of)
def test_it_says_whether_it_learns(spec):
    transform = make_transform(spec)
    assert not isinstance(transform, TransformCollection)
    assert transform.learns == (name_of(spec) in [*LEARNERS, *map(name_of, TARGET[::2])])


# 0, or far enough from it that squares, which spreads are made of, are no zeros in float64
SIZES = st.floats(-1, 1).map(lambda size: size if abs(size) > 1e-100 else 0.0)
SPREAD = st.lists(SIZES, min_size=2, max_size=30, unique=True)
POWER = st.integers(-12, 12)


@settings(max_examples=40, deadline=None)
@given(shape=SPREAD, power=POWER, shift=st.sampled_from([0.0, 1.0, -3.0, 1e3]))
@pytest.mark.parametrize("single", [False, True], ids=["float64", "float32"])
@pytest.mark.parametrize("spec", [*LEARNERS, COLUMN[2], "DeltaTransform"], ids=name_of)
def test_round_trip_over_24_decades(spec, single, shape, power, shift):
    values = (10.0**power * (np.array(shape) + shift)).astype(np.float32 if single else np.float64)
    # commands take subnormal numbers for zero
    values[np.abs(values) < np.finfo(values.dtype).tiny] = 0
    transform = make_transform(spec).fit(values)
    returned = back(transform, transform.transform(values), values)
    reach = np.abs(values.astype(np.float64)).max()
    rtol = 30 * np.finfo(values.dtype).eps
    np.testing.assert_allclose(returned, values, rtol=0, atol=rtol * reach)
    tensor = torch.from_numpy(values)
    returned = back(transform, transform.transform(tensor), tensor)
    torch.testing.assert_close(returned, tensor, rtol=0, atol=rtol * reach)


@settings(max_examples=40, deadline=None)
@given(powers=st.lists(st.floats(-12, 12), min_size=1, max_size=30))
@pytest.mark.parametrize("name", ["LogTransform", "Log1pTransform", "MaxScaler"])
def test_each_value_of_a_column_over_24_decades_returns(name, powers):
    values = 10.0 ** np.array(powers)
    transform: Any = make_transform(name).fit(values)
    returned = transform.inverse_transform(transform.transform(values))
    np.testing.assert_allclose(returned, values, rtol=1e-13)
    single = values.astype(np.float32)
    returned = transform.inverse_transform(transform.transform(torch.from_numpy(single)))
    # the exponential multiplies the rounding of its argument, which is up to 28
    np.testing.assert_allclose(returned.numpy(), single, rtol=5e-6)


@settings(max_examples=40, deadline=None)
@given(shape=SPREAD, x_power=POWER, y_power=POWER)
@pytest.mark.parametrize("spec", TARGET, ids=name_of)
def test_target_round_trip_over_24_decades(spec, shape, x_power, y_power):
    if name_of(spec) in ("FixedPolynomialTransform", "DiscreteFunctionTransform"):
        x_power = 0  # their function is given, in x's unit
    x = 10.0**x_power * np.linspace(1, 2, len(shape) + 2)
    y = 10.0**y_power * np.array([0.3, *shape, -0.7])
    transform: Any = make_transform(spec)
    transform.fit(x, y)
    result = transform.transform(x, y)
    # y - f(x) cannot be finer than f(x)
    reach = max(np.abs(y).max(), np.abs(y - result).max() if "Divide" not in name_of(spec) else 0)
    np.testing.assert_allclose(
        transform.inverse_transform(x, result), y, rtol=0, atol=1e-14 * reach
    )


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    values=st.lists(st.floats(-100, 100), min_size=3, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    power=POWER,
)
@pytest.mark.parametrize("spec", [*LEARNERS, TARGET[0], TARGET[2]], ids=name_of)
def test_pieces_give_the_fit_of_the_whole(spec, data, values, cuts, power):
    values = 10.0**power * np.round(np.array(values), 3)
    x = 10.0**-power * np.arange(1.0, 1 + len(values))
    x = np.array(data.draw(st.permutations(list(x))))
    whole, pieces = make_transform(spec), make_transform(spec)
    whole.fit(*arguments(whole, values, x))
    for part in np.split(np.arange(len(values)), sorted(cuts)):
        pieces.partial_fit(*arguments(pieces, values[part], x[part]))
    at = arguments(whole, values, x)
    expected, found = whole.transform(*at), pieces.transform(*at)
    # relative to the values where a trend is taken off them, since what remains may be rounding
    reach = np.abs(values if name_of(spec) == "PolynomialTransform" else expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * reach)


def test_all_names_of_the_contract_are_there():
    wanted = {name_of(spec) for spec in COLUMN + TARGET} | {
        "RunningNormalizer",
        "TransformCollection",
    }
    assert wanted <= set(package.__all__)
    assert all(
        issubclass(getattr(package, name), Transform | TargetTransform | TransformCollection)
        for name in wanted
    )
