"""Encoder-decoder LSTM: the recurrent sequence-to-sequence forecaster.

Sutskever, Vinyals and Le, "Sequence to Sequence Learning with Neural Networks", 2014: an LSTM
reads the context, and its final state starts a second LSTM. Departures: the decoder reads the
known future covariates instead of its own last output, so a horizon takes one fused call and
errors do not feed back; the state is projected where encoder and decoder differ in width.
"""

from collections.abc import Sequence
from typing import Literal

import torch

from transformertf.errors import at_least_one, probability
from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.common import ForecastOutput, Padding, check_windows, put_back
from transformertf.nn import LSTM, Packing, State
from transformertf.utils.sequence import Alignment

ACTIVATIONS = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU, "tanh": torch.nn.Tanh}
Activation = Literal["relu", "gelu", "tanh"]


class EncoderDecoderLSTMModel(torch.nn.Module):
    """LSTM over the context, LSTM over the known future started from its state, head.

    B batch, Tc context steps, Td horizon steps, Q outputs of each step.

    `encoder_alignment` names the end of the padded context at which the data lies; `output_dim`
    (Q) and `packing` are those of every model, see `ForecastModule`.

    Args:
        num_past_features: features of each context step; linked from the data.
        num_future_features: features of each horizon step; linked from the data.
        d_encoder: width of the encoder's state.
        d_decoder: width of the decoder's state.
        num_encoder_layers: stacked encoder layers.
        num_decoder_layers: stacked decoder layers.
        dropout: dropout between the layers of each LSTM, 0 to 1.
        d_mlp_hidden: width, or widths, of the head's hidden layers; None for a linear head.
        mlp_activation: activation of the head's hidden layers.
        mlp_dropout: dropout after each hidden layer of the head, 0 to 1.
    """

    def __init__(
        self,
        num_past_features: int,
        num_future_features: int,
        d_encoder: int = 128,
        d_decoder: int = 128,
        num_encoder_layers: int = 2,
        num_decoder_layers: int = 2,
        dropout: float = 0.1,
        d_mlp_hidden: int | Sequence[int] | None = None,
        mlp_activation: Activation = "relu",
        mlp_dropout: float = 0.1,
        output_dim: int = 1,
        *,
        encoder_alignment: Alignment = "left",
        packing: Packing = "auto",
    ) -> None:
        super().__init__()
        hidden = [d_mlp_hidden] if isinstance(d_mlp_hidden, int) else list(d_mlp_hidden or ())
        at_least_one(
            d_encoder=d_encoder,
            d_decoder=d_decoder,
            num_encoder_layers=num_encoder_layers,
            num_decoder_layers=num_decoder_layers,
            d_mlp_hidden=min(hidden, default=1),
        )
        probability(dropout=dropout, mlp_dropout=mlp_dropout)
        self.encoder_alignment: Alignment = encoder_alignment
        self.encoder = LSTM(num_past_features, d_encoder, num_encoder_layers, dropout, packing)
        self.decoder = LSTM(num_future_features, d_decoder, num_decoder_layers, dropout, packing)
        self.bridge = StateBridge(d_encoder, d_decoder, num_encoder_layers, num_decoder_layers)
        self.head = make_head(d_decoder, hidden, output_dim, mlp_activation, mlp_dropout)

    def forward(
        self,
        past_sequence: torch.Tensor,
        future_sequence: torch.Tensor,
        encoder_lengths: torch.Tensor | None = None,
        decoder_lengths: torch.Tensor | None = None,
    ) -> ForecastOutput:
        """Forecast every horizon step.

        Args:
            past_sequence: (B, Tc, num_past_features), aligned as configured.
            future_sequence: (B, Td, num_future_features), data first.
            encoder_lengths: (B,) int64 data steps of the context; None where all are full.
            decoder_lengths: (B,) int64 data steps of the horizon; None where all are full.

        Returns:
            `output` (B, Td, Q), zero on padding.
        """
        check_windows(past_sequence, future_sequence, encoder_lengths, decoder_lengths)
        return self.decode(
            self.encode(past_sequence, encoder_lengths), future_sequence, decoder_lengths
        )

    def encode(
        self,
        past_sequence: torch.Tensor,
        lengths: torch.Tensor | None = None,
        state: State | None = None,
    ) -> State:
        """Read a context, or more of one.

        Args:
            past_sequence: (B, Tc, num_past_features), aligned as configured.
            lengths: (B,) int64 data steps; None where all are full.
            state: what was read before it, as this returns it; None where nothing was.

        Returns:
            The encoder's (h, c), each (N, B, d_encoder), after the last data step.
        """
        past = Padding(lengths, self.encoder_alignment).for_recurrence(past_sequence)
        final: State
        _, final = self.encoder(past, lengths, state)  # (N, B, d_encoder)
        return final

    def decode(
        self, state: State, future_sequence: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> ForecastOutput:
        """Forecast every horizon step after a context.

        Args:
            state: of the encoder, as `encode` returns it.
            future_sequence: (B, Td, num_future_features), data first.
            lengths: (B,) int64 data steps of the horizon; None where all are full.

        Returns:
            `output` (B, Td, Q), zero on padding.
        """
        hidden, _ = self.decoder(
            future_sequence, lengths, self.bridge(state), need_state=False
        )  # (B, Td, d_decoder)
        result: ForecastOutput = {"output": self.head(hidden)}  # (B, Td, Q)
        return put_back(result, None, Padding(lengths).mask(hidden.size(1)))


class StateBridge(torch.nn.Module):
    """Turns the encoder's final state into the decoder's first one.

    Widths that differ are projected linearly. Decoder layers take the encoder layer of the same
    distance from the top; those the encoder has no partner for take its lowest layer.

    Args:
        d_encoder: width of the encoder's state.
        d_decoder: width of the decoder's state.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
    """

    def __init__(
        self, d_encoder: int, d_decoder: int, num_encoder_layers: int, num_decoder_layers: int
    ) -> None:
        super().__init__()
        above = num_encoder_layers - num_decoder_layers
        self.layers = [max(0, layer + above) for layer in range(num_decoder_layers)]
        self.hidden = make_projection(d_encoder, d_decoder)
        self.cell = make_projection(d_encoder, d_decoder)

    def forward(self, state: State) -> State:
        """Map (h, c), each (N_encoder, B, d_encoder), to (N_decoder, B, d_decoder)."""
        hidden, cell = state
        return self.hidden(hidden[self.layers]).contiguous(), self.cell(
            cell[self.layers]
        ).contiguous()


def make_projection(d_input: int, d_output: int) -> torch.nn.Module:
    """Return a linear map between widths that differ, nothing between equal ones."""
    same = d_input == d_output
    return torch.nn.Identity() if same else torch.nn.Linear(d_input, d_output)


def make_head(
    d_input: int,
    d_hidden: Sequence[int],
    output_dim: int,
    activation: Activation,
    dropout: float,
) -> torch.nn.Sequential:
    """Return a linear map to the outputs, behind hidden layers where widths are given."""
    layers: list[torch.nn.Module] = []
    for width in d_hidden:
        layers += [
            torch.nn.Linear(d_input, width),
            ACTIVATIONS[activation](),
            torch.nn.Dropout(dropout),
        ]
        d_input = width
    return torch.nn.Sequential(*layers, torch.nn.Linear(d_input, output_dim))


class EncoderDecoderLSTM(ForecastModule):
    """Encoder-decoder LSTM on batches; see `EncoderDecoderLSTMModel`."""

    @built_from(EncoderDecoderLSTMModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""
