"""What one fitted scaling takes along of another, column by column."""

from typing import Any

import numpy as np
import pytest

from tests.data.spans import spans_before
from transformertf.data.columns import Columns
from transformertf.data.scaling import Inheritance, Scaling, Vocabularies
from transformertf.data.series import Series
from transformertf.data.windows import Windows

RNG = np.random.default_rng(3)


def fitted(
    names: list[str], tables: dict[str, np.ndarray], normalize: Any = True, **options: Any
) -> Scaling:
    """Return a scaling of the columns, the last one the target, fitted to series by name."""
    columns = Columns(tuple(names[:-1]), (), names[-1], None)
    scaling = Scaling(columns, normalize, "absolute", **options)
    series = [Series(name, table, None, len(table)) for name, table in tables.items()]
    scaling.fit(series, spans_before(series), Windows([]))
    return scaling


def take(own: Scaling, other: Scaling) -> str:
    inheritance = Inheritance(other, Vocabularies(other.columns))
    inheritance.apply(own, Vocabularies(own.columns))
    return inheritance.report()


def scaled(scaling: Scaling, name: str, values: np.ndarray) -> np.ndarray:
    out = np.empty((len(values), len(scaling.columns.features)))
    scaling.write_features(Series(name, values, None, len(values)), out)
    return out


def test_columns_and_series_go_by_name() -> None:
    """x is new; y and z are of the old series, whatever place they have."""
    old = {name: RNG.normal(size, size, (30, 2)) for name, size in (("a", 3.0), ("b", 5.0))}
    new = {name: RNG.normal(size, size, (20, 3)) for name, size in (("b", 70.0), ("c", 90.0))}
    own = fitted(["z", "x", "y"], new, "series")
    told = take(own, fitted(["y", "z"], old, "series"))
    # the target is another one: which series there are is the new fit's matter
    assert own.state_dict()["series"] == ["b", "c"]
    assert "taken along for 'z', 'y'; fitted anew: 'x' (not there)" in told
    row = np.arange(6.0).reshape(2, 3)
    whole = np.concatenate(list(old.values()))
    for name, z_y in (("b", old["b"]), ("c", whole)):
        mean = np.array([z_y[:, 1].mean(), new[name][:, 1].mean(), z_y[:, 0].mean()])
        std = np.array([z_y[:, 1].std(), new[name][:, 1].std(), z_y[:, 0].std()])
        np.testing.assert_allclose(scaled(own, name, row), (row - mean) / std, rtol=1e-12)


def test_series_go_with_the_target() -> None:
    old = {name: RNG.normal(size, size, (30, 2)) for name, size in (("a", 3.0), ("b", 5.0))}
    new = {name: RNG.normal(size, size, (20, 3)) for name, size in (("b", 70.0), ("c", 90.0))}
    own = fitted(["x", "z", "y"], new, "series")
    told = take(own, fitted(["z", "y"], old, "series"))
    assert "1 of 2 series take the statistics of all" in told
    assert own.state_dict()["series"] == ["a", "b"]
    row = np.arange(6.0).reshape(2, 3)
    unseen, everything = np.concatenate(list(old.values())), np.concatenate(list(new.values()))
    mean = np.array([everything[:, 0].mean(), *unseen.mean(axis=0)])
    std = np.array([everything[:, 0].std(), *unseen.std(axis=0)])
    np.testing.assert_allclose(scaled(own, "c", row), (row - mean) / std, rtol=1e-12)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({}, {"extra_transforms": {"x": "Log1pTransform"}}, "'x' (with other transforms there)"),
        (
            {"extra_transforms": {"x": {"MaxScaler": {"maximum": 5}}}},
            {"extra_transforms": {"x": {"MaxScaler": {"maximum": 6}}}},
            "'x' (with other transforms there)",
        ),
        (
            {"extra_transforms": {"x": {"DiscreteFunctionTransform": {"x": [0, 1], "y": [0, 2]}}}},
            {"extra_transforms": {"x": {"DiscreteFunctionTransform": {"x": [0, 1], "y": [0, 3]}}}},
            "'x' (with other transforms there)",
        ),
        (
            {"target_depends_on": "x", "extra_transforms": {"y": "PolynomialTransform"}},
            {"target_depends_on": "w", "extra_transforms": {"y": "PolynomialTransform"}},
            "'y' (with other transforms there)",
        ),
        (
            {"normalize": "window"},
            {"normalize": True},
            "(normalize is 'global', there 'window')",
        ),
    ],
)
def test_what_means_something_else_is_fitted_anew(before: Any, now: Any, told: str) -> None:
    old = {"a": RNG.uniform(1, 2, (30, 3))}
    new = {"a": RNG.uniform(5, 9, (30, 3))}
    own = fitted(["x", "w", "y"], new, **now)
    anew = own.state_dict()["columns"]
    assert told in (report := take(own, fitted(["x", "w", "y"], old, **before)))
    name = told[1] if told[0] == "'" else "x"
    assert str(own.state_dict()["columns"][name]) == str(anew[name])
    assert "'w'" in report


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("LogTransform", {"class_path": "LogTransform", "init_args": {}}),
        ({"MaxScaler": {"maximum": 5}}, [{"MaxScaler": {"maximum": 5.0}}]),
        ({"PolynomialTransform": {"degree": 1}}, "PolynomialTransform"),
    ],
)
def test_one_transform_may_be_said_in_several_ways(before: Any, now: Any) -> None:
    depends = {"target_depends_on": "x"} if "Polynomial" in str(now) else {}
    old, new = {"a": RNG.uniform(1, 2, (30, 2))}, {"a": RNG.uniform(5, 9, (30, 2))}
    other = fitted(["x", "y"], old, extra_transforms={"y": before}, **depends)
    own = fitted(["x", "y"], new, extra_transforms={"y": now}, **depends)
    assert take(own, other) == "taken along for 'x', 'y'"
    row = np.array([[1.5, 1.7], [1.6, 1.2]])
    np.testing.assert_array_equal(scaled(own, "a", row), scaled(other, "a", row))


def test_a_constant_column_has_no_scale_to_give() -> None:
    old = {"a": np.column_stack([np.full(30, 4.0), RNG.normal(size=30)])}
    new = {"a": RNG.normal(0, 1e6, (30, 2))}
    own = fitted(["x", "y"], new)
    assert "'x' (constant there, which gives no scale)" in take(own, fitted(["x", "y"], old))
    np.testing.assert_allclose(scaled(own, "a", new["a"])[:, 0].std(), 1.0, rtol=1e-12)
