"""Where forecasts start, at predict and to evaluate: from what the user asked for to windows."""

import datetime
import numbers
import re
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import pandas as pd

from transformertf.data.reading import row_at
from transformertf.data.series import Series
from transformertf.data.windows.clock import EVERY, Clock
from transformertf.data.windows.windows import Part, Run, WindowLimits, sliding
from transformertf.errors import LARGEST, InputError, TooShortError

Kind = Literal["auto", "last", "all", "end", "every", "clock", "at"]
# what users may give for where forecasts start
OriginLike = str | int | float | datetime.date | np.datetime64 | None
_ROW = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def origin_text(given: OriginLike) -> str:
    """Return a request for origins as the command line has it: None as "auto", times to the digit.

    Raises:
        InputError: it is of another kind, or no time.
    """
    if given is None:
        return "auto"
    if isinstance(given, str):
        return given
    if isinstance(given, datetime.date | np.datetime64) and not pd.isna(given):
        return pd.Timestamp(given).isoformat()
    if not isinstance(given, numbers.Real) or isinstance(given, bool) or not np.isfinite(given):
        raise InputError(
            "origin: expected auto, last, all, every:N, daily@HH:MM, end, a time or a row number, "
            f"found {given!r:.60} ({type(given).__name__})"
        )
    return str(int(given)) if given == int(given) else str(given)


@dataclass(frozen=True)
class Origin:
    """A parsed request for origins.

    Attributes:
        kind: auto, last, all, end, every (n rows), clock (times of the calendar) or at (a time or
            row).
        step: rows between origins, for "every".
        at: time stamp or row, for "at".
        clock: the times, for "clock".
    """

    kind: Kind
    step: int = 1
    at: str = ""
    clock: Clock | None = None

    @classmethod
    def parse(cls, given: OriginLike) -> "Origin":
        """Parse `auto`, `last`, `all`, `end`, `every:N`, a time stamp or row number.

        And times of the calendar, see `Clock`.

        Raises:
            InputError: N is not a whole number above 0, or more than rows can be; see also
                `origin_text` and `Clock.parse`.
        """
        text = origin_text(given)
        if text in ("auto", "last", "all", "end"):
            return cls(cast(Kind, text))
        if (clock := Clock.parse(text)) is not None:
            return cls("clock", clock=clock)
        if text.startswith("every:"):
            step = text.removeprefix("every:")
            fits = step.isdecimal() and len(step) <= len(str(LARGEST))
            if not fits or not 0 < int(step) <= LARGEST:
                raise InputError(EVERY.format(step))
            return cls("every", step=int(step))
        return cls("at", at=text)

    def choose(self, stretches: list[Part], series: Series, limits: WindowLimits) -> list[Part]:
        """Return those of the stretches of a series in which forecasts start."""
        row = self._single_row(series, limits)
        if row is None:
            return [part for part in stretches if part.first_target < series.observed]
        return [next(part for part in stretches if row < part.end)]

    def windows(self, part: Part, series: Series, limits: WindowLimits) -> list[Run]:
        """Return the windows of a stretch to forecast.

        They are as long as in training where the stretch has room for that. If not, one forecast
        from a shorter context, of a row or more, is better than none: models are exact on padding.

        Args:
            part: the stretch.
            series: its series.
            limits: lengths of the windows.

        Raises:
            TooShortError: the stretch has no row before the origin, or ends with it.
            InputError: no forecast is possible there.
        """
        row = self._single_row(series, limits)
        if row is not None:
            return [self._single(part, series, limits, row)]
        try:
            run = sliding(part, limits, self._stride(limits))
        except TooShortError:
            # the context that the shortest horizon leaves
            run = sliding(part, replace(limits, min_context=1, horizon=limits.min_horizon), 1)
        # contexts end where the target is known; horizons may go on
        known = (series.observed - 1 - run.origin) // run.step + 1
        if known < 1:
            return self._at_clock(self._single(part, series, limits, series.observed - 1), series)
        return self._at_clock(replace(run, count=min(run.count, known)), series)

    def choose_known(self, parts: list[Part], series: Series, limits: WindowLimits) -> list[Part]:
        """Return those of the parts of a series in which to forecast known targets.

        Args:
            parts: rows of the series that targets may be of, by stretches.
            series: the series.
            limits: lengths of the windows.

        Raises:
            InputError: the horizon after the asked time does not lie in any of them.
        """
        if self.kind == "end":
            raise InputError(
                "origin end: nothing is known there to compare forecasts with; give last, for the "
                "latest forecasts that can be compared"
            )
        known = [replace(part, end=min(part.end, series.observed)) for part in parts]
        # what lies behind the last known target is too short only where there is nothing else
        known = [part for part in known if part.first_target < part.end] or known[:1]
        if self.kind == "last":
            whole = [
                part for part in known
                if part.end - limits.horizon
                >= max(part.first_target, part.begin + limits.min_context)
            ]  # fmt: skip
            return (whole or known)[-1:]
        if self.kind != "at":
            return known
        first = self._row(series) + 1
        end = first + limits.horizon
        for part in known:
            if part.first_target <= first and end <= part.end:
                return [part]
        raise InputError(
            f"series {series.name!r}: rows {first} to {end - 1}, the horizon after origin "
            f"{self.at}, are not all among rows {known[0].first_target} to {known[-1].end - 1}, or "
            "a gap lies between them; give another origin"
        )

    def known_windows(self, part: Part, series: Series, limits: WindowLimits) -> list[Run]:
        """Return the windows of a chosen part, all with known targets.

        Args:
            part: one that `choose_known` returns.
            series: its series.
            limits: lengths of the windows, which hold at the shortest, too.

        Raises:
            TooShortError: the part, or the context at the asked time, is too short.
        """
        if self.kind == "at":
            return [self._single(part, series, limits, self._row(series), limits.min_context)]
        run = sliding(part, limits, self._stride(limits))
        if self.kind == "last":
            return [replace(run, origin=run.origin + (run.count - 1) * run.step, count=1)]
        return self._at_clock(run, series)

    def _at_clock(self, run: Run, series: Series) -> list[Run]:
        """Return the windows of a run that start at the asked times, all where none are asked."""
        return [run] if self.clock is None else self.clock.origins(run, series)

    def _stride(self, limits: WindowLimits) -> int:
        """Return the rows between origins, where there may be several."""
        return {"auto": limits.horizon, "every": self.step}.get(self.kind, 1)

    def _single_row(self, series: Series, limits: WindowLimits) -> int | None:
        """Return the row of the one origin; None where there may be several."""
        if self.kind == "at":
            return self._row(series)
        if self.kind == "end" or (self.kind == "auto" and series.observed < len(series)):
            return series.observed - 1
        if self.kind == "last":
            latest = [
                (first, min(series.observed, end - limits.horizon) - 1)
                for first, end in series.stretches
            ]
            # without a whole horizon anywhere the message is of the series' end
            return max((row for first, row in latest if row >= first), default=latest[-1][1])
        return None

    def _single(
        self, part: Part, series: Series, limits: WindowLimits, origin: int, least: int = 1
    ) -> Run:
        context = min(limits.context, origin + 1 - part.begin)
        horizon = min(limits.horizon, part.end - 1 - origin)
        if horizon < 1 and part.end < len(series):
            raise TooShortError(
                f"series {part.name!r}: a gap longer than max_gap follows row {origin}, the "
                "origin; raise max_gap, or leave the series out"
            )
        if horizon < 1:
            raise InputError(
                f"series {part.name!r}: nothing to predict after row {origin}: append the rows "
                "of the horizon, with their known covariates and without a target"
            )
        if context < least:
            since = f" from row {part.begin} on" if part.begin else ""
            remedy = "lower min_ctxt_seq_len" if least > 1 else "give rows before it"
            raise TooShortError(
                f"series {part.name!r}: {max(context, 0)} rows of context up to the origin{since}, "
                f"expected at least {least}; {remedy}, or leave the series out"
            )
        return Run(part.series, origin, 1, 1, context, horizon)

    def _row(self, series: Series) -> int:
        """Return the last row at or before the asked time."""
        if series.time is not None:
            row = row_at(self.at, series.time)
        elif _ROW.fullmatch(self.at):
            row = int(self.at)
        else:
            raise InputError(
                f"origin {self.at!r} is neither auto, last, all, every:N, end nor a row number; "
                "without a time_column rows have no time"
            )
        if not 0 <= row < series.observed:
            last = series.observed - 1
            first_place = 0 if series.time is None else series.time[0]
            last_place = last if series.time is None else series.time[last]
            raise InputError(
                f"series {series.name!r}: origin {self.at} lies outside {first_place} to "
                f"{last_place}, where the target is known"
            )
        return row
