"""Transforms of single columns: fit, transform, inverse_transform; state in primitives."""

from transformertf.data.transform.scalers import StandardScaler

RunningNormalizer = StandardScaler

__all__ = ["RunningNormalizer", "StandardScaler"]
