"""LSTM: the target on the same steps as the inputs.

Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate of Gers,
Schmidhuber and Cummins, 2000. For what follows from the inputs alone: a virtual sensor, a system
to identify.
"""

from typing import Any

from transformertf import nn
from transformertf.models.base import ForecastModule
from transformertf.models.sequence_model import SequenceModel


class LSTMModel(SequenceModel):
    """An LSTM with a linear head on every step; see `SequenceModel`."""

    kind = nn.LSTM


class LSTM(ForecastModule):
    """An LSTM on batches of sequences; see `LSTMModel`.

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
        self.model = LSTMModel(
            width, num_layers, d_model, dropout, self.output_dim, packing=self.packing
        )
