"""Variable selection: each input variable embedded, encoded and weighed, in one batched pass.

Lim et al. 2021, section 4.2. B batch, T steps, V variables, E embedding width, D model width.
"""

import torch

from transformertf.nn.gating import BatchedLinear, GatedResidualNetwork, Skip


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
        embedded = self.embedding(rows)  # (V, N, E)
        encoded = self.encoding(embedded)  # (V, N, D)
        if self.weighing is None:
            return encoded[0].view(*leading, -1), torch.ones_like(inputs)
        together = embedded.transpose(0, 1).reshape(*leading, -1)  # (..., V E)
        weights = self.weighing(together, context).softmax(dim=-1)  # (..., V)
        columns = weights.reshape(-1, variables).t().unsqueeze(-1)  # (V, N, 1)
        selected = (encoded * columns).sum(dim=0)  # (N, D)
        return selected.view(*leading, -1), weights
