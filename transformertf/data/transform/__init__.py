"""Transforms of single columns: fit, transform, inverse_transform; state in primitives.

Data flows from `base` (the contract) over the transforms themselves (`scalers`, `functions`,
`target`, `polynomial`) to `collection` (several in a row) and `registry` (by name).
"""

from transformertf.data.transform.base import TargetTransform, Transform
from transformertf.data.transform.collection import TransformCollection
from transformertf.data.transform.functions import (
    AdaptiveSigmoidTransform,
    DeltaTransform,
    Log1pTransform,
    LogTransform,
    SigmoidTransform,
)
from transformertf.data.transform.polynomial import FixedPolynomialTransform, PolynomialTransform
from transformertf.data.transform.registry import (
    RunningNormalizer,
    describe_transforms,
    make_transform,
)
from transformertf.data.transform.scalers import MaxScaler, MinMaxScaler, StandardScaler
from transformertf.data.transform.target import DiscreteFunctionTransform, DivideByXTransform

__all__ = [
    "AdaptiveSigmoidTransform",
    "DeltaTransform",
    "DiscreteFunctionTransform",
    "DivideByXTransform",
    "FixedPolynomialTransform",
    "Log1pTransform",
    "LogTransform",
    "MaxScaler",
    "MinMaxScaler",
    "PolynomialTransform",
    "RunningNormalizer",
    "SigmoidTransform",
    "StandardScaler",
    "TargetTransform",
    "Transform",
    "TransformCollection",
    "describe_transforms",
    "make_transform",
]
