"""Gates of the temporal fusion transformer: GLU, gate-add-norm, gated residual network.

Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for interpretable multi-horizon time
series forecasting", 2021, section 4.1. Each block also comes in a batched form, `variables` of them
side by side with weights of their own, as one matrix product over inputs (V, N, D): V variables,
N rows, D features.
"""

from typing import Literal

import torch

Skip = Literal["linear", "resample"]


class BatchedLinear(torch.nn.Module):
    """Linear maps of V variables side by side: (V, N, d_input) to (V, N, d_output).

    Args:
        variables: number of maps V.
        d_input: input features of each.
        d_output: output features of each.
    """

    def __init__(self, variables: int, d_input: int, d_output: int) -> None:
        super().__init__()
        layers = [torch.nn.Linear(d_input, d_output) for _ in range(variables)]
        # initialised as single ones are
        self.weight = torch.nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = torch.nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map each variable by its own weights."""
        return torch.baddbmm(self.bias.unsqueeze(1), inputs, self.weight.transpose(1, 2))


class BatchedLayerNorm(torch.nn.Module):
    """Layer norms of V variables side by side, over the features of (V, N, D).

    Args:
        variables: number of norms V.
        d_model: features D.
    """

    def __init__(self, variables: int, d_model: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(variables, d_model))
        self.bias = torch.nn.Parameter(torch.zeros(variables, d_model))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalise each row, then scale and shift it by its variable's weights."""
        normed = torch.nn.functional.layer_norm(inputs, inputs.shape[-1:])
        return torch.addcmul(self.bias.unsqueeze(1), normed, self.weight.unsqueeze(1))


def linear(
    d_input: int, d_output: int, variables: int | None = None
) -> torch.nn.Linear | BatchedLinear:
    """Return a linear map, or one for each variable."""
    if variables is None:
        return torch.nn.Linear(d_input, d_output)
    return BatchedLinear(variables, d_input, d_output)


def layer_norm(d_model: int, variables: int | None = None) -> torch.nn.Module:
    """Return a layer norm, or one for each variable."""
    if variables is None:
        return torch.nn.LayerNorm(d_model)
    return BatchedLayerNorm(variables, d_model)


class GLU(torch.nn.Module):
    """Gated linear unit, Lim et al. eq. 5: (W5 x + b5) * sigmoid(W4 x + b4), one product for both.

    Args:
        d_input: input features.
        d_output: output features.
        dropout: probability of dropping an input while training, 0 to 1.
        variables: number of units side by side; None for one.
    """

    def __init__(
        self, d_input: int, d_output: int, dropout: float = 0.0, variables: int | None = None
    ) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.linear = linear(d_input, 2 * d_output, variables)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (..., d_input) to (..., d_output)."""
        return torch.nn.functional.glu(self.linear(self.dropout(inputs)), dim=-1)


class GateAddNorm(torch.nn.Module):
    """Gate, add the skip, normalise: LayerNorm(skip + GLU(x)).

    Args:
        d_input: input features.
        d_output: features of the skip and the output.
        dropout: probability of dropping an input while training, 0 to 1.
        variables: number of blocks side by side; None for one.
        trainable_add: weigh each feature of the skip by twice a sigmoid, 1 to begin with.
    """

    def __init__(
        self,
        d_input: int,
        d_output: int,
        dropout: float = 0.0,
        variables: int | None = None,
        trainable_add: bool = False,
    ) -> None:
        super().__init__()
        self.gate = GLU(d_input, d_output, dropout, variables)
        self.norm = layer_norm(d_output, variables)
        self.skip_weight = torch.nn.Parameter(torch.zeros(d_output)) if trainable_add else None

    def forward(self, inputs: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Join inputs (..., d_input) and skip (..., d_output)."""
        if self.skip_weight is not None:
            skip = skip * (2 * self.skip_weight.sigmoid())
        normed: torch.Tensor = self.norm(skip + self.gate(inputs))
        return normed


class Interpolation(torch.nn.Module):
    """Change of width as in pytorch-forecasting: features interpolated, each then weighed.

    Features are interpolated linearly, end on end; the weights are twice a sigmoid.

    Args:
        d_input: input features.
        d_output: output features.
        variables: number of maps side by side; None for one.
    """

    bias: None = None
    fixed: torch.Tensor

    def __init__(self, d_input: int, d_output: int, variables: int | None = None) -> None:
        super().__init__()
        # interpolating features is a fixed linear map: row i of the identity shows where i goes
        fixed = torch.nn.functional.interpolate(
            torch.eye(d_input).unsqueeze(1), d_output, mode="linear", align_corners=True
        ).squeeze(1)
        self.register_buffer("fixed", fixed.t().contiguous(), persistent=False)
        shape = (d_output,) if variables is None else (variables, d_output)
        self.scale = torch.nn.Parameter(torch.zeros(shape))

    @property
    def weight(self) -> torch.Tensor:
        """The linear map (..., d_output, d_input)."""
        return 2 * self.scale.sigmoid().unsqueeze(-1) * self.fixed

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (..., d_input) to (..., d_output)."""
        return inputs @ self.weight.transpose(-2, -1)


LinearMap = torch.nn.Linear | BatchedLinear | Interpolation


class GatedResidualNetwork(torch.nn.Module):
    """Gated residual network, Lim et al. eq. 2 to 4.

    LayerNorm(skip(x) + GLU(W1 ELU(W2 x + W3 c + b2) + b1)).

    Args:
        d_input: input features.
        d_hidden: width between the two linear maps.
        d_output: output features.
        dropout: probability of dropping an input of the gate while training, 0 to 1.
        d_context: features of a context c; None without one.
        skip: how a skip changes width where input and output differ: "linear" as in the paper,
            "resample" as in pytorch-forecasting, `Interpolation` and a layer norm.
        variables: number of networks side by side; None for one.
    """

    def __init__(
        self,
        d_input: int,
        d_hidden: int,
        d_output: int,
        dropout: float = 0.0,
        d_context: int | None = None,
        skip: Skip = "linear",
        variables: int | None = None,
    ) -> None:
        super().__init__()
        self.skip: LinearMap | None = None
        self.skip_norm: torch.nn.Module | None = None
        if d_input != d_output and skip == "linear":
            self.skip = linear(d_input, d_output, variables)
        elif d_input != d_output:
            self.skip = Interpolation(d_input, d_output, variables)
            self.skip_norm = layer_norm(d_output, variables)
        self.input = linear(d_input, d_hidden, variables)
        self.context = (
            None if d_context is None else torch.nn.Linear(d_context, d_hidden, bias=False)
        )
        self.hidden = linear(d_hidden, d_hidden, variables)
        self.output = GateAddNorm(d_hidden, d_output, dropout, variables)

    def forward(self, inputs: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Map (..., d_input), with a context that broadcasts to (..., d_context)."""
        skip = inputs if self.skip is None else self.skip(inputs)
        return self.finish(self.input(inputs), skip, context)

    def finish(
        self, hidden: torch.Tensor, skip: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Do what follows the two maps that `input` and `skip` are, for who has done these.

        Args:
            hidden: (..., d_hidden), inputs as `input` maps them.
            skip: (..., d_output), inputs as `skip` maps them.
            context: broadcasts to (..., d_context).
        """
        if self.context is not None and context is not None:
            hidden = hidden + self.context(context)
        if self.skip_norm is not None:
            skip = self.skip_norm(skip)
        hidden = self.hidden(torch.nn.functional.elu(hidden))
        output: torch.Tensor = self.output(hidden, skip)
        return output
