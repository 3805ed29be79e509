"""Windows as index arithmetic: integers only, memory in proportion to the series.

A window has a context of `context` rows that ends at row `origin`, and a horizon of `horizon`
rows after it. A sequence is a window without context: its first row is `origin + 1`. Windows of
one part of a series form a run: their origins are `step` rows apart. Sequences may be pieces of a
longer one, which each of them goes on with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from transformertf.data.series import IntArray
from transformertf.errors import InputError, TooShortError, at_least_one


@dataclass(frozen=True)
class WindowLimits:
    """How long context and horizon are, and how short they may be, in steps.

    Attributes:
        context: full context.
        horizon: full horizon, or sequence.
        min_context: shortest context.
        min_horizon: shortest horizon, or sequence.
        names: what users call the full lengths; of sequences, which have no context, just one.
    """

    context: int
    horizon: int
    min_context: int
    min_horizon: int
    names: tuple[str, ...] = ("ctxt_seq_len", "tgt_seq_len")

    @classmethod
    def of_sequences(cls, steps: int, min_steps: int) -> "WindowLimits":
        """Return the limits of windows without context."""
        return cls(0, steps, 0, min_steps, ("seq_len",))

    def __post_init__(self) -> None:
        """Refuse lengths that contradict each other."""
        ends = (self.min_context, self.context), (self.min_horizon, self.horizon)
        for name, (low, high) in zip(self.names, ends[-len(self.names) :], strict=True):
            if not 1 <= low <= high:
                raise InputError(
                    f"{name} is {high} and min_{name} {low}: expected 1 <= min_{name} <= {name}"
                )
            at_least_one(**{name: high})


@dataclass(frozen=True)
class Part:
    """Rows of one series that a split may use.

    Attributes:
        series: index of the series.
        name: its name, for messages.
        first_target: targets start at this row or later; contexts may reach back beyond it.
        end: row after the last.
        begin: no window reaches back before this row, with its context or its targets.
    """

    series: int
    name: str
    first_target: int
    end: int
    begin: int = 0


class Ends:
    """The rows after parts of series, which forecasts that start in them do not pass.

    Args:
        parts: none of a series overlap.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        rows = sorted((part.series, part.first_target, part.end) for part in parts)
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        self._ends = table[:, 2]
        self._span = int(self._ends.max(initial=0)) + 1
        self._keys = table[:, 0] * self._span + table[:, 1]

    def __call__(self, series: IntArray, origin: IntArray) -> IntArray:
        """Return the row after the part of each first forecast row, all (n,)."""
        place = np.searchsorted(self._keys, series * self._span + origin + 1, side="right") - 1
        ends: IntArray = self._ends[place]
        return ends


@dataclass(frozen=True)
class Run:
    """Windows of one series whose origins are evenly spaced.

    Attributes:
        series: index of the series.
        origin: row of the last context step of the first window.
        step: rows between origins.
        count: windows.
        context: rows of each context.
        horizon: rows of each horizon, or sequence.
        since: row at which the sequence begins that the windows are pieces of; -1 where each begins
            by itself.
        counts: whether the windows are forecast; if not, they only lead in to those that are.
    """

    series: int
    origin: int
    step: int
    count: int
    context: int
    horizon: int
    since: int = -1
    counts: bool = True


# `dataclasses.astuple` copies each of them
_NUMBERS = attrgetter(*(field.name for field in fields(Run)))


class Windows:
    """An indexed sequence of windows, made of runs.

    Args:
        runs: the runs, in the order of the windows.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = [run for run in runs if run.count > 0]
        self._table: IntArray = np.array([*map(_NUMBERS, self.runs)], dtype=np.int64)
        self._table = self._table.reshape(-1, len(fields(Run)))
        self._ends: IntArray = np.cumsum(self._table[:, 3])

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._ends[-1]) if self.runs else 0

    @property
    def one_length(self) -> bool:
        """Whether all windows are as long as each other, in context and in horizon."""
        lengths = self._table[:, 4:6]
        return bool((lengths == lengths[:1]).all())

    @property
    def carried(self) -> bool:
        """Whether windows are pieces of sequences, each of which goes on with the one before."""
        return bool((self._table[:, 6] >= 0).any())

    @property
    def by_series(self) -> tuple[IntArray, IntArray, IntArray]:
        """First window, number of windows and of their rows, of each series (S,)."""
        series, count, horizon = self._table[:, [0, 3, 5]].T
        begins = np.flatnonzero(np.diff(series, prepend=-1))
        sums = [np.add.reduceat(each, begins) for each in (count, count * horizon)]
        return (self._ends - count)[begins], sums[0], sums[1]

    def locate(self, index: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Return series, origin, context and horizon of windows, each (n,) int64."""
        run = np.searchsorted(self._ends, index, side="right")
        series, first, step, count, context, horizon, *_ = self._table[run].T
        within = index - (self._ends[run] - count)
        return series, first + within * step, context, horizon

    def pieces(self, index: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Return of windows (n,) where their sequences begin, and which count; see `Run`."""
        since, counts = self._table[np.searchsorted(self._ends, index, side="right"), 6:].T
        return since, counts > 0

    def ends(self, index: IntArray) -> npt.NDArray[np.bool_]:
        """Return which windows (n,) are the last piece of their sequence; see `Run`."""
        run = np.searchsorted(self._ends, index, side="right")
        ends: npt.NDArray[np.bool_] = self._closes[run] & (index == self._ends[run] - 1)
        return ends

    @cached_property
    def _closes(self) -> npt.NDArray[np.bool_]:
        """(runs,) whether no further run is of the same sequence."""
        sequence = self._table[:, [0, 6]]
        return np.append((sequence[1:] != sequence[:-1]).any(axis=1), True)


def sliding(part: Part, limits: WindowLimits, stride: int) -> Run:
    """Return the windows of a part that slide by `stride` rows.

    A part with room for a whole context and horizon gives whole windows only. A shorter one
    gives a single window: its context shrinks first, then its horizon, down to the minima.

    Raises:
        TooShortError: the part is too short even for the minima.
    """
    context, horizon = limits.context, limits.horizon
    first = max(part.first_target, part.begin + context)
    room = part.end - first
    if room >= horizon:
        return Run(part.series, first - 1, stride, (room - horizon) // stride + 1, context, horizon)
    horizon = min(horizon, part.end - max(part.first_target, part.begin + limits.min_context))
    if horizon < limits.min_horizon:
        raise _too_short(part, limits)
    origin = part.end - horizon - 1
    return Run(part.series, origin, 1, 1, min(context, origin + 1 - part.begin), horizon)


def _too_short(part: Part, limits: WindowLimits) -> TooShortError:
    where = f", rows {part.begin} to {part.end - 1}," if part.begin else ""
    if part.begin >= part.end:
        where = f", whose first {part.begin} rows only give target_lags,"
    rows = max(0, part.end - max(part.first_target, part.begin))
    split = " in this split" if part.first_target > part.begin else ""
    least = f"{limits.min_context} of context and {limits.min_horizon} of horizon"
    *others, last = [*limits.names, *(f"min_{name}" for name in limits.names)]
    return TooShortError(
        f"series {part.name!r}{where} is too short: {rows} rows{split}, expected at least "
        f"{least if limits.context else limits.min_horizon}; lower {', '.join(others)} or {last}, "
        "or leave the series out"
    )


def consecutive(parts: Sequence[Part], horizon: int) -> list[Run]:
    """Return pieces of one sequence, of up to `horizon` rows, that hold each row of parts once.

    The sequence begins where the parts' stretch does: what lies before each of them leads in.

    Args:
        parts: of one stretch of a series, rising.
        horizon: rows of a piece.

    Raises:
        TooShortError: a part has no row.
    """
    runs, row = [], parts[0].begin
    for part in parts:
        first = _first_row(part)
        for begin, end, counts in ((row, first, False), (first, part.end, True)):
            count, rest = divmod(end - begin, horizon)
            whole = Run(part.series, begin - 1, horizon, count, 0, horizon, part.begin, counts)
            last = Run(part.series, end - rest - 1, 1, int(rest > 0), 0, rest, part.begin, counts)
            runs += [whole, last]
        row = part.end
    return runs


def whole_run(part: Part) -> Run:
    """Return one window that holds all rows of a part, for lanes to go along.

    Raises:
        TooShortError: the part has no row.
    """
    first = _first_row(part)
    return Run(part.series, first - 1, 1, 1, 0, part.end - first, part.begin)


def _first_row(part: Part) -> int:
    """Return the first row of a part that a sequence may have a target at."""
    first = max(part.first_target, part.begin)
    if first >= part.end:
        raise TooShortError(
            f"series {part.name!r} has no row in this split; give a larger share, or leave the "
            "series out"
        )
    return first
