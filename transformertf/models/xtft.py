"""The lean temporal fusion transformer: selection, recurrence and attention, nothing static.

After Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for interpretable multi-horizon
time series forecasting", 2021. Left out: the static encoders and all that they feed. So variables
are weighed by what they are alone, the LSTM starts from zeros, and attention sees context and
horizon as the recurrence leaves them.
"""

from typing import Any

import torch

from transformertf.errors import InputError, at_least_one, probability
from transformertf.models.base import ForecastModule
from transformertf.models.layout import ForecastOutput, data_first, padding_mask, put_back
from transformertf.nn.fusion import TemporalFusion
from transformertf.nn.recurrent import Packing
from transformertf.nn.selection import VariableSelection
from transformertf.utils.sequence import Alignment


class xTFTModel(torch.nn.Module):  # noqa: N801  the name by which users know it
    """The network of Lim et al. 2021 less its static path.

    B batch, Tc context steps, Td horizon steps, D model width, Q outputs of each step.

    Args:
        num_past_features: features Fp of each context step.
        num_future_features: features Ff of each horizon step.
        ctxt_seq_len: full context in steps.
        tgt_seq_len: full horizon in steps.
        num_static_features: must be 0; `TemporalFusionTransformer` takes static features.
        d_model: width D throughout; a multiple of `num_heads`.
        d_hidden_continuous: width of a real variable's embedding.
        num_heads: heads of the attention.
        num_lstm_layers: stacked layers of each LSTM.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step sees the horizon only up to itself.
        output_dim: outputs Q of each step.
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
        if num_static_features:
            raise InputError(
                f"xTFT has no place for static features, found num_static_features "
                f"{num_static_features}; take TFT, or leave static_covariates out"
            )
        at_least_one(
            ctxt_seq_len=ctxt_seq_len,
            tgt_seq_len=tgt_seq_len,
            d_model=d_model,
            d_hidden_continuous=d_hidden_continuous,
            num_lstm_layers=num_lstm_layers,
        )
        probability(dropout=dropout)
        self.encoder_alignment: Alignment = encoder_alignment
        self.past_selection = VariableSelection(
            num_past_features, d_hidden_continuous, d_model, dropout
        )
        self.future_selection = VariableSelection(
            num_future_features, d_hidden_continuous, d_model, dropout
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
        past, future = data_first(
            past_sequence, future_sequence, encoder_lengths, decoder_lengths, self.encoder_alignment
        )
        past, encoder_weights = self.past_selection(past)  # (B, Tc, D)
        future, decoder_weights = self.future_selection(future)  # (B, Td, D)
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
        num_static_features: must be 0, `TFT` takes static features; linked from the data.
        d_model: width throughout; a multiple of `num_heads`.
        d_hidden_continuous: width of a real variable's embedding.
        num_heads: heads of the attention.
        num_lstm_layers: stacked layers of each LSTM.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step sees the horizon only up to itself.
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
        )
