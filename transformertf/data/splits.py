"""Series to the parts that training, validation and test use: by time, or whole series."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transformertf.data.frames import Series
from transformertf.data.windows import Part
from transformertf.errors import InputError

Stage = Literal["train", "validation", "test"]
SplitBy = Literal["time", "series"]


@dataclass(frozen=True)
class Fractions:
    """Shares kept for validation and test: of each series' rows, or of the series.

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

    def hold_out(self, names: Iterable[str], seed: int) -> dict[str, list[str]]:
        """Draw the series to keep for validation and test, in whole.

        The draw depends on names and seed only, and the test series do not depend on how many
        are kept for validation.

        Args:
            names: the series.
            seed: seed of the draw.

        Returns:
            The names by stage, sorted; the others are for training.

        Raises:
            InputError: a share that was asked for is less than one series.
        """
        known = sorted(names)
        drawn = np.random.default_rng([seed, *b"split"]).permutation(len(known)).tolist()
        held: dict[str, list[str]] = {}
        for stage, option, share in (
            ("test", "test_fraction", self.test),
            ("validation", "val_fraction", self.validation),
        ):
            count = _share(len(known), share)
            if share > 0 and count == 0:
                raise InputError(
                    f"{option} {share} of {len(known)} series is less than one series; raise it, "
                    "give more series, or set split_by: time"
                )
            held[stage] = sorted(known[place] for place in drawn[:count])
            drawn = drawn[count:]
        return held


def _share(rows: int, fraction: float) -> int:
    """Return whole rows or series, rounded down."""
    # 0.29 of 100 are 29, whatever binary makes of it
    return int(rows * fraction + 1e-9)
