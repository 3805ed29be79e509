"""The forecasters: one file each, on one shared base."""

from transformertf.models.attention_lstm import AttentionLSTM, AttentionLSTMModel
from transformertf.models.base import ForecastModule
from transformertf.models.common import (
    DEFAULT_OPTIMIZER as DEFAULT_OPTIMIZER,
)
from transformertf.models.common import (
    TOLD_BY_DATA as TOLD_BY_DATA,
)
from transformertf.models.common import (
    ChainedScheduler,
    CosineWithWarmup,
    OneCycle,
    SequentialLR,
)
from transformertf.models.common import (
    LossSteps as LossSteps,
)
from transformertf.models.common import (
    changed_settings as changed_settings,
)
from transformertf.models.common import (
    precision_of as precision_of,
)
from transformertf.models.common import (
    refuse_endless as refuse_endless,
)
from transformertf.models.common import (
    renew as renew,
)
from transformertf.models.common import (
    weigh_steps as weigh_steps,
)
from transformertf.models.encoder_decoder_lstm import EncoderDecoderLSTM, EncoderDecoderLSTMModel
from transformertf.models.gru import GRU, GRUModel
from transformertf.models.lstm import LSTM, LSTMModel
from transformertf.models.pf_tft import (
    PFTemporalFusionTransformer,
    PFTemporalFusionTransformerModel,
)
from transformertf.models.sequence_model import SequenceModel
from transformertf.models.temporal_fusion_transformer import (
    TFT,
    TemporalFusionTransformer,
    TemporalFusionTransformerModel,
)
from transformertf.models.transformer_lstm import TransformerLSTM, TransformerLSTMModel
from transformertf.models.xtft import xTFT, xTFTModel

__all__ = [
    "GRU",
    "LSTM",
    "TFT",
    "AttentionLSTM",
    "AttentionLSTMModel",
    "ChainedScheduler",
    "CosineWithWarmup",
    "EncoderDecoderLSTM",
    "EncoderDecoderLSTMModel",
    "ForecastModule",
    "GRUModel",
    "LSTMModel",
    "OneCycle",
    "PFTemporalFusionTransformer",
    "PFTemporalFusionTransformerModel",
    "SequenceModel",
    "SequentialLR",
    "TemporalFusionTransformer",
    "TemporalFusionTransformerModel",
    "TransformerLSTM",
    "TransformerLSTMModel",
    "xTFT",
    "xTFTModel",
]
