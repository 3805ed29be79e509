"""LSTM and GRU that take lengths: exact on ragged rows, by the fastest of four routes.

All routes give the numbers of `torch.nn.LSTM` and `torch.nn.GRU` on packed sequences:

- plain: one fused call. Exact where no row is padded, and on every data step where padding comes
  last and nobody reads the final state.
- gated: one fused call for each layer, its final hidden state read at the last data step. An
  LSTM's cell state cannot be read there: one more input column, 1 on padding, saturates the gates,
  sigmoid(-1e4) = 0 shutting new input out and sigmoid(1e4) = 1 keeping the old cell state, which
  so passes through padding unchanged.
- segmented: rows sorted by length, the steps cut where rows end, finished rows dropped from one
  segment to the next; gated inside a segment where rows end before its cut.
- packed: `pack_padded_sequence`. Slow on CPU, where a ragged `PackedSequence` misses the fused
  kernel.

`choose_route` holds the rule; docs/decisions/ragged-sequences.md tells why there are four.
"""

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import torch

from transformertf.errors import InputError, nearest
from transformertf.utils.sequence import (
    check_sequences,
    create_padding_mask,
    pack_encoder_sequences,
    unpack_to_fixed_length,
)

Packing = Literal["auto", "always", "never"]
Route = Literal["plain", "gated", "segmented", "packed"]
State = tuple[torch.Tensor, torch.Tensor]
_States = tuple[torch.Tensor, ...]

# large enough that a sigmoid saturates exactly, small enough for half precision
_HOLD = 1e4
# segments of the segmented route: more of them save little padding and cost calls
_SEGMENTS = 4
# padded steps of all rows, times the width, from which leaving them out pays for the calls
_WORTH_CUTTING = 150_000


def choose_route(
    device: str, padding: int, width: int, need_state: bool = True, packing: Packing = "auto"
) -> Route:
    """Return the fastest exact route, as measured by `scripts/benchmarks/recurrent.py`.

    | device | padding x width | final state read | not read  |
    |--------|-----------------|------------------|-----------|
    | any    | none            | plain            | plain     |
    | cpu    | below 150 000   | gated            | plain     |
    | cpu    | from 150 000 on | segmented        | segmented |
    | other  | any             | gated            | plain     |

    The line of other devices is not measured: it holds what never waits for the device.

    Args:
        device: type of the device, as in `torch.device.type`.
        padding: padded steps of all rows together.
        width: width D of the hidden state.
        need_state: whether the final state is read.
        packing: "always" asks for the packed route wherever there is padding.
    """
    if padding == 0:
        return "plain"
    if packing == "always":
        return "packed"
    if device == "cpu" and padding * width >= _WORTH_CUTTING:
        return "segmented"
    return "gated" if need_state else "plain"


class _RaggedRNN(torch.nn.RNNBase):
    """Batch-first recurrence over left-aligned ragged rows; B batch, T steps, D width, N layers.

    A state is a tuple of tensors (N, B, D), the hidden state first.
    """

    mode: str
    kernel: ClassVar[Callable[..., Any]]
    num_states: ClassVar[int]
    # the second one keeps the state, in both
    num_gates: ClassVar[int]
    # what a step of padding adds to each gate, in the order of the weights' rows, where the
    # state is more than the output
    hold: ClassVar[tuple[float, ...] | None]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        packing: Packing = "auto",
    ) -> None:
        if packing not in get_args(Packing):
            hint = nearest(str(packing), get_args(Packing))
            raise InputError(f"packing must not be {packing!r}; {hint}")
        # torch warns of a dropout that a single layer has no place for
        dropout = dropout if num_layers > 1 else 0.0
        super().__init__(
            self.mode, input_size, hidden_size, num_layers, batch_first=True, dropout=dropout
        )
        self.packing = packing

    @torch.no_grad()
    def remember(self, steps: int) -> None:
        """Let units begin with memories of 1 to so many steps (Tallec and Ollivier 2018, eq. 16).

        The bias of the gate that keeps a unit's state is log(u) with u uniform from 1 to steps - 1:
        without inputs it forgets in about u steps. That of an LSTM's input gate is its negative.

        Raises:
            InputError: fewer than 2 steps.
        """
        if steps < 2:
            raise InputError(f"memory must be at least 2 steps, found {steps}")
        for layer in range(self.num_layers):
            given, recurrent = (getattr(self, f"bias_{side}_l{layer}") for side in ("ih", "hh"))
            gates, others = given.chunk(self.num_gates), recurrent.chunk(self.num_gates)
            keep = torch.empty_like(gates[1]).uniform_(1, steps - 1).log_()
            gates[1].copy_(keep)
            others[1].zero_()
            if self.mode == "LSTM":
                gates[0].copy_(-keep)
                others[0].zero_()

    # dynamo traces no recurrent kernel of torch, and the routes read lengths on the host
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _run(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor | None,
        state: _States | None,
        need_state: bool,
    ) -> tuple[torch.Tensor, _States | None]:
        check_sequences(inputs, lengths, "inputs")
        batch, steps = inputs.shape[:2]
        if state is None:
            zeros = inputs.new_zeros(self.num_layers, batch, self.hidden_size)
            state = (zeros,) * self.num_states
        # torch's kernels check nothing: what does not fit is read beyond its end
        self.check_input(inputs, None)
        for part in state:
            self.check_hidden_size(part, (self.num_layers, batch, self.hidden_size))
        longest, padding = steps, 0
        # a graph that is exported holds one route, for all lengths
        device = "graph" if torch.compiler.is_exporting() else inputs.device.type
        if lengths is not None:
            padding = batch * steps
            # elsewhere the host would wait for them
            if lengths.device.type == "cpu" and device != "graph":
                longest = int(lengths.max())
                padding = batch * longest - int(lengths.sum())
        inputs = inputs[:, :longest]
        route = choose_route(device, padding, self.hidden_size, need_state, self.packing)
        if lengths is None or padding == 0:
            outputs, final = self._plain(inputs, state)
        elif route == "packed":
            outputs, final = self._packed(inputs, lengths, state)
        else:
            mask = create_padding_mask(lengths, longest).unsqueeze(-1)
            inputs = torch.where(mask, inputs, 0.0)
            if route == "segmented":
                outputs, final = self._segmented(inputs, lengths, state, need_state)
            elif route == "gated":
                outputs, final = self._gated(inputs, lengths, state)
            else:
                outputs, final = self._plain(inputs, state)
            outputs = torch.where(mask, outputs, 0.0)
        if longest < steps:
            outputs = torch.nn.functional.pad(outputs, (0, 0, 0, steps - longest))
        return outputs, final if need_state else None

    def _call(
        self,
        inputs: torch.Tensor,
        state: _States,
        weights: list[torch.Tensor],
        batch_sizes: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, _States]:
        """Call torch's kernel on padded rows, or on packed data where `batch_sizes` are given."""
        device = inputs.device.type
        with contextlib.ExitStack() as stack:
            if _autocast_fails(device):
                stack.enter_context(torch.autocast(device, enabled=False))
                inputs = inputs.to(weights[0].dtype)
                state = tuple(part.to(weights[0].dtype) for part in state)
            hx = state if self.num_states > 1 else state[0]
            layers = len(weights) // 4
            options = (hx, weights, True, layers, self.dropout, self.training, False)
            if batch_sizes is None:
                outputs, *final = self.kernel(inputs, *options, True)
            else:
                outputs, *final = self.kernel(inputs, batch_sizes, *options)
        return outputs, tuple(final)

    def _weights(self) -> list[torch.Tensor]:
        return [weight for layer in self.all_weights for weight in layer]

    def _plain(self, inputs: torch.Tensor, state: _States) -> tuple[torch.Tensor, _States]:
        return self._call(inputs, state, self._weights())

    def _packed(
        self, inputs: torch.Tensor, lengths: torch.Tensor, state: _States
    ) -> tuple[torch.Tensor, _States]:
        packed = pack_encoder_sequences(inputs, lengths)
        order, back = packed.sorted_indices, packed.unsorted_indices
        assert order is not None
        assert back is not None
        state = tuple(part.index_select(1, order) for part in state)
        data, state = self._call(packed.data, state, self._weights(), packed.batch_sizes)
        outputs = unpack_to_fixed_length(packed._replace(data=data), lengths, inputs.size(1))
        return outputs, tuple(part.index_select(1, back) for part in state)

    def _gated(
        self, inputs: torch.Tensor, lengths: torch.Tensor, state: _States
    ) -> tuple[torch.Tensor, _States]:
        """Run over zeroed padding, layer by layer."""
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, self.hidden_size)
        if self.hold is not None:
            padding = ~create_padding_mask(lengths, inputs.size(1)).unsqueeze(-1)
            hold = inputs.new_tensor(self.hold).repeat_interleave(self.hidden_size).unsqueeze(-1)
        finals: list[_States] = []
        for layer, own in enumerate(self.all_weights):
            weights: list[torch.Tensor] = list(own)
            if layer > 0:
                inputs = torch.nn.functional.dropout(inputs, self.dropout, self.training)
            if self.hold is not None:
                inputs = torch.cat([inputs, padding.to(inputs.dtype)], dim=-1)
                weights[0] = torch.cat([weights[0], hold], dim=1)
            inputs, (_, *cell) = self._call(
                inputs, tuple(part[layer : layer + 1] for part in state), weights
            )
            finals.append((inputs.gather(1, last).transpose(0, 1), *cell))
        return inputs, tuple(torch.cat(parts) for parts in zip(*finals, strict=True))

    def _segmented(
        self, inputs: torch.Tensor, lengths: torch.Tensor, state: _States, need_state: bool
    ) -> tuple[torch.Tensor, _States]:
        """Run segment by segment over the rows that are not finished, longest row first."""
        lengths, order = lengths.sort(descending=True)
        ends = lengths.tolist()
        inputs = inputs.index_select(0, order)
        state = tuple(part.index_select(1, order) for part in state)
        outputs: list[torch.Tensor] = []
        finished: list[_States] = []
        start = 0
        for cut in sorted({ends[len(ends) * i // _SEGMENTS] for i in range(_SEGMENTS)}):
            rows = sum(end > start for end in ends)
            segment = inputs[:rows, start:cut]
            if need_state and ends[rows - 1] < cut:
                within = (lengths[:rows] - start).clamp(max=cut - start)
                found, state = self._gated(segment, within, state)
            else:
                found, state = self._plain(segment, state)
            outputs.append(torch.nn.functional.pad(found, (0, 0, 0, 0, 0, len(ends) - rows)))
            going_on = sum(end > cut for end in ends)
            finished.insert(0, tuple(part[:, going_on:] for part in state))
            state = tuple(part[:, :going_on].contiguous() for part in state)
            start = cut
        back = order.argsort()
        final = (torch.cat(parts, dim=1) for parts in zip(*finished, strict=True))
        return (
            torch.cat(outputs, dim=1).index_select(0, back),
            tuple(part.index_select(1, back) for part in final),
        )


def _autocast_fails(device: str) -> bool:
    """Say whether autocast asks for a half-precision recurrence that oneDNN has not.

    torch asks for it on every processor; those with AVX2 alone, say, have none.
    """
    if device != "cpu" or not torch.is_autocast_enabled(device):
        return False
    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()


class LSTM(_RaggedRNN):
    """Long short-term memory over ragged rows; parameters and state dict of `torch.nn.LSTM`.

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, as in torch.

    Args:
        input_size: number of input features F.
        hidden_size: width D of the hidden state.
        num_layers: number of stacked layers N.
        dropout: probability of dropping an output between layers while training, 0 to 1.
        packing: "always" packs ragged rows, "never" never does, "auto" takes the fastest
            exact route for the device and the padding.
    """

    mode = "LSTM"
    kernel = staticmethod(torch.lstm)
    num_states = 2
    num_gates = 4
    hold = (-_HOLD, _HOLD, 0.0, 0.0)  # input, forget, cell, output gate

    def forward(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor | None = None,
        state: State | None = None,
        *,
        need_state: bool = True,
    ) -> tuple[torch.Tensor, State | None]:
        """Run over the data steps of each row.

        Args:
            inputs: (B, T, F), data first; padding may hold anything.
            lengths: (B,) int64 data steps; None where all rows are full.
            state: initial (h, c), each (N, B, D); zeros if not given.
            need_state: whether the final state is read; not reading it is never slower.

        Returns:
            outputs (B, T, D), zero on padding, and the state (h, c), each (N, B, D), after the
            last data step of each row, or None where it is not needed.
        """
        outputs, final = self._run(inputs, lengths, state, need_state)
        return outputs, final


class GRU(_RaggedRNN):
    """Gated recurrent unit over ragged rows; parameters and state dict of `torch.nn.GRU`.

    Cho et al. 2014, with torch's reset gate after the product.

    Args:
        input_size: number of input features F.
        hidden_size: width D of the hidden state.
        num_layers: number of stacked layers N.
        dropout: probability of dropping an output between layers while training, 0 to 1.
        packing: "always" packs ragged rows, "never" never does, "auto" takes the fastest
            exact route for the device and the padding.
    """

    mode = "GRU"
    kernel = staticmethod(torch.gru)
    num_states = 1
    num_gates = 3
    hold = None

    def forward(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor | None = None,
        state: torch.Tensor | None = None,
        *,
        need_state: bool = True,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Run over the data steps of each row.

        Args:
            inputs: (B, T, F), data first; padding may hold anything.
            lengths: (B,) int64 data steps; None where all rows are full.
            state: initial h (N, B, D); zeros if not given.
            need_state: whether the final state is read; not reading it is never slower.

        Returns:
            outputs (B, T, D), zero on padding, and the state h (N, B, D) after the last data
            step of each row, or None where it is not needed.
        """
        initial = None if state is None else (state,)
        outputs, final = self._run(inputs, lengths, initial, need_state)
        return outputs, None if final is None else final[0]
