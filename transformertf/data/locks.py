"""One process at a time for what several may write."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

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
        held = _try(file, wait=told and wait)
        if held == "taken" and wait:
            log.warning("waiting for another process that writes %s", place)
            told = True
        elif held != "alone" or _is_at(file, path):
            break
        file.close()
    with file:
        try:
            yield held
        finally:
            if held == "alone":
                path.unlink()


def _try(file: BinaryIO, *, wait: bool) -> Held:
    if fcntl is None:
        return "unknown"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return "taken"
    except OSError:
        return "unknown"
    return "alone"


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Return whether a lock is still that of its path, as the one who had it took it away."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
