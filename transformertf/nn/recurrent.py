"""An LSTM that takes lengths: exact on ragged rows without running over padding.

Three exact routes give the same numbers:

- plain: one fused call; exact where all rows are full, or where nobody reads the final state.
- gated: padding comes after the data, and one more input column, 1 on padding, saturates the
  gates there: sigmoid(-1e4) = 0 closes the input gate and sigmoid(1e4) = 1 opens the forget
  gate, so the cell state passes through padding unchanged. One fused call for each layer.
- packed: `pack_padded_sequence`; slow on CPU, where a ragged `PackedSequence` misses the fused
  kernel.
"""

from typing import Literal, get_args

import torch

from transformertf.errors import InputError, nearest
from transformertf.utils.sequence import (
    create_padding_mask,
    pack_encoder_sequences,
    unpack_to_fixed_length,
)

Packing = Literal["auto", "always", "never"]
State = tuple[torch.Tensor, torch.Tensor]

# large enough that a sigmoid saturates exactly, small enough for half precision
_HOLD = 1e4


class LSTM(torch.nn.Module):
    """Batch-first LSTM over left-aligned ragged rows; the parameters of `torch.nn.LSTM`.

    B batch, T steps, D hidden width, N layers.

    Args:
        input_size: number of input features.
        hidden_size: width D of the hidden state.
        num_layers: number of stacked layers N.
        dropout: probability of dropping an output between layers while training, 0 to 1.
        packing: "always" packs ragged rows, "never" does not, "auto" takes the gated route,
            measured faster than packing on CPU at every shape tried.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        packing: Packing = "auto",
    ) -> None:
        super().__init__()
        if packing not in get_args(Packing):
            raise InputError(
                f"packing must not be {packing!r}; {nearest(packing, get_args(Packing))}"
            )
        self.lstm = torch.nn.LSTM(
            input_size,
            hidden_size,
            num_layers,
            # torch warns of a dropout that a single layer has no place for
            dropout=dropout if num_layers > 1 else 0.0,
            batch_first=True,
        )
        self.packing = packing

    def forward(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor | None = None,
        state: State | None = None,
    ) -> tuple[torch.Tensor, State]:
        """Run over the data steps of each row.

        Args:
            inputs: (B, T, F), data first; where lengths are given, padding may hold anything.
            lengths: (B,) data steps; None where all rows are full or the final state is not read.
            state: initial (h, c), each (N, B, D); zeros if not given.

        Returns:
            outputs (B, T, D), zero on padding where lengths are given, and the state (h, c)
            after the last data step of each row.
        """
        if lengths is None or _all_full(lengths, inputs.size(1)):
            outputs, state = self.lstm(inputs, state)
            return outputs, state
        if self.packing == "always":
            packed, state = self.lstm(pack_encoder_sequences(inputs, lengths), state)
            return unpack_to_fixed_length(packed, lengths, inputs.size(1)), state
        return self._gated(inputs, lengths, state)

    def _gated(
        self, inputs: torch.Tensor, lengths: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        mask = create_padding_mask(lengths, inputs.size(1)).unsqueeze(-1)
        padding = (~mask).to(inputs.dtype)
        inputs = torch.where(mask, inputs, 0.0)
        layers, hidden_size = self.lstm.num_layers, self.lstm.hidden_size
        if state is None:
            zeros = inputs.new_zeros(layers, inputs.size(0), hidden_size)
            state = zeros, zeros
        # rows of the weights: input, forget, cell, output gate
        hold = inputs.new_zeros(4, hidden_size)
        hold[0], hold[1] = -_HOLD, _HOLD
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, hidden_size)
        hidden, cell = [], []
        for layer, (w_ih, w_hh, b_ih, b_hh) in enumerate(self.lstm.all_weights):
            outputs, _, c_n = torch.lstm(
                torch.cat([inputs, padding], dim=-1),
                (state[0][layer : layer + 1], state[1][layer : layer + 1]),
                [torch.cat([w_ih, hold.view(-1, 1)], dim=1), w_hh, b_ih, b_hh],
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=False,
                batch_first=True,
            )
            hidden.append(outputs.gather(1, last).transpose(0, 1))
            cell.append(c_n)
            inputs = outputs
            if layer < layers - 1:
                inputs = torch.nn.functional.dropout(inputs, self.lstm.dropout, self.training)
        outputs = torch.where(mask, outputs, 0.0)
        return outputs, (torch.cat(hidden), torch.cat(cell))


def _all_full(lengths: torch.Tensor, steps: int) -> bool:
    """Say whether no row has padding; only asked on CPU, elsewhere the answer would wait."""
    return lengths.device.type == "cpu" and bool((lengths == steps).all())
