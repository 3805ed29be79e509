"""GRU: the target on the same steps as the inputs, with a smaller recurrence than the LSTM's.

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
Translation", 2014, with torch's reset gate after the product.
"""

from typing import Any

from transformertf import nn
from transformertf.models.base import ForecastModule
from transformertf.models.sequence_model import SequenceModel


class GRUModel(SequenceModel):
    """A GRU with a linear head on every step; see `SequenceModel`."""

    kind = nn.GRU


class GRU(ForecastModule):
    """A GRU on batches of sequences; see `GRUModel`.

    Args:
        num_features: features of each step; linked from the data.
        num_layers: stacked recurrent layers.
        d_model: width of the recurrent state.
        dropout: dropout between the layers and before the head, 0 to 1.
        output_dim: outputs of each step; follows the criterion.
        kwargs: criterion, optimizer and all else that `ForecastModule` takes.
    """

    takes = "sequences"

    def __init__(
        self,
        num_features: int,
        num_layers: int = 3,
        d_model: int = 350,
        dropout: float = 0.2,
        output_dim: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(output_dim=output_dim, **kwargs)
        (width,) = self.widths(num_features)
        self.model = GRUModel(
            width, num_layers, d_model, dropout, self.output_dim, packing=self.packing
        )
