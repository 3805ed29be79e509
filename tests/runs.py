"""What a fit leaves behind, read and compared; and trainers that leave nothing."""

from pathlib import Path
from typing import Any, cast

import lightning
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset


def last(name: str, version: int = 0) -> Path:
    """Return the path of a run's last checkpoint."""
    return Path("runs", name, f"version_{version}", "checkpoints", "last.ckpt")


def content_of(checkpoint: Path) -> dict[str, Any]:
    """Return what a checkpoint holds."""
    content: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return content


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint."""
    state: dict[str, torch.Tensor] = content_of(checkpoint)["state_dict"]
    return state


def metrics(name: str, *versions: int) -> pd.DataFrame:
    """Return what versions of a run logged, one after the other."""
    paths = [Path("runs", name, f"version_{version}", "metrics.csv") for version in versions]
    # a run that is stopped soon has nothing to log yet
    return pd.concat([pd.read_csv(path) for path in paths if path.exists()], ignore_index=True)


def same(left: Any, right: Any) -> bool:
    """Whether contents of checkpoints are equal, to the bit."""
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def loader(*batches: Any) -> DataLoader[Any]:
    """Return a loader of batches that are there already."""
    # torch takes any sequence, and its annotation datasets alone
    return DataLoader(cast("Dataset[Any]", batches), batch_size=None)


# mean and spread that `Units` brings scaled numbers back with
UNITS = (6.0, 2.0)


class Units(lightning.LightningDataModule):
    """Batches that are there already, whose original units are those of `UNITS`."""

    def __init__(self, *batches: Any) -> None:
        super().__init__()
        self.batches = batches

    def val_dataloader(self) -> DataLoader[Any]:
        return loader(*self.batches)

    train_dataloader = test_dataloader = predict_dataloader = val_dataloader

    def inverse_transform_target(self, values: torch.Tensor, batch: Any) -> torch.Tensor:
        return UNITS[1] * values + UNITS[0]

    def describe_training_window(self, series: int, origin: int) -> str:
        return f"run-{series} at {origin}"

    def target_affine(self) -> tuple[float, float]:
        return UNITS


def predicted(trainer: lightning.Trainer, *given: Any, **options: Any) -> list[Any]:
    """Return what a trainer's predict returns of one loader: an item for each batch."""
    found = trainer.predict(*given, **options)
    assert found is not None
    return found


def quiet_trainer(**options: Any) -> lightning.Trainer:
    """Return a trainer for one epoch on the CPU that shows and writes nothing."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return lightning.Trainer(accelerator="cpu", **{"max_epochs": 1, **quiet, **options})
