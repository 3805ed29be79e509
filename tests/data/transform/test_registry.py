"""Transforms by name."""

import numpy as np
import pytest
import yaml

from transformertf.data import transform as package
from transformertf.data.transform import (
    LogTransform,
    MinMaxScaler,
    PolynomialTransform,
    SigmoidTransform,
    StandardScaler,
    TargetTransform,
    Transform,
    TransformCollection,
    make_transform,
)
from transformertf.data.transform.registry import _CLASSES
from transformertf.errors import InputError


def test_every_public_class_has_its_name():
    public = {name for name in package.__all__ if isinstance(getattr(package, name), type)}
    assert set(_CLASSES) == public - {Transform.__name__, TargetTransform.__name__}
    assert all(getattr(package, name) is cls for name, cls in _CLASSES.items())


def test_a_yaml_names_transforms():
    specs = yaml.safe_load("""
        - LogTransform
        - {class_path: MinMaxScaler, init_args: {low: -1, high: 1e+1}}
        - class_path: transformertf.data.transform.SigmoidTransform
          init_args: {k: 1e-3}
        - {class_path: StandardScaler, init_args: null}
    """)
    log, minmax, sigmoid, standard = (make_transform(spec) for spec in specs)
    assert isinstance(log, LogTransform)
    assert isinstance(minmax, MinMaxScaler)
    assert (minmax.low, minmax.high) == (-1.0, 10.0)
    assert isinstance(sigmoid, SigmoidTransform)
    assert sigmoid.k == 1e-3  # text to a YAML reader
    assert isinstance(standard, StandardScaler)


def test_a_transform_is_what_it_is():
    for made in (LogTransform(), PolynomialTransform(), TransformCollection([])):
        assert make_transform(made) is made
    assert type(make_transform("RunningNormalizer")) is StandardScaler


def test_a_collection_is_made_of_specs():
    arguments = {"transforms": ["LogTransform", {"class_path": "StandardScaler"}]}
    chain = make_transform({"class_path": "TransformCollection", "init_args": arguments})
    assert isinstance(chain, TransformCollection)
    assert [type(item) for item in chain.transforms] == [LogTransform, StandardScaler]
    assert np.isfinite(chain.fit([1.0, 2.0]).transform(np.ones(1))).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("LogTransfrom", "unknown class 'LogTransfrom'; did you mean 'LogTransform'?"),
        ({"class_path": "minmaxscaler"}, "unknown class 'minmaxscaler'; "),
        ("torch.nn.Linear", "unknown class 'torch.nn.Linear'; known: AdaptiveSigmoidTransform, "),
        (None, "expected a class name or a mapping with class_path, found None"),
        ({"class": "LogTransform"}, "expected a class name or a mapping with class_path, found {"),
        (
            {"class_path": "LogTransform", "init_arg": {}},
            "transform: unknown key 'init_arg'; did you mean 'init_args'?",
        ),
        (
            {"class_path": "MinMaxScaler", "init_args": {"hihg": 1}},
            "MinMaxScaler: init_args: unknown key 'hihg'; did you mean 'high'?",
        ),
        (
            {"class_path": "LogTransform", "init_args": {"base": 2}},
            "LogTransform: init_args: unknown key 'base'; it takes none",
        ),
        (
            {"class_path": "MinMaxScaler", "init_args": [1]},
            "MinMaxScaler: init_args must be a mapping of arguments, found [1]",
        ),
        ("FixedPolynomialTransform", "init_args lacks 'coefficients', which has no default"),
        (
            {"class_path": "TransformCollection", "init_args": {"transforms": "LogTransform"}},
            "TransformCollection: transforms must be a list, found 'LogTransform'",
        ),
    ],
)
def test_errors(spec, message):
    with pytest.raises(InputError) as caught:
        make_transform(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
