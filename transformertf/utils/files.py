"""Whether a file is still what it was."""

import errno
import os
from pathlib import Path
from typing import NamedTuple

# numbers of errors of what the system has no more of just now: they say nothing of a file
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class FileState(NamedTuple):
    """What tells that a file is another one, or was written to."""

    device: int
    number: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, file: Path | int) -> "FileState":
        """Return the state of a file, by its path or its descriptor.

        Raises:
            OSError: it is not there.
        """
        found = os.stat(file)
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
