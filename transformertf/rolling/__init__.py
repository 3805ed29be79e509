"""Forecasts beyond the trained horizon.

1. `paths`           rolls a batch on, chunk after chunk, along point forecasts or sampled paths
2. `continuation`    windows whose origins lie among forecasts -> batches, as of any other series
"""

from transformertf.rolling.paths import Rolled, roll

__all__ = ["Rolled", "roll"]
