"""Checkpoints are written whole: the one before stays until the new one is on disk."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from transformertf.errors import InputError
from transformertf.whole_file import whole_file


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
    """Writes the checkpoints of a trainer by `write_checkpoint`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; see `write_checkpoint`."""
        assert storage_options is None
        write_checkpoint(checkpoint, Path(path))


def _of_the_system(error: BaseException) -> OSError | None:
    """Return the system's error behind one of torch's own."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, OSError):
        link = link.__cause__ or link.__context__
    return link
