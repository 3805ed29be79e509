"""Mapped files whose pages leave memory once they are worked on."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_maps: WeakSet[mmap.mmap] = WeakSet()


def keep_track(array: np.memmap) -> npt.NDArray[np.generic]:
    """Return a mapped array as a plain one, whose pages `release` knows of."""
    # the map stays open as long as the array or a part of it is there
    _maps.add(array._mmap)  # type: ignore[attr-defined]
    # parts of a plain array are made faster than those of a `memmap`
    return array.view(np.ndarray)


def map_file(path: Path) -> Path | pa.BufferReader:
    """Return a file to be read, mapped so that `release` knows of it; an empty one as it is."""
    if path.stat().st_size == 0:
        return path
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _maps.add(mapped)
    return pa.BufferReader(pa.py_buffer(mapped))


def release() -> None:
    """Let the system have the pages of all mapped files; what is read again comes from its cache.

    Nothing that was written is lost: the files are shared maps. The process's resident memory then
    does not grow with the rows that it goes through.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for each in tuple(_maps):
            each.madvise(mmap.MADV_DONTNEED)


# rows of a slice: enough for reading at full speed, few enough to stay in a CPU's cache
PIECE = 2**18


def slices(first: int, end: int, size: int) -> Iterator[slice]:
    """Yield the rows from `first` to before `end`, at most `size` in a slice.

    After each slice the pages of mapped files are let go.
    """
    for begin in range(first, end, size):
        yield slice(begin, min(begin + size, end))
        release()
