"""HDF5 files, whose datasets of one dimension are columns, read in pieces."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from transformertf.data.reading.memory import PIECE, slices
from transformertf.errors import InputError


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"{path}: HDF5 files want the package h5py: pip install 'transformertf[hdf5]', or "
            "store the file as parquet"
        ) from None
    with h5py.File(path, "r") as file:
        yield file


def h5_columns(path: Path) -> list[str]:
    """Return the names of the columns; of those in groups with the groups', as `magnet/I`.

    A column has one dimension, or others of length 1 beside it. Links lead nowhere.
    """
    names: list[str] = []

    def visit(name: str, node: Any) -> None:
        shape = getattr(node, "shape", None)
        if shape and sum(length != 1 for length in shape) <= 1:
            names.append(name)

    with _open(path) as file:
        file.visititems(visit)
    return names


class H5File:
    """An HDF5 file, opened each time that it is read.

    Args:
        path: the file.
        columns: those to read.

    Attributes:
        rows: how many rows it has.

    Raises:
        InputError: the columns are not of one length, or one holds no numbers and no text.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        with _open(path) as file:
            lengths = {name: file[name].size for name in columns}
            for name in columns:
                self._refuse_kind(name, file[name].dtype)
        self.rows = lengths[columns[0]]
        for name, length in lengths.items():
            if length != self.rows:
                raise InputError(
                    f"{path}: {name!r} has {length} values and {columns[0]!r} {self.rows}; "
                    "expected one for each row, cut the longer one"
                )

    def read(self, names: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some of its columns, piece by piece."""
        with _open(self.path) as file:
            for piece in slices(0, self.rows, PIECE):
                yield pa.table({name: _values(file[name], piece) for name in names})

    def _refuse_kind(self, name: str, kind: np.dtype[Any]) -> None:
        import h5py

        if kind.kind not in "biufS" and h5py.check_string_dtype(kind) is None:
            raise InputError(
                f"{self.path}: column {name!r} is of the type {kind}; expected numbers or text, "
                "store it as one of them"
            )


def _values(dataset: Any, piece: slice) -> Any:
    """Return some values of a column, in the byte order of this machine."""
    longest = next((axis for axis, length in enumerate(dataset.shape) if length != 1), 0)
    place = tuple(piece if axis == longest else 0 for axis in range(dataset.ndim))
    if dataset.dtype.kind in "SO":
        return pa.array(dataset.asstr()[place].tolist(), pa.string())
    values = dataset[place]
    return pa.array(values.astype(values.dtype.newbyteorder("=")))
