"""What a model asks of the data module whose batches it gets: sizes, units, and what happened."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from transformertf.batch import Batch, forecast_mask
from transformertf.data.arguments import Stage
from transformertf.data.columns import Columns
from transformertf.data.scaling import Scaling, Vocabularies, calendar_sizes
from transformertf.data.series import Series
from transformertf.data.windows import Stages, WindowLimits
from transformertf.utils.sequence import first_data_step


class Source(ABC):
    """Answers of a fitted data module."""

    columns: Columns
    limits: WindowLimits
    scaling: Scaling
    stages: Stages
    vocabularies: Vocabularies

    @abstractmethod
    def _require_fit(self) -> None:
        """Fit where that has not been done, or refuse to go on."""

    @abstractmethod
    def stage_series(self, stage: Stage) -> list[Series]:
        """Return the series of a stage, which its batches count."""

    @property
    def has_validation(self) -> bool:
        """Whether a fit has data to validate on."""
        return self.stages.has_validation

    @property
    def num_static_features(self) -> int:
        """Number of real features constant within a series."""
        return len(self.columns.static)

    @property
    def static_category_sizes(self) -> list[int]:
        """Numbers that each static category has, the unknown one included; wants a fit."""
        return self._sizes(self.columns.static_categories)

    @property
    def known_category_sizes(self) -> list[int]:
        """Numbers that each category known in the future has; wants a fit."""
        return [
            *self._sizes(self.columns.known_categories),
            *calendar_sizes(self.columns.calendar_categories),
        ]

    def _sizes(self, names: Sequence[str]) -> list[int]:
        if names:
            self._require_fit()
        return list(self.vocabularies.sizes(names))

    def inverse_transform_target(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return target values (B, Td, ...) in original units."""
        return self.scaling.inverse_target(values, batch)

    def target_affine(self) -> tuple[float, float]:
        """Return loc and scale: scaled targets * scale + loc are those in original units.

        Raises:
            InputError: no one line leads from all scaled targets to the original ones.
        """
        return self.scaling.target_affine()

    def actual_target(self, batch: Batch, stage: Stage) -> torch.Tensor:
        """Return the target (B, Td) in original units, to the digit as it was read.

        Args:
            batch: of a stage.
            stage: that stage.

        Returns:
            float64, on the host; NaN where it is missing, and on padding.
        """
        series, mask = self.stage_series(stage), forecast_mask(batch).cpu()
        actual = np.full(mask.shape, np.nan)
        places = (batch["series"], batch["origin"], first_data_step(mask), mask.sum(dim=1))
        each = zip(*(place.tolist() for place in places), strict=True)
        for row, (index, origin, first, steps) in enumerate(each):
            rows = slice(origin + 1, origin + 1 + steps)
            actual[row, first : first + steps] = series[index].values[rows, -1]
        return torch.from_numpy(actual)

    def describe_training_window(self, series: int, origin: int) -> str:
        """Return name, row and time of a training window's origin, or of its start."""
        one = self.stage_series("train")[series]
        # without a context there may be no row before the first one
        what, row = ("origin", origin) if self.limits.context else ("first", origin + 1)
        time = "" if one.time is None else f" ({self.columns.time} {one.time[row]})"
        return f"series {one.name!r}, {what} row {row}{time}"
