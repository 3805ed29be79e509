"""Temporal fusion transformer: variable selection, local recurrence, attention over time.

Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for interpretable multi-horizon time
series forecasting", 2021. Departures: without static columns the static input is the relative
length of the context; dropout falls on what the heads of the attention find, not on its weights.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from transformertf.errors import at_least_one, probability
from transformertf.models.base import ForecastModule
from transformertf.models.common import (
    ForecastOutput,
    data_first,
    padding_mask,
    put_back,
    sizes_for,
)
from transformertf.nn import GatedResidualNetwork, Packing, Skip, TemporalFusion, VariableSelection
from transformertf.utils.sequence import Alignment


class TemporalFusionTransformerModel(torch.nn.Module):
    """The network of Lim et al. 2021; the class's own attributes are where a variant departs.

    B batch, Tc context steps, Td horizon steps, D model width, Q outputs of each step.

    Args:
        num_past_features: features Fp of each context step.
        num_future_features: features Ff of each horizon step.
        ctxt_seq_len: full context in steps, which its relative length divides by.
        tgt_seq_len: full horizon in steps.
        num_static_features: features S constant within a series.
        d_model: width D throughout; a multiple of `num_heads`.
        d_hidden_continuous: width of a variable's embedding.
        num_heads: heads of the attention.
        num_lstm_layers: stacked layers of each LSTM.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step sees the horizon only up to itself.
        output_dim: outputs Q of each step.
        encoder_alignment: end of the padded context at which the data lies.
        packing: how the LSTMs treat ragged rows; see `transformertf.nn.recurrent`.
        static_category_sizes: number of codes of each static category.
        past_category_sizes: number of codes of each category of a context step.
        future_category_sizes: number of codes of each category of a horizon step.
    """

    # how skips change width
    skip: ClassVar[Skip] = "linear"
    # whether a causal horizon step attends to itself
    sees_itself: ClassVar[bool] = True
    # static variables selected from where the data has none
    stand_ins: ClassVar[int] = 1

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
        static_category_sizes: Sequence[int] = (),
        past_category_sizes: Sequence[int] = (),
        future_category_sizes: Sequence[int] = (),
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
        self.sizes = sizes_for(
            "windows",
            num_static_features,
            static_category_sizes,
            past_category_sizes=past_category_sizes,
            future_category_sizes=future_category_sizes,
        )
        self.encoder_alignment: Alignment = encoder_alignment
        self.ctxt_seq_len = ctxt_seq_len
        self.d_model = d_model
        self.num_lstm_layers = num_lstm_layers
        select = partial(
            VariableSelection,
            d_embedding=d_hidden_continuous,
            d_model=d_model,
            dropout=dropout,
            skip=self.skip,
        )
        encode_static = partial(GatedResidualNetwork, d_model, d_model, d_model, dropout)
        variables = num_static_features + len(static_category_sizes)
        static_real = num_static_features if variables else self.stand_ins
        self.static_selection = (
            select(static_real, category_sizes=static_category_sizes)
            if variables or self.stand_ins
            else None
        )
        self.selection_context = encode_static()
        self.hidden_context = encode_static()
        self.cell_context = encode_static()
        self.enrichment_context = encode_static()
        self.past_selection = select(
            num_past_features, d_context=d_model, category_sizes=past_category_sizes
        )
        self.future_selection = select(
            num_future_features, d_context=d_model, category_sizes=future_category_sizes
        )
        self.fusion = TemporalFusion(
            d_model,
            num_heads,
            num_lstm_layers,
            dropout,
            enrichment=True,
            causal=causal_attention,
            sees_itself=self.sees_itself,
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
        static_categories: torch.Tensor | None = None,
        past_categories: torch.Tensor | None = None,
        future_categories: torch.Tensor | None = None,
        *,
        need_weights: bool = False,
    ) -> ForecastOutput:
        """Forecast every horizon step.

        Args:
            past_sequence: (B, Tc, Fp), aligned as configured.
            future_sequence: (B, Td, Ff), data first.
            encoder_lengths: (B,) int64 data steps of the context; None where all are full.
            decoder_lengths: (B,) int64 data steps of the horizon; None where all are full.
            static: (B, S); needed where there are static features.
            static_categories: (B, Cs) int64; needed where there are static categories.
            past_categories: (B, Tc, Cp) int64, aligned as configured; needed likewise.
            future_categories: (B, Td, Cf) int64, data first; needed likewise.
            need_weights: whether the weights are read.

        Returns:
            `output` (B, Td, Q), zero on padding, and the weights where they are needed.
        """
        self.sizes.check(static, static_categories, past_categories, future_categories)
        past, future = data_first(
            past_sequence, future_sequence, encoder_lengths, decoder_lengths, self.encoder_alignment
        )
        past_categories, future_categories = data_first(
            past_categories,
            future_categories,
            encoder_lengths,
            decoder_lengths,
            self.encoder_alignment,
        )
        embedded, static_weights = self.embed_static(
            static, static_categories, past, encoder_lengths
        )  # (B, D)
        context = self.selection_context(embedded).unsqueeze(1)  # (B, 1, D)
        past, encoder_weights = self.past_selection(past, context, past_categories)  # (B, Tc, D)
        future, decoder_weights = self.future_selection(
            future, context, future_categories
        )  # (B, Td, D)
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

    def embed_static(
        self,
        static: torch.Tensor | None,
        categories: torch.Tensor | None,
        past: torch.Tensor,
        lengths: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the static embedding (B, D) and the weights (B, S + Cs) of its variables.

        Without static variables the one variable is the context's data steps as a share of the
        full context.

        Args:
            static: (B, S) or None.
            categories: (B, Cs) or None.
            past: (B, Tc, Fp), data first.
            lengths: (B,) int64 data steps of the context; None where all are full.
        """
        assert self.static_selection is not None
        if static is None:
            batch, steps, _ = past.shape
            if categories is not None:
                static = past.new_empty(batch, 0)
            elif lengths is None:
                static = past.new_full((batch, 1), steps / self.ctxt_seq_len)
            else:
                static = (lengths.to(past.dtype) / self.ctxt_seq_len).unsqueeze(1)
        embedded, weights = self.static_selection(static, categories=categories)
        return embedded, weights


class TemporalFusionTransformer(ForecastModule):
    """Temporal fusion transformer on batches; see `TemporalFusionTransformerModel`.

    Args:
        num_past_features: features of each context step; linked from the data.
        num_future_features: features of each horizon step; linked from the data.
        ctxt_seq_len: full context in steps; linked from the data.
        tgt_seq_len: full horizon in steps; linked from the data.
        num_static_features: features constant within a series; linked from the data.
        d_model: width throughout; a multiple of `num_heads`.
        d_hidden_continuous: width of a variable's embedding.
        num_heads: heads of the attention.
        num_lstm_layers: stacked layers of each LSTM.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step sees the horizon only up to itself.
        output_dim: outputs of each step; follows the criterion.
        kwargs: criterion, optimizer and all else that `ForecastModule` takes.
    """

    interpretable = True
    selects = True

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
        super().__init__(output_dim=output_dim, num_static_features=num_static_features, **kwargs)
        self.model = TemporalFusionTransformerModel(
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
            static_category_sizes=self.sizes.static_category_sizes,
            past_category_sizes=self.sizes.category_sizes["past_category_sizes"],
            future_category_sizes=self.sizes.category_sizes["future_category_sizes"],
        )


TFT = TemporalFusionTransformer
