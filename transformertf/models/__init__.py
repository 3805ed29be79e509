"""The forecasters: one file each, on one shared base."""

from transformertf.models.attention_lstm import AttentionLSTM, AttentionLSTMModel
from transformertf.models.base import ForecastModule
from transformertf.models.encoder_decoder_lstm import EncoderDecoderLSTM, EncoderDecoderLSTMModel
from transformertf.models.temporal_fusion_transformer import (
    TFT,
    TemporalFusionTransformer,
    TemporalFusionTransformerModel,
)
from transformertf.models.transformer_lstm import TransformerLSTM, TransformerLSTMModel

__all__ = [
    "TFT",
    "AttentionLSTM",
    "AttentionLSTMModel",
    "EncoderDecoderLSTM",
    "EncoderDecoderLSTMModel",
    "ForecastModule",
    "TemporalFusionTransformer",
    "TemporalFusionTransformerModel",
    "TransformerLSTM",
    "TransformerLSTMModel",
]
