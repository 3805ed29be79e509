"""Tables to checked series: one a file, or as many as id columns tell apart."""

import itertools
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from transformertf.data.columns import Columns
from transformertf.data.files import expand_paths, open_tables, series_names
from transformertf.data.frames import CodeArray, Codes, FloatArray, Series
from transformertf.data.groups import IntArray
from transformertf.data.tables import Table
from transformertf.data.times import Stamps, as_index

log = logging.getLogger(__name__)

# what may be missing: nothing; the target, and past covariates with it, at the end; the target
# anywhere, or its whole column
Missing = Literal["nothing", "future", "target"]
# makes an array of a name, a shape and a type, in memory or in a file
MakeArray = Callable[[str, tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]


@dataclass(frozen=True)
class Rules:
    """What of a table is let through.

    Attributes:
        missing: what may be missing.
        mask: let missing values of all covariates and the target through, as NaN.
        sort: sort the rows of a series by time where they are not.
    """

    missing: Missing = "nothing"
    mask: bool = False
    sort: bool = False


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
    spec: str | Sequence[str], argument: str, columns: Columns, optional: Collection[str]
) -> list[Table]:
    """Open the tables of files, for the columns that have a role.

    Args:
        spec: a path, a glob or a list of them.
        argument: name of the argument they were given to, for messages.
        columns: roles of the columns.
        optional: those of them that need not be there.

    Raises:
        InputError: a file or a column is not there, or not readable.
    """
    return [
        table
        for path in expand_paths(spec, argument)
        for table in open_tables(path, columns.stored, optional, columns.text)
    ]


def open_all(
    spec: str | Sequence[str], argument: str, columns: Columns, rules: Rules
) -> tuple[list[Table], list[str]]:
    """Open files: the tables, and the name of each one's series where there are no id columns.

    Args:
        spec: a path, a glob or a list of them.
        argument: name of the argument they were given to, for messages.
        columns: roles of the columns.
        rules: whether the target's column may be missing.

    Raises:
        InputError: a file or a column is not there, or not readable.
    """
    tables = open_files(spec, argument, columns, optional_columns(columns, rules))
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
