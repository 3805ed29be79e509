"""A forecaster out of one file: rows in, the table of `transformertf predict` out."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from transformertf.errors import InputError, at_least_one
from transformertf.exported.rows import Series, Table
from transformertf.exported.session import Array, Session, Window, feed
from transformertf.exported.windows import Place, check_origin, go_on, places


def load(path: str | os.PathLike[str], threads: int = 1) -> "Exported":
    """Return the forecaster of a file that `transformertf export` wrote.

    Args:
        path: the file.
        threads: that a forecast may use; 0 for one on each core.

    Raises:
        InputError: there is no such file, or it is another one.
    """
    text = os.fspath(path)
    if not os.path.isfile(text):
        raise InputError(f"{text}: no such file")
    return Exported(Session(text, text, threads))


class Exported:
    """An exported forecaster.

    Args:
        session: its graph.

    Attributes:
        card: what the file says of it: columns, vocabularies, lengths, levels, the ranges of its
            training data, the checkpoint that it was made of, and how far it is from that.
    """

    def __init__(self, session: Session) -> None:
        self.card: dict[str, Any] = session.card
        self._session = session

    def predict(self, rows: Any, origin: str = "auto", batch_size: int = 64) -> Any:
        """Return forecasts, one row for each series, origin and step.

        Args:
            rows: columns by name: a mapping of arrays, an Arrow table or a frame. Rows to forecast
                come last in their series, and have no target.
            origin: see `places`.
            batch_size: windows that are forecast at once.

        Returns:
            Columns `series`, `origin`, `step` (from 1), `time`, `prediction`, `q<level>` for each
            quantile and `actual`, NaN where unknown, in the form of `rows`. `origin` and `time` are
            time stamps, or row numbers without a time column.

        Raises:
            InputError: the rows are not such as the forecaster was trained with.
        """
        at_least_one(batch_size=batch_size)
        check_origin(origin)
        table = Table(rows, self.card)
        series, limits = table.series(), self.card["limits"]
        if origin == "end":
            roles = self.card["columns"]
            series = [go_on(one, roles, limits["horizon"]) for one in series]
        found = [(one, place) for one in series for place in places(one, origin, limits)]
        parts = [
            self._forecast(found[first : first + batch_size])
            for first in range(0, len(found), batch_size)
        ]
        if not parts:
            raise InputError("rows: there are none")
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return _in_form_of(table, {**self._places(table, found), **self._shown(outputs, found)})

    def _forecast(self, found: Sequence[tuple[Series, Place]]) -> dict[str, Array]:
        """Return the outputs (rows, ...) of windows, step after step."""
        windows = [
            Window(
                one.values,
                one.time,
                one.codes,
                one.static,
                one.static_codes,
                one.statistics,
                place.origin + 1 - place.context,
                place.context,
                place.horizon,
            )
            for one, place in found
        ]
        outputs = self._session.run(feed(self.card, windows))
        horizons = np.array([one.horizon for one in windows])
        mask = np.arange(horizons.max()) < horizons[:, None]
        return {name: values[mask] for name, values in outputs.items()}

    def _places(self, table: Table, found: Sequence[tuple[Series, Place]]) -> dict[str, Any]:
        """Return the columns that say what is forecast."""
        steps = np.concatenate([np.arange(1, place.horizon + 1) for _, place in found])
        names = np.repeat(
            np.array([one.name for one, _ in found], dtype=object),
            [place.horizon for _, place in found],
        )
        origins = [np.full(place.horizon, place.origin) for _, place in found]
        columns = {"series": names, "origin": np.concatenate(origins), "step": steps}
        columns["time"] = columns["origin"] + steps
        if self.card["columns"]["time"] is not None:
            for name in ("origin", "time"):
                columns[name] = _stamps(table, [*_rows(columns[name], found)])
        return columns

    def _shown(
        self, outputs: dict[str, Array], found: Sequence[tuple[Series, Place]]
    ) -> dict[str, Array]:
        """Return the columns of forecasts, and of what came."""
        columns = {"prediction": outputs["prediction"]}
        for place, level in enumerate(self.card["levels"] or ()):
            columns[f"q{level:g}"] = outputs["quantiles"][:, place]
        actual = [
            one.values[place.origin + 1 : place.origin + 1 + place.horizon, -1]
            for one, place in found
        ]
        return {**columns, "actual": np.concatenate(actual)}


def _rows(rows: Array, found: Sequence[tuple[Series, Place]]) -> Iterator[Array]:
    """Yield, window by window, the places in the table of rows that are counted in series."""
    first = 0
    for one, place in found:
        yield one.rows[rows[first : first + place.horizon]]
        first += place.horizon


def _stamps(table: Table, rows: Sequence[Array]) -> Any:
    """Return the time stamps of rows of the table, with the time zone that a frame has them in."""
    given, place = table.rows[table.roles["time"]], np.concatenate(rows)
    if hasattr(given, "array"):
        return given.array.take(place)
    if hasattr(given, "take"):
        return given.take(place)
    return np.asarray(given)[place]


def _in_form_of(table: Table, columns: dict[str, Any]) -> Any:
    """Return columns as a mapping, or as the table or frame that the rows came in."""
    kind = type(table.rows)
    if hasattr(kind, "from_pydict"):
        return kind.from_pydict(columns)
    return kind(columns)
