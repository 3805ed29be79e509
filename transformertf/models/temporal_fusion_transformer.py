"""Temporal fusion transformer: variable selection, local recurrence, attention over time.

Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for interpretable multi-horizon time
series forecasting", 2021. Departures: without static columns the static input is the relative
length of the context; dropout falls on what the heads of the attention find, not on its weights.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch

from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.common import Covariates, CovariateSizes, ForecastOutput
from transformertf.models.fusion_model import FusionModel, Selected
from transformertf.nn import GatedResidualNetwork, VariableSelection


class StaticPath:
    """The static path of a `FusionModel`: what is static guides selection, recurrence, attention.

    Section 4.2: encoders of the static embedding give a context for each of these. Without static
    variables the embedding is that of one stand-in, or zero where a network has none.
    """

    enriches = True
    # variables that static ones are replaced by where the data has none
    stand_ins: ClassVar[int]

    # of the `FusionModel`
    sizes: CovariateSizes
    ctxt_seq_len: int
    d_model: int
    num_lstm_layers: int
    dropout: float

    def make_selection(
        self,
        select: Callable[..., VariableSelection],
        num_past_features: int,
        num_future_features: int,
    ) -> None:
        """Make the encoders of the static variables, and selections that they guide."""
        real, static_sizes = self.sizes.num_static_features, self.sizes.static_category_sizes
        past_sizes, future_sizes = self.sizes.of_sides
        if not real and not static_sizes:
            real = self.stand_ins
        encode = partial(
            GatedResidualNetwork, self.d_model, self.d_model, self.d_model, self.dropout
        )
        self.static_selection = (
            select(real, category_sizes=static_sizes) if real or static_sizes else None
        )
        self.selection_context = encode()
        self.hidden_context = encode()
        self.cell_context = encode()
        self.enrichment_context = encode()
        select = partial(select, d_context=self.d_model)
        self.past_selection = select(num_past_features, category_sizes=past_sizes)
        self.future_selection = select(num_future_features, category_sizes=future_sizes)

    def select(
        self,
        past: torch.Tensor,
        future: torch.Tensor,
        covariates: Covariates,
        encoder_lengths: torch.Tensor | None,
    ) -> Selected:
        """Select from the variables of each step, as the static ones guide it."""
        static, static_categories, (past_categories, future_categories) = covariates
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
        enrichment = self.enrichment_context(embedded).unsqueeze(1)  # (B, 1, D)
        weights: ForecastOutput = {
            "encoder_weights": encoder_weights,
            "decoder_weights": decoder_weights,
            "static_weights": static_weights,
        }
        return Selected(past, future, weights, state, enrichment)

    def embed_static(
        self,
        static: torch.Tensor | None,
        categories: torch.Tensor | None,
        past: torch.Tensor,
        lengths: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the static embedding (B, D) and the weights (B, S + Cs) of its variables.

        Args:
            static: (B, S) or None.
            categories: (B, Cs) or None.
            past: (B, Tc, Fp), data first.
            lengths: (B,) int64 data steps of the context; None where all are full.
        """
        if self.static_selection is None:
            return past.new_zeros(past.size(0), self.d_model), past.new_zeros(past.size(0), 0)
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


class TemporalFusionTransformerModel(StaticPath, FusionModel):
    """The network of Lim et al. 2021; arguments are those of `FusionModel`.

    Where static variables are lacking, the context's data steps as a share of the full context
    stand in for them.
    """

    stand_ins = 1


class TemporalFusionTransformer(ForecastModule):
    """Temporal fusion transformer on batches; see `TemporalFusionTransformerModel`."""

    interpretable = True
    selects = True

    @built_from(TemporalFusionTransformerModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""


TFT = TemporalFusionTransformer
