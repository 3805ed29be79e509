"""The lean temporal fusion transformer: selection, recurrence and attention, no static path.

After Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for interpretable multi-horizon
time series forecasting", 2021. Left out: the static encoders and all that they feed. So variables
are weighed by what they are alone, the LSTM starts from zeros, and attention sees context and
horizon as the recurrence leaves them. What is static is a further variable of every step.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

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
from transformertf.nn import Packing, TemporalFusion, VariableSelection, join_static
from transformertf.utils.sequence import Alignment


class xTFTModel(torch.nn.Module):  # noqa: N801  the name by which users know it
    """The network of Lim et al. 2021 less its static path.

    B batch, Tc context steps, Td horizon steps, D model width, Q outputs of each step.

    Args:
        num_past_features: features Fp of each context step.
        num_future_features: features Ff of each horizon step.
        ctxt_seq_len: full context in steps.
        tgt_seq_len: full horizon in steps.
        num_static_features: features S constant within a series, further variables of each step.
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
        select = partial(
            VariableSelection, d_embedding=d_hidden_continuous, d_model=d_model, dropout=dropout
        )
        self.past_selection = select(
            num_past_features + num_static_features,
            category_sizes=[*past_category_sizes, *static_category_sizes],
        )
        self.future_selection = select(
            num_future_features + num_static_features,
            category_sizes=[*future_category_sizes, *static_category_sizes],
        )
        self.fusion = TemporalFusion(
            d_model,
            num_heads,
            num_lstm_layers,
            dropout,
            enrichment=False,
            causal=causal_attention,
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
            `output` (B, Td, Q), zero on padding, and the weights where they are needed: of a
            step's own real variables, the static ones, its own categories, the static ones.
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
        past, encoder_weights = self.past_selection(
            join_static(past, static, past.size(1)),
            categories=join_static(past_categories, static_categories, past.size(1)),
        )  # (B, Tc, D)
        future, decoder_weights = self.future_selection(
            join_static(future, static, future.size(1)),
            categories=join_static(future_categories, static_categories, future.size(1)),
        )  # (B, Td, D)
        fused, attention_weights = self.fusion(
            past, future, encoder_lengths, decoder_lengths, need_weights=need_weights
        )  # (B, Td, D)
        result: ForecastOutput = {"output": self.head(fused)}  # (B, Td, Q)
        if need_weights:
            result["encoder_weights"] = encoder_weights
            result["decoder_weights"] = decoder_weights
            result["attention_weights"] = attention_weights
        return put_back(
            result,
            padding_mask(encoder_lengths, past.size(1), self.encoder_alignment),
            padding_mask(decoder_lengths, future.size(1)),
        )


class xTFT(ForecastModule):  # noqa: N801  the name by which users know it
    """The lean temporal fusion transformer on batches; see `xTFTModel`.

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
        self.model = xTFTModel(
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
