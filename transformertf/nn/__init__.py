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
from transformertf.nn.links import LinkedLoss, is_linked, linked
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
    relative_error,
    symmetric_error,
)
from transformertf.nn.recurrent import GRU, LSTM, Packing, State
from transformertf.nn.selection import VariableSelection
from transformertf.nn.units import OwnUnits, label_of

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
    "LinkedLoss",
    "MAELoss",
    "MAPELoss",
    "MSELoss",
    "MultiHeadAttention",
    "OwnUnits",
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
    "is_linked",
    "join_static",
    "label_of",
    "linked",
    "median",
    "quantile_levels",
    "relative_error",
    "self_attention_mask",
    "symmetric_error",
]
