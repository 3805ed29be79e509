"""The temporal fusion transformer of pytorch-forecasting, module for module.

https://github.com/sktime/pytorch-forecasting, release 1.8.0, after Lim, Arik, Loeff and Pfister,
2021. It differs from the paper, and so from `transformertf.models.temporal_fusion_transformer`:
skips between unequal widths interpolate features; without static columns the static embedding is
zero; a causal horizon step attends to the horizon before itself, but not to itself; dropout of
the attention falls on what its heads find and on its output.

Departures from theirs: a category's embedding is as wide as that of a real variable, where they
choose a width for each; an embedding that they share by name between context, horizon and static
variables is held once for each, and trained apart; the width must be a multiple of the heads.
`transformertf.models.pf_weights` loads their weights, of real variables only.
"""

from typing import Any

import torch

from transformertf.models.base import ForecastModule
from transformertf.models.temporal_fusion_transformer import TemporalFusionTransformerModel


class PFTemporalFusionTransformerModel(TemporalFusionTransformerModel):
    """The network of pytorch-forecasting's `TemporalFusionTransformer`.

    Arguments are those of `TemporalFusionTransformerModel`; theirs are named `hidden_size`
    (`d_model`), `hidden_continuous_size` (`d_hidden_continuous`), `attention_head_size`
    (`num_heads`), `lstm_layers` (`num_lstm_layers`) and `output_size` (`output_dim`).
    """

    skip = "resample"
    sees_itself = False
    stand_ins = 0

    def embed_static(
        self,
        static: torch.Tensor | None,
        categories: torch.Tensor | None,
        past: torch.Tensor,
        lengths: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the static embedding (B, D), zero without static variables, and the weights."""
        if self.static_selection is None:
            return past.new_zeros(past.size(0), self.d_model), past.new_zeros(past.size(0), 0)
        return super().embed_static(static, categories, past, lengths)


class PFTemporalFusionTransformer(ForecastModule):
    """Their temporal fusion transformer on batches; see `PFTemporalFusionTransformerModel`.

    Args:
        num_past_features: features of each context step; linked from the data.
        num_future_features: features of each horizon step; linked from the data.
        ctxt_seq_len: full context in steps; linked from the data.
        tgt_seq_len: full horizon in steps; linked from the data.
        num_static_features: features constant within a series; linked from the data.
        d_model: width throughout, their `hidden_size`; a multiple of `num_heads`.
        d_hidden_continuous: width of a variable's embedding, their `hidden_continuous_size`.
        num_heads: heads of the attention, their `attention_head_size`.
        num_lstm_layers: stacked layers of each LSTM, their `lstm_layers`.
        dropout: dropout throughout, 0 to 1.
        causal_attention: a horizon step attends to the horizon only before itself.
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
            static_category_sizes=self.sizes.static_category_sizes,
            past_category_sizes=self.sizes.category_sizes["past_category_sizes"],
            future_category_sizes=self.sizes.category_sizes["future_category_sizes"],
        )
