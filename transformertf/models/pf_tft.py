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

from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.fusion_model import FusionModel
from transformertf.models.temporal_fusion_transformer import StaticPath


class PFTemporalFusionTransformerModel(StaticPath, FusionModel):
    """The network of pytorch-forecasting's `TemporalFusionTransformer`.

    Arguments are those of `FusionModel`; theirs are named `hidden_size` (`d_model`),
    `hidden_continuous_size` (`d_hidden_continuous`), `attention_head_size` (`num_heads`),
    `lstm_layers` (`num_lstm_layers`) and `output_size` (`output_dim`).
    """

    skip = "resample"
    sees_itself = False
    stand_ins = 0


class PFTemporalFusionTransformer(ForecastModule):
    """Their temporal fusion transformer on batches; see `PFTemporalFusionTransformerModel`."""

    interpretable = True
    selects = True

    @built_from(PFTemporalFusionTransformerModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""
