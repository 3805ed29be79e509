"""Variable selection: each input variable embedded, encoded and weighed, in one batched pass.

Lim et al. 2021, section 4.2. B batch, T steps, V variables, E embedding width, D model width.
"""

import torch

from transformertf.nn.gating import BatchedLinear, GatedResidualNetwork, LinearMap, Skip


class VariableSelection(torch.nn.Module):
    """Weighted sum of encoded variables, Lim et al. eq. 6 to 8.

    Every real variable is embedded by a linear map of its own. A gated residual network over all
    embeddings, and a context where there is one, gives softmax weights; one network for each
    variable, all run as one matrix product, encodes it. Departure: as in pytorch-forecasting, a
    single variable is encoded without weighing, for its weight could only be 1.

    Args:
        variables: number of variables V.
        d_embedding: width E of a variable's embedding.
        d_model: width D of the output.
        dropout: of the gated residual networks.
        d_context: features of the context; None without one.
        skip: how skips change width; see `GatedResidualNetwork`.
    """

    def __init__(
        self,
        variables: int,
        d_embedding: int,
        d_model: int,
        dropout: float = 0.0,
        d_context: int | None = None,
        skip: Skip = "linear",
    ) -> None:
        super().__init__()
        self.d_embedding = d_embedding
        self.embedding = BatchedLinear(variables, 1, d_embedding)
        self.encoding = GatedResidualNetwork(
            d_embedding,
            min(d_embedding, d_model),
            d_model,
            dropout,
            skip=skip,
            variables=variables,
        )
        self.weighing = (
            GatedResidualNetwork(
                variables * d_embedding,
                min(d_model, variables),
                variables,
                dropout,
                d_context,
                skip,
            )
            if variables > 1
            else None
        )

    def forward(
        self, inputs: torch.Tensor, context: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Select among variables.

        Args:
            inputs: (..., V).
            context: broadcasts to (..., d_context).

        Returns:
            selected (..., D), and the weights (..., V), which add up to 1.
        """
        leading, variables = inputs.shape[:-1], inputs.size(-1)
        rows = inputs.reshape(-1, variables).t().unsqueeze(-1)  # (V, N, 1)
        encoded = self.encoding.finish(
            self._map_each(rows, self.encoding.input), self._map_each(rows, self.encoding.skip)
        )  # (V, N, D)
        if self.weighing is None:
            return encoded[0].view(*leading, -1), torch.ones_like(inputs)
        scores = self.weighing.finish(
            self._map_all(inputs, self.weighing.input),
            self._map_all(inputs, self.weighing.skip),
            context,
        )  # (..., V)
        weights = scores.softmax(dim=-1)
        columns = weights.reshape(-1, variables).t().unsqueeze(-1)  # (V, N, 1)
        selected = (encoded * columns).sum(dim=0)  # (N, D)
        return selected.view(*leading, -1), weights

    # An embedding is linear in its variable's value, and so is the map that comes after it: the
    # two are one, and the embeddings, V E numbers for each step, are never made.

    def _map_each(self, rows: torch.Tensor, layer: LinearMap | None) -> torch.Tensor:
        """Embed each variable (V, N, 1) and map it by its own part of a layer: (V, N, O)."""
        slope: torch.Tensor = self.embedding.weight.squeeze(-1)  # (V, E)
        offset: torch.Tensor = self.embedding.bias
        if layer is not None:
            slope, offset = self._compose(layer.weight)  # (V, O)
            offset = offset if layer.bias is None else offset + layer.bias
        return torch.addcmul(offset.unsqueeze(1), rows, slope.unsqueeze(1))

    def _map_all(self, inputs: torch.Tensor, layer: LinearMap | None) -> torch.Tensor:
        """Embed all variables (..., V), side by side, and map them by a layer: (..., O)."""
        variables = inputs.size(-1)
        if layer is None:  # as many outputs V as embeddings V E: E is 1
            return inputs * self.embedding.weight.view(-1) + self.embedding.bias.view(-1)
        weight = layer.weight.view(-1, variables, self.d_embedding).transpose(0, 1)  # (V, O, E)
        slope, offset = self._compose(weight)
        offset = offset.sum(dim=0)
        offset = offset if layer.bias is None else offset + layer.bias
        return torch.nn.functional.linear(inputs, slope.t(), offset)

    def _compose(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slope and offset (V, O) of maps (V, O, E) after the embeddings."""
        slope = weight @ self.embedding.weight
        offset = weight @ self.embedding.bias.unsqueeze(-1)
        return slope.squeeze(-1), offset.squeeze(-1)
