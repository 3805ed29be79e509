"""Scalers with given constants: these are fixed, what is not given is fitted."""

from typing import Any

import numpy as np
import pytest
import torch

from transformertf.data.transform import (
    MaxScaler,
    MinMaxScaler,
    RunningNormalizer,
    StandardScaler,
    TransformCollection,
    describe_transforms,
    make_transform,
)
from transformertf.errors import InputError

SEEN = np.array([2.0, -6.0, 10.0, 4.0])
# arguments, and what values become: loc is taken off, and the rest divided by scale
CASES: list[tuple[Any, dict[str, float], float, float]] = [
    (StandardScaler, {"mean": 1.0, "std": 100.0}, 1.0, 100.0),
    (StandardScaler, {"mean": 0.0}, 0.0, SEEN.std()),
    (StandardScaler, {"std": 4.0}, SEEN.mean(), 4.0),
    (RunningNormalizer, {"mean": -3.0, "std": 0.5}, -3.0, 0.5),
    (MinMaxScaler, {"minimum": -20.0, "maximum": 20.0}, -20.0, 40.0),
    (MinMaxScaler, {"minimum": -20.0}, -20.0, 30.0),
    (MinMaxScaler, {"maximum": 14.0}, -6.0, 20.0),
    (MaxScaler, {"maximum": 50.0}, 0.0, 50.0),
]
COMPLETE = [case for case in CASES if len(case[1]) == 2 or case[0] is MaxScaler]


@pytest.mark.parametrize(("kind", "given", "loc", "scale"), CASES)
def test_given_constants_stay_and_the_rest_is_fitted(kind, given, loc, scale):
    scaler = kind(**given).fit(SEEN)
    scaled = scaler.transform(SEEN)
    np.testing.assert_allclose(scaled, (SEEN - loc) / scale, rtol=1e-14)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), SEEN, rtol=1e-14)
    whole = kind(**given).partial_fit(SEEN[:1]).partial_fit(SEEN[1:])
    np.testing.assert_allclose(whole.transform(SEEN), scaled, rtol=1e-14)


@pytest.mark.parametrize(("kind", "given", "loc", "scale"), COMPLETE)
def test_nothing_is_learnt_where_all_is_given(kind, given, loc, scale):
    scaler = kind(**given)
    assert not scaler.learns
    assert not scaler.is_constant
    np.testing.assert_allclose(scaler.transform(SEEN), (SEEN - loc) / scale, rtol=1e-14)
    before = scaler.state_dict()
    scaler.partial_fit(1e6 * SEEN).fit(np.full(3, 7.0))
    assert scaler.state_dict() == before
    np.testing.assert_allclose(scaler.transform(SEEN), (SEEN - loc) / scale, rtol=1e-14)
    # hence it may stand before what learns, in one pass
    TransformCollection([scaler, StandardScaler()]).partial_fit(SEEN)


@pytest.mark.parametrize(("kind", "given", "loc", "scale"), CASES)
def test_state_and_description_make_it_again(kind, given, loc, scale):
    fitted = kind(**given).fit(SEEN)
    spec = describe_transforms(fitted)
    # what was fitted is no constant
    told = {name: value for name, value in spec["init_args"].items() if value is not None}
    assert given.items() <= told.items()
    assert told.keys() - given.keys() <= {"low", "high"}
    again = make_transform(spec)
    again.load_state_dict(fitted.state_dict())
    np.testing.assert_array_equal(again.transform(SEEN), fitted.transform(SEEN))
    short = make_transform({kind.__name__: given}).fit(SEEN)
    np.testing.assert_array_equal(short.transform(SEEN), fitted.transform(SEEN))


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (StandardScaler, {"std": 0}, "StandardScaler: std must be above 0, found 0"),
        (StandardScaler, {"mean": 1, "std": -2}, "StandardScaler: std must be above 0, found -2"),
        (StandardScaler, {"mean": float("nan")}, "StandardScaler: mean: expected finite"),
        (StandardScaler, {"std": float("inf")}, "StandardScaler: std: expected finite"),
        (StandardScaler, {"mean": "much"}, "StandardScaler: mean: expected numbers"),
        (StandardScaler, {"mean": [1.0, 2.0]}, "StandardScaler: mean: expected one number"),
        (MinMaxScaler, {"minimum": 1, "maximum": 1}, "maximum must be above minimum 1.0, found 1"),
        (MinMaxScaler, {"minimum": 2, "maximum": 1}, "maximum must be above minimum 2.0, found 1"),
        (MinMaxScaler, {"minimum": float("nan")}, "MinMaxScaler: minimum: expected finite"),
        (MaxScaler, {"maximum": 0.0}, "MaxScaler: maximum must be above 0, found 0"),
        (MaxScaler, {"maximum": -1.0}, "MaxScaler: maximum must be above 0, found -1"),
    ],
)
def test_constants_that_no_column_has_are_refused(kind, given, message):
    with pytest.raises(InputError, match=message):
        kind(**given)


@pytest.mark.parametrize("given", [{"minimum": 11.0}, {"maximum": -7.0}])
def test_a_range_that_the_values_turn_round_is_refused(given):
    scaler = MinMaxScaler(**given).fit(SEEN)
    (name,) = given
    for use in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(InputError, match=f"MinMaxScaler: {name} is .* given, but the"):
            use(torch.from_numpy(SEEN))


def test_what_is_not_given_wants_a_fit():
    for scaler in (StandardScaler(mean=0.0), StandardScaler(std=1.0), MinMaxScaler(minimum=0.0)):
        with pytest.raises(InputError, match="is not fitted"):
            scaler.transform(SEEN)
