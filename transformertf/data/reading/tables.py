"""A file as a table that is read piece by piece, only the columns that are asked for."""

import numbers
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from transformertf.data.reading.dialects import hint_of
from transformertf.data.series import FloatArray
from transformertf.errors import InputError
from transformertf.utils.files import LIMITS, FileState

ReadPieces = Callable[[list[str]], Iterator[pd.DataFrame]]
ReadArrow = Callable[[list[str]], Iterator[pa.Table]]
# whole numbers beside a missing one, which would else be floats and lose what is beyond 2**53
_WHOLE = {
    getattr(pa, name)(): pd.api.types.pandas_dtype(name.replace("i", "I").replace("u", "U"))
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as pandas has it, whole numbers exact where some are missing."""
    lost = any(column.null_count and column.type in _WHOLE for column in table.columns)
    # whole numbers of which none is missing need no copy
    frame: pd.DataFrame = table.to_pandas(
        ignore_metadata=True,
        split_blocks=True,
        types_mapper=_WHOLE.get if lost else None,
        use_threads=is_work(table.num_rows * table.num_columns),
    )
    return frame


# values that are read sooner than threads take turns; files of so few are many
_FEW = 2**17


def is_work(values: int) -> bool:
    """Return whether so many values are worth the work of several threads."""
    return values > _FEW


def to_frames(read: ReadArrow) -> ReadPieces:
    """Return a reader of frames, made of one of Arrow tables."""
    return lambda names: map(to_frame, read(names))


def refuse_foreign_types(where: object, schema: pa.Schema, columns: Sequence[str]) -> None:
    """Refuse columns of types that Arrow knows and pandas does not."""
    for name in columns:
        kind = schema.field(name).type
        if isinstance(kind, pa.BaseExtensionType):
            raise InputError(
                f"{where}: column {name!r} is of the type {kind.extension_name}; expected numbers, "
                "text or dates; store it as one of them"
            )


def changed(where: str) -> InputError:
    """Return what is told of a table that is not what it was in an earlier pass."""
    return InputError(f"{where}: changed while it was read; run again once nothing writes to it")


@dataclass(frozen=True)
class Table:
    """A file, or a file of a folder.

    It is read in several passes, and what one has counted another one fills. So each pass holds
    the rows that it reads against those that there should be, and the file against what it was.

    Attributes:
        where: its name, for messages.
        rows: how many rows it has.
        headers: the columns it has of those that are wanted, by the names they are wanted under.
        read: takes headers, gives their columns piece by piece; each time from the start.
        kind: what kind of file it is, for messages.
        future: whether its rows follow those of the tables that are forecast.
        state: of the file, before anything of it was read; None of what is no file.
        scales: what numbers of wanted columns are multiplied by.
    """

    where: str
    rows: int
    headers: Mapping[str, str]
    read: ReadPieces
    kind: str = "table"
    future: bool = False
    state: FileState | None = None
    scales: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_frame(
        cls,
        where: str,
        frame: pd.DataFrame,
        headers: Mapping[str, str] | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> "Table":
        """Return a table of what is in memory; labels of columns that are no text, as text.

        Args:
            where: its name, for messages.
            frame: the rows, of whatever types.
            headers: see there; each column under its own name if not given.
            scales: see there.
        """
        place = {str(name): number for number, name in enumerate(frame.columns)}

        def read(names: list[str]) -> Iterator[pd.DataFrame]:
            columns = {name: _of_file(frame.iloc[:, place[name]], where) for name in names}
            yield pd.DataFrame(columns, frame.index, copy=False)

        headers = headers or {name: name for name in place}
        return cls(where, len(frame), headers, read, scales=scales or {})

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.where)

    def pieces(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Read some of the wanted columns, those that there are, under the names wanted.

        Raises:
            InputError: the file cannot be read, has changed, or has other rows than it says.
        """
        headers = {name: self.headers[name] for name in names if name in self.headers}
        with readable(self.where, self.kind), self._unchanged():
            rows = 0
            for piece in self.read(list(dict.fromkeys(headers.values()))):
                rows += len(piece)
                if rows > self.rows:
                    break
                columns = {
                    name: self._scaled(name, piece[header], rows - len(piece))
                    for name, header in headers.items()
                }
                if len(piece):  # files may have empty row groups
                    yield pd.DataFrame(columns, piece.index, copy=False)
            if rows != self.rows:
                found = "more" if rows > self.rows else rows
                raise ValueError(f"expected {self.rows} rows, found {found}")

    def _scaled(self, name: str, column: pd.Series, begin: int) -> pd.Series:
        """Return a column in the unit it is wanted in; `begin` is its first row in the table."""
        if name not in self.scales:
            return column
        numbers = as_numbers(column, self.where, begin) * self.scales[name]
        return pd.Series(numbers, column.index)

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Tell that the file is not what it was, rather than what came of that."""
        try:
            self._compare()
            yield
        except Exception as error:
            self._compare(error)
            raise
        self._compare()

    def _compare(self, error: Exception | None = None) -> None:
        if self.state is not None and FileState.of(self.path) != self.state:
            raise changed(self.where) from error


def _of_file(column: pd.Series, where: str) -> pd.Series:
    """Return a column of a frame with the type that it would have were it read from a file."""
    if isinstance(column.dtype, pd.SparseDtype):
        return pd.Series(np.asarray(column), column.index, name=column.name)
    if not isinstance(column.dtype, pd.ArrowDtype):
        return column
    name = str(column.name)
    table = pa.table({name: pa.array(column)})
    refuse_foreign_types(where, table.schema, [name])
    return to_frame(table)[name].set_axis(column.index)


T = TypeVar("T")


def ahead(pieces: Iterator[T], values: int) -> Iterator[T]:
    """Yield pieces, each read while the one before is worked on.

    Args:
        pieces: the pieces.
        values: how many values they hold.
    """
    if not is_work(values):
        yield from pieces
        return
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield piece


def shown(value: object) -> str:
    """Return a value as messages show it: what a column holds as NumPy's is a plain number."""
    # as text, not as a Python number: that of 0.1 in float32 would have 20 digits
    return str(value) if isinstance(value, np.number | np.bool_) else repr(value)


class readable:  # noqa: N801  a context manager
    """Tells of a file that cannot be read in one line.

    Args:
        where: the file.
        kind: what kind of file it should be.
    """

    def __init__(self, where: object, kind: str) -> None:
        self.where = where
        self.kind = kind

    def __enter__(self) -> None:
        """Start."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Turn what a reader raised into one line."""
        if isinstance(error, OSError) and error.errno in LIMITS:
            return
        expected = pa.ArrowException, OSError, UnicodeError, ValueError
        if isinstance(error, expected) and not isinstance(error, InputError):
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            remedy = "see that it is whole, and of the kind that its ending says"
            if isinstance(error, PermissionError | FileNotFoundError):
                remedy = "see that it is there and may be read"
            elif isinstance(error, pd.errors.ParserError):
                remedy = "see that each row has as many fields as the first one"
            elif isinstance(error, UnicodeError) and self.kind == "csv file":
                remedy = (
                    "expected text in UTF-8: save it as that, or name its encoding, as csv: "
                    "{encoding: latin-1}"
                )
            raise InputError(
                f"{self.where}: not a readable {self.kind} ({reason}); {remedy}"
            ) from error


# what a column of objects may hold, besides missing values, in the words of pandas
REAL_OBJECTS = ("integer", "floating", "mixed-integer-float", "decimal")


def plain(column: pd.Series) -> pd.Series:
    """Return a categorical column as one of its values, any other one as it is."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    values = pd.Series(column.cat.categories).reindex(column.cat.codes).set_axis(column.index)
    values.name = column.name
    return values


def as_numbers(column: pd.Series, where: str, begin: int) -> FloatArray:
    """Return a column as numbers, NaN where one is missing.

    Args:
        column: (n,) numbers or booleans, of whatever type; text is none, even that of a number.
        where: its table, for messages.
        begin: row of the table at which it begins.

    Raises:
        InputError: a value is no number, or does not fit into float64.
    """
    column = plain(column)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    there = column.notna()
    if not there.any():
        return np.full(len(column), np.nan)
    known_type = pd.api.types.infer_dtype(column)
    if known_type in ("boolean", *REAL_OBJECTS) or is_real(column[there]).all():
        try:
            return column.where(there, np.nan).to_numpy(dtype=np.float64)
        except OverflowError:
            large = there & (column.where(there, 0).abs() > sys.float_info.max)
            raise InputError(
                f"{where}: column {column.name!r} holds a number beyond those of float64 in row "
                f"{begin + int(np.argmax(large))} (counted from 0); correct it"
            ) from None
    row = int(np.argmax(no_numbers(column)))
    hint = hint_of(column.iloc[row], Path(where), begin + row)
    raise InputError(
        f"{where}: column {column.name!r} must be numeric, found {shown(column.iloc[row])} in row "
        f"{begin + row} (counted from 0); {hint}convert the column, name it in "
        "categorical_covariates, or leave it out"
    )


def is_real(column: pd.Series) -> pd.Series:
    """Return which values of a column of objects are numbers, booleans among them."""
    return column.map(lambda value: isinstance(value, numbers.Real | Decimal)).astype(bool)


def no_numbers(column: pd.Series) -> pd.Series:
    """Return which values there are that do not read like numbers; or else, are none."""
    objects, there = column.astype("object"), column.notna()
    words = there & pd.to_numeric(objects, errors="coerce").isna()
    if not words.any():
        words = there & ~is_real(objects)
    return words if words.any() else there
