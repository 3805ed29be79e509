"""LSTM: the target on the same steps as the inputs.

Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate of Gers,
Schmidhuber and Cummins, 2000. For what follows from the inputs alone: a virtual sensor, a system
to identify.
"""

from transformertf import nn
from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.sequence_model import SequenceModel


class LSTMModel(SequenceModel):
    """An LSTM with a linear head on every step; see `SequenceModel`."""

    kind = nn.LSTM


class LSTM(ForecastModule):
    """An LSTM on batches of sequences; see `LSTMModel`."""

    takes = "sequences"

    @built_from(LSTMModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""
