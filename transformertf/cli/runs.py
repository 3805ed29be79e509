"""Run folders: `runs/<name>/version_<k>/`, made, found and taken away; without torch."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformertf.cli.screen import is_first_process
from transformertf.errors import InputError

ROOT = Path("runs")
# in a run folder
CHECKPOINTS, CONFIG, RECORD = "checkpoints", "config.yaml", "run.json"
# checkpoints that each run keeps under a name that stays, by their word
KEPT = {"last": "last.ckpt", "best": "best.ckpt"}
RUNNING = ".running"  # what a fit has locked as long as it goes on
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


def names() -> list[str]:
    """Return the names of all experiments with a run, sorted."""
    if not ROOT.is_dir():
        return []
    return sorted(path.name for path in ROOT.iterdir() if path.is_dir() and versions(path.name))


def versions(name: str) -> list[Path]:
    """Return the run folders of an experiment, newest first.

    Raises:
        InputError: the folder of runs cannot be read.
    """
    with told(name):
        return versions_in(ROOT / name)


def versions_in(folder: Path) -> list[Path]:
    """Return the run folders in the folder of an experiment, newest first."""
    found = [path for path in folder.glob("version_*") if _VERSION.fullmatch(path.name)]
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
        with told(name):
            (ROOT / name).mkdir(parents=True, exist_ok=True)
    while True:
        found = versions(name)
        path = ROOT / name / f"version_{number(found[0]) + 1 if found else 0}"
        if not is_first_process():
            return path
        with told(name), contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)  # a fit that kept nothing may just have taken them away
            return path


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
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


def folder_of(checkpoint: Path) -> Path | None:
    """Return the run folder that a checkpoint lies in; None where it lies elsewhere."""
    # as it was given, where that says enough
    path = checkpoint if len(checkpoint.parts) > 2 else checkpoint.absolute()
    folder = path.parent.parent
    is_run = path.parent.name == CHECKPOINTS and _VERSION.fullmatch(folder.name)
    return folder if is_run else None


def output_of(checkpoint: Path, name: str) -> Path:
    """Return where a command writes unless told: in the run folder of its checkpoint, else here."""
    return (folder_of(checkpoint) or Path()) / name


def flat(node: Any, path: str = "") -> dict[str, Any]:
    """Return the values of a tree by their path; a class by its bare name."""
    if not isinstance(node, dict):
        is_class = path.endswith("class_path")
        return {path: str(node).rpartition(".")[2] if is_class else node}
    joined: dict[str, Any] = {}
    for key, value in node.items():
        joined |= flat(value, f"{path}.{key}" if path else str(key))
    return joined


def best_checkpoint(folder: Path) -> Path:
    """Return the checkpoint of the best epoch of a run, or the last one where it has none."""
    best, last = (folder / CHECKPOINTS / KEPT[word] for word in ("best", "last"))
    return best if best.exists() else last


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
