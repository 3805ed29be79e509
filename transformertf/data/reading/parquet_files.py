"""Parquet files, read in groups of rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from transformertf.data.reading.memory import PIECE
from transformertf.data.reading.tables import is_work, refuse_foreign_types

# bytes of a column that are fetched at once
_FETCHED = 2**20


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns."""
    # a name such as run:1.parquet would be taken for a place on the net
    with pa.OSFile(str(path)) as source:
        names: list[str] = pyarrow.parquet.read_schema(source).names
    return names


class ParquetFile:
    """A parquet file, opened each time that it is read: there may be more than may be open.

    Args:
        path: the file.
        columns: those to read.
        text: those of them that are names.

    Attributes:
        rows: how many rows it has.

    Raises:
        InputError: a column is of a type that pandas does not know.
        ValueError: its footer contradicts itself.
    """

    def __init__(self, path: Path, columns: Sequence[str], text: Sequence[str]) -> None:
        self.path = path
        self._text = list(text)
        with self._open() as file:
            refuse_foreign_types(path, file.schema_arrow, columns)
            self.rows = _rows(file.metadata, set(columns))

    def read(self, names: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some of its columns, group by group."""
        with self._open() as file:
            for group in range(file.num_row_groups):
                # a group at once is the fastest way, where it is not too large
                rows = file.metadata.row_group(group).num_rows
                if rows <= 4 * PIECE:
                    threads = is_work(rows * len(names))
                    yield file.read_row_group(group, columns=names, use_threads=threads)
                else:
                    for batch in file.iter_batches(PIECE, row_groups=[group], columns=names):
                        yield pa.Table.from_batches([batch])

    @contextmanager
    def _open(self) -> Iterator[pyarrow.parquet.ParquetFile]:
        # neither mapped, as a map of a file that is cut ends the process, nor fetched as a whole,
        # so that a large row group is not held in memory; text as numbers and a dictionary
        options = {
            "page_checksum_verification": True, "pre_buffer": False, "buffer_size": _FETCHED,
        }  # fmt: skip
        with pa.OSFile(str(self.path)) as source:
            try:
                file = pyarrow.parquet.ParquetFile(source, read_dictionary=self._text, **options)
            except KeyError:  # lists and the like have no dictionary; they are refused later
                file = pyarrow.parquet.ParquetFile(source, **options)
            yield file


def _rows(footer: pyarrow.parquet.FileMetaData, columns: set[str]) -> int:
    """Return how many rows a footer tells of, of the file, its groups and their columns alike.

    Raises:
        ValueError: they differ.
    """
    rows: int = footer.num_rows
    told = {rows, sum(footer.row_group(n).num_rows for n in range(footer.num_row_groups))}
    # a list has more values than rows
    flat = [n for n in range(footer.num_columns) if footer.schema.column(n).path in columns]
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        values = {group.column(n).num_values for n in flat} - {group.num_rows}
        told |= {rows - group.num_rows + count for count in values}
    if len(told) > 1 or rows < 0:
        raise ValueError(f"its footer says {' and '.join(map(str, sorted(told)))} rows")
    return rows
