"""What the temporal fusion transformers share: selected variables are fused over time.

After Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for interpretable multi-horizon
time series forecasting", 2021. What becomes of static variables, each of the networks says.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import torch

from transformertf.errors import at_least_one, probability
from transformertf.models.common import (
    Covariates,
    ForecastOutput,
    Padding,
    check_windows,
    put_back,
    sizes_for,
)
from transformertf.nn import Packing, Skip, State, TemporalFusion, VariableSelection
from transformertf.utils.sequence import Alignment


class Selected(NamedTuple):
    """What the selection of variables hands on.

    Attributes:
        past: (B, Tc, D), data first.
        future: (B, Td, D), data first.
        weights: of the variables, by the names of `ForecastOutput`.
        state: (h, c) that the recurrence starts from, each (N, B, D); None for zeros.
        enrichment: (B, 1, D) that enriches what the recurrence gives; None where nothing does.
    """

    past: torch.Tensor
    future: torch.Tensor
    weights: ForecastOutput
    state: State | None = None
    enrichment: torch.Tensor | None = None


class FusionModel(torch.nn.Module, ABC):
    """Select variables, fuse context and horizon, head; abstract in how variables are selected.

    B batch, Tc context steps, Td horizon steps, D model width, Q outputs of each step.

    `encoder_alignment` names the end of the padded context at which the data lies; `output_dim`
    (Q) and `packing` are those of every model, see `ForecastModule`.

    Args:
        num_past_features: features Fp of each context step; linked from the data.
        num_future_features: features Ff of each horizon step; linked from the data.
        ctxt_seq_len: full context in steps; linked from the data.
        tgt_seq_len: full horizon in steps; linked from the data.
        num_static_features: features S constant within a series.
        d_model: width D throughout; a multiple of `num_heads`.
        d_hidden_continuous: width of a variable's embedding.
        num_heads: heads of the attention.
        num_lstm_layers: stacked layers of each LSTM.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step sees the horizon only up to itself.
        static_category_sizes: number of codes of each static category.
        past_category_sizes: number of codes of each category of a context step.
        future_category_sizes: number of codes of each category of a horizon step.
    """

    # how skips change width
    skip: ClassVar[Skip] = "linear"
    # whether a causal horizon step attends to itself
    sees_itself: ClassVar[bool] = True
    # whether the selection hands on what enriches the recurrence
    enriches: ClassVar[bool]

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
        *,
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
        self.dropout = dropout
        select = partial(
            VariableSelection,
            d_embedding=d_hidden_continuous,
            d_model=d_model,
            dropout=dropout,
            skip=self.skip,
        )
        # first: the order of the parameters is that of an optimizer's state in checkpoints
        self.make_selection(select, num_past_features, num_future_features)
        self.fusion = TemporalFusion(
            d_model,
            num_heads,
            num_lstm_layers,
            dropout,
            enrichment=self.enriches,
            causal=causal_attention,
            sees_itself=self.sees_itself,
            packing=packing,
        )
        self.head = torch.nn.Linear(d_model, output_dim)

    @abstractmethod
    def make_selection(
        self,
        select: Callable[..., VariableSelection],
        num_past_features: int,
        num_future_features: int,
    ) -> None:
        """Make the modules that `select` needs.

        Args:
            select: makes a selection from a number of real variables; takes `category_sizes` and
                `d_context` too.
            num_past_features: features Fp of each context step.
            num_future_features: features Ff of each horizon step.
        """

    @abstractmethod
    def select(
        self,
        past: torch.Tensor,
        future: torch.Tensor,
        covariates: Covariates,
        encoder_lengths: torch.Tensor | None,
    ) -> Selected:
        """Select from the variables of each step.

        Args:
            past: (B, Tc, Fp), data first.
            future: (B, Td, Ff), data first.
            covariates: what else there is, of a horizon and its context, data first.
            encoder_lengths: (B,) int64 data steps of the context; None where all are full.
        """

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
            `output` (B, Td, Q), zero on padding, and the weights where they are needed: of real
            variables, then of categories.
        """
        self.sizes.check(static, static_categories, past_categories, future_categories)
        check_windows(past_sequence, future_sequence, encoder_lengths, decoder_lengths)
        context = Padding(encoder_lengths, self.encoder_alignment)
        horizon = Padding(decoder_lengths)
        past, future = context.data_first(past_sequence), horizon.data_first(future_sequence)
        categories = [context.data_first(past_categories), horizon.data_first(future_categories)]
        covariates = Covariates(static, static_categories, categories)
        past, future, weights, state, enrichment = self.select(
            past, future, covariates, encoder_lengths
        )  # (B, Tc, D) and (B, Td, D)
        fused, attention_weights = self.fusion(
            past,
            future,
            encoder_lengths,
            decoder_lengths,
            state,
            enrichment,
            need_weights=need_weights,
        )  # (B, Td, D)
        result: ForecastOutput = {"output": self.head(fused)}  # (B, Td, Q)
        if need_weights:
            result.update(weights)
            result["attention_weights"] = attention_weights  # (B, Td, Tc + Td)
        return put_back(result, context.mask(past.size(1)), horizon.mask(future.size(1)))
