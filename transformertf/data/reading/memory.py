"""Where columns are kept: in memory, in mapped files where they would fill it, on a device.

Pages of mapped files leave memory once they are worked on, a slice of rows at a time.
"""

import mmap
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import numpy.typing as npt

from transformertf.data.series import AnyArray
from transformertf.errors import InputError

if TYPE_CHECKING:  # what only looks at files does without torch
    import torch

    from transformertf.data.arguments import Storage

_maps: WeakSet[mmap.mmap] = WeakSet()
# of those that stay, the files that they are of
_files: WeakKeyDictionary[mmap.mmap, str] = WeakKeyDictionary()


def keep_track(array: np.memmap) -> npt.NDArray[np.generic]:
    """Return a mapped array as a plain one, whose pages `release` knows of."""
    # the map stays open as long as the array or a part of it is there
    _maps.add(array._mmap)  # type: ignore[attr-defined]
    _files[array._mmap] = str(array.filename)  # type: ignore[attr-defined]
    # parts of a plain array are made faster than those of a `memmap`
    return array.view(np.ndarray)


def release() -> None:
    """Let the system have the pages of all mapped files; what is read again comes from its cache.

    Nothing that was written is lost: the files are shared maps. The process's resident memory then
    does not grow with the rows that it goes through.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for each in tuple(_maps):
            each.madvise(mmap.MADV_DONTNEED)


def require_whole() -> None:
    """Refuse to go on where a mapped file was cut: to touch what is gone ends the process.

    Raises:
        InputError: names the file.
    """
    for mapped, file in tuple(_files.items()):
        if mapped.size() < len(mapped):
            raise InputError(
                f"{file}: was cut while it was in use; clear the cache (transformertf cache "
                "--clear), and run again"
            )


# rows of a slice: enough for reading at full speed, few enough to stay in a CPU's cache
PIECE = 2**18
# rows that were worked on since pages were let go
_worked = 0


def worked_on(rows: int) -> None:
    """Let the pages of mapped files go, once enough rows were worked on to be worth it.

    To do so takes time in proportion to the maps, and there may be as many slices as series.
    """
    global _worked  # as the maps are those of the process
    _worked += rows
    if _worked >= PIECE // 4:
        _worked = 0
        release()


def slices(first: int, end: int, size: int) -> Iterator[slice]:
    """Yield the rows from `first` to before `end`, at most `size` in a slice.

    Before each slice mapped files are looked at, after slices their pages are let go.

    Raises:
        InputError: see `require_whole`.
    """
    for begin in range(first, end, size):
        require_whole()
        rows = slice(begin, min(begin + size, end))
        yield rows
        worked_on(rows.stop - begin)


# share of the available memory that columns may take: scaling, batches and the model want theirs
SHARE = 0.4
# share of a device's free memory that they may take: model and activations want theirs
DEVICE_SHARE = 0.25
PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def chosen(storage: "Storage", rows: int, row_bytes: int) -> Literal["memory", "mmap"]:
    """Return where columns go.

    Args:
        storage: what the user asked for; "auto" maps what is more than `SHARE` of the available
            memory.
        rows: rows of all series.
        row_bytes: bytes of a row.
    """
    if storage != "auto":
        return storage
    return "mmap" if rows * row_bytes > SHARE * available_memory() else "memory"


def resident_device(
    wanted: bool | Literal["auto"], device: "torch.device", workers: int, size: int
) -> "torch.device":
    """Return the device to keep scaled columns on and to make batches on.

    Args:
        wanted: whether to keep them on the training's device, where that is a CUDA device; "auto"
            does where they take at most `DEVICE_SHARE` of its free memory.
        device: the training's.
        workers: processes that prepare batches.
        size: bytes of the columns.

    Raises:
        InputError: they are wanted there, and workers too, which have no part in it.
    """
    import torch

    host = torch.device("cpu")
    if wanted is False or device.type != "cuda":
        return host
    if wanted is True:
        if workers:
            raise InputError(
                f"device_resident is true and num_workers {workers}: batches made on the device "
                "need no workers; set num_workers to 0"
            )
        return device
    free, _ = torch.cuda.mem_get_info(device)
    return device if not workers and size <= DEVICE_SHARE * free else host


def available_memory() -> int:
    """Return the bytes that can be had without swapping.

    At most what the control groups of this process allow. All memory of the machine where the
    system tells of neither, and no limit where it does not even tell of that.
    """
    found = [*_free(), *_limits()]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return sys.maxsize


def _free() -> Iterator[int]:
    for line in _read(PROC / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) * 1024


def _limits() -> Iterator[int]:
    """Yield the limits of the control groups of this process and of those they lie in."""
    for line in _read(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        for part in (group, *group.parents):
            limit = _read(root / part / name).strip()
            if limit.isdigit():  # else "max"
                yield int(limit)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


# makes an array of a name, a shape and a type, and has it filled, in memory or in a file
KeepArray = Callable[[str, tuple[int, ...], npt.DTypeLike, Callable[[AnyArray], None]], AnyArray]


def keep_in_memory(
    name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, write: Callable[[AnyArray], None]
) -> AnyArray:
    """Return a filled array in memory."""
    out = np.empty(shape, dtype)
    write(out)
    return out
