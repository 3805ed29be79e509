"""The network of the sequence-to-sequence models: a stacked recurrence and a linear head."""

from typing import Any, ClassVar

import torch

from transformertf.errors import at_least_one, probability
from transformertf.models.common import ForecastOutput, Padding, check_steps, put_back
from transformertf.nn import GRU, LSTM, Packing
from transformertf.utils.sequence import Alignment


class SequenceModel(torch.nn.Module):
    """Stacked recurrent layers, dropout, linear head: the target on the steps of the inputs.

    B batch, T steps, D width, Q outputs of each step. An output sees the inputs up to its own
    step.

    `alignment` names the end of the padded sequence at which the data lies; `output_dim`
    (Q) and `packing` are those of every model, see `ForecastModule`.

    Args:
        num_features: features of each step; linked from the data.
        num_layers: stacked recurrent layers.
        d_model: width of the recurrent state.
        dropout: dropout between the layers and before the head, 0 to 1.
        memory: steps that the longest memories may span: units then begin with memories from 1
            step to so many (Tallec and Ollivier 2018). Not given: torch's own beginning, in which
            all forget within a few steps.
    """

    kind: ClassVar[type[LSTM] | type[GRU]]

    def __init__(
        self,
        num_features: int,
        num_layers: int = 3,
        d_model: int = 350,
        dropout: float = 0.2,
        output_dim: int = 1,
        memory: int | None = None,
        *,
        alignment: Alignment = "left",
        packing: Packing = "auto",
    ) -> None:
        super().__init__()
        at_least_one(num_features=num_features, num_layers=num_layers, d_model=d_model)
        probability(dropout=dropout)
        self.alignment: Alignment = alignment
        self.recurrence = self.kind(num_features, d_model, num_layers, dropout, packing)
        if memory is not None:
            self.recurrence.remember(memory)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(d_model, output_dim)

    def forward(
        self, sequence: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> ForecastOutput:
        """Give the target on every step.

        Args:
            sequence: (B, T, num_features), aligned as configured.
            lengths: (B,) int64 data steps; None where all are full.

        Returns:
            `output` (B, T, Q), aligned as the sequence, zero on padding.
        """
        return self.advance(sequence, lengths, need_state=False)[0]

    def advance(
        self,
        sequence: torch.Tensor,
        lengths: torch.Tensor | None = None,
        state: Any = None,
        *,
        need_state: bool = True,
    ) -> tuple[ForecastOutput, Any]:
        """Give the target on every step of a sequence, or of more of one.

        Args:
            sequence: (B, T, num_features), aligned as configured.
            lengths: (B,) int64 data steps; None where all are full.
            state: the recurrence's after what came before, as this returns it; None at the start.
            need_state: whether the final state is read; not reading it is never slower.

        Returns:
            `output` (B, T, Q), aligned as the sequence, zero on padding; and the state after the
            last data step, a tensor (N, B, D) of a GRU, two of an LSTM, or None where it is not
            needed.
        """
        check_steps(sequence, lengths, "sequence")
        padding = Padding(lengths, self.alignment)
        hidden, final = self.recurrence(
            padding.for_recurrence(sequence), lengths, state, need_state=need_state
        )  # (B, T, D)
        result: ForecastOutput = {"output": self.head(self.dropout(hidden))}  # (B, T, Q)
        return put_back(result, None, padding.mask(hidden.size(1))), final
