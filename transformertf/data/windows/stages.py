"""The series and parts of them that training, validation, test and predict use."""

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from transformertf.data.arguments import Missing, SplitBy, Stage
from transformertf.data.reading import (
    Reader,
    as_frame,
    first_row_at,
    is_frame,
    named,
    shared_files,
)
from transformertf.data.series import Series
from transformertf.data.windows.windows import Part
from transformertf.errors import InputError

OWN_PATHS: dict[Stage, str] = {
    "train": "train_df_paths",
    "validation": "val_df_paths",
    "test": "test_df_paths",
}
# what keeps a part of the training files for a stage: a share, or a time; and what is said of it
SHARES: dict[Stage, tuple[str, ...]] = {
    "validation": ("val_fraction", "val_start", "val_blocks"),
    "test": ("test_fraction", "test_start"),
}
PREDICT_PATHS = "predict_df_paths"
# rows that follow those to forecast; not every data module has it
FUTURE_PATHS = "future_df_paths"


@dataclass(frozen=True)
class Split:
    """What is kept for validation and test: shares of rows or of series, or rows from a time on.

    Attributes:
        validation: share before the test part, from 0 to below 1.
        test: share at the end, from 0 to below 1.
        of: "time" for shares of the rows of each series, "series" for shares of the series.
        blocks: stretches of each series that the validation share is spread over. What lies before
            the test part is cut into so many sections of a length, each of which ends in a block.
        val_start: where the rows for validation begin, as `origin` tells a time or row.
        test_start: where the rows for test begin.
    """

    validation: float = 0.0
    test: float = 0.0
    of: SplitBy = "time"
    blocks: int = 1
    val_start: str | None = None
    test_start: str | None = None

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
        if self.blocks > 1 and self.of == "series":
            raise InputError(
                f"val_blocks {self.blocks} are of the rows of a series, but split_by is series, "
                "which keeps whole ones; leave one of them out"
            )
        for start, option, share in (
            (self.val_start, "val_start", self.validation),
            (self.test_start, "test_start", self.test),
        ):
            if start is None:
                continue
            if share:
                instead = option.replace("start", "fraction")
                raise InputError(f"{option} and {instead} are both given; give one of them")
            if self.of == "series":
                raise InputError(
                    f"{option} is of the rows of a series, but split_by is series, which keeps "
                    "whole ones; leave one of them out"
                )
        if self.blocks > 1 and not self.validation:
            raise InputError(
                f"val_blocks {self.blocks} are of the share that val_fraction keeps, which is not "
                "given; give one, or leave val_blocks out"
            )

    def keeps(self, stage: Stage) -> bool:
        """Whether something is kept for validation or test."""
        if stage == "validation":
            return self.validation > 0 or self.val_start is not None
        return self.test > 0 or self.test_start is not None

    @property
    def by_time(self) -> bool:
        """Whether a part begins at a time, which series may begin after, or end before."""
        return self.val_start is not None or self.test_start is not None

    def parts(self, index: int, series: Series, stage: Stage) -> list[Part]:
        """Return the rows of a series that a stage's targets come from, rising.

        Nothing that trains reaches back into a block, with its context or its lags either: to the
        fit the rows of a block are not there. Contexts of validation and test reach back over all.
        """
        rows = len(series)
        test = rows - _share(rows, self.test)
        if self.test_start is not None:
            test = _first_row(series, self.test_start, "test_start")
        if stage == "test":
            return [Part(index, series.name, test, rows)]
        if self.val_start is not None:
            validation = _first_row(series, self.val_start, "val_start")
            if validation > test:
                raise InputError(
                    f"series {series.name!r}: val_start {self.val_start} lies in the rows for "
                    f"test, which begin in row {test}; give an earlier one"
                )
            edges = (0, validation) if stage == "train" else (validation, test)
            return [Part(index, series.name, *edges)]
        kept, found, begin = _share(rows, self.validation), [], 0
        for block in range(1, self.blocks + 1):
            end = test * block // self.blocks
            first = end - (kept * block // self.blocks - kept * (block - 1) // self.blocks)
            found.append(
                Part(index, series.name, begin, first, begin)
                if stage == "train"
                else Part(index, series.name, first, end)
            )
            begin = end
        return found

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


class Stages:
    """Which files, series and rows each stage uses.

    Args:
        files: what is given to each argument that takes files; None where nothing is. A frame is
            taken out, for no checkpoint is to hold it.
        split: what is kept for validation and test.
        reader: reads files.
        missing_at_predict: what files may lack at predict.
        lag: rows at the start of each stretch that no window may use.

    Attributes:
        held_out: names of the series kept for validation and test, by stage; None before a fit,
            and where each series' rows are split.
        rest: share of each series' rows, at its end, that test leaves out.
        revise: makes other series of those to predict; None for themselves.
        is_fitted: whether it is known which series are kept.
    """

    def __init__(
        self,
        files: MutableMapping[str, Any],
        split: Split,
        reader: Reader,
        missing_at_predict: Missing,
        lag: int,
    ) -> None:
        self.files = files
        self.split = split
        self.reader = reader
        self.missing_at_predict = missing_at_predict
        self.lag = lag
        self.held_out: dict[str, list[str]] | None = None
        self.is_fitted = False
        self.rest = 0.0
        self.revise: Callable[[list[Series]], list[Series]] | None = None
        # series to predict, and what was made of them
        self._revised: tuple[list[Series], list[Series]] = [], []
        self._frames = {name: as_frame(frame, name) for name, frame in files.items()
                        if is_frame(frame)}  # fmt: skip
        files.update(dict.fromkeys(self._frames, "frame"))
        # of a stage, the series that were read and those of them that it has
        self._chosen: dict[Stage, tuple[list[Series], list[Series]]] = {}

    def give(self, argument: str, frame: pd.DataFrame) -> None:
        """Take a frame for the files of an argument, before they are read."""
        self._frames[argument] = frame

    @property
    def has_validation(self) -> bool:
        """Whether there is data to validate on."""
        return self.files["val_df_paths"] is not None or self.split.keeps("validation")

    @property
    def by_series(self) -> bool:
        """Whether whole series are kept for validation and test."""
        return self.split.of == "series"

    def draw(self, seed: int) -> None:
        """Choose the series to keep for validation and test."""
        held_out = None
        if self.by_series:
            names = [series.name for series in self.read(OWN_PATHS["train"])]
            held_out = self.split.hold_out(names, seed)
        self.hold_out(held_out)

    def hold_out(self, held_out: dict[str, list[str]] | None) -> None:
        """Take over which series are kept for validation and test, see `held_out`."""
        self.held_out, self.is_fitted = held_out, True
        self._chosen.clear()

    def argument(self, stage: Stage) -> str:
        """Return the argument that names the files of a stage, or those it has a share of.

        Raises:
            InputError: there are none.
        """
        if not self.is_split(stage):
            return OWN_PATHS[stage]
        if stage != "train" and not self.split.keeps(stage):
            share, start, *_ = SHARES[stage]
            raise InputError(f"no {stage} data: give {OWN_PATHS[stage]}, {share} or {start}")
        if self.files[OWN_PATHS["train"]] is None:
            raise InputError(f"no {stage} data: give {OWN_PATHS[stage]}")
        return OWN_PATHS["train"]

    def series(self, stage: Stage) -> list[Series]:
        """Return the series of a stage."""
        series = self.read(self.argument(stage))
        if not self.is_split(stage):
            return series
        if self.is_fitted and self.by_series != (self.held_out is not None):
            raise InputError(
                f"split_by is {self.split.of}, but the checkpoint was trained with "
                f"{'time' if self.by_series else 'series'}; leave it as it was"
            )
        if not self.by_series:
            return series
        if stage not in self._chosen or self._chosen[stage][0] is not series:
            self._chosen[stage] = series, self._held(series, stage)
        return self._chosen[stage][1]

    def parts(self, stage: Stage) -> list[Part]:
        """Return the rows that a stage's targets come from, by stretches of the series."""
        series = self.series(stage)
        return [
            stretch for part in self.sections(stage)
            for stretch in self.stretches(part, series[part.series])
        ]  # fmt: skip

    def sections(self, stage: Stage) -> list[Part]:
        """Return the rows that a stage's targets come from, by series, over gaps."""
        series = self.series(stage)
        if not self.is_split(stage) or self.by_series:
            return [Part(index, one.name, 0, len(one)) for index, one in enumerate(series)]
        sections = [
            part for index, one in enumerate(series)
            for part in self.split.parts(index, one, stage)
        ]  # fmt: skip
        if self.split.by_time:
            return _with_rows(sections, stage)
        if stage == "test" and self.rest:
            after = Split(test=self.rest)
            return [
                replace(part, end=after.parts(part.series, one, "test")[0].first_target)
                for part, one in zip(sections, series, strict=True)
            ]
        return sections

    def whole(self, index: int, series: Series) -> list[Part]:
        """Return the stretches of a whole series."""
        return self.stretches(Part(index, series.name, 0, len(series)), series)

    def stretches(self, part: Part, series: Series) -> list[Part]:
        """Return what a part has of each stretch of its series; itself where it has no row."""
        found = [
            Part(
                part.series,
                part.name,
                max(part.first_target, first),
                min(part.end, end),
                max(part.begin, first) + self.lag,
            )
            for first, end in series.stretches
            if first < part.end and end > part.first_target
        ]
        return found or [part]

    def is_split(self, stage: Stage) -> bool:
        """Whether the data of a stage is a share of the training files."""
        return stage == "train" or self.files[OWN_PATHS[stage]] is None

    def read(self, argument: str) -> list[Series]:
        """Return the series in the files of an argument; those to predict by name.

        Raises:
            InputError: none are given, or what is in them cannot be used.
        """
        spec = self._spec(argument)
        if spec is None:
            raise InputError(f"no data: give {argument}")
        if argument != PREDICT_PATHS:
            return self.reader.read(argument, spec, "nothing")
        missing, future = self.missing_at_predict, self._spec(FUTURE_PATHS)
        series = self.reader.read(argument, spec, missing, future)
        if self.revise is None:
            return series
        if self._revised[0] is not series:
            self._revised = series, self.revise(series)
            self.reader.keep_nothing(argument)  # of what is made of other rows than those read
        return self._revised[1]

    def ids(self, argument: str) -> pd.DataFrame:
        """Return the id columns of the series of an argument, a row for each, by its name."""
        spec = self._spec(argument)
        assert spec is not None
        return self.reader.ids(argument, spec)

    def shared_files(self, stage: Stage) -> list[Path]:
        """Return the files of a stage that are trained on, too."""
        argument, train = OWN_PATHS[stage], OWN_PATHS["train"]
        own, other = self._spec(argument), self._spec(train)
        if any(one is None or isinstance(one, pd.DataFrame) for one in (own, other)):
            return []
        try:
            return shared_files(own, argument, other, train)
        except InputError:  # a fit reads no files of test: they may come later
            return []

    def future_frame(self, steps: int) -> pd.DataFrame:
        """Return the rows that follow those to predict, up to so many steps after the targets."""
        spec = self._spec(PREDICT_PATHS)
        if spec is None:
            raise InputError(f"no data: give {PREDICT_PATHS}")
        return self.reader.future_frame(PREDICT_PATHS, spec, self.missing_at_predict, steps)

    def named(self, argument: str) -> str:
        """Return what the rows of an argument were given to, or as, for messages."""
        return named(argument, self._spec(argument))

    def _spec(self, argument: str) -> Any:
        """Return the files, or the frame, given to an argument; None without."""
        return self._frames.get(argument, self.files.get(argument))

    def _held(self, series: list[Series], stage: Stage) -> list[Series]:
        """Return the series that the split gave to a stage.

        Raises:
            InputError: the split gave it none, or they are not in the training files any more.
        """
        assert self.held_out is not None
        held = {name: kept for kept, names in self.held_out.items() for name in names}
        if stage == "train":
            return [one for one in series if one.name not in held]
        wanted = self.held_out[stage]
        lost = sorted(set(wanted) - {one.name for one in series})
        if lost or not wanted:
            found = f"{lost[0]!r} is not there" if lost else "it kept none"
            raise InputError(
                f"train_df_paths: expected the series that the fit kept for {stage}, but {found}; "
                f"give the files it was trained on, or {OWN_PATHS[stage]}"
            )
        return [one for one in series if held.get(one.name) == stage]


def _first_row(series: Series, start: str, option: str) -> int:
    """Return the first row of a series at or after a time, or of a number."""
    if series.time is not None:
        return first_row_at(start, series.time, option)
    if not start.isdecimal():
        raise InputError(
            f"{option} {start!r:.40}: expected a row number; without a time_column rows have no "
            "time"
        )
    return min(int(start), len(series))


def _with_rows(sections: list[Part], stage: Stage) -> list[Part]:
    """Return the sections that have a row: a series may end before a time, or begin after it."""
    found = [part for part in sections if part.first_target < part.end]
    if not found:
        raise InputError(
            f"no series has a row for {stage}, as val_start and test_start cut them; give another "
            "time, or more rows"
        )
    return found


def _share(rows: int, fraction: float) -> int:
    """Return whole rows or series, rounded down."""
    # 0.29 of 100 are 29, whatever binary makes of it
    return int(rows * fraction + 1e-9)
