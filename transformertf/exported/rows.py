"""Rows as users have them to series: columns found, checked and told apart by their ids."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from transformertf.errors import InputError, nearest
from transformertf.exported.session import Array

# of a series without an id, as frames have it
NAME = "data"


class Series(NamedTuple):
    """One series of R rows.

    Attributes:
        name: in forecasts.
        rows: (R,) places of its rows in the table.
        values: (R, V) float64 real columns: known ones, past ones, the target.
        time: (R,) float64 since its first row, in seconds of dates; None without.
        codes: (R, C) int64 categories, known ones first.
        static: (S,) float64.
        static_codes: (Cs,) int64.
        statistics: row of its own statistics; 0 for those of all series.
        observed: rows up to the last known target.
    """

    name: str
    rows: Array
    values: Array
    time: Array | None
    codes: Array
    static: Array
    static_codes: Array
    statistics: int
    observed: int


class Table:
    """Rows in columns: a mapping of names to arrays, an Arrow table, or a frame.

    Args:
        rows: as the user gives them.
        card: what the file says of its forecaster.

    Raises:
        InputError: a column lacks, or is longer than another.
    """

    def __init__(self, rows: Any, card: Mapping[str, Any]) -> None:
        self.rows, self.card = rows, card
        self.roles = card["columns"]
        self._names = [str(name) for name in getattr(rows, "column_names", rows)]
        self.length = len(self.column(self.roles["target"]))

    def column(self, name: str) -> Array:
        """Return a column (R,).

        Raises:
            InputError: there is none.
        """
        if name not in self._names:
            raise InputError(f"rows: no column {name!r}; {nearest(name, self._names)}")
        return np.asarray(self.rows[name])

    def numbers(self, name: str) -> Array:
        """Return a real column (R,) in float64.

        Raises:
            InputError: it holds something else.
        """
        try:
            found = self.column(name).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"rows: column {name!r} holds no numbers ({error})") from None
        if found.shape != (self.length,):
            raise InputError(f"rows: column {name!r} has shape {found.shape}, not {self.length}")
        return found

    def time(self) -> Array | None:
        """Return the time stamps (R,), dates in UTC; None without a time column.

        Raises:
            InputError: they are of another kind than in training.
        """
        name = self.roles["time"]
        if name is None:
            return None
        if self.card["time_kind"] == "number":
            return self.numbers(name)
        self.column(name)
        try:
            return np.asarray(self.rows[name], dtype="datetime64[ns]")
        except (TypeError, ValueError) as error:
            raise InputError(
                f"rows: column {name!r} holds no dates, as it did in training ({error}); give "
                "datetime64"
            ) from None

    def codes(self, name: str) -> Array:
        """Return a category (R,) as numbers, 0 for what training did not have."""
        numbers = {text: code for code, text in enumerate(self.card["vocabularies"][name], 1)}
        return np.array([numbers.get(_text(value), 0) for value in self.column(name).tolist()])

    def series(self) -> list[Series]:
        """Return the series, sorted by name.

        Raises:
            InputError: values are missing, or time falls.
        """
        values = np.stack([self.numbers(name) for name in self.roles["values"]], axis=1)
        names = [*self.roles["known_categories"], *self.roles["past_categories"]]
        codes = np.empty((self.length, len(names)), dtype=np.int64)
        for place, name in enumerate(names):
            codes[:, place] = self.codes(name)
        static = [self.numbers(name) for name in self.roles["static"]]
        static_codes = [self.codes(name) for name in self.roles["static_categories"]]
        time, found = self.time(), []
        for name, rows in self._groups():
            known = np.flatnonzero(~np.isnan(values[rows, -1]))
            one = Series(
                name,
                rows,
                values[rows],
                None if time is None else _elapsed(time[rows]),
                codes[rows],
                np.array([column[rows[0]] for column in static], dtype=np.float64),
                np.array([column[rows[0]] for column in static_codes], dtype=np.int64),
                self.card["series"].get(name, 0),
                int(known[-1]) + 1 if len(known) else 0,
            )
            self._check(one)
            found.append(one)
        return found

    def _groups(self) -> Iterator[tuple[str, Array]]:
        """Yield the name of each series, sorted, and the places of its rows."""
        ids = self.roles["ids"]
        if not ids:
            yield NAME, np.arange(self.length)
            return
        texts = [[_text(value) for value in self.column(name).tolist()] for name in ids]
        places: dict[str, list[int]] = {}
        for row, own in enumerate(zip(*texts, strict=True)):
            places.setdefault("/".join(own), []).append(row)
        for name in sorted(places):
            yield name, np.array(places[name])

    def _check(self, series: Series) -> None:
        """Refuse what lacks in rows of which it has to be known, and time that does not rise."""
        known = len(self.roles["known"])
        for place, name in enumerate(self.roles["values"]):
            rows = len(series.values) if place < known else series.observed
            bad = np.flatnonzero(~np.isfinite(series.values[:rows, place]))
            if len(bad):
                raise InputError(
                    f"rows: series {series.name!r}: column {name!r} has {len(bad)} missing or "
                    f"infinite values, first in row {bad[0]} (counted from 0); fill or cut them"
                )
        if not series.observed:
            raise InputError(f"rows: series {series.name!r} has no target at all")
        if series.time is not None and not (np.diff(series.time) > 0).all():
            row = int((np.diff(series.time) > 0).argmin()) + 1
            raise InputError(
                f"rows: series {series.name!r}: time does not rise in row {row} (counted from 0); "
                "sort the rows, and leave those out that come twice"
            )


def _elapsed(time: Array) -> Array:
    since: Array = time - time[0]
    return since / np.timedelta64(1, "s") if time.dtype.kind == "M" else since


def _text(value: Any) -> str:
    """Return a name as training read it: whole numbers beside a missing one are floats."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
