"""Feather files, read in batches of rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.feather

from transformertf.data.reading.memory import PIECE
from transformertf.data.reading.tables import refuse_foreign_types

# how a file begins that is of the first version of the format, which has no batches
_FIRST = b"FEA1"


def feather_columns(path: Path) -> list[str]:
    """Return the names of the columns."""
    names: list[str] = _schema(path).names
    return names


class FeatherFile:
    """A feather file, gone through once to count its rows, and each time that they are read.

    Args:
        path: the file.
        columns: those to read.

    Attributes:
        rows: how many rows it has.

    Raises:
        InputError: a column is of a type that pandas does not know.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        refuse_foreign_types(path, _schema(path), columns)
        self.rows = sum(table.num_rows for table in self.read(list(columns)))

    def read(self, names: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some of its columns, at most a batch at a time."""
        for table in self._tables(names):
            # else text of a damaged file could be read from anywhere in memory
            table.validate(full=True)
            for begin in range(0, table.num_rows, PIECE):
                yield table.slice(begin, PIECE)

    def _tables(self, names: list[str]) -> Iterator[pa.Table]:
        # not mapped: a map of a file that is cut ends the process
        with pa.OSFile(str(self.path)) as source:
            if _is_first(source):
                yield pyarrow.feather.read_table(source, columns=names)
                return
            schema = pa.ipc.open_file(source).schema
            places = [schema.get_field_index(name) for name in names]
            options = pa.ipc.IpcReadOptions(included_fields=places)
            file = pa.ipc.open_file(source, options=options)
            for number in range(file.num_record_batches):
                yield pa.Table.from_batches([file.get_batch(number)])


def _schema(path: Path) -> pa.Schema:
    with pa.OSFile(str(path)) as source:
        if _is_first(source):
            return pyarrow.feather.read_table(source).schema
        return pa.ipc.open_file(source).schema


def _is_first(source: pa.NativeFile) -> bool:
    return bool(source.read(len(_FIRST)) == _FIRST)
