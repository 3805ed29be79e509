"""Which rows a model is trained on, and where they are found again in other data."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.arguments import Stage
from transformertf.data.reading import as_index
from transformertf.data.series import FloatArray, IntArray, Series
from transformertf.data.windows.stages import OWN_PATHS, Stages
from transformertf.data.windows.windows import Part, Run, Windows
from transformertf.errors import first_names

BoolArray = npt.NDArray[np.bool_]
# first row, and row after the last, of rows without a break; rising
Spans = Sequence[tuple[int, int]]
# rows of each series that are kept to know it again, and the most series that are kept
MARKS, MOST = 8, 20_000
_SEEN = "the model has seen their targets, so errors there are smaller than those of new rows"


def trained_spans(
    series: Sequence[Series], windows: Windows, parts: Iterable[Part], lag: int
) -> list[Spans]:
    """Return the rows of each series that are trained on, which all is fitted to.

    Of each part with training windows they reach from its start, whose rows may give lags, to
    the end of the last window. What is left out has none: series and stretches that are too short.

    Args:
        series: the series.
        windows: that are trained on.
        parts: which they are cut from.
        lag: rows at the start of each part that only give lags.
    """
    starts: list[list[int]] = [[] for _ in series]
    for part in parts:
        starts[part.series].append(part.begin - lag)
    spans: list[list[tuple[int, int]]] = [[] for _ in series]
    for run in windows.runs:
        own = starts[run.series]
        place = bisect_right(own, run.origin + 1 - run.context) - 1
        end = run.origin + 1 + (run.count - 1) * run.step + run.horizon
        spans[run.series].append((own[place], end))
    return [*spans]


@dataclass(frozen=True)
class TrainedRows:
    """A few training rows of each series: time stamps and targets, first and last row among them.

    Where ids tell series apart one is known again by its name and its time. A file or a frame has
    no name of its own, and rows without time stamps no place: these are known again by their
    targets. What lies between two sections of a series is not trained on: each section is as a
    series by itself.

    Attributes:
        names: of the series of the S sections.
        by_name: whether ids tell them apart.
        has_time: whether they have time stamps.
        stamps: (S * MARKS,) time stamps, or row numbers without these.
        targets: (S, MARKS), NaN where missing.
    """

    names: Sequence[str]
    by_name: bool
    has_time: bool
    stamps: pd.Index
    targets: FloatArray

    @classmethod
    def of(
        cls,
        series: Sequence[Series],
        spans: Sequence[Spans],
        sections: Iterable[Part],
        *,
        by_name: bool,
    ) -> Self | None:
        """Return those of the `spans` of series, see `trained_spans`; None of too many sections."""
        found = [
            (part, [span for span in spans[part.series] if part.first_target <= span[0] < part.end])
            for part in sections
        ]
        rows = [(series[part.series], _marks(own)) for part, own in found if own]
        if not rows or len(rows) > MOST:
            return None
        stamps = [pd.Index(row) if one.time is None else one.time[row] for one, row in rows]
        targets = np.stack([one.values[row, -1] for one, row in rows])
        names = [one.name for one, _ in rows]
        return cls(
            names, by_name, rows[0][0].time is not None, stamps[0].append(stamps[1:]), targets
        )

    def state_dict(self) -> dict[str, Any]:
        """Return them as primitives."""
        stamps = self.stamps
        numbers = stamps.asi8 if isinstance(stamps, pd.DatetimeIndex) else stamps.to_numpy()
        return {
            "names": list(self.names),
            "by_name": self.by_name,
            "has_time": self.has_time,
            "type": str(stamps.dtype),
            "stamps": numbers.tolist(),
            # a missing one is not equal to itself
            "targets": [None if math.isnan(one) else one for one in self.targets.ravel().tolist()],
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `state_dict` gave."""
        kind: Any = pd.api.types.pandas_dtype(state["type"])
        numbers = np.array(state["stamps"], dtype=np.int64 if kind.kind == "M" else kind)
        targets = np.array(state["targets"], dtype=np.float64).reshape(-1, MARKS)
        stamps = as_index(numbers, kind)
        return cls(state["names"], state["by_name"], state["has_time"], stamps, targets)

    def within(self, series: Series) -> list[tuple[int, int]]:
        """Return the training rows among those of a series: first, and row after the last, of each.

        Spans rise and do not overlap.
        """
        if self.has_time != (series.time is not None):
            return []
        own = pd.RangeIndex(len(series)) if series.time is None else series.time
        try:
            numbers = self._alike(series, own)
            marks = (MARKS * numbers[:, None] + np.arange(MARKS)).ravel()
            first, after = (rows.reshape(-1, MARKS) for rows in _rows(own, self.stamps[marks]))
        except TypeError:  # dates with a zone and without
            return []
        if not (self.by_name and self.has_time):
            same = self._same_targets(series, numbers, first, after > first)
            first, after = first[same], after[same]
        spans: list[tuple[int, int]] = []
        ends = zip(first[:, 0].tolist(), after[:, -1].tolist(), strict=True)
        for begin, end in sorted(ends):
            if spans and begin <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            elif end > begin:
                spans.append((begin, end))
        return spans

    def _alike(self, series: Series, own: pd.Index) -> IntArray:
        """Return which series another one may be: of its name, or with two marks of its targets.

        They are looked up, as there may be as many series as are kept.
        """
        if self.by_name:
            return np.array(self._by_name.get(series.name, []), dtype=np.int64)
        stamps, targets, keys, owners = self._by_mark
        if not len(targets):
            return owners
        row, after = _rows(own, stamps)
        there = np.flatnonzero(after > row)
        values = series.values[row[there], -1]
        place = np.searchsorted(targets[:-1], values)
        wanted = (there * len(targets) + place)[targets[place] == values]
        begin, end = (np.searchsorted(keys, wanted, side=side) for side in ("left", "right"))
        found = [owners[one:other] for one, other in zip(begin, end, strict=True)]
        numbers, count = np.unique(np.concatenate([owners[:0], *found]), return_counts=True)
        return numbers[count > 1]

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, name in enumerate(self.names):
            found.setdefault(name, []).append(number)
        return found

    @cached_property
    def _by_mark(self) -> tuple[pd.Index, FloatArray, IntArray, IntArray]:
        """Stamps and targets that there are, rising; and of marks both in one, with their series.

        The first of these two rises. A mark without a target tells nothing.
        """
        stamp, stamps = pd.factorize(self.stamps, sort=True)
        known = np.flatnonzero(~np.isnan(self.targets.ravel()))
        targets, target = np.unique(self.targets.ravel()[known], return_inverse=True)
        keys = stamp[known] * len(targets) + target
        order = np.argsort(keys, kind="stable")
        return stamps, targets, keys[order], known[order] // MARKS

    def _same_targets(
        self, series: Series, numbers: IntArray, row: IntArray, there: BoolArray
    ) -> BoolArray:
        """Return which series (n,) have the targets of another one at the marks it has, (n, MARKS).

        One alone may be alike by chance, and so may many that are one value, as 0.
        """
        targets, marks = np.append(series.values[:, -1], np.nan)[row], self.targets[numbers]
        both = there & ~np.isnan(targets) & ~np.isnan(marks)
        low, high = (np.where(both, marks, end) for end in (np.inf, -np.inf))
        same: BoolArray = (low.min(axis=1) < high.max(axis=1)) & (~both | (targets == marks)).all(1)
        return same


def seen_in_fit(stages: Stages, trained: TrainedRows | None) -> list[str]:
    """Return lines of what validation and test have of training; test files are not read for it."""
    lines = (
        _files_in_training(stages, "validation") or rows_in_training(stages, trained, "validation"),
        _files_in_training(stages, "test"),
    )
    return [line for line in lines if line is not None]


def _files_in_training(stages: Stages, stage: Stage) -> str | None:
    """Return a line where files of a stage are trained on; the stage is not read for it."""
    shared = [] if stages.is_split(stage) else stages.shared_files(stage)
    names = first_names([str(path) for path in shared])
    argument = OWN_PATHS[stage]
    return f"{argument}: {names} also trained on, among train_df_paths: {_SEEN}" if names else None


def rows_in_training(stages: Stages, trained: TrainedRows | None, stage: Stage) -> str | None:
    """Return a line where rows of a stage's files are trained on, as is found by time or values."""
    if trained is None or stages.is_split(stage):
        return None
    series, parts = stages.series(stage), stages.parts(stage)
    spans = [trained.within(one) for one in series]
    rows = sum(part.end - part.first_target for part in parts)
    seen = sum(
        max(0, min(part.end, end) - max(part.first_target, first))
        for part in parts
        for first, end in spans[part.series]
    )
    argument = OWN_PATHS[stage]
    return f"{argument}: {seen} of {rows} rows lie in training rows: {_SEEN}" if seen else None


def _marks(spans: Spans) -> IntArray:
    """Return rows of spans (MARKS,), evenly spread over them, from the first to the last."""
    first, end = np.array(spans, dtype=np.int64).T
    before = np.cumsum(end - first)
    place = np.linspace(0, before[-1] - 1, MARKS).astype(np.int64)
    span = np.searchsorted(before, place, side="right")
    marks: IntArray = end[span] - (before[span] - place)
    return marks


def _rows(time: pd.Index, stamps: pd.Index) -> tuple[IntArray, IntArray]:
    """Return of stamps (n,) the first row that has one, or a later one, and the one behind it."""
    first, after = (np.asarray(time.searchsorted(stamps, side=side)) for side in ("left", "right"))
    return first, after


def count_rows(run: Run, steps: int, end: int, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return how many rows the windows of a run forecast, and how many of them lie in spans.

    Args:
        run: the windows.
        steps: of each forecast.
        end: row after the last that may be forecast.
        spans: first, and row after the last, of each; none overlap.
    """
    first = run.origin + np.arange(1, steps + 1)

    def before(row: int) -> int:
        # of each step, how many windows have it before the row
        counts = -((first - min(row, end)) // run.step)
        return int(np.clip(counts, 0, run.count).sum())

    return before(end), sum(before(last) - before(begin) for begin, last in spans)
