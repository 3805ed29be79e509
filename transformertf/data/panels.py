"""Tables to checked series: numeric values, rising time, no gaps where data is needed."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.columns import Columns
from transformertf.data.files import expand_paths, read_tables, series_names
from transformertf.data.frames import FloatArray, Series
from transformertf.data.groups import IntArray, Located, by_series, number_rows
from transformertf.errors import InputError

log = logging.getLogger(__name__)

# what may be missing: nothing; the target, and past covariates with it, at the end; the target
# anywhere, or its whole column
Missing = Literal["nothing", "future", "target"]


def read_series(
    spec: str | Sequence[str], argument: str, columns: Columns, *, missing: Missing = "nothing"
) -> list[Series]:
    """Read and check files: one series each, or as many as their id columns tell apart.

    Args:
        spec: a path, a glob or a list of them.
        argument: name of the argument they were given to, for messages.
        columns: roles of the columns.
        missing: what may be missing, for predict.
    """
    optional = [columns.target] if missing == "target" else []
    tables = [
        table
        for path in expand_paths(spec, argument)
        for table in read_tables(path, columns.stored, optional, text=columns.ids)
    ]
    names = [] if columns.ids else series_names([path for path, _ in tables])
    located = [(str(path), frame) for path, frame in tables]
    return check_tables(located, columns, names, missing=missing)


def check_tables(
    tables: Sequence[Located],
    columns: Columns,
    names: Sequence[str] = (),
    *,
    missing: Missing = "nothing",
) -> list[Series]:
    """Check tables and return their series.

    Args:
        tables: files and what is in them; the target's column may be left out where it may be
            missing anywhere.
        columns: roles of the columns.
        names: name of each table's one series, where there are no id columns.
        missing: what may be missing.

    Returns:
        One series a table, or the series of all of them sorted by name. A series in several
        tables is joined, in the order of time or, without a time column, of the tables.

    Raises:
        InputError: no rows; a column that is not numeric; a missing or infinite value where
            one is needed; a missing id; time that does not rise.
    """
    for where, frame in tables:
        if frame.empty:
            raise InputError(f"{where}: no rows")
    if missing == "target":
        tables = _with_target(tables, columns.target)
    values = np.concatenate([_numbers(frame, columns, where) for where, frame in tables])
    time = None if columns.time is None else _join_time(tables, columns.time)
    sizes = np.array([len(frame) for _, frame in tables])
    first: IntArray = np.cumsum(sizes) - sizes
    file = np.repeat(np.arange(len(tables)), sizes)
    series = file
    if columns.ids:
        series, names = number_rows(tables, columns.ids)
        order = by_series(series, file, None if time is None else _ordinal(time))
        if (order[1:] < order[:-1]).any():  # else the rows lie as they should, and stay
            values, series = values[order], series[order]
            time = None if time is None else time.take(order)
    else:
        order = np.arange(len(file))
    panel = _Panel(
        [where for where, _ in tables],
        names,
        series,
        file[order],
        order - first[file[order]],
        bool(columns.ids),
    )
    if columns.time is not None and time is not None:
        _refuse_falling(panel, time, columns.time)
    starts = np.searchsorted(series, np.arange(len(names) + 1))
    observed = _check_values(panel, values, starts, columns, missing)
    return [
        Series(
            name,
            values[start:end],
            None if time is None else time[start:end],
            int(known),
        )
        for name, start, end, known in zip(names, starts, starts[1:], observed, strict=False)
    ]


@dataclass(frozen=True)
class _Panel:
    """Where the rows of joined tables are from, for messages.

    Attributes:
        files: names of the tables.
        names: names of the series.
        series: (rows,) series of each row, rising.
        file: (rows,) table of each row.
        row: (rows,) row in that table.
        tell: name the series as well as the file.
    """

    files: Sequence[str]
    names: Sequence[str]
    series: IntArray
    file: IntArray
    row: IntArray
    tell: bool

    def where(self, place: int) -> str:
        """Return file, and series where a file may have several, of a row."""
        series = f": series {self.names[self.series[place]]!r}" if self.tell else ""
        return f"{self.files[self.file[place]]}{series}"

    def beside(self, places: IntArray) -> IntArray:
        """Return those of the rows that are in the file and the series of the first one."""
        series, file = self.series[places], self.file[places]
        same: IntArray = places[(series == series[0]) & (file == file[0])]
        return same


def _with_target(tables: Sequence[Located], target: str) -> list[Located]:
    """Return the tables with a target that is missing on each row, where they lack the column."""
    lacking = [where for where, frame in tables if target not in frame]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        log.warning("%s%s: no column %r: forecasts come without actuals", lacking[0], more, target)
    return [
        (where, frame if target in frame else frame.assign(**{target: np.nan}))
        for where, frame in tables
    ]


def _numbers(frame: pd.DataFrame, columns: Columns, where: str) -> FloatArray:
    return np.column_stack([_as_numbers(frame[name], name, where) for name in columns.values])


def _as_numbers(column: pd.Series, name: str, where: str) -> FloatArray:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if column.isna().all():
        return np.full(len(column), np.nan)
    numbers = pd.to_numeric(column.astype("object"), errors="coerce")
    bad = np.flatnonzero(numbers.isna() & column.notna())
    row = int(bad[0]) if bad.size else 0
    raise InputError(
        f"{where}: column {name!r} must be numeric, found {column.iloc[row]!r} in row {row} "
        "(counted from 0); convert the column or leave it out"
    )


def _check_values(
    panel: _Panel, values: FloatArray, starts: IntArray, columns: Columns, missing: Missing
) -> IntArray:
    """Refuse missing and infinite values; return the rows of each series up to its last target."""
    place = np.arange(len(values)) - starts[panel.series]
    observed: IntArray = np.diff(starts)
    if missing != "nothing":
        known = np.where(np.isnan(values[:, -1]), 0, place + 1)
        np.maximum.reduceat(known, starts[:-1], out=observed)
    seen = place < observed[panel.series]
    if missing == "future" and (observed == 0).any():
        first = int(starts[np.flatnonzero(observed == 0)[0]])
        raise InputError(
            f"{panel.where(first)}: column {columns.target!r} has no value; a forecast needs past "
            "values"
        )
    for index, name in enumerate(columns.values):
        bad = ~np.isfinite(values[:, index])
        if missing == "future" and name not in columns.known:
            bad &= seen
        if missing == "target" and name == columns.target:
            bad &= ~np.isnan(values[:, index])
        if bad.any():
            places = panel.beside(np.flatnonzero(bad))
            _refuse_gaps(values[places, index], panel.row[places], name, panel.where(places[0]))
    return observed


def _refuse_gaps(values: npt.ArrayLike, rows: IntArray, name: str, where: str) -> None:
    """Refuse values that are missing or infinite, with the rows they are in."""
    what = "missing (NaN)" if np.isnan(np.asarray(values)[0]) else "infinite"
    first = ", ".join(str(row) for row in rows[:3])
    raise InputError(
        f"{where}: column {name!r} has {rows.size} {what} value{'s' if rows.size > 1 else ''}, "
        f"first in row {first} (counted from 0); fill or cut those rows"
    )


def _join_time(tables: Sequence[Located], name: str) -> pd.Index:
    """Return the time stamps of all tables, of one type so that they fit into one column.

    Raises:
        InputError: there is none, as with numbers beside dates; or what is no time stamp.
    """
    stamps = [_read_time(frame[name], name, where) for where, frame in tables]
    joined = stamps[0].append(stamps[1:])
    if joined.dtype == np.dtype(object):
        kinds = ", ".join(dict.fromkeys(str(item.dtype) for item in stamps))
        raise InputError(
            f"the time columns of the files are of different kinds ({kinds}); give each kind to "
            "a command of its own"
        )
    return joined


def _read_time(column: pd.Series, name: str, where: str) -> pd.Index:
    if pd.api.types.is_datetime64_any_dtype(column):
        stamps = column
    elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        stamps = column
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if bad.size:
            _refuse_gaps(numbers[bad], bad, name, where)
    else:
        with warnings.catch_warnings():
            # pandas warns where it finds no one format; what it cannot read is told below
            warnings.simplefilter("ignore", UserWarning)
            stamps = _parse_time(column)
    bad = np.flatnonzero(stamps.isna())
    if bad.size:
        raise InputError(
            f"{where}: time column {name!r} holds {column.iloc[int(bad[0])]!r} in row {bad[0]} "
            "(counted from 0), expected a time stamp or a number"
        )
    index: pd.Index = pd.Index(stamps)
    return index


def _parse_time(column: pd.Series) -> pd.Series:
    """Return time stamps of text; in UTC where the text changes its offset."""
    try:
        return pd.to_datetime(column, errors="coerce")
    except ValueError:
        return pd.to_datetime(column, errors="coerce", utc=True)


def _ordinal(time: pd.Index) -> npt.NDArray[Any]:
    """Return numbers that are ordered as the time stamps are."""
    number: npt.NDArray[Any] = time.asi8 if isinstance(time, pd.DatetimeIndex) else time.to_numpy()
    return number


def _refuse_falling(panel: _Panel, time: pd.Index, name: str) -> None:
    number = _ordinal(time)
    bad = np.flatnonzero((number[1:] <= number[:-1]) & (panel.series[1:] == panel.series[:-1])) + 1
    if not bad.size:
        return
    place = int(bad[0])
    row, stamp, before = panel.row[place], time[place], time[place - 1]
    if panel.file[place] == panel.file[place - 1]:
        raise InputError(
            f"{panel.where(place)}: time column {name!r} does not rise in row {row} (counted from "
            f"0): {stamp} after {before}; sort the rows and drop repeats"
        )
    raise InputError(
        f"{panel.where(place)}: the series starts at {name} {stamp} in row {row} (counted from 0), "
        f"but goes on to {before} in {panel.files[panel.file[place - 1]]}; of a series in several "
        "files, one file must end before the next one starts"
    )
