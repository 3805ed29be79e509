"""What is checked of a panel, and where in the files a row is from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.columns import Columns
from transformertf.data.reading.grouping import Grouping
from transformertf.data.reading.memory import PIECE, slices
from transformertf.data.reading.panel import Panel, Rules
from transformertf.data.reading.tables import Table
from transformertf.data.reading.times import Stamps, as_index
from transformertf.data.series import FloatArray, IntArray, sum_is_finite
from transformertf.errors import InputError


@dataclass(frozen=True)
class Sources:
    """Where the rows of a panel are from; looked up only for messages.

    Attributes:
        tables: the tables.
        grouping: how their rows were put in order.
        starts: (series + 1,) row at which each series begins.
        order: of each series that was sorted, which of its rows each one was.
    """

    tables: Sequence[Table]
    grouping: Grouping
    starts: IntArray
    order: dict[int, IntArray] = field(default_factory=dict)

    def series(self, row: int) -> int:
        """Return the series of a row of the panel."""
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def pieces(self, rows: IntArray) -> IntArray:
        """Return for rows of the panel which piece, of one series in one table, each is from."""
        pieces: IntArray = np.searchsorted(self.grouping.start, self.read_as(rows), "right") - 1
        return pieces

    def read_as(self, rows: IntArray) -> IntArray:
        """Return where rows of the panel were before their series were sorted."""
        read = rows.copy()
        series = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(series).tolist():
            if number in self.order:
                mine = series == number
                start = self.starts[number]
                read[mine] = start + self.order[number][rows[mine] - start]
        return read

    def locate(self, row: int) -> tuple[int, int]:
        """Return table and row in that table of a row of the panel."""
        rows = np.array([row])
        piece = int(self.pieces(rows)[0])
        table = int(self.grouping.table[piece])
        place = int(self.read_as(rows)[0] - self.grouping.start[piece])
        return table, self._row_in(table, self.series(row), place)

    def where(self, row: int) -> str:
        """Return file, and series where a file may have several, of a row of the panel."""
        table, _ = self.locate(row)
        told = f": series {self.grouping.names[self.series(row)]!r}" if self.grouping.ids else ""
        return f"{self.tables[table].where}{told}"

    def _row_in(self, number: int, series: int, place: int) -> int:
        """Return the row in a table of the n-th row of one of its series."""
        ids, begin = self.grouping.ids, 0
        if ids is None:
            return place
        table = self.tables[number]
        for frame in table.pieces(ids.ids):
            rows = np.flatnonzero(self.grouping.series_of(frame, number, table.where) == series)
            if place < len(rows):
                return begin + int(rows[place])
            place -= len(rows)
            begin += len(frame)
        raise AssertionError("the row was read from this table")


def check_time(
    panel: Panel, tables: Sequence[Table], grouping: Grouping, columns: Columns, *, sort: bool
) -> dict[int, IntArray]:
    """Refuse time that does not rise, or sort by it.

    Returns:
        Of each series that was sorted, which of its rows each one was.
    """
    order: dict[int, IntArray] = {}
    if panel.stamps is None:
        return order
    bad = _falls(panel.stamps, panel.starts)
    sources = Sources(tables, grouping, panel.starts, order)
    if bad.size and sort:
        for series in np.unique(np.searchsorted(panel.starts, bad, side="right") - 1).tolist():
            order[series] = _sort(panel, series)
        bad = _falls(panel.stamps, panel.starts)
    if bad.size:
        _refuse_fall(panel, sources, int(bad[0]), str(columns.time))
    _refuse_span(panel, sources, str(columns.time))
    return order


def _sort(panel: Panel, series: int) -> IntArray:
    """Sort the rows of a series by time, and return which row each one was."""
    assert panel.stamps is not None
    rows = slice(int(panel.starts[series]), int(panel.starts[series + 1]))
    order: IntArray = np.argsort(panel.stamps[rows], kind="stable")
    weights = () if panel.weights is None else (panel.weights,)
    for column in (panel.stamps, *panel.values, *panel.codes, *weights):
        column[rows] = column[rows][order]
    return order


def _falls(stamps: Stamps, starts: IntArray) -> IntArray:
    """Return the rows whose time is not after that of the row before in their series."""
    found = [np.zeros(0, dtype=np.int64)]
    for piece in slices(1, len(stamps), PIECE):
        part = stamps[piece.start - 1 : piece.stop]
        found.append(np.flatnonzero(part[1:] <= part[:-1]) + piece.start)
    rows = np.concatenate(found)
    return rows[~np.isin(rows, starts)]


def _refuse_fall(panel: Panel, sources: Sources, place: int, name: str) -> None:
    (table, row), (before_table, _) = sources.locate(place), sources.locate(place - 1)
    time = panel.series()[sources.series(place)].time
    assert time is not None
    place_in = place - int(panel.starts[sources.series(place)])
    stamp, before = time[place_in], time[place_in - 1]
    if table == before_table or sources.series(place) in sources.order:
        other = "" if table == before_table else f" in {sources.tables[before_table].where}"
        remedy = "drop repeats" if stamp == before else "sort the rows, or set sort: true"
        is_local = isinstance(time, pd.DatetimeIndex) and time.tz is None
        if is_local and before - stamp < pd.Timedelta(hours=1):
            remedy += "; where clocks were set back, name their zone in time_zone instead"
        raise InputError(
            f"{sources.where(place)}: time column {name!r} does not rise in row {row} (counted "
            f"from 0): {stamp} after {before}{other}; {remedy}"
        )
    raise InputError(
        f"{sources.where(place)}: the series starts at {name} {stamp} in row {row} (counted from "
        f"0), but goes on to {before} in {sources.tables[before_table].where}; of a series in "
        "several files, one file must end before the next one starts, or set sort: true"
    )


def _refuse_span(panel: Panel, sources: Sources, name: str) -> None:
    """Refuse stamps whose distance their type cannot hold."""
    assert panel.stamps is not None
    ends = np.stack([panel.starts[:-1], panel.starts[1:] - 1])
    begin, end = panel.stamps[ends]
    with np.errstate(over="ignore"):
        span = end - begin
    # what is too far for integers comes out as less than nothing
    far = np.flatnonzero(~np.isfinite(span) | (span < 0))
    if far.size:
        first, last = ends[:, far[0]]
        time = as_index(panel.stamps[[first, last]], panel.time_type)
        raise InputError(
            f"{sources.where(int(first))}: time column {name!r} goes from {time[0]} to {time[1]}, "
            f"farther than {panel.stamps.dtype} reaches; correct the time stamps, or give them in "
            "a larger unit"
        )


def check_values(
    panel: Panel,
    tables: Sequence[Table],
    grouping: Grouping,
    columns: Columns,
    rules: Rules,
    order: dict[int, IntArray],
) -> None:
    """Refuse missing and infinite values, and find the last known target of each series.

    Weights must not be below 0 either.
    """
    sources = Sources(tables, grouping, panel.starts, order)
    if rules.mask or rules.missing != "nothing":
        panel.observed[:] = _count_observed(panel)
    if rules.missing == "future" and (panel.observed == 0).any():
        first = int(panel.starts[np.flatnonzero(panel.observed == 0)[0]])
        raise InputError(
            f"{sources.where(first)}: column {columns.target!r} has no value; a forecast needs "
            "past values"
        )
    nowhere, everywhere = panel.starts[:-1], panel.starts[1:]
    future = nowhere + panel.observed
    reals = [*zip(columns.values, panel.values, strict=True)]
    if columns.weight is not None and panel.weights is not None:
        reals.append((columns.weight, panel.weights))
        _refuse_negative(sources, columns.weight, panel.weights)
    for name, values in reals:
        if all_finite(values):
            continue
        needed = everywhere
        if rules.mask or (rules.missing == "target" and name == columns.target):
            needed = nowhere
        elif rules.missing == "future" and name not in columns.known:
            needed = future
        _refuse_values(sources, values, _bad_rows(values, panel.starts, needed), name)
    for name, codes in zip(columns.categories, panel.codes, strict=True):
        needed = everywhere
        if rules.mask:
            needed = nowhere
        elif rules.missing == "future" and name not in columns.known_categories:
            needed = future
        _refuse_values(sources, codes, _bad_rows(codes, panel.starts, needed), name)
    _check_static(panel, sources, columns, rules)


def _refuse_negative(sources: Sources, name: str, weights: FloatArray) -> None:
    for rows in slices(0, len(weights), PIECE):
        below = np.flatnonzero(weights[rows] < 0)
        if below.size:
            first = rows.start + int(below[0])
            raise InputError(
                f"{sources.where(first)}: weight column {name!r} must be at least 0, found "
                f"{weights[first]:g} in row {sources.locate(first)[1]} (counted from 0); correct it"
            )


def all_finite(column: FloatArray) -> bool:
    """Return whether the sum of each slice of a column is finite: then all its values are."""
    return all(sum_is_finite(column[rows]) for rows in slices(0, len(column), PIECE))


def _bad_rows(column: Stamps, starts: IntArray, needed: IntArray) -> IntArray:
    """Return the rows that are infinite, or missing before the row up to which they are needed.

    Args:
        column: (rows,) values or codes of a panel.
        starts: (series + 1,) row at which each series begins.
        needed: (series,) row of the panel up to which each series must have values.
    """
    found = [np.zeros(0, dtype=np.int64)]
    for rows in slices(0, len(column), PIECE):
        part = column[rows]
        lost = np.flatnonzero(_is_missing(part)) + rows.start
        lost = lost[lost < needed[np.searchsorted(starts, lost, side="right") - 1]]
        found.append(np.union1d(lost, np.flatnonzero(np.isinf(part)) + rows.start))
    return np.concatenate(found)


def _is_missing(column: Stamps) -> npt.NDArray[np.bool_]:
    missing: npt.NDArray[np.bool_] = column < 0 if column.dtype.kind == "i" else np.isnan(column)
    return missing


def _check_static(panel: Panel, sources: Sources, columns: Columns, rules: Rules) -> None:
    for number, (reals, texts) in enumerate(zip(panel.static, panel.static_texts, strict=True)):
        own = dict(zip(columns.static, reals.tolist(), strict=True))
        infinite = [name for name, value in own.items() if math.isinf(value)]
        lost = [name for name, value in own.items() if math.isnan(value)]
        lost += [
            n for n, text in zip(columns.static_categories, texts, strict=True) if text is None
        ]
        if infinite or (lost and not rules.mask):
            name, what = (infinite[0], "an infinite") if infinite else (lost[0], "no")
            remedy = "correct it" if infinite else "fill it, or set missing: mask"
            raise InputError(
                f"{sources.where(int(panel.starts[number]))}: static column {name!r} has {what} "
                f"value in series {panel.names[number]!r}; {remedy}"
            )


def _count_observed(panel: Panel) -> IntArray:
    """Return the rows of each series up to its last known target."""
    target = panel.values[-1]
    observed = np.diff(panel.starts)
    for number in np.flatnonzero(np.isnan(target[panel.starts[1:] - 1])).tolist():
        observed[number] = _count_known(target[panel.starts[number] : panel.starts[number + 1]])
    return observed


def _count_known(values: FloatArray) -> int:
    """Return the rows up to the last value."""
    for begin in reversed(range(0, len(values), PIECE)):
        known = np.flatnonzero(~np.isnan(values[begin : begin + PIECE]))
        if known.size:
            return begin + int(known[-1]) + 1
    return 0


def _refuse_values(sources: Sources, column: Stamps, rows: IntArray, name: str) -> None:
    """Refuse values that are missing or infinite; told of those like the first in its file."""
    if not rows.size:
        return
    rows = rows[np.argsort(sources.read_as(rows))]
    piece, lost = sources.pieces(rows), _is_missing(column[rows])
    mine = rows[(piece == piece[0]) & (lost == lost[0])]
    what = "missing (NaN)" if lost[0] else "infinite"
    first = ", ".join(str(sources.locate(row)[1]) for row in mine[:3].tolist())
    remedy = ", or set missing: mask" if lost[0] else ""
    raise InputError(
        f"{sources.where(int(rows[0]))}: column {name!r} has {len(mine)} {what} "
        f"value{'s' if len(mine) > 1 else ''}, first in row {first} (counted from 0); fill or cut "
        f"those rows{remedy}"
    )
