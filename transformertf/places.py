"""Places that processes and users share: locks, and folders that are one user's alone."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from filelock import lock_descriptor

log = logging.getLogger(__name__)
# this process alone has it; another one has; there are no locks here
Held = Literal["alone", "taken", "unknown"]


@contextmanager
def lock(place: Path, *, wait: bool) -> Iterator[Held]:
    """Keep others from a path until the context ends, or until this process is killed.

    Its lock is the file `<path>.lock`, which goes with the context.

    Args:
        place: the path, which need not exist; its folder must.
        wait: wait for a process that has it, and say so where the path does not exist.

    Yields:
        Whether it is this process's now: "taken" only without `wait`, "unknown" where the system
        or the file system has no locks.
    """
    path = place.with_name(f"{place.name}.lock")
    told = place.exists() or not wait
    while True:
        file = path.open("ab")
        held = try_lock(file, wait=told and wait)
        if held == "taken" and wait:
            log.warning("waiting for another process that writes %s", place)
            told = True
        elif held != "alone" or is_at(file, path):
            break
        file.close()
    with file:
        try:
            yield held
        finally:
            if held == "alone":
                # a `FileLock` would leave its file there for good
                with suppress(PermissionError):  # Windows keeps open files from being removed
                    path.unlink()


def try_lock(file: BinaryIO, *, wait: bool) -> Held:
    """Lock an open file until it is closed, or its process ends."""
    try:
        return "alone" if lock_descriptor(file.fileno(), blocking=wait) else "taken"
    except OSError:  # a file system without locks
        return "unknown"


def is_at(file: BinaryIO, path: Path) -> bool:
    """Return whether a lock is still that of its path, as the one who had it took it away."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
