"""What commands need of the system; torch is not imported yet, it ends a process that lacks it."""

import os
import tempfile
from pathlib import Path

from transformertf.errors import InputError


def check_surroundings() -> None:
    """Refuse to start where the folders are not there that libraries take for granted.

    A user without a home can do without: what would lie there goes to temporary files.

    Raises:
        InputError: the working folder is gone, or nowhere a temporary file can be written.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the working folder is gone ({error.strerror}); change to one that is there"
        ) from error
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise InputError(
            "no folder takes temporary files; name one that you may write to in TMPDIR"
        ) from error
    try:
        Path.home()
    except RuntimeError:
        # not before, for the help should not wait for it
        from transformertf.places import keep_apart

        keep_apart("MPLCONFIGDIR", "matplotlib")  # which torchmetrics imports, and 3.9 fails
