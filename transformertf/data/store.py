"""Folders of arrays that are written once and opened by many.

An entry is a folder `<key>` of arrays and a `meta.json`. It is written as `<key>.new-…` and takes
its name when it is whole, under the lock of its name: what a process left that was killed is
never taken for an entry, and goes with the next one that is written.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from transformertf import __version__
from transformertf.data.locks import Held, lock
from transformertf.data.mapped import keep_track
from transformertf.errors import InputError

log = logging.getLogger(__name__)

T = TypeVar("T")
Array = npt.NDArray[Any]

# of what entries hold; another one leaves the old entries to be cleared
FORMAT = 2
META = "meta.json"
# bytes that take a while to write
_WORTH_TELLING = 10**7
_NAME = re.compile(r"((?:panel|array)-[0-9a-f]{32})(|\.lock|\.new-\w+)")
_REMEDY = "name another folder in TRANSFORMERTF_CACHE, or set storage: memory"


@dataclass(frozen=True)
class Entry:
    """What is kept of some tables.

    Attributes:
        path: its folder.
        what: what it holds, for the user.
        size: bytes on disk.
        used: when it was last opened, in seconds since 1970.
    """

    path: Path
    what: str
    size: int
    used: float


def root() -> Path:
    """Return the folder of all entries; it need not exist.

    That is TRANSFORMERTF_CACHE, else transformertf in XDG_CACHE_HOME, else in ~/.cache.
    """
    given = os.environ.get("TRANSFORMERTF_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(given) if given else Path(shared) / "transformertf"
    return path.expanduser().absolute()


def make_key(kind: Literal["panel", "array"], parts: object) -> str:
    """Return the name of an entry.

    Args:
        kind: what it begins with.
        parts: what its content depends on: numbers, texts, arrays and tensors, in lists and dicts.
            The versions of this package and of the format go with them.
    """
    text = json.dumps([FORMAT, __version__, parts], default=_digest)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def open_entry(
    key: str,
    what: str,
    size: int,
    build: Callable[[Path], dict[str, Any]],
    load: Callable[[Path, dict[str, Any]], T],
) -> T:
    """Open an entry; without one, write it first.

    The first of several processes writes it, the others wait.

    Args:
        key: its name.
        what: what it holds, for the user.
        size: bytes of its large arrays.
        build: takes a folder, writes the arrays there, gives what else is to be kept, as JSON.
        load: takes the folder and what else was kept.

    Raises:
        InputError: no room, or no right to write; nothing is left then, nor of any error in
            `build`.
    """
    place = root() / key
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with lock(place, wait=True) as held:
            if not place.exists():
                _sweep(key, held)
                _write(place, what, size, build)
            os.utime(place / META)
            return load(place, json.loads((place / META).read_text()))
    except OSError as error:
        raise InputError(
            f"{what}: cannot be kept in {place.parent} ({error.strerror or error}); {_REMEDY}"
        ) from error


def entries() -> list[Entry]:
    """Return what there is, last used first."""
    found = []
    for path, _, ending in _paths():
        with suppress(FileNotFoundError):  # another process may clear it
            if not ending:
                meta = path / META
                what = json.loads(meta.read_text())["what"]
                found.append(Entry(path, what, _size(path), meta.stat().st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> int:
    """Remove all entries, but for those that a process is writing or opening just now.

    Processes that have opened one keep what they have mapped.

    Returns:
        The bytes that are free now.
    """
    freed = 0
    for key in {key for _, key, _ in _paths()}:
        with lock(root() / key, wait=False) as held:
            if held != "taken":
                folders = [path for path, own, end in _paths() if own == key and end != ".lock"]
                freed += sum(_discard(path) for path in folders)
    return freed


def new_array(folder: Path, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return an array in a new file of a folder."""
    path = folder / f"{name}.npy"
    made: Array = keep_track(np.lib.format.open_memmap(path, "w+", dtype, shape))
    if hasattr(os, "posix_fallocate"):
        # a disk that is full tells so here; later, a write into the map would end the process
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made


def map_array(folder: Path, name: str) -> Array:
    """Return an array of a folder, mapped, read-only."""
    return keep_track(np.load(folder / f"{name}.npy", mmap_mode="r"))


def as_text(size: int) -> str:
    """Return a number of bytes for the user."""
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def _write(place: Path, what: str, size: int, build: Callable[[Path], dict[str, Any]]) -> None:
    free = shutil.disk_usage(place.parent).free
    if size > free:
        raise InputError(
            f"{what}: wants {as_text(size)} of disk, and {place.parent} has {as_text(free)}; "
            f"{_REMEDY}"
        )
    level = logging.WARNING if size >= _WORTH_TELLING else logging.INFO
    log.log(level, "%s: %s are written to %s, once", what, as_text(size), place)
    folder = _new(place)
    try:
        (folder / META).write_text(json.dumps({"what": what, **build(folder)}))
        for path in folder.iterdir():
            # else a machine that goes down could leave files of zeros under a good name
            with path.open("rb") as file:
                os.fsync(file.fileno())
        _rename(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rename(folder: Path, place: Path) -> None:
    try:
        folder.rename(place)
    except OSError:
        # without locks, another process may have been first
        if not place.exists():
            raise


def _new(place: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{place.name}.new-", dir=place.parent))


def _sweep(own: str, held: Held) -> None:
    """Remove what killed processes left; `held` is the lock of `own`."""
    for path, key, ending in _paths():
        if ending.startswith(".new-"):
            with nullcontext(held) if key == own else lock(root() / key, wait=False) as state:
                if state == "alone":
                    _discard(path)


def _discard(path: Path) -> int:
    """Remove a folder, and return its size; its name never stands for a part of it."""
    size = _size(path)
    folder = _new(path.with_suffix(""))
    path.rename(folder / path.name)
    shutil.rmtree(folder)
    return size


def _paths() -> list[tuple[Path, str, str]]:
    """Return our paths, the key of each and its ending: "", ".lock" or ".new-…"."""
    found = [(path, _NAME.fullmatch(path.name)) for path in sorted(root().glob("*"))]
    return [(path, match[1], match[2]) for path, match in found if match]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _digest(value: Any) -> object:
    array = np.asarray(value)
    if array.dtype == object:
        raise TypeError(f"a key cannot hold {value!r}")
    return str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()
