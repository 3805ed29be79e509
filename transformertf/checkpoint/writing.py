"""Files that are replaced whole, or not at all; and whether one can be written where it should."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from filelock import lock_descriptor
from lightning.fabric.plugins import TorchCheckpointIO

from transformertf.checkpoint.content import unshared
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
        with part.open("wb") as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _flush_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


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
    """Writes the checkpoints of a trainer by `write_checkpoint`, and reads none twice.

    Args:
        path: of a checkpoint that was read before; None for none.
        content: what it held, which is handed out whatever lies there now.
    """

    def __init__(self, path: Path | None = None, content: dict[str, Any] | None = None) -> None:
        self._path, self._content = path, content

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; see `write_checkpoint`."""
        assert storage_options is None
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Return what was read before, else read it; the trainer changes what it is given."""
        if self._content is not None and Path(path) == self._path:
            content: dict[str, Any] = unshared(self._content)
            return content
        return super().load_checkpoint(path, *args, **options)


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
