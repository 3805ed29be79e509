"""Attention LSTM: the encoder-decoder LSTM whose horizon looks back over all states.

Recurrence as in Sutskever, Vinyals and Le 2014, see `transformertf.models.encoder_decoder_lstm`;
attention and gates of Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for
interpretable multi-horizon time series forecasting", 2021, eq. 13 to 16 and section 4.1.
Departures: no variable selection, enrichment or feed-forward part; dropout falls on what
attention gives, not on its weights.
"""

import torch

from transformertf.errors import at_least_one, probability
from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.common import ForecastOutput, Padding, check_windows, put_back
from transformertf.models.encoder_decoder_lstm import StateBridge, make_projection
from transformertf.nn import (
    LSTM,
    GateAddNorm,
    InterpretableMultiHeadAttention,
    Packing,
    horizon_attention_mask,
)
from transformertf.utils.sequence import Alignment


class AttentionLSTMModel(torch.nn.Module):
    """LSTMs over context and known future, attention of the horizon over both, head.

    B batch, Tc context steps, Td horizon steps, D width of the attention, Q outputs of each step.

    `encoder_alignment` names the end of the padded context at which the data lies; `output_dim`
    (Q) and `packing` are those of every model, see `ForecastModule`.

    Args:
        num_past_features: features Fp of each context step; linked from the data.
        num_future_features: features Ff of each horizon step; linked from the data.
        d_model: width D of the attention; a multiple of `num_heads`.
        d_encoder: width of the encoder's state; None for `d_model`.
        d_decoder: width of the decoder's state; None for `d_model`.
        num_layers: stacked layers of each LSTM.
        num_heads: heads of the attention.
        dropout: dropout between LSTM layers and on what attention gives, 0 to 1.
        use_gating: close attention by a gate; without, by a plain residual and layer norm.
        trainable_add: weigh each feature of the gate's skip; nothing to weigh without gating.
        causal_attention: a horizon step sees the horizon only up to itself.
    """

    def __init__(
        self,
        num_past_features: int,
        num_future_features: int,
        d_model: int = 128,
        d_encoder: int | None = None,
        d_decoder: int | None = None,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        use_gating: bool = True,
        trainable_add: bool = False,
        causal_attention: bool = True,
        output_dim: int = 1,
        *,
        encoder_alignment: Alignment = "left",
        packing: Packing = "auto",
    ) -> None:
        super().__init__()
        d_encoder = d_model if d_encoder is None else d_encoder
        d_decoder = d_model if d_decoder is None else d_decoder
        at_least_one(
            d_model=d_model, d_encoder=d_encoder, d_decoder=d_decoder, num_layers=num_layers
        )
        probability(dropout=dropout)
        self.encoder_alignment: Alignment = encoder_alignment
        self.causal = causal_attention
        self.encoder = LSTM(num_past_features, d_encoder, num_layers, dropout, packing)
        self.decoder = LSTM(num_future_features, d_decoder, num_layers, dropout, packing)
        self.bridge = StateBridge(d_encoder, d_decoder, num_layers, num_layers)
        self.encoder_projection = make_projection(d_encoder, d_model)
        self.decoder_projection = make_projection(d_decoder, d_model)
        self.attention = InterpretableMultiHeadAttention(d_model, num_heads)
        self.attention_skip = (
            GateAddNorm(d_model, d_model, dropout, trainable_add=trainable_add)
            if use_gating
            else _AddNorm(d_model, dropout)
        )
        self.head = torch.nn.Linear(d_model, output_dim)

    def forward(
        self,
        past_sequence: torch.Tensor,
        future_sequence: torch.Tensor,
        encoder_lengths: torch.Tensor | None = None,
        decoder_lengths: torch.Tensor | None = None,
        *,
        need_weights: bool = False,
    ) -> ForecastOutput:
        """Forecast every horizon step.

        Args:
            past_sequence: (B, Tc, Fp), aligned as configured.
            future_sequence: (B, Td, Ff), data first.
            encoder_lengths: (B,) int64 data steps of the context; None where all are full.
            decoder_lengths: (B,) int64 data steps of the horizon; None where all are full.
            need_weights: whether the weights are read.

        Returns:
            `output` (B, Td, Q), zero on padding, and the weights where they are needed.
        """
        check_windows(past_sequence, future_sequence, encoder_lengths, decoder_lengths)
        context = Padding(encoder_lengths, self.encoder_alignment)
        horizon = Padding(decoder_lengths)
        past, future = context.data_first(past_sequence), horizon.data_first(future_sequence)
        context_steps, horizon_steps = past.size(1), future.size(1)
        encoded, state = self.encoder(past, encoder_lengths)  # (B, Tc, d_encoder)
        state = self.bridge(state)  # (N, B, d_decoder)
        decoded, _ = self.decoder(
            future, decoder_lengths, state, need_state=False
        )  # (B, Td, d_decoder)
        query = self.decoder_projection(decoded)  # (B, Td, D)
        keys = torch.cat([self.encoder_projection(encoded), query], dim=1)  # (B, Tc + Td, D)
        mask = horizon_attention_mask(
            encoder_lengths,
            decoder_lengths,
            context_steps,
            horizon_steps,
            causal=self.causal,
            device=past.device,
        )
        attended, weights = self.attention(query, keys, keys, mask, need_weights=need_weights)
        attended = self.attention_skip(attended, query)  # (B, Td, D)
        result: ForecastOutput = {"output": self.head(attended)}  # (B, Td, Q)
        if need_weights:
            result["attention_weights"] = weights  # (B, Td, Tc + Td)
        return put_back(result, context.mask(context_steps), horizon.mask(horizon_steps))


class _AddNorm(torch.nn.Module):
    """Add the skip, normalise: LayerNorm(skip + dropout(x)), Vaswani et al. 2017, section 5.4."""

    def __init__(self, d_model: int, dropout: float) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.norm = torch.nn.LayerNorm(d_model)

    def forward(self, inputs: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Join inputs (..., d_model) and skip (..., d_model)."""
        normed: torch.Tensor = self.norm(skip + self.dropout(inputs))
        return normed


class AttentionLSTM(ForecastModule):
    """Attention LSTM on batches; see `AttentionLSTMModel`."""

    interpretable = True

    @built_from(AttentionLSTMModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""
