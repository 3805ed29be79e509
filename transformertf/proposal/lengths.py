"""How long context and horizon are to be, and why."""

import math
from dataclasses import dataclass

from transformertf.data import A_WEEK
from transformertf.errors import InputError
from transformertf.proposal.rhythm import LONGEST, cycle, seasons, training_rows
from transformertf.proposal.series import Arranged

# context and horizon where no season is found
_PLAIN = (100, 50)
# steps of a context that a small recurrent network goes along in milliseconds
_LONGEST_CONTEXT = 400
# and those that a context should have at least
_FEW = 48


@dataclass(frozen=True)
class Lengths:
    """Context and horizon in steps, the season they hold, and why they are so long."""

    context: int
    horizon: int
    season: int
    why_context: str
    why_horizon: str


def find_lengths(
    arranged: Arranged, target: str, ahead: int, context: int | None, horizon: int | None
) -> Lengths:
    """Return context and horizon.

    Args:
        arranged: the rows.
        target: the target.
        ahead: rows behind the end of the target, 0 without.
        context: where it is given.
        horizon: likewise.

    Raises:
        InputError: the series are too short.
    """
    season, what = _season(arranged, target)
    rows = arranged.rows
    if horizon is None:
        horizon, why_horizon = _horizon(season, what, ahead, rows)
    else:
        why_horizon = "steps ahead, as given"
    if context is None:
        context, why_context = _context(season, what, arranged, rows, horizon)
    else:
        why_context = "steps of the past, as given"
    if rows < context + 2 * horizon:
        raise InputError(
            f"--data: a series has {rows} rows, too few for a context of {context} and a horizon "
            f"of {horizon} steps and something to validate on; give --context and --horizon, or "
            "longer series"
        )
    return Lengths(context, horizon, season or 1, why_context, why_horizon)


def _season(arranged: Arranged, target: str) -> tuple[int | None, str]:
    """Return the season of a horizon in steps, and what it is."""
    known = seasons(arranged)
    # one of a day is shown by more contexts than one of a week
    short = [(n, what) for n, what in known if n <= LONGEST and (what != A_WEEK or len(known) == 1)]
    if short:
        return short[-1]
    longest = min(LONGEST, arranged.rows // 8)
    found = cycle(training_rows(arranged, target), longest) if longest >= 8 else None
    return found, "the strongest cycle"


def _horizon(season: int | None, what: str, ahead: int, rows: int) -> tuple[int, str]:
    most = max(rows // 10, 1)
    if ahead:
        return ahead, "steps ahead: so far go the rows behind the end of the target"
    if season is None:
        return min(_PLAIN[1], most), "steps ahead: no season was found; change it as you need"
    return (season, f"steps ahead: {what}") if season <= most else (most, "a tenth of a series")


def _context(
    season: int | None, what: str, arranged: Arranged, rows: int, horizon: int
) -> tuple[int, str]:
    most = max((rows - 2 * horizon) // 3, 1)
    if season is None:
        steps, why = max(_PLAIN[0], 2 * horizon), "twice the horizon or more"
    else:
        times = max(2, math.ceil(_FEW / season))
        steps, why = times * season, f"{times} times {what}"
        # where it is not broken by gaps
        for long, name in seasons(arranged) if arranged.is_even else ():
            if steps <= long <= _LONGEST_CONTEXT:
                steps, why = long, name
    return (steps, f"steps of the past: {why}") if steps <= most else (most, "a third of a series")
