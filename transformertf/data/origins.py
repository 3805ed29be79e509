"""Where forecasts start at predict: from what the user asked for to windows."""

from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import pandas as pd

from transformertf.data.frames import Series
from transformertf.data.windows import Part, Run, WindowLimits, sliding
from transformertf.errors import InputError, TooShortError

Kind = Literal["auto", "last", "all", "every", "at"]


@dataclass(frozen=True)
class Origin:
    """A parsed request for origins.

    Attributes:
        kind: auto, last, all, every (n rows) or at (a time or row).
        step: rows between origins, for "every".
        at: time stamp or row, for "at".
    """

    kind: Kind
    step: int = 1
    at: str = ""

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Parse `auto`, `last`, `all`, `every:N` or a time stamp or row number.

        Raises:
            InputError: N is not a whole number above 0.
        """
        if text in ("auto", "last", "all"):
            return cls(cast(Kind, text))
        if text.startswith("every:"):
            step = text.removeprefix("every:")
            if not step.isdecimal() or int(step) < 1:
                raise InputError(f"origin every:N wants a whole number above 0, found {step!r}")
            return cls("every", step=int(step))
        return cls("at", at=text)

    def choose(self, stretches: list[Part], series: Series, limits: WindowLimits) -> list[Part]:
        """Return those of the stretches of a series in which forecasts start."""
        row = self._single_row(series, limits)
        if row is None:
            return [part for part in stretches if part.begin < series.observed]
        return [next(part for part in stretches if row < part.end)]

    def windows(self, part: Part, series: Series, limits: WindowLimits) -> Run:
        """Return the windows of a stretch to forecast.

        Args:
            part: the stretch.
            series: its series.
            limits: lengths of the windows.

        Raises:
            TooShortError: the stretch has too few rows before the origin, or ends with it.
            InputError: no forecast is possible there.
        """
        row = self._single_row(series, limits)
        if row is not None:
            return self._single(part, series, limits, row)
        step = {"auto": limits.horizon, "every": self.step, "all": 1}[self.kind]
        run = sliding(part, limits, step)
        # contexts end where the target is known; horizons may go on
        known = (series.observed - 1 - run.origin) // run.step + 1
        if known < 1:
            return self._single(part, series, limits, series.observed - 1)
        return replace(run, count=min(run.count, known))

    def _single_row(self, series: Series, limits: WindowLimits) -> int | None:
        """Return the row of the one origin; None where there may be several."""
        if self.kind == "at":
            return self._row(series)
        if self.kind == "auto" and series.observed < len(series):
            return series.observed - 1
        if self.kind == "last":
            latest = [
                (first, min(series.observed, end - limits.horizon) - 1)
                for first, end in series.stretches
            ]
            # without a whole horizon anywhere the message is of the series' end
            return max((row for first, row in latest if row >= first), default=latest[-1][1])
        return None

    def _single(self, part: Part, series: Series, limits: WindowLimits, origin: int) -> Run:
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
        if context < limits.min_context:
            since = f" from row {part.begin} on" if part.begin else ""
            raise TooShortError(
                f"series {part.name!r}: {max(context, 0)} rows of context up to the origin{since}, "
                f"expected at least {limits.min_context}; lower min_ctxt_seq_len, or leave the "
                "series out"
            )
        return Run(part.series, origin, 1, 1, context, horizon)

    def _row(self, series: Series) -> int:
        """Return the last row at or before the asked time."""
        try:
            if series.time is None:
                row = int(self.at)
            elif isinstance(series.time, pd.DatetimeIndex):
                stamp = pd.Timestamp(self.at)
                if series.time.tz is not None and stamp.tz is None:
                    stamp = stamp.tz_localize(series.time.tz)
                row = int(series.time.searchsorted(stamp, side="right")) - 1
            else:
                stamps = series.time.to_numpy()
                row = int(np.searchsorted(stamps, float(self.at), side="right")) - 1
        except (ValueError, TypeError) as error:
            kind = "row number" if series.time is None else "time stamp"
            raise InputError(
                f"origin {self.at!r} is neither auto, last, all, every:N nor a {kind}"
            ) from error
        if not 0 <= row < series.observed:
            last = series.observed - 1
            first_place = 0 if series.time is None else series.time[0]
            last_place = last if series.time is None else series.time[last]
            raise InputError(
                f"series {series.name!r}: origin {self.at} lies outside {first_place} to "
                f"{last_place}, where the target is known"
            )
        return row
