"""Categories as learnt vectors, and steps widened by them and by what is static.

B batch, T steps, F features, S static features, C categories, E embedding width.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch

# width of an embedding where a model does not prescribe one
D_CATEGORY = 8


class CategoryEmbedding(torch.nn.Module):
    """One vector for each code of each categorical variable, all in one table.

    Code 0, what training did not have, starts as the zero vector, the mean of those that the
    others start from: it says nothing until training has values to learn it from.

    Args:
        sizes: number of codes of each variable, code 0 included.
        d_embedding: width E of a vector.
    """

    offsets: torch.Tensor

    def __init__(self, sizes: Sequence[int], d_embedding: int) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(sum(sizes), d_embedding)
        offsets = torch.tensor([0, *accumulate(sizes)][:-1])
        self.register_buffer("offsets", offsets, persistent=False)
        with torch.no_grad():
            self.table.weight[offsets] = 0.0

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Map codes (..., C), int64 and each below its variable's size, to (..., C, E)."""
        vectors: torch.Tensor = self.table(codes + self.offsets)
        return vectors


def join_static(
    each: torch.Tensor | None, static: torch.Tensor | None, steps: int
) -> torch.Tensor | None:
    """Return what each step has (B, T, K) and, behind it, the static (B, S) on every step.

    Args:
        each: (B, T, K) or None.
        static: (B, S) or None.
        steps: number of steps T.

    Returns:
        (B, T, K + S); None where there is neither.
    """
    if static is None:
        return each
    repeated = static.unsqueeze(1).expand(-1, steps, -1)
    return repeated if each is None else torch.cat([each, repeated], dim=-1)


class WideInput(torch.nn.Module):
    """Steps with static features and embedded categories in front of their own features.

    What lets a network that knows real features only use the others too. The step's own features
    stay last, and among them the target's history.

    Args:
        num_static_features: static features S, repeated on every step.
        category_sizes: number of codes of each category, those of a step first, then static ones.
        d_category: width E of a category's embedding.
    """

    def __init__(
        self, num_static_features: int, category_sizes: Sequence[int], d_category: int
    ) -> None:
        super().__init__()
        self.added = num_static_features + len(category_sizes) * d_category
        self.embedding = CategoryEmbedding(category_sizes, d_category) if category_sizes else None

    def forward(
        self,
        inputs: torch.Tensor,
        categories: torch.Tensor | None = None,
        static: torch.Tensor | None = None,
        static_categories: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Widen.

        Args:
            inputs: (B, T, F).
            categories: (B, T, Cp) int64; needed where steps have categories.
            static: (B, S); needed where there are static features.
            static_categories: (B, Cs) int64; needed where there are static categories.

        Returns:
            (B, T, S + C E + F), C being Cp + Cs. Padding is not zero.
        """
        steps = inputs.size(1)
        parts = [] if static is None else [static.unsqueeze(1).expand(-1, steps, -1)]
        codes = join_static(categories, static_categories, steps)
        if self.embedding is not None:
            assert codes is not None
            parts.append(self.embedding(codes).flatten(-2))
        return torch.cat([*parts, inputs], dim=-1) if parts else inputs
