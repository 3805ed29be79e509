"""Random generators in the checkpoint, so that a resumed fit draws what it would have drawn."""

import random
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback


class RandomState(Callback):
    """Stores the states of all global generators and restores them before the next epoch."""

    def __init__(self) -> None:
        self._pending: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of Python, NumPy, torch and CUDA as tensors and primitives."""
        kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 -- the global one
        return {
            "python": random.getstate(),
            "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts: building the trainer draws numbers too."""
        self._pending = state_dict

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Restore the generators, once after a resume."""
        if self._pending is None:
            return
        state, self._pending = self._pending, None
        version, internal, gauss = state["python"]
        random.setstate((version, tuple(internal), gauss))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
        torch.set_rng_state(state["torch"].cpu())
        if torch.cuda.is_available() and state["cuda"]:
            torch.cuda.set_rng_state_all([item.cpu() for item in state["cuda"]])
