"""Quantiles side by side: made to rise, their middle, and those between a few.

B batch, Td horizon steps, Q quantiles, K levels.
"""

from collections.abc import Sequence

import torch

from transformertf.nn import median


def rising_quantiles(values: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    """Return quantiles that rise with their level, whatever the values.

    The value of the level nearest to the median is that quantile itself. From there outwards
    each value gives the distance to the next quantile through a softplus, which is above 0.
    Values of 0 put the default seven levels close to the quantiles of a standard normal.

    Args:
        values: (B, Td, Q) free numbers.
        levels: Q rising levels between 0 and 1.
    """
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
    anchor = values[..., middle : middle + 1]
    distance = torch.nn.functional.softplus(values)
    below = distance[..., :middle].flip(-1).cumsum(dim=-1).flip(-1)
    above = distance[..., middle + 1 :].cumsum(dim=-1)
    return torch.cat([anchor - below, anchor, anchor + above], dim=-1)


def ordered_median(values: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    """Return the 0.5 quantile (B, Td, 1) of quantiles (B, Td, Q).

    Quantiles trained side by side can cross; they are brought in order first, which is
    never worse (Chernozhukov, Fernandez-Val and Galichon 2010).

    Args:
        values: (B, Td, Q).
        levels: Q rising levels between 0 and 1.
    """
    assert values.size(-1) == len(levels)
    return median(values.sort(dim=-1).values, levels)


def interpolate_quantiles(
    values: torch.Tensor, levels: Sequence[float], wanted: torch.Tensor
) -> torch.Tensor:
    """Return quantiles (B, Td, K) at wanted levels, from those at a few levels.

    On a line, in the standard normal's quantile of the level, between neighbours, and on beyond
    the outermost two: exact for a normal distribution.

    Args:
        values: (B, Td, Q) quantiles, put in order where they cross.
        levels: Q rising levels between 0 and 1; of a single one the value goes for all.
        wanted: (B, Td, K) levels between 0 and 1.
    """
    ordered = values.sort(dim=-1).values
    if len(levels) == 1:
        return ordered.expand_as(wanted)
    known = torch.special.ndtri(torch.tensor(levels, dtype=values.dtype, device=values.device))
    z = torch.special.ndtri(wanted.to(values)).contiguous()
    upper = torch.searchsorted(known, z).clamp(1, len(levels) - 1)
    low, high = known[upper - 1], known[upper]
    return torch.lerp(
        ordered.gather(-1, upper - 1), ordered.gather(-1, upper), (z - low) / (high - low)
    )
