"""What a step of a fit takes: a few real ones, of a copy of the model."""

import copy
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from statistics import median
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.seed import isolate_rng

from transformertf.cli.lightning_cli import ForecastCLI

# batches that a trial is of at most, of training and of validation
BATCHES = 12
# seconds after which it ends, once it has a step that counts
LONGEST = 10.0
# the first steps take longer: memory is asked for, and kernels are chosen
_WARM = 2


@dataclass(frozen=True)
class Trial:
    """What a batch takes, in seconds and bytes.

    Attributes:
        device: on which.
        step: seconds of a training batch, with making it; the median.
        validation: seconds of a validation batch; 0 without any.
        memory: bytes at the peak of a step: of a device all that is asked of it, in main memory
            weights, gradients, the optimizer's state, and what is kept for the backward pass.
    """

    device: torch.device
    step: float
    validation: float
    memory: int


def try_steps(cli: ForecastCLI) -> Trial:
    """Take a few steps of a copy of the model.

    Weights and random state are as they were, and nothing is written. The data module is left as
    after a fit.

    Args:
        cli: built, and its data set up for a fit.
    """
    model, watch = copy.deepcopy(cli.model), _Watch()
    model.compile_model = False
    trainer = _trainer(cli, watch)
    device = trainer.strategy.root_device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with isolate_rng():
        trainer.fit(model, datamodule=cli.datamodule)
    memory = watch.memory
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)
    return Trial(device, _usual(watch.steps), _usual(watch.validations), memory)


def _trainer(cli: ForecastCLI, watch: Callback) -> lightning.Trainer:
    """Return a trainer as the configuration has it, but short, silent and in one process."""
    own: dict[str, Any] = {
        "max_epochs": 1, "max_steps": -1, "max_time": None, "min_epochs": None, "min_steps": None,
        "limit_train_batches": BATCHES, "limit_val_batches": BATCHES, "val_check_interval": 1.0,
        "check_val_every_n_epoch": 1, "num_sanity_val_steps": 0, "fast_dev_run": False,
        "logger": False, "profiler": None, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "devices": 1, "num_nodes": 1,
        "strategy": "auto", "default_root_dir": os.curdir, "use_distributed_sampler": False,
    }  # fmt: skip
    return cli.instantiate_trainer(
        **own, precision=cli.config_init["trainer"]["precision"] or cli.precision,
        callbacks=[watch],
    )  # fmt: skip


def _usual(seconds: list[float]) -> float:
    return median(seconds[_WARM:] or seconds) if seconds else 0.0


@dataclass
class _Watch(Callback):
    """Times batches, and counts what a step keeps in memory."""

    steps: list[float] = field(default_factory=list)
    validations: list[float] = field(default_factory=list)
    memory: int = 0
    _since: float = 0.0
    _begun: float = 0.0
    _hooks: AbstractContextManager[None] | None = None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._since = self._begun = time.perf_counter()

    def on_train_batch_start(self, *args: Any) -> None:
        self._kept: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(_counting(self._kept), _as_it_is)
        self._hooks.__enter__()

    def on_before_backward(self, *args: Any) -> None:
        if self._hooks is not None:
            self._hooks.__exit__(None, None, None)
            self._hooks = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, *args: Any
    ) -> None:
        self.on_before_backward()
        _wait(trainer)
        now = time.perf_counter()
        self.steps.append(now - self._since)
        self._since = now
        self.memory = max(self.memory, _held(trainer, module) + sum(self._kept.values()))
        if now - self._begun > LONGEST and len(self.steps) > _WARM:
            trainer.should_stop = True

    def on_validation_start(self, *args: Any) -> None:
        self._since = time.perf_counter()

    def on_validation_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        _wait(trainer)
        now = time.perf_counter()
        self.validations.append(now - self._since)
        self._since = now


def _wait(trainer: lightning.Trainer) -> None:
    """Let a device finish what it was given, which it does on its own time."""
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize(trainer.strategy.root_device)


def _counting(kept: dict[int, int]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what takes down the memory, each once, of tensors kept for the backward pass."""

    def count(tensor: torch.Tensor) -> torch.Tensor:
        # weights are counted as such
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    return count


def _as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _held(trainer: lightning.Trainer, module: lightning.LightningModule) -> int:
    """Return the bytes of weights, their gradients, and the state of the optimizers."""
    weights = list(chain(module.parameters(), module.buffers()))
    # each weight that trains has a gradient while the optimizer steps
    gradients = [one for one in module.parameters() if one.requires_grad]
    states = chain.from_iterable(
        state.values() for optimizer in trainer.optimizers for state in optimizer.state.values()
    )
    tensors = [*weights, *gradients, *(one for one in states if isinstance(one, torch.Tensor))]
    return sum(one.numel() * one.element_size() for one in tensors)
