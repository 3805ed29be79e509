"""Building blocks of the models: elementwise losses and the ragged recurrence."""

from transformertf.nn.losses import (
    HuberLoss,
    L1Loss,
    MAELoss,
    MAPELoss,
    MSELoss,
    QuantileLoss,
    SMAPELoss,
)
from transformertf.nn.recurrent import LSTM

__all__ = [
    "LSTM",
    "HuberLoss",
    "L1Loss",
    "MAELoss",
    "MAPELoss",
    "MSELoss",
    "QuantileLoss",
    "SMAPELoss",
]
