"""Forecasts to a parquet or csv file, by one process or by several, or to memory."""

import contextlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from transformertf.checkpoint import (
    check_folder_of,
    naming,
    new_token,
    open_part,
    part_of,
    put,
    refuse_link,
    sweep,
    whole_file,
)
from transformertf.errors import InputError

ENDINGS = (".parquet", ".csv")


class ForecastFile:
    """A parquet or csv file, there only once it is whole.

    Of several processes each writes a part, in the order of their ranks; the first one joins them.
    Parts are parquet, written piece by piece, whatever the file is.

    Args:
        path: the file; its folder must exist.
        flag: what named it, for messages.

    Attributes:
        rows: how many were written; by all processes once it is whole.
    """

    def __init__(self, path: Path, flag: str = "--output") -> None:
        if path.suffix not in ENDINGS:
            raise InputError(f"{flag} {path}: expected a name that ends in {' or '.join(ENDINGS)}")
        if path.is_dir():
            raise InputError(f"{flag} {path}: expected a file, found a folder")
        if path.exists() and not (path.is_file() and _holds_forecasts(path)):
            raise InputError(
                f"{flag} {path}: would overwrite what is no table of forecasts; give another name, "
                "or remove it"
            )
        refuse_link(path, flag)
        check_folder_of(path, flag)
        self.path = path
        self.rows = 0
        self._rank, self._ranks, self._token = 0, 1, new_token()
        self._file: BinaryIO | None = None
        self._writer: pyarrow.parquet.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Start: nothing is written before the first piece, what was left half-written goes."""
        sweep(self.path.parent, self.path.name)
        return self

    def share(self, rank: int, ranks: int, token: str) -> None:
        """Write the part of one process of several.

        Args:
            rank: number of this process.
            ranks: number of processes.
            token: what the names of their parts have in common, and no others have.
        """
        self._rank, self._ranks, self._token = rank, ranks, token
        if rank == 0:  # it keeps the parts of all from being swept
            self._open()

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows."""
        schema = None if self._writer is None else self._writer.schema
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        with naming(self.path):
            self._append(table)

    def close(self) -> None:
        """End the part of this process; the first one has those of the others to take in."""
        if self._writer is not None and self._rank:
            with naming(self.path):
                self._writer.close()
                self._open().close()  # else machines that share a folder may see half of it

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the whole file in place, or take what is half-written away."""
        done = False
        try:
            with naming(self.path):
                if error is None and self._rank == 0:
                    self._join()
                if self._writer is not None:
                    self._writer.close()
                    if error is None and self._rank == 0:
                        self._put()
            done = error is None
        finally:
            if self._file is not None:
                with contextlib.suppress(OSError):  # what it could not write is told already
                    self._file.close()
            # the first one takes all; its own has got its place, where all went well
            mine = range(self._ranks) if self._rank == 0 else [] if done else [self._rank]
            for rank in mine:
                self._part(rank).unlink(missing_ok=True)

    def _put(self) -> None:
        """Bring the whole table to its place."""
        if self.path.suffix != ".csv":
            put(self._open(), self._part(0), self.path)
            return
        self._open().flush()
        with whole_file(self.path) as file, pyarrow.parquet.ParquetFile(self._part(0)) as table:
            for number in range(table.num_row_groups):
                rows = table.read_row_group(number).to_pandas()
                rows.to_csv(file, index=False, header=number == 0, lineterminator="\n")

    def _part(self, rank: int) -> Path:
        return part_of(self.path, self._token, rank)

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = open_part(self._part(self._rank))
        return self._file

    def _append(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._open(), table.schema)
        self._writer.write_table(table.cast(self._writer.schema))
        self.rows += len(table)

    def _join(self) -> None:
        """Take in the parts of the other processes, in the order of their ranks."""
        for part in map(self._part, range(1, self._ranks)):
            if part.exists():
                with pyarrow.parquet.ParquetFile(part) as file:
                    for number in range(file.num_row_groups):
                        self._append(file.read_row_group(number))


def _holds_forecasts(path: Path) -> bool:
    try:
        if path.suffix == ".csv":
            names = pd.read_csv(path, nrows=0).columns
        else:
            names = pyarrow.parquet.read_schema(path).names
    except (pa.ArrowException, OSError, ValueError):
        return False
    return {"series", "origin", "step", "time", "prediction"} <= set(names)


class ForecastFrames:
    """Keeps forecasts in memory.

    Attributes:
        pieces: what was written.
    """

    def __init__(self) -> None:
        self.pieces: list[pd.DataFrame] = []

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows."""
        self.pieces.append(frame)

    def share(self, rank: int, ranks: int, token: str) -> None:
        """Refuse: this process would have a part only.

        Raises:
            InputError: always.
        """
        raise InputError(f"expected one process, found {ranks}; set trainer.devices to 1")

    def close(self) -> None:
        """Do nothing: all is kept."""


class Sink(Protocol):
    """Takes forecasts piece by piece."""

    def write(self, frame: pd.DataFrame) -> None:
        """Take rows."""

    def share(self, rank: int, ranks: int, token: str) -> None:
        """Take the rows of one process of several, which have a token in common."""

    def close(self) -> None:
        """Take no more."""
