"""Places that processes and users share: locks, and folders that are one user's alone."""

import errno
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from filelock import lock_descriptor

from transformertf.errors import InputError

log = logging.getLogger(__name__)
# this process alone has it; another one has; there are no locks here
Held = Literal["alone", "taken", "unknown"]
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


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


def own_folder(given: Path, remedy: str) -> Path:
    """Return where in a folder the files of this user go, so that no other user can change them.

    That is the folder itself where nobody else may write to it; else, and where it is to be made in
    one that others may write to, a folder in it with the user's number. Neither needs to exist.

    Args:
        given: the folder.
        remedy: ends messages.

    Raises:
        InputError: a link of another user leads there, or what is there is not this user's alone.
    """
    user = _user()
    if user is None:
        return given
    for path in (given, *given.parents):
        if path.is_symlink() and path.lstat().st_uid not in (0, user):
            raise InputError(f"{path} is a link that another user has made; {remedy}")
    if not _is_shared(next(path for path in (given, *given.parents) if path.exists())):
        return given
    own = given / f"user-{user}"
    if os.path.lexists(own):
        _require_own(own, remedy)
    return own


def make_own_folder(given: Path, remedy: str) -> Path:
    """Make what `own_folder` returns; a new folder in a shared one is shared as that is.

    Raises:
        InputError: as `own_folder`.
        OSError: it cannot be made.
    """
    own_folder(given, remedy)
    _make(given)
    own = own_folder(given, remedy)
    own.mkdir(mode=0o700, exist_ok=True)
    return own_folder(given, remedy)


def keep_apart(variable: str, name: str) -> None:
    """Have a library keep its files where no other user can put any, below temporary files.

    Args:
        variable: of the environment, that tells it where; a folder that it names already is taken.
        name: of the library's folder.

    Raises:
        InputError: another user has taken the place, or it cannot be made.
    """
    if variable in os.environ:
        return
    # not in one that users share: who has made that could put another in its place
    number = "" if _user() is None else f"-{_user()}"
    place, remedy = Path(tempfile.gettempdir(), f"transformertf{number}"), f"name one in {variable}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place} cannot be made ({error.strerror}); {remedy}") from error
    _require_own(place, remedy)
    os.environ[variable] = str(place / name)


def is_own(path: Path) -> bool:
    """Return whether a path is a folder, no link, that this user alone may write to."""
    state, user = path.lstat(), _user()
    alone = user is None or (state.st_uid == user and not state.st_mode & _OTHERS)
    return stat.S_ISDIR(state.st_mode) and alone


def _require_own(folder: Path, remedy: str) -> None:
    if not is_own(folder):
        raise InputError(f"{folder} is not a folder that you alone may write to; {remedy}")


def _user() -> int | None:
    """Return the number of this user, where users have numbers."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _is_shared(folder: Path) -> bool:
    """Return whether other users may write to a folder: whoever owns it, root aside, and others.

    Where this user may write to what is root's, others may, too.
    """
    state, user = folder.stat(), _user()
    if state.st_uid == 0 != user:
        effective = os.access in os.supports_effective_ids
        theirs = os.access(folder, os.W_OK, effective_ids=effective)
    else:
        theirs = state.st_uid != user
    return theirs or bool(state.st_mode & _OTHERS)


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    _make(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        if folder.is_dir():  # another process was first
            return
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    if _user() is not None and _is_shared(folder.parent):
        # by its descriptor: whoever may write there may put a link in its place
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            above, group = folder.parent.stat().st_mode, os.fstat(place).st_mode & stat.S_ISGID
            users = above & 0o777 if above & _OTHERS else 0o777
            os.fchmod(place, stat.S_ISVTX | group | users)
        finally:
            os.close(place)
