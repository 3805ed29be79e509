"""Variable selection: each input variable embedded, encoded and weighed, in one batched pass.

Lim et al. 2021, section 4.2. V variables, R of them real and C categories, the real ones first;
E embedding width, D model width, N rows: steps of all windows.
"""

from collections.abc import Sequence

import torch

from transformertf.nn.embedding import CategoryEmbedding
from transformertf.nn.gating import BatchedLinear, GatedResidualNetwork, LinearMap, Skip


class VariableSelection(torch.nn.Module):
    """Weighted sum of encoded variables, Lim et al. eq. 6 to 8.

    Every real variable is embedded by a linear map of its own, every category by a vector for each
    of its codes. A gated residual network over all embeddings, and a context where there is one,
    gives softmax weights; one network for each variable, all run as one matrix product, encodes
    it. Departure: as in pytorch-forecasting, a single variable is encoded without weighing, for
    its weight could only be 1.

    Args:
        num_real: number of real variables R; may be 0 where there are categories.
        d_embedding: width E of a variable's embedding.
        d_model: width D of the output.
        dropout: of the gated residual networks.
        d_context: features of the context; None without one.
        skip: how skips change width; see `GatedResidualNetwork`.
        category_sizes: number of codes of each category.
    """

    def __init__(
        self,
        num_real: int,
        d_embedding: int,
        d_model: int,
        dropout: float = 0.0,
        d_context: int | None = None,
        skip: Skip = "linear",
        category_sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        variables = num_real + len(category_sizes)
        self.num_real = num_real
        self.d_embedding = d_embedding
        self.embedding = BatchedLinear(num_real, 1, d_embedding) if num_real else None
        self.categories = CategoryEmbedding(category_sizes, d_embedding) if category_sizes else None
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
        self,
        inputs: torch.Tensor,
        context: torch.Tensor | None = None,
        categories: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Select among variables.

        Args:
            inputs: (..., R).
            context: broadcasts to (..., d_context).
            categories: (..., C) int64 codes; needed where there are categories.

        Returns:
            selected (..., D), and the weights (..., V), which add up to 1.
        """
        leading = inputs.shape[:-1]
        vectors = None  # (..., C, E)
        if self.categories is not None:
            assert categories is not None
            vectors = self.categories(categories)
        rows = inputs  # (R, N, 1)
        if self.num_real:
            rows = inputs.reshape(-1, self.num_real).t().unsqueeze(-1)
        encoded = self.encoding.finish(
            self._map_each(rows, vectors, self.encoding.input),
            self._map_each(rows, vectors, self.encoding.skip),
        )  # (V, N, D)
        if self.weighing is None:
            return encoded[0].view(*leading, -1), inputs.new_ones(*leading, 1)
        scores = self.weighing.finish(
            self._map_all(inputs, vectors, self.weighing.input),
            self._map_all(inputs, vectors, self.weighing.skip),
            context,
        )  # (..., V)
        weights = scores.softmax(dim=-1)
        columns = weights.reshape(-1, weights.size(-1)).t().unsqueeze(-1)  # (V, N, 1)
        selected = (encoded * columns).sum(dim=0)  # (N, D)
        return selected.view(*leading, -1), weights

    def _map_each(
        self, rows: torch.Tensor, vectors: torch.Tensor | None, layer: LinearMap | None
    ) -> torch.Tensor:
        """Embed each variable and map it by its own part of a layer: (V, N, O)."""
        weight: torch.Tensor | None = None if layer is None else layer.weight
        bias: torch.Tensor | None = None if layer is None else layer.bias
        if vectors is None:
            return self._map_each_real(rows, weight, bias)
        mapped = vectors.reshape(-1, *vectors.shape[-2:]).transpose(0, 1)  # (C, N, E)
        if weight is not None:
            weight, own = self._split(weight, 0)
            mapped = mapped @ own.transpose(1, 2)
        if bias is not None:
            bias, own = self._split(bias, 0)
            mapped = mapped + own.unsqueeze(1)
        if self.embedding is None:
            return mapped
        return torch.cat([self._map_each_real(rows, weight, bias), mapped])

    def _map_all(
        self, inputs: torch.Tensor, vectors: torch.Tensor | None, layer: LinearMap | None
    ) -> torch.Tensor:
        """Embed all variables, side by side, and map them by a layer: (..., O)."""
        weight: torch.Tensor | None = None if layer is None else layer.weight
        bias: torch.Tensor | None = None if layer is None else layer.bias
        if vectors is None:
            return self._map_all_real(inputs, weight, bias)
        side_by_side = vectors.flatten(-2)  # (..., C E)
        if weight is None:  # as many outputs V as embeddings V E: E is 1
            real = [] if self.embedding is None else [self._map_all_real(inputs, None, None)]
            return torch.cat([*real, side_by_side], dim=-1)
        weight, own = self._split(weight, 1)
        if self.embedding is None:
            return torch.nn.functional.linear(side_by_side, own, bias)
        mapped = torch.nn.functional.linear(side_by_side, own)
        return mapped + self._map_all_real(inputs, weight, bias)

    def _split(self, weight: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the parts of a weight that real variables and categories have."""
        real = self.num_real * (self.d_embedding if dim else 1)
        return weight.narrow(dim, 0, real), weight.narrow(dim, real, weight.size(dim) - real)

    # A real embedding is linear in its variable's value, and so is the map that comes after it: the
    # two are one, and these embeddings, R E numbers for each step, are never made.

    def _map_each_real(
        self, rows: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Embed real variables (R, N, 1), and map each by its own weights (R, O, E): (R, N, O)."""
        assert self.embedding is not None
        slope: torch.Tensor = self.embedding.weight.squeeze(-1)  # (R, E)
        offset: torch.Tensor = self.embedding.bias
        if weight is not None:
            slope, offset = self._compose(weight)  # (R, O)
            offset = offset if bias is None else offset + bias
        return torch.addcmul(offset.unsqueeze(1), rows, slope.unsqueeze(1))

    def _map_all_real(
        self, inputs: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Embed real variables (..., R), side by side, and map them by (O, R E): (..., O)."""
        assert self.embedding is not None
        if weight is None:  # as many outputs V as embeddings V E: E is 1
            return inputs * self.embedding.weight.view(-1) + self.embedding.bias.view(-1)
        weight = weight.view(-1, self.num_real, self.d_embedding).transpose(0, 1)  # (R, O, E)
        slope, offset = self._compose(weight)
        offset = offset.sum(dim=0)
        offset = offset if bias is None else offset + bias
        return torch.nn.functional.linear(inputs, slope.t(), offset)

    def _compose(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slope and offset (R, O) of maps (R, O, E) after the embeddings."""
        assert self.embedding is not None
        slope = weight @ self.embedding.weight
        offset = weight @ self.embedding.bias.unsqueeze(-1)
        return slope.squeeze(-1), offset.squeeze(-1)
