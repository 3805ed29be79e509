"""Folders of arrays that are written once and opened by many.

An entry is a folder `<key>` of arrays and a `meta.json`. It is written as `<key>.new-…` and takes
its name when it is whole, under the lock of its name: what a process left that was killed is
never taken for an entry, and goes with the next one that is written. What is no longer as it was
written, or what others than its user may write to, is not taken either, and is written anew.
"""

import hashlib
import json
import logging
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf import wording
from transformertf.data.columns import Columns
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.kept import META, DamagedError, read_meta, read_whole, write_meta
from transformertf.data.reading.memory import keep_track
from transformertf.data.reading.panel import Panel, Rules
from transformertf.data.reading.tables import Table
from transformertf.data.series import AnyArray
from transformertf.errors import InputError
from transformertf.places import Held, lock, make_own_folder, own_folder
from transformertf.utils.files import LIMITS
from transformertf.version import __version__

log = logging.getLogger(__name__)
T = TypeVar("T")
# of what entries hold; another one leaves the old entries to be cleared
FORMAT = 5
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


def cache_root() -> Path:
    """Return the folder of all entries of this user; it need not exist.

    That is TRANSFORMERTF_CACHE, else transformertf in XDG_CACHE_HOME, else in ~/.cache; or a folder
    of this user's own in it, where others may write to it.

    Raises:
        InputError: the user has no home, or what is there is another user's.
    """
    with _told("the cache"):
        return own_folder(_given_root(), _REMEDY)


def _given_root() -> Path:
    given = os.environ.get("TRANSFORMERTF_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(given) if given else Path(shared) / "transformertf"
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # of a user without a home, or ~name of nobody
        raise InputError(f"the cache {path}: this home is not known; {_REMEDY}") from error


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell of an error of the system."""
    try:
        yield
    except OSError as error:
        if error.errno in LIMITS:  # another place is no remedy
            raise
        raise InputError(
            f"{what}: cannot be kept in {_given_root()} ({error.strerror or error}); {_REMEDY}"
        ) from error


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
    with _told(what):
        place = make_own_folder(_given_root(), _REMEDY) / key
        with lock(place, wait=True) as held:
            kept = _kept(place, what)
            if kept is None:
                _sweep(key, held)
                _write(place, what, size, build)
                kept = read_whole(place)
            os.utime(place / META)
            return load(place, kept)


def cache_entries() -> list[Entry]:
    """Return what there is, last used first."""
    found = []
    for path, _, ending in _paths():
        with suppress(FileNotFoundError):  # another process may clear it
            if not ending:
                try:
                    what = read_meta(path)["what"]
                    used = (path / META).lstat().st_mtime
                except DamagedError as error:
                    what, used = f"damaged ({error}): {path.name}", path.lstat().st_mtime
                found.append(Entry(path, what, _size(path), used))
    return sorted(found, key=lambda entry: -entry.used)


def clear_cache() -> int:
    """Remove all entries, but for those that a process is writing or opening just now.

    Processes that have opened one keep what they have mapped. What cannot be removed is told.

    Returns:
        The bytes that are free now.
    """
    freed = 0
    for key in {key for _, key, _ in _paths()}:
        place = cache_root() / key
        try:
            with lock(place, wait=False) as held:
                if held != "taken":
                    folders = [path for path, own, end in _paths() if own == key and end != ".lock"]
                    freed += sum(_discard(path) for path in folders)
        except OSError as error:
            log.warning("%s: cannot be removed (%s)", error.filename or place, error.strerror)
    return freed


def new_array(folder: Path, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    """Return an array in a new file of a folder."""
    path = folder / f"{name}.npy"
    made: AnyArray = keep_track(np.lib.format.open_memmap(path, "w+", dtype, shape))
    if hasattr(os, "posix_fallocate"):
        # a disk that is full tells so here; later, a write into the map would end the process
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made


def map_array(folder: Path, name: str) -> AnyArray:
    """Return an array of a folder, mapped, read-only."""
    return keep_track(np.load(folder / f"{name}.npy", mmap_mode="r"))


def _write(place: Path, what: str, size: int, build: Callable[[Path], dict[str, Any]]) -> None:
    free = shutil.disk_usage(place.parent).free
    if size > free:
        raise InputError(
            f"{what}: wants {wording.size(size)} of disk, and {place.parent} has "
            f"{wording.size(free)}; {_REMEDY}"
        )
    level = logging.WARNING if size >= _WORTH_TELLING else logging.INFO
    log.log(level, "%s: %s are written to %s, once", what, wording.size(size), place)
    folder = _new(place)
    try:
        write_meta(folder, {"what": what, **build(folder)})
        for path in folder.iterdir():
            # else a machine that goes down could leave files of zeros under a good name
            with path.open("rb") as file:
                os.fsync(file.fileno())
        _rename(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept(place: Path, what: str) -> dict[str, Any] | None:
    """Return what is kept of an entry; one that is damaged is taken away, and that is told."""
    if not os.path.lexists(place):
        return None
    try:
        return read_whole(place)
    except DamagedError as error:
        log.warning("%s: %s is damaged (%s); it is written anew", what, place, error)
        _discard(place)
        return None


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
            # what cannot be removed is in nobody's way
            with (
                suppress(OSError),
                nullcontext(held) if key == own else lock(path.parent / key, wait=False) as state,
            ):
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
    found = [(path, _NAME.fullmatch(path.name)) for path in sorted(cache_root().glob("*"))]
    return [(path, match[1], match[2]) for path, match in found if match]


def _size(path: Path) -> int:
    """Return the bytes of a folder, or of what is in the place of one; links are not followed."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    states = (each.lstat() for each in inside)
    return sum(state.st_size for state in states if stat.S_ISREG(state.st_mode))


def _digest(value: Any) -> object:
    array = np.asarray(value)
    if array.dtype == object:
        raise TypeError(f"a key cannot hold {value!r}")
    return str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()


def row_bytes(columns: Columns) -> int:
    """Return the bytes of a row of a panel."""
    reals = len(columns.values) + columns.has_time + (columns.weight is not None)
    return 8 * reals + 4 * len(columns.categories)


def panel_key(tables: Sequence[Table], columns: Columns, names: Sequence[str], rules: Rules) -> str:
    """Return the name of a panel's entry.

    It stands for the content of the files as far as their paths, sizes and times of last change
    (in ns) tell, for which of them hold future rows, for the columns that are read and for the
    rules. So a file that is replaced by one of the same size and the same time is taken for the
    old one.
    """
    files = []
    for path, future in dict.fromkeys((table.path, table.future) for table in tables):
        state = path.stat()
        files.append((str(path.resolve()), state.st_size, state.st_mtime_ns, future))
    # what is computed of columns does not change them
    read = replace(columns, calendar=(), calendar_categories=(), lags=(), indicators=False)
    return make_key("panel", (files, asdict(read), list(names), asdict(rules)))


def cached_panel(
    tables: Sequence[Table],
    columns: Columns,
    names: Sequence[str] = (),
    rules: Rules = Rules(),  # noqa: B008  frozen
) -> Panel:
    """Return a panel whose arrays are mapped; see `fill_panel`.

    The tables are read where there is no entry of them, see `panel_key`. To sort a series takes
    memory in proportion to it.

    Args:
        tables: tables of files.
        columns: roles of the columns.
        names: name of each table's one series, where there are no id columns.
        rules: what is let through.

    Returns:
        A panel whose values, codes and stamps are read-only: `torch.from_numpy` warns of such an
        array, as to write into its tensor would end the process.

    Raises:
        InputError: as `fill_panel` and `open_entry`.
    """
    key = panel_key(tables, columns, names, rules)
    more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
    what = f"{tables[0].where}{more}"

    def build(folder: Path) -> dict[str, Any]:
        made = fill_panel(tables, columns, names, rules, partial(new_array, folder))
        for name in ("starts", "static", "observed"):
            np.save(folder / f"{name}.npy", getattr(made, name))
        return {
            "names": made.names,
            "texts": made.texts,
            "static_texts": made.static_texts,
            "time_type": None if made.stamps is None else str(made.time_type),
            "ending": made.ending,
            "unused": made.unused,
            "weighted": made.weights is not None,
        }

    size = row_bytes(columns) * sum(table.rows for table in tables)
    return open_entry(key, what, size, build, _load_panel)


def cached_array(
    key_parts: Sequence[object],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    write: Callable[[AnyArray], None],
    what: str = "scaled columns",
) -> AnyArray:
    """Return an array that is mapped, read-only as those of `panel`.

    Args:
        key_parts: what its content depends on; see `make_key`.
        shape: its shape.
        dtype: its type.
        write: fills the array that it is given; called where there is no entry.
        what: what it is, for the user.

    Raises:
        InputError: as `open_entry`.
    """

    def build(folder: Path) -> dict[str, Any]:
        write(new_array(folder, "array", shape, dtype))
        return {}

    def load(folder: Path, _: object) -> AnyArray:
        return map_array(folder, "array")

    kind = np.dtype(dtype)
    key = make_key("array", (list(key_parts), shape, str(kind)))
    return open_entry(key, what, math.prod(shape) * kind.itemsize, build, load)


def _load_panel(folder: Path, kept: dict[str, Any]) -> Panel:
    starts, static, observed = (
        np.load(folder / f"{name}.npy") for name in ("starts", "static", "observed")
    )
    time_type = kept["time_type"]
    return Panel(
        kept["names"],
        starts,
        map_array(folder, "values"),
        map_array(folder, "codes"),
        kept["texts"],
        static,
        [tuple(texts) for texts in kept["static_texts"]],
        None if time_type is None else map_array(folder, "stamps"),
        None if time_type is None else pd.api.types.pandas_dtype(time_type),
        observed,
        kept["ending"],
        kept["unused"],
        map_array(folder, "weights") if kept["weighted"] else None,
    )
