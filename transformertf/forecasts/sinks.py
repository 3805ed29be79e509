"""Forecasts to a parquet file, by one process or by several, or to memory."""

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from transformertf.checkpoint import check_folder_of, naming
from transformertf.errors import InputError


class ForecastFile:
    """A parquet file written piece by piece, there only once it is whole.

    Of several processes each writes a part, in the order of their ranks; the first one joins them.

    Args:
        path: the file; its folder must exist.
        flag: what named it, for messages.

    Attributes:
        rows: how many were written; by all processes once it is whole.
    """

    def __init__(self, path: Path, flag: str = "--output") -> None:
        if path.suffix != ".parquet":
            raise InputError(f"{flag} {path}: expected a name that ends in .parquet")
        if path.is_dir():
            raise InputError(f"{flag} {path}: expected a file, found a folder")
        if path.exists() and not (path.is_file() and _holds_forecasts(path)):
            raise InputError(
                f"{flag} {path}: would overwrite what is no table of forecasts; give another name, "
                "or remove it"
            )
        check_folder_of(path, flag)
        self.path = path
        self.rows = 0
        self._rank, self._ranks, self._token = 0, 1, str(os.getpid())
        self._writer: pyarrow.parquet.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Start; nothing is written before the first piece."""
        return self

    def share(self, rank: int, ranks: int, token: str) -> None:
        """Write the part of one process of several.

        Args:
            rank: number of this process.
            ranks: number of processes.
            token: what the names of their parts have in common, and no others have.
        """
        self._rank, self._ranks, self._token = rank, ranks, token

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows."""
        schema = None if self._writer is None else self._writer.schema
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        with naming(self.path):
            if self._writer is None:
                self._writer = pyarrow.parquet.ParquetWriter(self._part(self._rank), table.schema)
            self._writer.write_table(table)
        self.rows += len(frame)

    def close(self) -> None:
        """End the part of this process."""
        if self._writer is not None:
            with naming(self.path):
                self._writer.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the whole file in place, or take what is half-written away."""
        try:
            self.close()
            if error is None and self._rank == 0:
                with naming(self.path):
                    self._join()
        except BaseException as failure:
            error = failure
            raise
        finally:
            if error is not None:
                ranks = range(self._ranks + 1) if self._rank == 0 else [self._rank]
                for rank in ranks:
                    self._part(rank).unlink(missing_ok=True)

    def _part(self, rank: int) -> Path:
        # a name may be as long as the file system takes
        return self.path.with_name(f".{self.path.name[:32]}.{self._token}.{rank}.part")

    def _join(self) -> None:
        parts = [part for part in map(self._part, range(self._ranks)) if part.exists()]
        self.rows = sum(pyarrow.parquet.read_metadata(part).num_rows for part in parts)
        if len(parts) > 1:
            whole, schema = self._part(self._ranks), pyarrow.parquet.read_schema(parts[0])
            with pyarrow.parquet.ParquetWriter(whole, schema) as writer:
                for part in parts:
                    with pyarrow.parquet.ParquetFile(part) as file:
                        for number in range(file.num_row_groups):
                            writer.write_table(file.read_row_group(number).cast(schema))
            for part in parts:
                part.unlink()
            parts = [whole]
        for part in parts:
            part.replace(self.path)


def _holds_forecasts(path: Path) -> bool:
    try:
        names = pyarrow.parquet.read_schema(path).names
    except (pa.ArrowException, OSError):
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
