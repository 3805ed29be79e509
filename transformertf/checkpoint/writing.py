"""Files that are replaced whole, or not at all; and whether one can be written where it should."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from filelock import lock_descriptor
from lightning.fabric.plugins import TorchCheckpointIO

from transformertf.errors import InputError

SUFFIX = ".part"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write; at the end it takes the place of `path`, flushed to disk.

    Whatever happens in between, a full disk or the end of the process, the file that was there
    stays as it was. Only a process that is killed leaves its unfinished part behind, beside it.

    Args:
        path: the file, in a folder that exists.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with naming(path), part.open("wb") as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _flush_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file; what is no Unicode, as of names of files, is escaped."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system that names no file, as of a disk that is full, name this one."""
    try:
        yield
    except OSError as error:
        link: BaseException | None = error  # to tidy up may have failed as well
        while link is not None:
            if isinstance(link, OSError) and link.filename is None:
                link.filename = str(path)
            link = link.__context__
        raise


def sweep(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder, and not what others still write."""
    for part in folder.glob(f".*{SUFFIX}"):
        # what cannot be removed is in nobody's way
        with contextlib.suppress(OSError), part.open("rb") as file:
            if _lock(file):
                part.unlink(missing_ok=True)


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed, or its process ends; whether no other process had it."""
    try:
        return lock_descriptor(file.fileno(), blocking=False)
    except OSError:  # a file system without locks
        return True


def _flush_folder(folder: Path) -> None:
    """Bring a folder's list of names to disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; a file there is replaced by a whole one only.

    Args:
        content: tensors and primitives.
        path: the file.

    Raises:
        InputError: the disk is full, or does not take it for another reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        reason = _of_the_system(error)
        if reason is None:
            raise
        raise InputError(
            f"{path}: the checkpoint cannot be written ({reason.strerror}); what was written "
            "before is whole: mend that, and go on from it"
        ) from error


class WholeCheckpoints(TorchCheckpointIO):
    """Writes the checkpoints of a trainer by `write_checkpoint`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; see `write_checkpoint`."""
        assert storage_options is None
        write_checkpoint(checkpoint, Path(path))


def _of_the_system(error: BaseException) -> OSError | None:
    """Return the system's error behind one of torch's own."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, OSError):
        link = link.__cause__ or link.__context__
    return link


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
