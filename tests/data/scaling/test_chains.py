"""What a configuration may do to a column, and what it may not."""

import re
from pathlib import Path

import pytest
import yaml

from transformertf.data.columns import Columns
from transformertf.data.scaling.chains import TIME, make_chains
from transformertf.data.transform import (
    DeltaTransform,
    DiscreteFunctionTransform,
    LogTransform,
    MaxScaler,
    StandardScaler,
)
from transformertf.errors import InputError

COLUMNS = Columns(
    ("k", "load"),
    ("p",),
    "y",
    "t",
    static=("area",),
    known_categories=("day",),
    static_categories=("kind",),
    calendar_categories=("hour",),
)
CURVE = {"class_path": "DiscreteFunctionTransform", "init_args": {"x": [0, 1], "y": [2, 4]}}


def make(extra, depends=None, columns=COLUMNS):
    return make_chains(columns, extra, depends, True)


def kinds(chain):
    return [type(item).__name__ for item in chain.extra.transforms]


def test_each_real_column_and_time_has_a_chain():
    chains = make(None)
    assert list(chains) == ["k", "load", "p", "y", "area", TIME]
    assert all(not chain.extra.transforms for chain in chains.values())
    assert all(isinstance(chains[name].scaler, StandardScaler) for name in ("k", "y", "area"))
    assert chains[TIME].scaler is None
    assert all(chain.scaler is None for chain in make_chains(COLUMNS, None, None, False).values())


def test_one_transform_a_list_and_a_collection_are_all_taken():
    collection = {
        "class_path": "TransformCollection",
        "init_args": {"transforms": ["Log1pTransform", "MaxScaler"]},
    }
    chains = make(
        {
            "k": "LogTransform",
            "p": ["DeltaTransform", collection],
            "area": LogTransform(),
            TIME: "Log1pTransform",
            "load": CURVE,
        }
    )
    assert kinds(chains["k"]) == ["LogTransform"]
    assert kinds(chains["p"]) == ["DeltaTransform", "Log1pTransform", "MaxScaler"]
    assert kinds(chains["area"]) == ["LogTransform"]
    assert kinds(chains[TIME]) == ["Log1pTransform"]
    assert isinstance(chains["load"].extra.transforms[0], DiscreteFunctionTransform)
    assert chains["p"].has_delta
    assert not chains["k"].has_delta


def test_a_transform_given_to_two_columns_is_fitted_for_each():
    scaler = MaxScaler()
    chains = make({"k": scaler, "p": scaler})
    first, second = (chains[name].extra.transforms[0] for name in ("k", "p"))
    assert first is not second
    assert scaler not in (first, second)


def test_a_target_transform_comes_with_its_covariate():
    chains = make({"y": ["DeltaTransform", "DivideByXTransform"]}, "k")
    assert kinds(chains["y"]) == ["DeltaTransform", "DivideByXTransform"]


@pytest.mark.parametrize(
    ("extra", "depends", "message"),
    [
        ({"laod": "LogTransform"}, None, "unknown column 'laod'; did you mean 'load'"),
        ({3: "LogTransform"}, None, "unknown column 3; known: __time__, area, k, load, p, y"),
        ({"day": "LogTransform"}, None, "'day' is categorical, transforms take numbers; leave"),
        ({"kind": "LogTransform"}, None, "'kind' is categorical"),
        ({"hour": "LogTransform"}, None, "'hour' is categorical"),
        ({"t": "LogTransform"}, None, "'t' is the time column; call it __time__"),
        (["LogTransform"], None, "extra_transforms must be a mapping .* found .'LogTransform'"),
        ({"k": "LogTransfrom"}, None, "^extra_transforms: 'k': transform: unknown class .*mean"),
        ({"k": ["DeltaTransform"] * 2}, None, "^extra_transforms: 'k': .* at most one DeltaTr"),
        ({"area": DeltaTransform()}, None, "'area': DeltaTransform .*, a static column has none"),
        ({TIME: "DeltaTransform"}, None, "'__time__': DeltaTransform .* time_format: relative"),
        (
            {"k": "DivideByXTransform"},
            None,
            "'k': DivideByXTransform takes x and y, which only the target 'y' has; move it there",
        ),
        ({TIME: "PolynomialTransform"}, None, "'__time__': PolynomialTransform takes x and y"),
        ({"area": "PolynomialTransform"}, None, "'area': PolynomialTransform takes x and y"),
        (
            {"y": "DivideByXTransform"},
            None,
            "DivideByXTransform of the target 'y' takes a covariate as x; name it in target_dep",
        ),
        ({"y": CURVE}, None, "DiscreteFunctionTransform of the target 'y' takes a covariate"),
        (
            {"y": "DivideByXTransform"},
            "p",
            "target_depends_on: 'p' is known only in the past, .* make it one of known_covariates",
        ),
        ({"y": CURVE}, "laod", "target_depends_on: 'laod' .* did you mean 'load'"),
        ({"y": CURVE}, "y", "target_depends_on: 'y' is no real known covariate; known: k, load"),
        ({"y": CURVE}, "day", "target_depends_on: 'day' is no real known covariate"),
        (
            {"y": "LogTransform"},
            "k",
            "target_depends_on is 'k', but no transform of the target 'y' .* takes x and y; add",
        ),
        (None, "k", "target_depends_on is 'k', but no transform"),
        (
            {"y": [CURVE, "DeltaTransform"]},
            "k",
            "'y': .* found DeltaTransform after DiscreteFunctionTransform",
        ),
    ],
)
def test_errors_are_one_line(extra, depends, message):
    with pytest.raises(InputError, match=message) as error:
        make(extra, depends)
    assert "\n" not in str(error.value)


def test_what_a_series_without_time_or_known_columns_has_not():
    bare = Columns((), (), "y", None)
    with pytest.raises(InputError, match="__time__ needs a time_column, found none"):
        make({TIME: "LogTransform"}, columns=bare)
    with pytest.raises(InputError, match=r"unknown column 'x'; known: y$"):
        make({"x": "LogTransform"}, columns=bare)
    with pytest.raises(InputError, match=r"'k' is no real known .*; known_covariates has none"):
        make({"y": CURVE}, "k", columns=bare)


def test_the_configurations_of_the_page_are_taken():
    page = Path(__file__).parents[3] / "docs" / "transforms.md"
    texts = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    found = [yaml.safe_load(text)["data"]["init_args"] for text in texts]
    assert len(found) == 4
    for given in found:
        columns = Columns.of(given)
        chains = make_chains(
            columns, given.get("extra_transforms"), given.get("target_depends_on"), True
        )
        assert all(kinds(chains[name]) for name in given.get("extra_transforms", ()))
