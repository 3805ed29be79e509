"""Random states survive a checkpoint, and are restored when training starts, once."""

import random
from pathlib import Path

import lightning
import numpy as np
import torch

from transformertf.callbacks import RandomState


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002


def test_states_go_through_a_checkpoint(tmp_path: Path) -> None:
    trainer, module = lightning.Trainer(logger=False, accelerator="cpu"), None
    torch.save(RandomState().state_dict(), tmp_path / "state")
    expected = [draw() for _ in range(3)]

    callback = RandomState()
    callback.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert draw() not in expected  # loading alone restores nothing
    callback.on_train_epoch_start(trainer, module)  # type: ignore[arg-type]
    assert [draw() for _ in range(3)] == expected
    callback.on_train_epoch_start(trainer, module)  # type: ignore[arg-type]
    assert draw() not in expected
