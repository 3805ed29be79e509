"""Parquet files, read in groups of rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from transformertf.data.reading.memory import PIECE, map_file
from transformertf.data.reading.tables import is_work, refuse_foreign_types
from transformertf.errors import InputError


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns."""
    # a name such as run:1.parquet would be taken for a place on the net
    names: list[str] = pyarrow.parquet.read_schema(map_file(path)).names
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
    """

    def __init__(self, path: Path, columns: Sequence[str], text: Sequence[str]) -> None:
        self.path = path
        self._text = list(text)
        file = self._open()
        refuse_foreign_types(path, file.schema_arrow, columns)
        self.rows: int = file.metadata.num_rows

    def read(self, names: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some of its columns, group by group.

        Raises:
            InputError: the file changed.
        """
        file = self._open()
        if file.metadata.num_rows != self.rows:
            raise InputError(f"{self.path}: changed while it was read; run again")
        for group in range(file.num_row_groups):
            # a group at once is the fastest way, where it is not too large
            rows = file.metadata.row_group(group).num_rows
            if rows <= 4 * PIECE:
                threads = is_work(rows * len(names))
                yield file.read_row_group(group, columns=names, use_threads=threads)
            else:
                for batch in file.iter_batches(PIECE, row_groups=[group], columns=names):
                    yield pa.Table.from_batches([batch])

    def _open(self) -> pyarrow.parquet.ParquetFile:
        # mapped, so that a large row group is not held in memory; text as numbers and a dictionary
        options = {"page_checksum_verification": True}
        try:
            return pyarrow.parquet.ParquetFile(
                map_file(self.path), read_dictionary=self._text, **options
            )
        except KeyError:  # lists and the like have no dictionary; they are refused later
            return pyarrow.parquet.ParquetFile(map_file(self.path), **options)
