"""Whether a folder of arrays is as it was written."""

import hashlib
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformertf.places import is_own
from transformertf.utils.files import LIMITS

META = "meta.json"
# bytes of each file that are looked at: all of a small one
_LOOKED_AT = 2**20


class DamagedError(OSError):
    """Says what is not as it was written."""


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Complete a folder with what is kept beside its arrays, and what tells that both are whole."""
    whole = {**meta, "files": {path.name: _state(path) for path in folder.iterdir()}}
    (folder / META).write_text(json.dumps({**whole, "sum": _sum(whole)}))


def read_whole(place: Path) -> dict[str, Any]:
    """Return what a folder holds beside its arrays, if all is as it was written.

    Of each file the size and the first `_LOOKED_AT` bytes are held against what they were; to read
    large arrays as a whole would take as long as to write them anew.

    Raises:
        DamagedError: says what is not.
    """
    meta = read_meta(place)
    for name, known in meta["files"].items():
        if _state(place / name) != known:
            raise DamagedError(f"{name} is not as it was written")
    return meta


def read_meta(place: Path) -> dict[str, Any]:
    """Return what a folder holds beside its arrays, without a look at these.

    Raises:
        DamagedError: it is not as it was written, or others may write to it.
    """
    with _damage():
        if not is_own(place):
            raise DamagedError("not a folder that you alone may write to")
        _state(place / META)
        meta: dict[str, Any] = json.loads((place / META).read_bytes())
        if meta.pop("sum") != _sum(meta):
            raise DamagedError(f"{META} is not as it was written")
    return meta


@contextmanager
def _damage() -> Iterator[None]:
    """Take what cannot be read for damaged."""
    try:
        yield
    except DamagedError:
        raise
    except OSError as error:
        if error.errno in LIMITS:
            raise
        raise DamagedError(f"{Path(error.filename or META).name}: {error.strerror}") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{META} is not as it was written") from error


def _state(path: Path) -> list[int | str]:
    """Return what tells whether a file is as it was written; see `read_whole`."""
    with _damage():
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode):
            raise DamagedError(f"{path.name} is no file")
        with path.open("rb") as file:
            return [state.st_size, hashlib.sha256(file.read(_LOOKED_AT)).hexdigest()]


def _sum(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta).encode()).hexdigest()
