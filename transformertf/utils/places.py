"""Whether something can be written where a user wants it, asked before anything is computed."""

import os
from pathlib import Path

from transformertf.errors import InputError


def check_folder_of(path: Path, flag: str, remedy: str = "") -> None:
    """Refuse a place in a folder that is not there, or that nobody may write to.

    What else stands in the way, of another kind or not to be lost, those know who write.

    Args:
        path: what is to be written, a file or a folder.
        flag: what named it, for messages.
        remedy: ends the message of a folder that is closed.

    Raises:
        InputError: names the folder.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{flag} {path}: the folder {folder} must exist")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{flag} {path}: the folder {folder} cannot be written to{remedy}")
