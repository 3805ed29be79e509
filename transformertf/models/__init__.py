"""The forecasters: one file each, on one shared base."""

from transformertf.models.base import ForecastModule
from transformertf.models.encoder_decoder_lstm import EncoderDecoderLSTM, EncoderDecoderLSTMModel
from transformertf.models.temporal_fusion_transformer import (
    TFT,
    TemporalFusionTransformer,
    TemporalFusionTransformerModel,
)

__all__ = [
    "TFT",
    "EncoderDecoderLSTM",
    "EncoderDecoderLSTMModel",
    "ForecastModule",
    "TemporalFusionTransformer",
    "TemporalFusionTransformerModel",
]
