"""Building blocks of the models: elementwise losses, the ragged recurrence and attention."""

from transformertf.nn.attention import (
    InterpretableMultiHeadAttention,
    MultiHeadAttention,
    horizon_attention_mask,
    self_attention_mask,
)
from transformertf.nn.distributions import DistributionLoss
from transformertf.nn.losses import (
    HuberLoss,
    L1Loss,
    MAELoss,
    MAPELoss,
    MSELoss,
    QuantileLoss,
    SMAPELoss,
)
from transformertf.nn.recurrent import GRU, LSTM

__all__ = [
    "GRU",
    "LSTM",
    "DistributionLoss",
    "HuberLoss",
    "InterpretableMultiHeadAttention",
    "L1Loss",
    "MAELoss",
    "MAPELoss",
    "MSELoss",
    "MultiHeadAttention",
    "QuantileLoss",
    "SMAPELoss",
    "horizon_attention_mask",
    "self_attention_mask",
]
