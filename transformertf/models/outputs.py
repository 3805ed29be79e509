"""What the numbers of a network mean: changes since the last value, quantiles that never cross.

B batch, Tc context steps, Td horizon steps, Q outputs of each step.
"""

from collections.abc import Sequence

import torch


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


def last_context_value(past: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return (B, 1, 1) the last feature, the target's history, at the last step of the context.

    Args:
        past: (B, Tc, F), data first.
        lengths: (B,) int64 data steps.
    """
    last = (lengths - 1).unsqueeze(1)
    return past[..., -1].gather(1, last).unsqueeze(-1)
