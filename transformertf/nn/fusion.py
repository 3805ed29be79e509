"""What the temporal fusion transformers share: local recurrence, attention over time, gates.

Lim et al. 2021, sections 4.3 to 4.5. B batch, Tc context steps, Td horizon steps, D width.
"""

import torch

from transformertf.nn.attention import InterpretableMultiHeadAttention, horizon_attention_mask
from transformertf.nn.gating import GateAddNorm, GatedResidualNetwork
from transformertf.nn.recurrent import LSTM, Packing, State


class TemporalFusion(torch.nn.Module):
    """Selected inputs of context and horizon to the state of every horizon step.

    Args:
        d_model: width D throughout.
        num_heads: heads of the attention; must divide `d_model`.
        num_lstm_layers: stacked layers of each LSTM.
        dropout: of LSTMs, attention and gates, 0 to 1.
        enrichment: enrich what the recurrence gives with a context, by a gated residual
            network; without, attention sees it as it is.
        causal: a horizon step sees the horizon only up to itself.
        sees_itself: it then sees itself too, not only the steps before.
        packing: how the LSTMs treat ragged rows.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_lstm_layers: int,
        dropout: float,
        *,
        enrichment: bool,
        causal: bool = True,
        sees_itself: bool = True,
        packing: Packing = "auto",
    ) -> None:
        super().__init__()
        self.causal = causal
        self.sees_itself = sees_itself
        self.encoder = LSTM(d_model, d_model, num_lstm_layers, dropout, packing)
        self.decoder = LSTM(d_model, d_model, num_lstm_layers, dropout, packing)
        self.local_skip = GateAddNorm(d_model, d_model, dropout)
        self.enrichment = (
            GatedResidualNetwork(d_model, d_model, d_model, dropout, d_context=d_model)
            if enrichment
            else None
        )
        # on the weights themselves dropout costs the fused kernel: 1.6 to 3 times the time on CPU
        self.attention = InterpretableMultiHeadAttention(d_model, num_heads, output_dropout=dropout)
        self.attention_skip = GateAddNorm(d_model, d_model, dropout)
        self.feed_forward = GatedResidualNetwork(d_model, d_model, d_model, dropout)
        self.output_skip = GateAddNorm(d_model, d_model)

    def forward(
        self,
        past: torch.Tensor,
        future: torch.Tensor,
        encoder_lengths: torch.Tensor | None = None,
        decoder_lengths: torch.Tensor | None = None,
        state: State | None = None,
        context: torch.Tensor | None = None,
        *,
        need_weights: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Fuse.

        Args:
            past: (B, Tc, D), data first.
            future: (B, Td, D), data first.
            encoder_lengths: (B,) int64 data steps of the context; None where all are full.
            decoder_lengths: (B,) int64 data steps of the horizon; None where all are full.
            state: the encoder's initial (h, c); zeros if not given.
            context: (B, 1, D) that enriches every step.
            need_weights: whether the attention weights are read.

        Returns:
            (B, Td, D), and the attention weights (B, Td, Tc + Td) or None.
        """
        context_steps, horizon_steps = past.size(1), future.size(1)
        encoded, state = self.encoder(past, encoder_lengths, state)
        decoded, _ = self.decoder(future, decoder_lengths, state, need_state=False)
        local = self.local_skip(
            torch.cat([encoded, decoded], dim=1), torch.cat([past, future], dim=1)
        )  # eq. 17
        enriched = local if self.enrichment is None else self.enrichment(local, context)  # eq. 18
        query = enriched[:, context_steps:]
        mask = horizon_attention_mask(
            encoder_lengths,
            decoder_lengths,
            context_steps,
            horizon_steps,
            causal=self.causal,
            sees_itself=self.sees_itself,
            device=past.device,
        )
        attended, weights = self.attention(
            query, enriched, enriched, mask, need_weights=need_weights
        )  # eq. 19
        attended = self.attention_skip(attended, query)  # eq. 20
        fused = self.feed_forward(attended)  # eq. 21
        return self.output_skip(fused, local[:, context_steps:]), weights  # eq. 22
