"""Windows as index arithmetic: integers only, memory in proportion to the series.

A window has a context of `context` rows that ends at row `origin`, and a horizon of `horizon`
rows after it. Windows of one part of a series form a run: their origins are `step` rows apart.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt

from transformertf.errors import InputError

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WindowLimits:
    """How long context and horizon are, and how short they may be, in steps."""

    context: int
    horizon: int
    min_context: int
    min_horizon: int

    def __post_init__(self) -> None:
        """Refuse lengths that contradict each other."""
        for name, low, high in (
            ("ctxt_seq_len", self.min_context, self.context),
            ("tgt_seq_len", self.min_horizon, self.horizon),
        ):
            if not 1 <= low <= high:
                raise InputError(
                    f"{name} is {high} and min_{name} {low}: expected 1 <= min_{name} <= {name}"
                )


@dataclass(frozen=True)
class Part:
    """Rows of one series that a split may use.

    Attributes:
        series: index of the series.
        name: its name, for messages.
        first_target: targets start at this row or later; contexts may reach back beyond it.
        end: row after the last.
    """

    series: int
    name: str
    first_target: int
    end: int


@dataclass(frozen=True)
class Run:
    """Windows of one series whose origins are evenly spaced."""

    series: int
    origin: int
    step: int
    count: int
    context: int
    horizon: int


class Windows:
    """An indexed sequence of windows, made of runs.

    Args:
        runs: the runs, in the order of the windows.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = [run for run in runs if run.count > 0]
        self._table: IntArray = np.array(
            [astuple(run) for run in self.runs], dtype=np.int64
        ).reshape(-1, len(fields(Run)))
        self._ends: IntArray = np.cumsum(self._table[:, 3])

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._ends[-1]) if self.runs else 0

    def locate(self, index: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Return series, origin, context and horizon of windows, each (n,) int64."""
        run = np.searchsorted(self._ends, index, side="right")
        series, first, step, count, context, horizon = self._table[run].T
        within = index - (self._ends[run] - count)
        return series, first + within * step, context, horizon


def sliding(part: Part, limits: WindowLimits, stride: int) -> Run:
    """Return the windows of a part that slide by `stride` rows.

    A part with room for a whole context and horizon gives whole windows only. A shorter one
    gives a single window: its context shrinks first, then its horizon, down to the minima.

    Raises:
        InputError: the part is too short even for the minima.
    """
    context, horizon, min_context, min_horizon = (
        limits.context,
        limits.horizon,
        limits.min_context,
        limits.min_horizon,
    )
    first = max(part.first_target, context)
    room = part.end - first
    if room >= horizon:
        return Run(part.series, first - 1, stride, (room - horizon) // stride + 1, context, horizon)
    horizon = min(horizon, part.end - max(part.first_target, min_context))
    if horizon < min_horizon:
        rows = part.end if part.first_target == 0 else part.end - part.first_target
        raise InputError(
            f"series {part.name!r} is too short: {rows} rows"
            + ("" if part.first_target == 0 else " in this split")
            + f", expected at least {min_context} of context and {min_horizon} of horizon; "
            "lower ctxt_seq_len, tgt_seq_len, min_ctxt_seq_len or min_tgt_seq_len, or leave the "
            "series out"
        )
    origin = part.end - horizon - 1
    return Run(part.series, origin, 1, 1, min(context, origin + 1), horizon)
