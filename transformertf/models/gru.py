"""GRU: the target on the same steps as the inputs, with a smaller recurrence than the LSTM's.

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
Translation", 2014, with torch's reset gate after the product.
"""

from transformertf import nn
from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.sequence_model import SequenceModel


class GRUModel(SequenceModel):
    """A GRU with a linear head on every step; see `SequenceModel`."""

    kind = nn.GRU


class GRU(ForecastModule):
    """A GRU on batches of sequences; see `GRUModel`."""

    takes = "sequences"

    @built_from(GRUModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""
