"""The temporal fusion transformer of pytorch-forecasting, module for module.

https://github.com/sktime/pytorch-forecasting, release 1.8.0, after Lim, Arik, Loeff and Pfister,
2021. It differs from the paper, and so from `transformertf.models.temporal_fusion_transformer`:
skips between unequal widths interpolate features; without static columns the static embedding is
zero; a causal horizon step attends to the horizon before itself, but not to itself; dropout of
the attention falls on what its heads find and on its output.

Departures from theirs: real variables only; an embedding that they share by name between context,
horizon and static variables is held once for each, and trained apart; the width must be a
multiple of the heads. `transformertf.models.pf_weights` loads their weights.
"""

from functools import partial
from typing import Any

import torch

from transformertf.errors import InputError, at_least_one, probability
from transformertf.models.base import ForecastModule
from transformertf.models.layout import ForecastOutput, data_first, padding_mask, put_back
from transformertf.nn.fusion import TemporalFusion
from transformertf.nn.gating import GatedResidualNetwork
from transformertf.nn.recurrent import Packing
from transformertf.nn.selection import VariableSelection
from transformertf.utils.sequence import Alignment


class PFTemporalFusionTransformerModel(torch.nn.Module):
    """The network of pytorch-forecasting's `TemporalFusionTransformer`.

    B batch, Tc context steps, Td horizon steps, D model width, Q outputs of each step.

    Args:
        num_past_features: features Fp of each context step.
        num_future_features: features Ff of each horizon step.
        ctxt_seq_len: full context in steps.
        tgt_seq_len: full horizon in steps.
        num_static_features: features S constant within a series.
        d_model: width D throughout, their `hidden_size`; a multiple of `num_heads`.
        d_hidden_continuous: width of a real variable's embedding, their `hidden_continuous_size`.
        num_heads: heads of the attention, their `attention_head_size`.
        num_lstm_layers: stacked layers of each LSTM, their `lstm_layers`.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step attends to the horizon only before itself.
        output_dim: outputs Q of each step, their `output_size`.
        encoder_alignment: end of the padded context at which the data lies.
        packing: how the LSTMs treat ragged rows; see `transformertf.nn.recurrent`.
    """

    def __init__(
        self,
        num_past_features: int,
        num_future_features: int,
        ctxt_seq_len: int,
        tgt_seq_len: int,
        num_static_features: int = 0,
        d_model: int = 300,
        d_hidden_continuous: int = 8,
        num_heads: int = 4,
        num_lstm_layers: int = 2,
        dropout: float = 0.1,
        causal_attention: bool = True,
        output_dim: int = 7,
        encoder_alignment: Alignment = "left",
        packing: Packing = "auto",
    ) -> None:
        super().__init__()
        at_least_one(
            ctxt_seq_len=ctxt_seq_len,
            tgt_seq_len=tgt_seq_len,
            d_model=d_model,
            d_hidden_continuous=d_hidden_continuous,
            num_lstm_layers=num_lstm_layers,
        )
        probability(dropout=dropout)
        self.encoder_alignment: Alignment = encoder_alignment
        self.d_model = d_model
        self.num_lstm_layers = num_lstm_layers
        select = partial(
            VariableSelection,
            d_embedding=d_hidden_continuous,
            d_model=d_model,
            dropout=dropout,
            skip="resample",
        )
        encode_static = partial(GatedResidualNetwork, d_model, d_model, d_model, dropout)
        self.num_static_features = num_static_features
        self.static_selection = select(num_static_features) if num_static_features else None
        self.selection_context = encode_static()
        self.hidden_context = encode_static()
        self.cell_context = encode_static()
        self.enrichment_context = encode_static()
        self.past_selection = select(num_past_features, d_context=d_model)
        self.future_selection = select(num_future_features, d_context=d_model)
        self.fusion = TemporalFusion(
            d_model,
            num_heads,
            num_lstm_layers,
            dropout,
            enrichment=True,
            causal=causal_attention,
            sees_itself=False,
            packing=packing,
        )
        self.head = torch.nn.Linear(d_model, output_dim)

    def forward(
        self,
        past_sequence: torch.Tensor,
        future_sequence: torch.Tensor,
        encoder_lengths: torch.Tensor | None = None,
        decoder_lengths: torch.Tensor | None = None,
        static: torch.Tensor | None = None,
        *,
        need_weights: bool = False,
    ) -> ForecastOutput:
        """Forecast every horizon step.

        Args:
            past_sequence: (B, Tc, Fp), aligned as configured.
            future_sequence: (B, Td, Ff), data first.
            encoder_lengths: (B,) int64 data steps of the context; None where all are full.
            decoder_lengths: (B,) int64 data steps of the horizon; None where all are full.
            static: (B, S); needed where there are static features, and only there.
            need_weights: whether the weights are read.

        Returns:
            `output` (B, Td, Q), zero on padding, and the weights where they are needed.
        """
        past, future = data_first(
            past_sequence, future_sequence, encoder_lengths, decoder_lengths, self.encoder_alignment
        )
        embedded, static_weights = self._embed_static(static, past)  # (B, D)
        context = self.selection_context(embedded).unsqueeze(1)  # (B, 1, D)
        past, encoder_weights = self.past_selection(past, context)  # (B, Tc, D)
        future, decoder_weights = self.future_selection(future, context)  # (B, Td, D)
        layers = self.num_lstm_layers, -1, -1
        state = (
            self.hidden_context(embedded).expand(layers).contiguous(),
            self.cell_context(embedded).expand(layers).contiguous(),
        )  # (N, B, D)
        fused, attention_weights = self.fusion(
            past,
            future,
            encoder_lengths,
            decoder_lengths,
            state,
            self.enrichment_context(embedded).unsqueeze(1),
            need_weights=need_weights,
        )  # (B, Td, D)
        result: ForecastOutput = {"output": self.head(fused)}  # (B, Td, Q)
        if need_weights:
            result["encoder_weights"] = encoder_weights
            result["decoder_weights"] = decoder_weights
            result["attention_weights"] = attention_weights
            result["static_weights"] = static_weights
        return put_back(
            result,
            padding_mask(encoder_lengths, past.size(1), self.encoder_alignment),
            padding_mask(decoder_lengths, future.size(1)),
        )

    def _embed_static(
        self, static: torch.Tensor | None, past: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the static embedding (B, D) and the weights (B, S) of its variables."""
        found = 0 if static is None else static.size(-1)
        if found != self.num_static_features:
            raise InputError(
                f"static must have {self.num_static_features} features as num_static_features "
                f"says, found {found}"
            )
        if self.static_selection is None or static is None:
            return past.new_zeros(past.size(0), self.d_model), past.new_zeros(past.size(0), 0)
        embedded, weights = self.static_selection(static)
        return embedded, weights


class PFTemporalFusionTransformer(ForecastModule):
    """Their temporal fusion transformer on batches; see `PFTemporalFusionTransformerModel`.

    Args:
        num_past_features: features of each context step; linked from the data.
        num_future_features: features of each horizon step; linked from the data.
        ctxt_seq_len: full context in steps; linked from the data.
        tgt_seq_len: full horizon in steps; linked from the data.
        num_static_features: features constant within a series; linked from the data.
        d_model: width throughout, their `hidden_size`; a multiple of `num_heads`.
        d_hidden_continuous: width of a real variable's embedding, their `hidden_continuous_size`.
        num_heads: heads of the attention, their `attention_head_size`.
        num_lstm_layers: stacked layers of each LSTM, their `lstm_layers`.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step attends to the horizon only before itself.
        output_dim: outputs of each step; follows the criterion.
        kwargs: criterion, optimizer and all else that `ForecastModule` takes.
    """

    interpretable = True

    def __init__(
        self,
        num_past_features: int,
        num_future_features: int,
        ctxt_seq_len: int,
        tgt_seq_len: int,
        num_static_features: int = 0,
        d_model: int = 300,
        d_hidden_continuous: int = 8,
        num_heads: int = 4,
        num_lstm_layers: int = 2,
        dropout: float = 0.1,
        causal_attention: bool = True,
        output_dim: int = 7,
        **kwargs: Any,
    ) -> None:
        super().__init__(output_dim=output_dim, **kwargs)
        self.model = PFTemporalFusionTransformerModel(
            num_past_features,
            num_future_features,
            ctxt_seq_len,
            tgt_seq_len,
            num_static_features,
            d_model,
            d_hidden_continuous,
            num_heads,
            num_lstm_layers,
            dropout,
            causal_attention,
            self.output_dim,
            packing=self.packing,
        )
