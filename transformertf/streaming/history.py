"""The last rows of a session, as many as what comes after them needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from transformertf.data import Codes, Series
from transformertf.data.reading import STEP_ROWS, as_index
from transformertf.data.scaling import Scaling
from transformertf.errors import InputError


@dataclass(frozen=True)
class History:
    """The last rows of a session.

    Attributes:
        series: the rows, in original units.
        first: row of the session, counted from 0, that is the first of them.
        begin: (1,) time stamp of the row at which the session's context begins; None without a
            time column, and before there is such a row.
        earlier: time stamps of rows before them, which tell the step; None without any.
    """

    series: Series
    first: int = 0
    begin: pd.Index | None = None
    earlier: pd.Index | None = None

    @property
    def end(self) -> int:
        """Row of the session that comes next."""
        return self.first + len(self.series)

    @property
    def time(self) -> pd.Index | None:
        """Time stamps of the last rows, as many as tell the step; None without a time column."""
        time = self.series.time
        if time is None or self.earlier is None:
            return time
        return self.earlier.append(time)[-STEP_ROWS:]

    def append(self, new: Series, lag: int) -> "History":
        """Return the history with new rows.

        Args:
            new: later rows.
            lag: row of the session at which its context begins.

        Raises:
            InputError: their time stamps are of another kind, or not later.
        """
        return replace(self, series=join(self.series, new, "rows"))._begun(lag)

    def trim(self, rows: int, scaling: Scaling) -> "History":
        """Return the last rows.

        The first of those is there for the one after it: differences are taken to it, and missing
        values take its. So it has the values that its own missing ones were filled in with.
        """
        cut, series = len(self.series) - rows, self.series
        while cut > 0 and not scaling.may_begin(series, cut):
            cut -= 1
        if cut <= 0:
            return self
        rows = len(series) - cut
        values = series.values[cut:]
        if scaling.columns.indicators and np.isnan(values[0]).any():
            values = values.copy()
            values[0] = [scaling.original(series, name)[cut] for name in scaling.columns.values]
        kept = replace(
            series,
            values=values,
            time=None if series.time is None else series.time[cut:],
            observed=rows,
            categories=tuple(replace(one, codes=one.codes[cut:]) for one in series.categories),
        )
        time = self.time
        earlier = None if time is None else time[:-rows]
        return replace(self, series=kept, first=self.first + cut, earlier=earlier)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows as tensors and primitives."""
        series, time = self.series, self.series.time
        return {
            "name": series.name,
            "first": self.first,
            "values": torch.from_numpy(series.values.copy()),
            "codes": [torch.from_numpy(one.codes.copy()) for one in series.categories],
            "static": torch.from_numpy(series.static.copy()),
            "static_texts": list(series.static_texts),
            "time_type": None if time is None else str(time.dtype),
            "time": _stamps(time),
            "begin": _stamps(self.begin),
            "begin_type": None if self.begin is None else str(self.begin.dtype),
            "earlier": _stamps(self.earlier),
        }

    @classmethod
    def of_state(cls, state: dict[str, Any], texts: Sequence[Sequence[str]]) -> "History":
        """Return the history of a state; `texts` are those that the codes of categories count."""
        values = state["values"].numpy().copy()
        codes = [one.numpy().copy() for one in state["codes"]]
        series = Series(
            state["name"],
            values,
            _index(state["time"], state["time_type"]),
            len(values),
            tuple(Codes(one, own) for one, own in zip(codes, texts, strict=True)),
            state["static"].numpy().copy(),
            tuple(state["static_texts"]),
        )
        begin = _index(state["begin"], state["begin_type"])
        earlier = _index(state["earlier"], state["time_type"])
        return cls(series, state["first"], begin, earlier)

    @classmethod
    def starting(cls, series: Series, lag: int) -> "History":
        """Return the history of a session's first rows; see `append`."""
        return cls(series)._begun(lag)

    def _begun(self, lag: int) -> "History":
        """Return it with the time stamp of the row at which the context begins, if it is here."""
        time = self.series.time
        if time is None or self.begin is not None or self.end <= lag:
            return self
        return replace(self, begin=time[lag - self.first :][:1])


def join(head: Series, tail: Series, where: str) -> Series:
    """Return rows of a series with later rows behind them.

    Args:
        head: rows.
        tail: the later rows, whose categories have the same texts.
        where: what the later rows were given to, for messages.

    Raises:
        InputError: time stamps of the later rows are of another kind, or not later.
    """
    time = head.time
    if time is not None:
        assert tail.time is not None
        later = _in_zone(tail.time, time)
        newest = time[-1:]
        time = time.append(later)
        if time.dtype == np.dtype(object):
            raise InputError(
                f"{where}: time stamps are {later.dtype}, before they were {newest.dtype}; give "
                "all of them one kind, and a time zone to all or none"
            )
        if not later[0] > newest[0]:
            raise InputError(
                f"{where}: time does not rise: row 0 (counted from 0) has {later[0]} after the "
                f"newest row's {newest[0]}; give only later rows, each once"
            )
    categories = tuple(
        Codes(np.concatenate([one.codes, other.codes]), one.texts)
        for one, other in zip(head.categories, tail.categories, strict=True)
    )
    values = np.concatenate([head.values, tail.values])
    return replace(head, values=values, time=time, observed=len(values), categories=categories)


def _in_zone(time: pd.Index, other: pd.Index) -> pd.Index:
    """Return dates in the zone of others, where both have one."""
    zones = [getattr(index, "tz", None) for index in (time, other)]
    if None in zones or zones[0] == zones[1]:
        return time
    assert isinstance(time, pd.DatetimeIndex)
    return time.tz_convert(zones[1])


def _stamps(time: pd.Index | None) -> torch.Tensor | None:
    """Return time stamps as numbers."""
    if time is None:
        return None
    stamps = time.asi8 if isinstance(time, pd.DatetimeIndex) else time.to_numpy()
    return torch.from_numpy(stamps.copy())


def _index(stamps: torch.Tensor | None, kind: str | None) -> pd.Index | None:
    """Return the time stamps of a type that numbers stand for."""
    if stamps is None or kind is None:
        return None
    return as_index(stamps.numpy().copy(), pd.api.types.pandas_dtype(kind))
