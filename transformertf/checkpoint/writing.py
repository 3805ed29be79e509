"""Files that are replaced whole, or not at all; and whether one can be written where it should."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from transformertf.checkpoint.content import unshared
from transformertf.errors import InputError
from transformertf.places import is_at, try_lock

SUFFIX = ".part"
# letters of a name: it may be as long as the file system takes
_SHOWN = 32
_PART = re.compile(rf"(\.(.{{1,{_SHOWN}}})\.[0-9a-f]{{16}})(?:\.\d+)?{SUFFIX}", re.DOTALL)


def new_token() -> str:
    """Return what no other part has in its name: numbers of processes are those of one machine."""
    return secrets.token_hex(8)


def part_of(path: Path, token: str, rank: int = 0) -> Path:
    """Return where a process writes what is to become a file, or its share of that."""
    own = f".{rank}" if rank else ""
    return path.with_name(f".{path.name[:_SHOWN]}.{token}{own}{SUFFIX}")


def open_part(part: Path) -> BinaryIO:
    """Open a new part to write; as long as it is open, nobody takes it for one left behind."""
    while True:
        file = part.open("xb")
        if try_lock(file, wait=True) == "unknown" or is_at(file, part):
            return file
        file.close()  # it was swept before it was locked


def put(file: BinaryIO, part: Path, path: Path) -> None:
    """Bring a part, written through `file`, to disk and to its place."""
    file.flush()
    os.fsync(file.fileno())
    if os.name == "nt":  # where an open file keeps its name
        file.close()
    part.replace(path)
    _flush_folder(path.parent)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write; at the end it takes the place of `path`, flushed to disk.

    Whatever happens in between, a full disk or the end of the process, the file that was there
    stays as it was. Only a process that is killed leaves its unfinished part behind, beside it,
    until the file is written again.

    Args:
        path: the file, in a folder that exists.
    """
    sweep(path.parent, path.name)
    part = part_of(path, new_token())
    try:
        with naming(path), open_part(part) as file:
            yield file
            put(file, part, path)
    finally:
        part.unlink(missing_ok=True)


def add_name(path: Path, name: Path) -> None:
    """Give a whole file another name beside its own; a copy where the system has no links.

    What had that name is replaced in one step, and never half.

    Args:
        path: the file.
        name: in a folder that exists.
    """
    part = part_of(name, new_token())
    try:
        os.link(path, part)
        part.replace(name)
        _flush_folder(name.parent)
    except OSError:
        with path.open("rb") as old, whole_file(name) as new:
            shutil.copyfileobj(old, new)
    finally:
        part.unlink(missing_ok=True)  # which stays where both already are names of one file


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


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left unfinished in a folder, and not what others still write.

    Where the file system has no locks, nobody can tell, and all is left.

    Args:
        folder: where to look.
        name: of the file that parts were to become; all parts if not given.
    """
    shown = None if name is None else name[:_SHOWN]
    for part in folder.glob(f".*{SUFFIX}"):
        match = _PART.fullmatch(part.name)
        if match and shown in (None, match[2]):
            # shares of several processes are the first one's, which joins them
            first = part.with_name(match[1] + SUFFIX)
            # what cannot be removed is in nobody's way
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                kept = [
                    stack.enter_context(own.open("r+b")) for own in {part, first} if own.exists()
                ]
                if all(try_lock(file, wait=False) == "alone" for file in kept):
                    part.unlink(missing_ok=True)


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


def refuse_link(path: Path, flag: str) -> None:
    """Refuse a link in the place of a file: it was made for something else than to be replaced.

    Raises:
        InputError: names the link.
    """
    if path.is_symlink():
        raise InputError(f"{flag} {path}: is a link; name the file that it leads to, or remove it")
