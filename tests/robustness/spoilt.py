"""Every model, batches that spoil a step, and fits of a few steps: shared by tests of numbers."""

from typing import Any, cast

import lightning
import torch
from torch.utils.data import DataLoader

from tests.properties import family
from transformertf.batch import Batch
from transformertf.models.base import ForecastModule

# untyped
make_batch: Any = family.make_batch
make_module: Any = family.make_module


class Cliff(torch.nn.Module):
    """Absolute error, whose gradient is infinite, and NaN behind it, at targets above 1000."""

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the losses."""
        nothing = torch.where(target > 1000, output - output.detach(), 1.0)
        return (output - target).abs() + nothing.sqrt()


def batches(name: str, count: int) -> list[Batch]:
    """Return batches of different windows, which have names."""
    made = []
    for number in range(count):
        batch = make_batch(name, lengths=((1 + number, 5), (6, 2), (1, 4)))
        rows = len(batch["target"])
        batch["series"] = torch.arange(rows) + 10 * number
        batch["origin"] = torch.arange(rows) + 100
        made.append(batch)
    return made


def changed(batch: Batch, **values: torch.Tensor) -> Batch:
    """Return a batch with other values at some keys."""
    return cast("Batch", {**batch, **values})


def floating(batch: Batch) -> dict[str, torch.Tensor]:
    items = cast("dict[str, torch.Tensor]", batch).items()
    return {key: value for key, value in items if value.is_floating_point()}


def single(given: list[Batch]) -> list[Batch]:
    """Return batches in float32."""
    return [
        changed(batch, **{key: value.float() for key, value in floating(batch).items()})
        for batch in given
    ]


def spoil(batch: Batch, value: float) -> Batch:
    """Return a batch with another value at the first observed target."""
    target = batch["target"].clone()
    row, step = batch["target_mask"].nonzero()[0]
    target[row, step] = value
    return changed(batch, target=target)


def infinite_loss(batch: Batch) -> Batch:
    return spoil(batch, float("inf"))


def nan_loss(batch: Batch) -> Batch:
    return spoil(batch, float("nan"))


def infinite_gradient(batch: Batch) -> Batch:
    return spoil(batch, 2000.0)


BAD = [infinite_loss, nan_loss, infinite_gradient]


def make(name: str, on_nonfinite: str = "skip", **options: Any) -> ForecastModule:
    """Return a model that trains by Adam, whose steps a gradient of zero does not end."""
    torch.manual_seed(0)
    options = {
        "criterion": Cliff(),
        "optimizer": lambda p: torch.optim.AdamW(p, lr=0.01),
        "logging_metrics": (),
        **options,
    }
    module: ForecastModule = make_module(name, on_nonfinite=on_nonfinite, **options)
    return module


def loader(given: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(cast("Any", given), batch_size=None)


def fit(
    module: ForecastModule,
    given: list[Batch],
    validation: list[Batch] | None = None,
    **options: Any,
) -> lightning.Trainer:
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=options.pop("max_epochs", 1),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, loader(given), validation and loader(validation))
    return trainer


def state(module: ForecastModule) -> dict[str, torch.Tensor]:
    """Return weights and what the optimizer keeps."""
    optimizer = module.trainer.optimizers[0].state_dict()["state"]
    kept = {f"{i} {key}": value for i, of in optimizer.items() for key, value in of.items()}
    return {**{n: p.detach().clone() for n, p in module.named_parameters()}, **kept}


def assert_same(found: ForecastModule, expected: ForecastModule) -> None:
    ours, theirs = state(found), state(expected)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value.isfinite().all(), key
        assert torch.equal(value, theirs[key]), key
