"""Tables to a panel: piece by piece, each row to its place, without a copy of the whole.

What takes long is shown as it goes on.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from transformertf.data.columns import Columns
from transformertf.data.reading.checks import Sources, check_time, check_values
from transformertf.data.reading.grouping import Grouping, Numbering, group_files, group_rows
from transformertf.data.reading.memory import worked_on
from transformertf.data.reading.panel import (
    MakeArray,
    Panel,
    Rules,
    in_memory,
    open_all,
    require_later,
    require_past,
)
from transformertf.data.reading.tables import Table, ahead, as_numbers, changed, shown
from transformertf.data.reading.times import Clock, Unsettled
from transformertf.data.reading.zones import in_zone
from transformertf.data.series import IntArray, Series
from transformertf.errors import InputError

# rows that are read in less than a second or two
_MANY = 5_000_000


@contextlib.contextmanager
def reading(rows: int) -> Iterator[Callable[[int], None]]:
    """Show how far the reading of so many rows is, on a terminal and where it takes long.

    Returns:
        What is to be called with the number of further rows that were read.
    """
    console = Console(stderr=True)
    if rows < _MANY or not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("reading"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=rows)
        yield lambda more: bar.advance(task, more)


def fill_panel(
    tables: Sequence[Table],
    columns: Columns,
    names: Sequence[str] = (),
    rules: Rules = Rules(),  # noqa: B008  frozen
    make: MakeArray = in_memory,
) -> Panel:
    """Read tables into a panel, and check what they hold.

    Memory beyond the panel's is that of a piece of a table, and some numbers for each series.

    Args:
        tables: the tables.
        columns: roles of the columns.
        names: name of each table's one series, where there are no id columns; tables of future
            rows have that of the series they go on with.
        rules: what is let through.
        make: makes the panel's arrays.

    Returns:
        One series a table, or the series of all of them sorted by name. A series in several
        tables is joined, in the order of time or, without a time column, of the tables; future
        rows come last.

    Raises:
        InputError: no rows; a column that is not numeric; a missing or infinite value where
            one is needed; a missing id; a static column that changes; time that does not rise;
            future rows without a past, or before its end.
    """
    for table in tables:
        if table.rows == 0:
            raise InputError(f"{table.where}: no rows")
    try:
        return _fill(tables, columns, names, rules, make)
    except Unsettled:
        pass
    try:
        return _fill(tables, columns, names, rules, make, whole=True)
    except Unsettled as error:  # though a pass before has settled it
        raise changed(str(error)) from error


def _fill(
    tables: Sequence[Table],
    columns: Columns,
    names: Sequence[str],
    rules: Rules,
    make: MakeArray,
    *,
    whole: bool = False,
) -> Panel:
    """See `fill_panel`.

    Args:
        tables: the tables.
        columns: roles of the columns.
        names: name of each table's one series.
        rules: what is let through.
        make: makes the panel's arrays.
        whole: read all of the time columns before, to know of what types they are.
    """
    clock = None
    if columns.time is not None:
        clock = Clock(tables, columns.time, whole=whole, kind=rules.time_kind)
    grouping = group_rows(tables, columns.ids, clock) if columns.ids else group_files(tables, names)
    ending = require_past(tables, grouping)
    filler = _Filler(columns, grouping, clock, make)
    with reading(grouping.rows) as advance:
        for number, table in enumerate(tables):
            filler.add(number, table, advance)
    unused = [name for name in columns.unknown_ahead if name in filler.unused]
    panel = replace(filler.panel(), ending=ending, unused=unused)
    if rules.zone is not None:
        sources = Sources(tables, grouping, panel.starts)
        panel = in_zone(panel, sources, str(columns.time), rules.zone, sort=rules.sort)
    require_later(panel, tables, grouping, columns.time)
    order = check_time(panel, tables, grouping, columns, sort=rules.sort)
    check_values(panel, tables, grouping, columns, rules, order)
    return panel


def read_series(
    spec: str | Sequence[str],
    argument: str,
    columns: Columns,
    rules: Rules = Rules(),  # noqa: B008  frozen
) -> list[Series]:
    """Read and check files into memory; see `open_all` and `fill_panel`."""
    tables, names = open_all(spec, argument, columns, rules)
    return fill_panel(tables, columns, names, rules).series()


class _Filler:
    """Puts the rows of tables where they belong.

    Args:
        columns: roles of the columns.
        grouping: where the rows of each series go.
        clock: the time stamps of the tables, or None.
        make: makes arrays.
    """

    def __init__(
        self, columns: Columns, grouping: Grouping, clock: Clock | None, make: MakeArray
    ) -> None:
        self.columns = columns
        self.grouping = grouping
        self.clock = clock
        rows, series = grouping.rows, len(grouping.names)
        self.values = make("values", (len(columns.values), rows), np.float64)
        self.codes = make("codes", (len(columns.categories), rows), np.int32)
        self.weights = None if columns.weight is None else make("weights", (rows,), np.float64)
        self.stamps = None if clock is None else make("stamps", (rows,), clock.number_type)
        self.books = [Numbering(name, "categorical") for name in columns.categories]
        static = (*columns.static, *columns.static_categories)
        self.static_books = {
            name: Numbering(name, "categorical") for name in columns.static_categories
        }
        self.static = {name: np.full(series, np.nan) for name in static}
        self.static_gaps = {name: np.zeros(series, dtype=bool) for name in static}
        # where the next row of each series in a table goes, and where its last one does; what is
        # left of tables before is full
        self._cursor, self._end = (np.full(series, -1, dtype=np.int64) for _ in range(2))
        # columns in which a table of future rows has values of what is not known ahead
        self.unused: set[str] = set()

    def add(self, number: int, table: Table, advance: Callable[[int], None]) -> None:
        """Read a table, and tell of the rows read."""
        columns, cursor, end = self.columns, self._cursor, self._end
        stored = columns.stored
        mine, cursor[mine], end[mine] = self.grouping.pieces(number)
        begin = 0
        for piece in ahead(table.pieces(stored), table.rows * len(stored)):
            frame = self._known_ahead(piece) if table.future else piece
            series = self.grouping.series_of(frame, number, table.where)
            places = _advance(cursor, series)
            if (cursor[series] > end[series]).any():  # other rows than those that were counted
                raise changed(table.where)
            for index, name in enumerate(map(columns.source, columns.values)):
                self.values[index, places] = (
                    as_numbers(frame[name], table.where, begin) if name in frame else np.nan
                )
            for index, book in enumerate(self.books):
                self.codes[index, places] = (
                    book.number(frame[book.column], table.where) if book.column in frame else -1
                )
            if self.weights is not None:
                self.weights[places] = as_numbers(frame[columns.weight], table.where, begin)
            if self.clock is not None and self.stamps is not None:
                self.stamps[places] = self.clock.stamps(number, frame, begin)
            for name in self.static:
                if name in frame:
                    self._add_static(name, frame[name], series, table.where, begin)
            begin += len(frame)
            advance(len(frame))
            worked_on(len(frame))

    def _known_ahead(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return future rows without what nobody knows there, such as zeros for a target."""
        there = [name for name in self.columns.unknown_ahead if name in frame]
        self.unused |= {name for name in there if frame[name].notna().any()}
        return frame.drop(columns=there)

    def panel(self) -> Panel:
        """Return what was read."""
        grouping = self.grouping
        columns = [self.static[name] for name in self.columns.static]
        static = np.stack(columns, axis=1) if columns else np.empty((len(grouping.names), 0))
        texts = [self._static_texts(name) for name in self.columns.static_categories]
        return Panel(
            grouping.names,
            grouping.starts,
            self.values,
            self.codes,
            [list(book.texts) for book in self.books],
            static,
            list(zip(*texts, strict=True)) if texts else [()] * len(grouping.names),
            self.stamps,
            None if self.clock is None else self.clock.dtype,
            np.diff(grouping.starts),
            weights=self.weights,
        )

    def _static_texts(self, name: str) -> list[str | None]:
        texts = [*self.static_books[name].texts, None]
        codes = np.nan_to_num(self.static[name], nan=-1).astype(int)
        return [texts[code] for code in codes]

    def _add_static(
        self, name: str, column: pd.Series, series: IntArray, where: str, begin: int
    ) -> None:
        """Keep the value of a static column for each series, and refuse a second one."""
        book = self.static_books.get(name)
        if book is None:
            values = as_numbers(column, where, begin)
        else:
            codes = book.number(column, where)
            values = np.where(codes < 0, np.nan, codes)
        kept = self.static[name]
        new = np.flatnonzero(np.isnan(kept[series]) & ~np.isnan(values))
        if new.size:
            which, first = np.unique(series[new], return_index=True)
            kept[which] = values[new[first]]
        other = np.flatnonzero((values != kept[series]) & ~np.isnan(values))
        if other.size:
            row = int(other[0])
            before = kept[series[row]]
            known = f"{before:g}" if book is None else repr(list(book.texts)[int(before)])
            raise InputError(
                f"{where}: static column {name!r} must be constant within a series, found "
                f"{shown(column.iloc[row])} in row {begin + row} (counted from 0) after {known} in "
                f"series {self.grouping.names[series[row]]!r}; correct it, name it in "
                "known_covariates, or tell the series of a table apart with series_id"
            )


def _advance(cursor: IntArray, series: IntArray) -> slice | IntArray:
    """Return the places of rows of some series (n,), and move their cursors behind them."""
    if (series == series[0]).all():
        start = int(cursor[series[0]])
        cursor[series[0]] += len(series)
        return slice(start, start + len(series))
    order = np.argsort(series, kind="stable")
    known, first, count = np.unique(series[order], return_index=True, return_counts=True)
    places = np.empty(len(series), dtype=np.int64)
    places[order] = np.arange(len(series)) + np.repeat(cursor[known] - first, count)
    cursor[known] += count
    return places
