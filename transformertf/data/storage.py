"""Where columns are kept: in memory, or in mapped files where they would fill it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

Storage = Literal["auto", "memory", "mmap"]

# share of the available memory that columns may take: scaling, batches and the model want theirs
SHARE = 0.4
PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def chosen(storage: Storage, rows: int, row_bytes: int) -> Literal["memory", "mmap"]:
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
        return path.read_text()
    except OSError:
        return ""
