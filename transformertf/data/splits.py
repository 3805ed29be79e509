"""Series to the parts that training, validation and test use."""

from dataclasses import dataclass
from typing import Literal

from transformertf.data.frames import Series
from transformertf.data.windows import Part
from transformertf.errors import InputError

Stage = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Fractions:
    """Shares of each series' rows kept for validation and test, in time order.

    Attributes:
        validation: share before the test part, from 0 to below 1.
        test: share at the end, from 0 to below 1.
    """

    validation: float = 0.0
    test: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        for name, share in (("val_fraction", self.validation), ("test_fraction", self.test)):
            if not 0 <= share < 1:
                raise InputError(f"{name} must be at least 0 and below 1, found {share}")
        if self.validation + self.test >= 1:
            raise InputError(
                f"val_fraction {self.validation} and test_fraction {self.test} leave no rows "
                "for training; they must add up to less than 1"
            )

    def part(self, index: int, series: Series, stage: Stage) -> Part:
        """Return the rows of a series that a stage's targets come from."""
        rows = len(series)
        test = rows - _share(rows, self.test)
        validation = test - _share(rows, self.validation)
        first, end = {
            "train": (0, validation),
            "validation": (validation, test),
            "test": (test, rows),
        }[stage]
        return Part(index, series.name, first, end)


def _share(rows: int, fraction: float) -> int:
    """Return whole rows, rounded down; 0.29 of 100 rows are 29, whatever binary makes of it."""
    return int(rows * fraction + 1e-9)
