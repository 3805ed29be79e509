"""The forecasters: one file each, on one shared base."""

from transformertf.models.base import ForecastModule
from transformertf.models.encoder_decoder_lstm import EncoderDecoderLSTM, EncoderDecoderLSTMModel

__all__ = ["EncoderDecoderLSTM", "EncoderDecoderLSTMModel", "ForecastModule"]
