"""Weights averaged over the steps of a fit, which are then the forecaster."""

from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from transformertf.errors import InputError

# what a checkpoint holds of it
AVERAGING = "averaging"
Weights = dict[str, torch.Tensor]


class AveragedWeights(Callback):
    """Keeps the exponential moving average of the weights, validates it, and stores it.

    After step t the average moves by 1 - min(decay, (1 + t) / (10 + t)) of the way to the weights,
    so that in a short fit the first weights are forgotten, too. A checkpoint's `state_dict` is the
    averages; the weights that train lie beside it, for a fit that goes on. Only what trains is
    averaged: frozen weights and buffers keep their bits.

    Lightning's `WeightAveraging` copies the module before it has the trainer's precision and
    device, and averages what nothing trains.

    Args:
        decay: share of the average that a step keeps, above 0 and below 1: it looks back on about
            1 / (1 - decay) steps.

    Raises:
        InputError: another decay.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise InputError(f"ema must be above 0 and below 1, found {decay}; 0.99 is common")
        self.decay = decay
        self._steps = self._global_step = 0
        self._average: Weights = {}
        # the weights that train, while the averages are in their place
        self._aside: Weights = {}
        self._stored: Mapping[str, torch.Tensor] = {}

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Let a fit go on with the weights that trained, and keep the averages until it starts."""
        state = checkpoint.get(AVERAGING)
        if state is None or trainer.state.fn != "fit":
            return
        self._steps = state["steps"]
        self._stored = {name: checkpoint["state_dict"][name] for name in state["weights"]}
        _copy(state["weights"], pl_module)

    def on_fit_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Begin with the weights as they are, where a checkpoint gave no averages."""
        stored, self._stored = self._stored, {}
        self._average = {
            name: _digits(stored.get(name, weight)).to(weight.device, copy=True)
            for name, weight in _trained(pl_module).items()
        }

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Count steps from here."""
        self._global_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Move the averages, where a step was taken."""
        if trainer.global_step == self._global_step:
            return
        self._global_step = trainer.global_step
        self._steps += 1
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        weights = [_digits(weight) for weight in _trained(pl_module).values()]
        torch._foreach_lerp_(list(self._average.values()), weights, 1 - decay)

    def on_validation_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Put the averages into the network."""
        self._put_in(pl_module)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Put the weights that train back."""
        _copy(self._aside, pl_module)
        self._aside = {}

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Leave the averages in the network."""
        self._put_in(pl_module)

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Let go of the fit."""
        self._average, self._aside, self._steps = {}, {}, 0

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Store the averages as the weights, and the weights that train beside them."""
        if self._average:
            weights = self._aside or _trained(pl_module)
            checkpoint[AVERAGING] = {"decay": self.decay, "steps": self._steps, "weights": weights}
            checkpoint["state_dict"].update(self._average)

    def _put_in(self, module: lightning.LightningModule) -> None:
        if self._average:
            self._aside = {name: weight.clone() for name, weight in _trained(module).items()}
            _copy(self._average, module)


def _trained(module: lightning.LightningModule) -> Weights:
    """Return the weights that train, without their gradients."""
    return {
        name: weight.detach() for name, weight in module.named_parameters() if weight.requires_grad
    }


def _digits(weight: torch.Tensor) -> torch.Tensor:
    """Return a weight in single precision at least: half digits do not hold what a step adds."""
    return weight if weight.dtype == torch.float64 else weight.float()


def _copy(source: Mapping[str, torch.Tensor], module: lightning.LightningModule) -> None:
    weights = dict(module.named_parameters())
    for name, value in source.items():
        weights[name].detach().copy_(value)
