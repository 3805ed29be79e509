"""Building blocks of the models: elementwise losses, the ragged recurrence and attention."""

from transformertf.nn.attention import (
    InterpretableMultiHeadAttention,
    MultiHeadAttention,
    horizon_attention_mask,
    self_attention_mask,
)
from transformertf.nn.distributions import DistributionLoss
from transformertf.nn.embedding import D_CATEGORY, WideInput, join_static
from transformertf.nn.fusion import TemporalFusion
from transformertf.nn.gating import GateAddNorm, GatedResidualNetwork, Skip
from transformertf.nn.losses import (
    HuberLoss,
    L1Loss,
    MAELoss,
    MAPELoss,
    MSELoss,
    QuantileLoss,
    SMAPELoss,
    elementwise,
    median,
    quantile_levels,
)
from transformertf.nn.recurrent import GRU, LSTM, Packing, State
from transformertf.nn.selection import VariableSelection

__all__ = [
    "D_CATEGORY",
    "GRU",
    "LSTM",
    "DistributionLoss",
    "GateAddNorm",
    "GatedResidualNetwork",
    "HuberLoss",
    "InterpretableMultiHeadAttention",
    "L1Loss",
    "MAELoss",
    "MAPELoss",
    "MSELoss",
    "MultiHeadAttention",
    "Packing",
    "QuantileLoss",
    "SMAPELoss",
    "Skip",
    "State",
    "TemporalFusion",
    "VariableSelection",
    "WideInput",
    "elementwise",
    "horizon_attention_mask",
    "join_static",
    "median",
    "quantile_levels",
    "self_attention_mask",
]
