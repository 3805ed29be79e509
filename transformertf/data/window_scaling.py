"""Normalising each window by its own context, on top of the global scaling."""

import torch

from transformertf.data.columns import Columns
from transformertf.data.gather import Rows

# the least spread of a window that its target is divided by, as a share of the global spread
_LEAST_SPREAD = 0.1


class WindowScaling:
    """Takes the context's mean off covariates and target, and divides the target by its spread.

    Lags of the target go with the target. Features of the calendar and indicators stay. Statistics
    are of data steps only, those of the target of observed ones.

    Args:
        columns: roles of the columns.
    """

    def __init__(self, columns: Columns) -> None:
        self.indicators = columns.indicators
        # (features,) whether each is centred by its own mean
        self.centred = torch.tensor(
            [name in (*columns.known, *columns.past) for name in columns.features]
        )
        # the places of the target's values
        lags = {f"{columns.target}_lag_{lag}" for lag in columns.lags}
        self.target = [
            place for place, name in enumerate(columns.features)
            if name in lags or name == columns.target
        ]  # fmt: skip

    def __call__(
        self, past: torch.Tensor, rows: Rows, future: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalise contexts and horizons in place, and return what was taken off the target.

        Args:
            past: (B, Tc, features) contexts, the target last.
            rows: their rows.
            future: (B, Td, features) horizons.

        Returns:
            past, future, and mean and spread (B,) of the context's target.
        """
        target, known = past[..., -1], rows.mask
        # padding repeats a data row, so what counts for nothing is finite
        weight = known.to(past.dtype).unsqueeze(1)
        mean = (weight @ past).squeeze(1) / rows.lengths.unsqueeze(1)  # (B, features)
        if self.indicators:
            known = known & (past[..., -2] > 0.5)
        count = known.sum(dim=1).clamp(min=1)
        level = torch.where(known, target, 0.0).sum(dim=1) / count  # (B,)
        distance = torch.where(known, target - level.unsqueeze(1), 0.0)
        spread = (distance.square().sum(dim=1) / count).sqrt().clamp(min=_LEAST_SPREAD)
        loc = torch.where(self.centred.to(past.device), mean, 0.0)
        for place in self.target:
            loc[:, place] = level
        for values in (past, future):
            values -= loc.unsqueeze(1)
            for place in self.target:
                values[..., place] /= spread.unsqueeze(1)
        return past, future, level, spread
