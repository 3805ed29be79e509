"""The panel: all rows of all series, column by column, and the tables that it is filled from.

One file is one series, or as many as id columns tell apart. Rows that follow those to forecast may
lie in tables of their own, which go on with the series of the others.
"""

import itertools
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.arguments import Missing
from transformertf.data.columns import Columns
from transformertf.data.reading.dialects import PLAIN, Dialect, stem_path
from transformertf.data.reading.formats import expand_paths, open_tables, series_names
from transformertf.data.reading.frames import frame_table
from transformertf.data.reading.grouping import Grouping
from transformertf.data.reading.headers import Renamed
from transformertf.data.reading.tables import Table
from transformertf.data.reading.times import Stamps, as_index
from transformertf.data.series import CodeArray, Codes, FloatArray, IntArray, Series, TimeKind
from transformertf.errors import InputError, count_names

log = logging.getLogger(__name__)
# makes an array of a name, a shape and a type, in memory or in a file
MakeArray = Callable[[str, tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]


@dataclass(frozen=True)
class Rules:
    """How tables are read, and what of them is let through.

    Attributes:
        missing: what may be missing.
        mask: let missing values of all covariates and the target through, as NaN.
        sort: sort the rows of a series by time where they are not.
        time_kind: what the time column held in training; None where that is not known.
        zone: time zone of the time stamps; None for that in which they come.
        csv: how csv files are written.
        renames: columns that have another name where they are read.
    """

    missing: Missing = "nothing"
    mask: bool = False
    sort: bool = False
    time_kind: TimeKind | None = None
    zone: str | None = None
    csv: Dialect = PLAIN
    renames: tuple[Renamed, ...] = ()


@dataclass(frozen=True)
class Panel:
    """All rows of all series, series after series.

    Attributes:
        names: names of the series.
        starts: (series + 1,) row at which each begins, and the end.
        values: (real columns, rows) float64, in the order of `Columns.values`.
        codes: (categorical columns, rows) int32, in the order of `Columns.categories`.
        texts: the values of each categorical column, by their codes.
        static: (series, real columns) float64.
        static_texts: of each series the values of its static categories.
        stamps: (rows,) numbers that stand for time stamps, or None.
        time_type: type of the time stamps.
        observed: (series,) rows of each up to its last known target.
        ending: names of the series that tables of future rows do not go on with, where there are
            such tables.
        unused: columns in which these tables have values that are not known ahead.
        weights: (rows,) float64 of `Columns.weight`, or None.
    """

    names: Sequence[str]
    starts: IntArray
    values: FloatArray
    codes: CodeArray
    texts: Sequence[Sequence[str]]
    static: FloatArray
    static_texts: Sequence[tuple[str | None, ...]]
    stamps: Stamps | None
    time_type: Any
    observed: IntArray
    ending: Sequence[str] = ()
    unused: Sequence[str] = ()
    weights: FloatArray | None = None

    def series(self) -> list[Series]:
        """Return the series, whose arrays are parts of the panel's."""
        values = self.values.T
        time = None if self.stamps is None else as_index(self.stamps, self.time_type)
        return [
            Series(
                self.names[number],
                values[start:end],
                None if time is None else time[start:end],
                int(self.observed[number]),
                tuple(
                    Codes(codes[start:end], texts)
                    for codes, texts in zip(self.codes, self.texts, strict=True)
                ),
                self.static[number],
                self.static_texts[number],
                weights=None if self.weights is None else self.weights[start:end],
            )
            for number, (start, end) in enumerate(itertools.pairwise(self.starts.tolist()))
        ]


def in_memory(name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array in memory."""
    return np.empty(shape, dtype)


def optional_columns(columns: Columns, rules: Rules) -> list[str]:
    """Return the columns that need not be there."""
    return [columns.target] if rules.missing == "target" else []


def open_files(
    spec: str | Sequence[str],
    argument: str,
    columns: Columns,
    optional: Collection[str],
    rules: Rules,
) -> list[Table]:
    """Open the tables of files, for the columns that have a role.

    Args:
        spec: a path, a glob or a list of them.
        argument: name of the argument they were given to, for messages.
        columns: roles of the columns.
        optional: those of them that need not be there.
        rules: how they are read.

    Raises:
        InputError: a file or a column is not there, or not readable.
    """
    dates = [] if columns.time is None else [columns.time]
    return [
        table
        for path in expand_paths(spec, argument)
        for table in open_tables(
            path, columns.stored, optional, columns.text, dates, rules.csv, rules.renames
        )
    ]


def open_all(
    spec: str | Sequence[str], argument: str, columns: Columns, rules: Rules
) -> tuple[list[Table], list[str]]:
    """Open files: the tables, and the name of each one's series where there are no id columns.

    Args:
        spec: a path, a glob or a list of them.
        argument: name of the argument they were given to, for messages.
        columns: roles of the columns.
        rules: how they are read, and whether the target's column may be missing.

    Raises:
        InputError: a file or a column is not there, or not readable.
    """
    tables = open_files(spec, argument, columns, optional_columns(columns, rules), rules)
    lacking = [table for table in tables if columns.target not in table.headers]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        log.warning(
            "%s%s: no column %r: forecasts come without actuals",
            lacking[0].where,
            more,
            columns.target,
        )
    return tables, [] if columns.ids else series_names([table.path for table in tables])


def open_ids(
    spec: str | Sequence[str] | pd.DataFrame, argument: str, columns: Columns, rules: Rules
) -> list[Table]:
    """Open tables for their id columns alone.

    Args:
        spec: a path, a glob or a list of them, or a frame.
        argument: name of the argument they were given to, for messages.
        columns: roles of the columns.
        rules: how they are read.
    """
    ids = columns.ids
    if isinstance(spec, pd.DataFrame):
        return [frame_table(spec, ids, renames=rules.renames)]
    return [
        table
        for path in expand_paths(spec, argument)
        for table in open_tables(path, ids, (), ids, (), rules.csv, rules.renames)
    ]


def open_future(
    spec: str | Sequence[str] | pd.DataFrame,
    columns: Columns,
    names: Sequence[str],
    rules: Rules = Rules(),
) -> tuple[list[Table], list[str]]:
    """Open tables of future rows: ids, time and known covariates, and what else they have.

    Values of what is not known ahead, the target and past covariates, are no part of the rows.

    Args:
        spec: a path, a glob or a list of them, or a frame.
        columns: roles of the columns.
        names: name of the one series of each table to forecast, where there are no id columns.
        rules: how they are read.

    Returns:
        The tables, and, without id columns, the name of the series that each one goes on with.

    Raises:
        InputError: a file or a column is not there; a file goes on with none of the series.
    """
    needed = {*columns.known_ahead, *columns.ids, columns.time}
    optional = [name for name in columns.stored if name not in needed]
    if isinstance(spec, pd.DataFrame):
        tables = [frame_table(spec, columns.stored, optional, "the future frame", rules.renames)]
    else:
        tables = open_files(spec, "future_df_paths", columns, optional, rules)
    tables = [replace(table, future=True) for table in tables]
    if columns.ids:
        return tables, []
    if len(tables) == len(names) == 1:
        return tables, list(names)
    known = frozenset(names)
    return tables, [_name_of(table, known) for table in tables]


def _name_of(table: Table, names: frozenset[str]) -> str:
    """Return the series whose file has the stem of a table, or the same end of its path."""
    path = table.path.absolute()
    own = {
        "/".join(parts[-depth:])
        for parts in (path.parts, stem_path(path).parts)
        for depth in range(1, len(parts) + 1)
    }
    found = own.intersection(names)
    if not found:
        raise InputError(
            f"{table.where}: goes on with no file of predict_df_paths, which has "
            f"{count_names(sorted(names))}; give it the name of the file whose rows it follows, or "
            "tell series apart with series_id"
        )
    return found.pop()


def require_past(tables: Sequence[Table], grouping: Grouping) -> list[str]:
    """Refuse future rows of series that are not to be forecast.

    Returns:
        Names of the series without future rows, where there are tables of such rows.

    Raises:
        InputError: a series has future rows only.
    """
    future = _is_future(tables, grouping)
    if not future.any():
        return []
    past, going_on = (np.unique(grouping.series[rows]) for rows in (~future, future))
    strange = np.setdiff1d(going_on, past)
    if strange.size:
        piece = int(np.flatnonzero(grouping.series == strange[0])[0])
        raise InputError(
            f"{tables[grouping.table[piece]].where}: future rows of "
            f"{count_names([grouping.names[number] for number in strange])}, not among those to "
            "forecast; give the rows before them in predict_df_paths, or cut these"
        )
    return [grouping.names[number] for number in np.setdiff1d(past, going_on)]


def require_later(
    panel: Panel, tables: Sequence[Table], grouping: Grouping, name: str | None
) -> None:
    """Refuse future rows that are not after all others of their series.

    Args:
        panel: the series, not sorted yet: future rows come last.
        tables: the tables.
        grouping: how their rows were put in order.
        name: the time column.

    Raises:
        InputError: a future row is not later than the last row before it.
    """
    future = _is_future(tables, grouping)
    if panel.stamps is None or not future.any():
        return
    series, place = np.unique(grouping.series[future], return_index=True)
    begin = grouping.start[future][place]
    edges = np.union1d(panel.starts[:-1], begin)
    after = np.searchsorted(edges, begin)
    first = np.minimum.reduceat(panel.stamps, edges)[after]
    last = np.maximum.reduceat(panel.stamps, edges)[after - 1]
    early = np.flatnonzero(first <= last)
    if early.size:
        one = int(early[0])
        end = int(panel.starts[series[one] + 1])
        row = int(begin[one]) + int(np.argmin(panel.stamps[begin[one] : end]))
        piece = int(np.searchsorted(grouping.start, row, side="right")) - 1
        found, latest = as_index(np.array([first[one], last[one]]), panel.time_type)
        raise InputError(
            f"{tables[grouping.table[piece]].where}: series {panel.names[series[one]]!r}: future "
            f"rows begin at {name} {found}, but predict_df_paths goes on to {latest}; cut the rows "
            "that are not later"
        )


def _is_future(tables: Sequence[Table], grouping: Grouping) -> npt.NDArray[np.bool_]:
    """Return whether pieces are of future rows (P,)."""
    return np.array([table.future for table in tables], dtype=bool)[grouping.table]
