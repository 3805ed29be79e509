"""Transformer LSTM: recurrence for the order of steps, blocks of attention for what is far apart.

Embedding, skips and gates of Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for
interpretable multi-horizon time series forecasting", 2021, section 4.1; attention of Vaswani et
al., "Attention Is All You Need", 2017. Departures: the LSTMs tell the order of steps in place of
a positional encoding; a horizon attends context and horizon at once, not one after the other;
gates in place of feed-forward layers; dropout falls on what attention gives, at its gate, not on
its weights. The context attends itself without a causal mask: all of it is past.
"""

import torch

from transformertf.errors import at_least_one, probability
from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.common import ForecastOutput, Padding, check_windows, put_back
from transformertf.nn import (
    LSTM,
    GateAddNorm,
    GatedResidualNetwork,
    MultiHeadAttention,
    Packing,
    horizon_attention_mask,
    self_attention_mask,
)
from transformertf.utils.sequence import Alignment


class TransformerLSTMModel(torch.nn.Module):
    """Embedded streams through two LSTMs with skips, blocks of attention over both, head.

    B batch, Tc context steps, Td horizon steps, D model width, Q outputs of each step.

    `encoder_alignment` names the end of the padded context at which the data lies; `output_dim`
    (Q) and `packing` are those of every model, see `ForecastModule`.

    Args:
        num_past_features: features Fp of each context step; linked from the data.
        num_future_features: features Ff of each horizon step; linked from the data.
        d_model: width D throughout; a multiple of `num_heads`.
        num_layers: stacked layers of each LSTM.
        num_transformer_blocks: blocks of attention.
        num_heads: heads of each attention.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step sees the horizon only up to itself.
        share_lstm_weights: one LSTM for context and horizon.
    """

    def __init__(
        self,
        num_past_features: int,
        num_future_features: int,
        d_model: int = 128,
        num_layers: int = 2,
        num_transformer_blocks: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        causal_attention: bool = True,
        share_lstm_weights: bool = False,
        output_dim: int = 1,
        *,
        encoder_alignment: Alignment = "left",
        packing: Packing = "auto",
    ) -> None:
        super().__init__()
        at_least_one(
            d_model=d_model, num_layers=num_layers, num_transformer_blocks=num_transformer_blocks
        )
        probability(dropout=dropout)
        self.encoder_alignment: Alignment = encoder_alignment
        self.causal = causal_attention

        def recur() -> LSTM:
            return LSTM(d_model, d_model, num_layers, dropout, packing)

        self.past_embedding = GatedResidualNetwork(num_past_features, d_model, d_model, dropout)
        self.future_embedding = GatedResidualNetwork(num_future_features, d_model, d_model, dropout)
        self.encoder = recur()
        # none of its own, lest a state dict hold the shared weights twice
        self.decoder = None if share_lstm_weights else recur()
        self.encoder_skip = GateAddNorm(d_model, d_model, dropout)
        self.decoder_skip = GateAddNorm(d_model, d_model, dropout)
        self.blocks = torch.nn.ModuleList(
            _Block(d_model, num_heads, dropout) for _ in range(num_transformer_blocks)
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
            `output` (B, Td, Q), zero on padding, and the horizon's attention weights of the
            last block where they are needed.
        """
        check_windows(past_sequence, future_sequence, encoder_lengths, decoder_lengths)
        context = Padding(encoder_lengths, self.encoder_alignment)
        horizon = Padding(decoder_lengths)
        past, future = context.data_first(past_sequence), horizon.data_first(future_sequence)
        context_steps, horizon_steps = past.size(1), future.size(1)
        past, future = self.past_embedding(past), self.future_embedding(future)  # (B, T, D)
        encoded, state = self.encoder(past, encoder_lengths)  # (B, Tc, D)
        decoder = self.encoder if self.decoder is None else self.decoder
        decoded, _ = decoder(future, decoder_lengths, state, need_state=False)  # (B, Td, D)
        encoded = self.encoder_skip(encoded, past)  # (B, Tc, D)
        decoded = self.decoder_skip(decoded, future)  # (B, Td, D)
        context_mask = self_attention_mask(encoder_lengths, context_steps, device=past.device)
        horizon_mask = horizon_attention_mask(
            encoder_lengths,
            decoder_lengths,
            context_steps,
            horizon_steps,
            causal=self.causal,
            device=past.device,
        )
        weights = None
        for number, block in enumerate(self.blocks, start=1):
            encoded, decoded, weights = block(
                encoded,
                decoded,
                context_mask,
                horizon_mask,
                need_weights=need_weights and number == len(self.blocks),
            )
        result: ForecastOutput = {"output": self.head(decoded)}  # (B, Td, Q)
        if weights is not None:
            result["attention_weights"] = weights  # (B, Td, Tc + Td)
        return put_back(result, context.mask(context_steps), horizon.mask(horizon_steps))


class _Block(torch.nn.Module):
    """Self-attention of the context, then attention of the horizon over context and horizon."""

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.context_attention = MultiHeadAttention(d_model, num_heads)
        self.context_skip = GateAddNorm(d_model, d_model, dropout)
        self.horizon_attention = MultiHeadAttention(d_model, num_heads)
        self.horizon_skip = GateAddNorm(d_model, d_model, dropout)

    def forward(
        self,
        context: torch.Tensor,
        horizon: torch.Tensor,
        context_mask: torch.Tensor | None,
        horizon_mask: torch.Tensor | None,
        *,
        need_weights: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Map context (B, Tc, D) and horizon (B, Td, D); weights (B, Td, Tc + Td) or None."""
        attended, _ = self.context_attention(context, context, context, context_mask)
        context = self.context_skip(attended, context)
        keys = torch.cat([context, horizon], dim=1)
        attended, weights = self.horizon_attention(
            horizon, keys, keys, horizon_mask, need_weights=need_weights
        )
        return context, self.horizon_skip(attended, horizon), weights


class TransformerLSTM(ForecastModule):
    """Transformer LSTM on batches; see `TransformerLSTMModel`."""

    interpretable = True

    @built_from(TransformerLSTMModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""
