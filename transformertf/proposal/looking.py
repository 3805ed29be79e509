"""Files to what was seen of them: columns, their kinds, and the rows that are quick to look at."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from transformertf.data import FloatArray, IntArray
from transformertf.data.reading import (
    Dialect,
    Table,
    column_key,
    columns_of,
    expand_paths,
    open_tables,
)
from transformertf.errors import InputError, first_names
from transformertf.proposal.writing import Csv, written

# values looked at in all files together: a second or two
LOOKED_AT = 3 * 10**6
# so many of a column's values that are numbers tell that it is one of numbers
_FEW = 1000
Kind = Literal["number", "date", "text", "empty"]


@dataclass(frozen=True)
class Seen:
    """What was seen of files.

    Attributes:
        files: each file, or file of a folder, in the order given.
        parts: the rows looked at of each file, columns by name without blanks around it.
        rows: how many rows each file has.
        csv: how text is written, as `csv` of a data module says it.
    """

    files: tuple[str, ...]
    parts: tuple[pd.DataFrame, ...]
    rows: tuple[int, ...]
    csv: Csv = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether all rows were looked at."""
        return all(len(part) == rows for part, rows in zip(self.parts, self.rows, strict=True))

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the order of the first file."""
        return list(self.parts[0].columns)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All rows looked at, one file after the other."""
        # of a column that a file does not fill
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return pd.concat(self.parts, ignore_index=True)

    @cached_property
    def file(self) -> IntArray:
        """(rows,) number of the file of each row."""
        return np.repeat(np.arange(len(self.parts)), [len(part) for part in self.parts])

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What each column holds."""
        return {name: _kind(self.frame[name]) for name in self.columns}

    def numbers(self, name: str) -> FloatArray:
        """Return a column of numbers or truth values (rows,), NaN where one is missing."""
        column = pd.to_numeric(self.frame[name], errors="coerce")
        return column.to_numpy(dtype=np.float64, na_value=np.nan)


def look(spec: Sequence[str]) -> Seen:
    """Look at files, or folders of parquet files.

    Args:
        spec: paths and globs.

    Raises:
        InputError: a file cannot be read, has no rows, or other columns than the first one.
    """
    paths = expand_paths(spec, "--data")
    csv = written(paths[0])
    dialect = Dialect.of(csv)
    headers = [_names(path, dialect) for path in paths]
    for path, header in zip(paths[1:], headers[1:], strict=True):
        _refuse_unlike(path, header, paths[0], headers[0])
    names = list(headers[0])
    tables = [
        table
        for path in paths
        for table in open_tables(path, names, names, dates=names, dialect=dialect)
    ]
    left, parts = max(LOOKED_AT // len(names), 1), []
    for table in tables:
        parts.append(_first_rows(table, names, left))
        left = max(left - len(parts[-1]), 0)
    seen = Seen(
        tuple(table.where for table in tables),
        tuple(parts),
        tuple(table.rows for table in tables),
        csv,
    )
    if not sum(seen.rows):
        raise InputError(f"{seen.files[0]}: has no rows; give files with data")
    return seen


def _names(path: Path, dialect: Dialect) -> dict[str, str]:
    """Return the columns of a file, by their names without blanks around them."""
    header = columns_of(path, dialect)
    names = {column_key(name): name for name in header}
    if len(names) < len(header):
        twice = [
            name for name in header if header.count(name) > 1 or names[column_key(name)] != name
        ]
        raise InputError(
            f"{path}: several columns are named {column_key(twice[0])!r}; rename all but one"
        )
    return names


def _refuse_unlike(
    path: Path, header: dict[str, str], first: Path, expected: dict[str, str]
) -> None:
    lacks = [name for name in expected if name not in header]
    more = [name for name in header if name not in expected]
    if not lacks and not more:
        return
    found = f"lacks {first_names(lacks)}" if lacks else f"also has {first_names(more)}"
    raise InputError(
        f"--data: expected files with the same columns, but {path} {found}, unlike {first}; give "
        "files of one kind, and others to an init of their own"
    )


def _first_rows(table: Table, names: list[str], count: int) -> pd.DataFrame:
    """Return the first rows of a table; of one that is not looked at none, with its columns."""
    pieces: list[pd.DataFrame] = []
    rows = 0
    for piece in table.pieces(names) if count else ():
        pieces.append(piece.iloc[: count - rows])
        rows += len(pieces[-1])
        if rows >= count:
            break
    if not pieces:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in names})
    return pd.concat(pieces, ignore_index=True)


def _kind(column: pd.Series) -> Kind:
    there = column.dropna()
    if there.empty:
        return "empty"
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "date"
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "number"
    known = pd.api.types.infer_dtype(there.iloc[:_FEW])
    if known in ("date", "datetime", "datetime64"):
        return "date"
    is_number = known in ("boolean", "integer", "floating", "mixed-integer-float", "decimal")
    return "number" if is_number else "text"
