"""Run folders: `runs/<name>/version_<k>/`, and the newest whole checkpoint among them."""

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from transformertf.checkpoint import Checkpoint
from transformertf.cli.screen import is_first_process
from transformertf.errors import InputError

log = logging.getLogger(__name__)

ROOT = Path("runs")
LONGEST_NAME = 200  # bytes; file systems take 255, and loggers add to it
_VERSION = re.compile(r"version_\d+", re.ASCII)


def check_name(name: str, given: str) -> str:
    """Return the name of an experiment if it can be a folder's name.

    Args:
        name: the name.
        given: what it is of, for messages.

    Raises:
        InputError: it cannot.
    """
    if not name or name in (".", "..") or any(c in name for c in "/\\\0"):
        raise InputError(f"{given}: expected a plain name without slashes")
    if os.path.expandvars(name) != name:  # loggers expand it
        raise InputError(f"{given}: expected a plain name without variables")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise InputError(f"{given}...: expected a name of at most {LONGEST_NAME} bytes")
    return name


def versions(name: str) -> list[Path]:
    """Return the run folders of an experiment, newest first.

    Raises:
        InputError: the folder of runs cannot be read.
    """
    with _told(name):
        found = [path for path in (ROOT / name).glob("version_*") if _VERSION.fullmatch(path.name)]
    return sorted(found, key=number, reverse=True)


@contextlib.contextmanager
def new_version(name: str) -> Iterator[Path]:
    """Make the next run folder; an error within takes it away again.

    Raises:
        InputError: it cannot be made.
    """
    path = _make_version(name)
    try:
        yield path
    except BaseException:
        if is_first_process():
            discard(path)
        raise


def _make_version(name: str) -> Path:
    """Make the next run folder; two fits that start at once get different ones.

    Of several processes the first one makes it; the others write nothing, and get a name only.
    """
    if is_first_process():
        with _told(name):
            (ROOT / name).mkdir(parents=True, exist_ok=True)
    while True:
        found = versions(name)
        path = ROOT / name / f"version_{number(found[0]) + 1 if found else 0}"
        if not is_first_process():
            return path
        with _told(name), contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)  # a fit that kept nothing may just have taken them away
            return path


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell of a folder of runs that is none, or that nobody may use."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the folder of runs {ROOT / name} cannot be used ({error.strerror}); see that "
            f"{error.filename or ROOT} is a folder that you may write to, or work elsewhere"
        ) from error


def discard(folder: Path) -> None:
    """Take a run folder away again that never came to train."""
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # there is more in it, or it is a link
        folder.parent.rmdir()
        ROOT.rmdir()


def last_checkpoint(name: str) -> Checkpoint | None:
    """Return `last.ckpt`, read, of the newest version that holds a whole one."""
    for folder in versions(name):
        path = folder / "checkpoints" / "last.ckpt"
        with _told(name):
            if not path.exists():
                continue
        try:
            return Checkpoint.read(path)
        except InputError as error:
            log.warning("skipped: %s", error)
    return None


def best_checkpoint(folder: Path) -> Path:
    """Return the checkpoint of the best epoch of a run, or the last one where it has none."""
    kept = folder / "checkpoints"
    best = sorted(kept.glob("epoch=*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    return best[-1] if best else kept / "last.ckpt"


def refuse_metrics(path: Path) -> None:
    """Refuse a place of a metrics.csv, which a logger removes there, that holds what no fit wrote.

    Raises:
        InputError: names the file.
    """
    if not os.path.lexists(path):
        return
    if path.is_file() and not path.is_symlink():
        with path.open(encoding="utf-8", errors="replace") as file:
            if {"epoch", "step"} <= {*file.readline().strip().split(",")}:
                return
    raise InputError(
        f"trainer.logger: would replace {path}, which no fit wrote; give it another save_dir"
    )


def number(version: Path) -> int:
    """Return k of a run folder `version_k`."""
    return int(version.name.removeprefix("version_"))
