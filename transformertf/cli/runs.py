"""Run folders: `runs/<name>/version_<k>/`, and the newest whole checkpoint among them."""

import logging
import shutil
from pathlib import Path

from transformertf.checkpoint import Checkpoint
from transformertf.cli.screen import is_first_process
from transformertf.errors import InputError

log = logging.getLogger(__name__)

ROOT = Path("runs")


def check_name(name: str) -> str:
    """Return the name of an experiment if it can be a folder's name."""
    if not name or name in (".", "..") or any(c in name for c in "/\\"):
        raise InputError(f"-n {name!r}: expected a plain name without slashes")
    return name


def versions(name: str) -> list[Path]:
    """Return the run folders of an experiment, newest first."""
    found = [
        path
        for path in (ROOT / name).glob("version_*")
        if path.name.removeprefix("version_").isdigit()
    ]
    return sorted(found, key=number, reverse=True)


def new_version(name: str) -> Path:
    """Make the next run folder; two fits that start at once get different ones.

    Of several processes the first one makes it; the others write nothing, and get a name only.
    """
    while True:
        found = versions(name)
        path = ROOT / name / f"version_{number(found[0]) + 1 if found else 0}"
        if not is_first_process():
            return path
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path


def discard(folder: Path) -> None:
    """Take a run folder away again that never came to train."""
    shutil.rmtree(folder)
    for parent in (folder.parent, ROOT):
        if not any(parent.iterdir()):
            parent.rmdir()


def last_checkpoint(name: str) -> Checkpoint | None:
    """Return `last.ckpt`, read, of the newest version that holds a whole one."""
    for folder in versions(name):
        path = folder / "checkpoints" / "last.ckpt"
        if not path.exists():
            continue
        try:
            return Checkpoint.read(path)
        except InputError as error:
            log.warning("skipped: %s", error)
    return None


def number(version: Path) -> int:
    """Return k of a run folder `version_k`."""
    return int(version.name.removeprefix("version_"))
