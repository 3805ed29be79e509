"""Which checkpoint a word names: a file, a run, an experiment, or its last or best one."""

import logging
from pathlib import Path

from transformertf.checkpoint import Checkpoint
from transformertf.cli import runs
from transformertf.errors import InputError, nearest

log = logging.getLogger(__name__)


def newest(folders: list[Path], kept: str, flag: str = "--ckpt_path") -> Checkpoint | None:
    """Return a checkpoint, read, of the first run folder that holds a whole one.

    Args:
        folders: of runs, newest first.
        kept: `last` or `best`.
        flag: that asked for it, for messages.
    """
    for folder in folders:
        path = folder / runs.CHECKPOINTS / runs.KEPT[kept]
        with runs.told(folder.parent.name):
            if not path.exists():
                continue
        try:
            return Checkpoint.read(path, flag)
        except InputError as error:
            log.warning("skipped: %s", error)
    return None


def named(word: str, kept: str, flag: str = "--ckpt_path") -> Checkpoint:
    """Return the checkpoint that a word names, read.

    Args:
        word: a file; the folder of a run, of its checkpoints or of an experiment; NAME or
            NAME/version_K below the folder of runs.
        kept: which one of a run, `last` or `best`.
        flag: that has the word, for messages.

    Raises:
        InputError: there is no such file or run, or no whole checkpoint in it.
    """
    path = Path(word)
    if path.is_dir():
        return _of_folder(path, word, kept, flag)
    if not path.exists() and not path.is_absolute() and ".." not in path.parts:
        run = runs.ROOT / path
        if run.is_dir():
            return _of_folder(run, word, kept, flag)
        if not path.suffix and (known := runs.names()):
            raise InputError(f"{flag} {word}: no such file or run; {nearest(word, known)}")
    return Checkpoint.read(path, flag)


def _of_folder(folder: Path, word: str, kept: str, flag: str) -> Checkpoint:
    if (folder / runs.KEPT[kept]).exists():
        return Checkpoint.read(folder / runs.KEPT[kept], flag)
    run = folder if (folder / runs.CHECKPOINTS).is_dir() else None
    checkpoint = newest([run] if run else runs.versions_in(folder), kept, flag)
    if checkpoint is None:
        raise InputError(
            f"{flag} {word}: not a file, and no whole {runs.KEPT[kept]} is in {folder}; give a run "
            "that keeps one, or the checkpoint itself"
        )
    return checkpoint
