"""Rows that follow those to forecast, in tables of their own: which series they go on with."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.columns import Columns
from transformertf.data.files import frame_table
from transformertf.data.groups import Grouping
from transformertf.data.messages import count_names
from transformertf.data.panels import Panel, open_files
from transformertf.data.tables import Table
from transformertf.data.times import as_index
from transformertf.errors import InputError


def open_future(
    spec: str | Sequence[str] | pd.DataFrame, columns: Columns, names: Sequence[str]
) -> tuple[list[Table], list[str]]:
    """Open tables of future rows: ids, time and known covariates, and what else they have.

    Args:
        spec: a path, a glob or a list of them, or a frame.
        columns: roles of the columns.
        names: name of the one series of each table to forecast, where there are no id columns.

    Returns:
        The tables, and, without id columns, the name of the series that each one goes on with.

    Raises:
        InputError: a file or a column is not there; a file goes on with none of the series.
    """
    needed = {*columns.known, *columns.known_categories, *columns.ids, columns.time}
    optional = [name for name in columns.stored if name not in needed]
    if isinstance(spec, pd.DataFrame):
        tables = [frame_table(spec, columns.stored, optional, "the future frame")]
    else:
        tables = open_files(spec, "future_df_paths", columns, optional)
    tables = [replace(table, future=True) for table in tables]
    if columns.ids:
        return tables, []
    if len(tables) == len(names) == 1:
        return tables, list(names)
    return tables, [_name_of(table, names) for table in tables]


def _name_of(table: Table, names: Sequence[str]) -> str:
    """Return the series whose file has the stem of a table, or the same end of its path."""
    path = table.path.absolute()
    own = {
        "/".join(parts[-depth:])
        for parts in (path.parts, path.with_suffix("").parts)
        for depth in range(1, len(parts) + 1)
    }
    found = own.intersection(names)
    if not found:
        raise InputError(
            f"{table.where}: goes on with no file of predict_df_paths, which has "
            f"{count_names(names)}; give it the name of the file whose rows it follows, or tell "
            "series apart with series_id"
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
