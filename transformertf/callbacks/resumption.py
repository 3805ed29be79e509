"""What Lightning leaves out of a checkpoint, so that a resumed fit goes on as if undisturbed.

The states of the random generators, the sums of metrics, and where in its loops the trainer was.
"""

import logging
import random
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torchmetrics import Metric

from transformertf.processes import gather

log = logging.getLogger(__name__)
KEY = "resumption"


class Resumption(Callback):
    """Keeps and restores what a fit goes on with, beside weights, optimizer and counters.

    These are the states of the random generators of each process, the training metrics of an epoch
    that is under way, the metrics that are there to be looked at by schedulers and callbacks, and a
    step that a scheduler was about to take. `docs/decisions/resuming.md` tells what
    Lightning 2.6 does without.
    """

    def __init__(self) -> None:
        self._state: dict[str, Any] | None = None
        self._before_validation: dict[str, Any] | None = None
        self._no_batch_yet = True

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Add the state; all processes call this together."""
        checkpoint[KEY] = {
            "random": gather(self._before_validation or random_state()),
            "lanes": gather(_lanes(pl_module)),
            "seen": {name: value.cpu() for name, value in trainer.callback_metrics.items()},
            "training_metrics": {} if _epoch_ends(trainer) else _metric_states(pl_module),
            "schedulers": _waiting(trainer),
        }
        if self._before_validation is not None:
            _go_back_before(checkpoint["loops"]["fit_loop"])

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Keep the state until training starts: building the trainer draws numbers, too."""
        self._state = checkpoint[KEY]
        for callback in cast("Any", trainer).callbacks:
            state = checkpoint["callbacks"].get(callback.state_key)
            if isinstance(callback, EarlyStopping) and state is not None:
                # a setting, which Lightning restores with what was seen
                state["patience"] = callback.patience

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Restore the state, or let the processes of a new fit draw numbers of their own."""
        state, self._state = self._state, None
        if state is None:
            _part_from_rank_0(trainer)
            return
        if len(state["random"]) == trainer.world_size:
            restore_random_state(state["random"][trainer.global_rank])
        else:
            log.warning(
                "resumed on %d processes, was %d: other random numbers from here",
                trainer.world_size,
                len(state["random"]),
            )
            restore_random_state(state["random"][0])
            _part_from_rank_0(trainer)
            # a process of its own has no lanes to go on with
            state["lanes"] = [[]] * trainer.world_size
        _restore_lanes(pl_module, state.get("lanes"), trainer.global_rank)
        _restore_metrics(pl_module, state["training_metrics"], trainer.is_global_zero)
        trainer._logger_connector._callback_metrics.update(state["seen"])
        for index, value in state["schedulers"]:
            config = trainer.lr_scheduler_configs[index]
            # what it looks at may have been given anew
            value = state["seen"].get(str(config.monitor), value)
            pl_module.lr_scheduler_step(config.scheduler, value)
            trainer.fit_loop.epoch_loop.scheduler_progress.increment_ready()
            trainer.fit_loop.epoch_loop.scheduler_progress.increment_completed()
        _leave_finished_epoch(trainer)

    def on_train_batch_start(self, *_: Any) -> None:
        """Note that this process trains in this epoch."""
        self._no_batch_yet = False

    def on_validation_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Note the random states a fit that is stopped here goes on with."""
        if not trainer.sanity_checking:
            self._before_validation = random_state()

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """From here on the validation is behind."""
        self._before_validation = None

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Let the epoch that was resumed end as others do."""
        # else Lightning would not let its schedulers look at the metrics
        trainer.fit_loop._restarting = False
        if self._no_batch_yet:  # resumed between the last batch and the validation
            for name, metric in _training_metrics(pl_module).items():
                pl_module.log(name, metric, on_step=False, on_epoch=True, prog_bar=True)
        self._no_batch_yet = True


def _part_from_rank_0(trainer: lightning.Trainer) -> None:
    """Let a process draw other numbers than the first one, which draws what a single one would."""
    if trainer.global_rank:
        torch.manual_seed((torch.initial_seed() + trainer.global_rank) % 2**63)


def _lanes(module: lightning.LightningModule) -> list[torch.Tensor]:
    """Return the states that a module carries from batch to batch in training."""
    carried = getattr(module, "carried", None)
    return [part.cpu() for part in getattr(carried, "lanes", [])]


def _restore_lanes(
    module: lightning.LightningModule, lanes: list[list[torch.Tensor]] | None, rank: int
) -> None:
    """Let a module go on with its states; earlier checkpoints have none."""
    carried: Any = getattr(module, "carried", None)
    if carried is not None:
        carried.lanes = lanes[rank] if lanes else []


def _training_metrics(module: lightning.LightningModule) -> dict[str, Metric]:
    return getattr(module, "training_metrics", {})


def _metric_states(module: lightning.LightningModule) -> dict[str, dict[str, torch.Tensor]]:
    """Return the states of the training metrics, summed over all processes."""
    states = {}
    for name, metric in _training_metrics(module).items():
        with metric.sync_context():
            state: dict[str, Any] = metric.metric_state
            states[name] = {key: value.clone().cpu() for key, value in state.items()}
    return states


def _restore_metrics(
    module: lightning.LightningModule, states: dict[str, dict[str, torch.Tensor]], is_first: bool
) -> None:
    """Let the first process have what all had together."""
    metrics = _training_metrics(module)
    for name, state in states.items():
        metrics[name]._update_count = 1  # else it warns of a metric without updates
        for key, value in state.items() if is_first else ():
            setattr(metrics[name], key, value.to(metrics[name].device))


def _epoch_ends(trainer: lightning.Trainer) -> bool:
    """Whether an epoch is over, but for what callbacks and schedulers do then."""
    epoch = cast("Any", trainer.fit_loop.epoch_progress.current)
    return bool(epoch.processed > epoch.completed)


def _waiting(trainer: lightning.Trainer) -> list[tuple[int, torch.Tensor]]:
    """Return the schedulers that look at a metric and step right after this, and what they see.

    Lightning lets them step after the callbacks that write checkpoints.
    """
    loop = cast("Any", trainer.fit_loop)
    batch = loop.epoch_loop.batch_progress.current
    ends = {
        "epoch": trainer.current_epoch + 1 if _epoch_ends(trainer) else 0,
        "step": batch.ready if batch.processed > batch.completed else 0,
    }
    waiting = []
    for index, config in enumerate(trainer.lr_scheduler_configs):
        value = trainer.callback_metrics.get(str(config.monitor))
        count = ends[config.interval]
        due = config.reduce_on_plateau and count and count % config.frequency == 0
        if due and value is not None:
            waiting.append((index, value.cpu()))
    return waiting


def _go_back_before(loops: dict[str, Any]) -> None:
    """Let Lightning take the state for one in a validation, of which it has done nothing."""
    begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    progress = loops["epoch_loop.val_loop.batch_progress"]
    progress["total"], progress["current"] = dict(begun), dict(begun)


def _leave_finished_epoch(trainer: lightning.Trainer) -> None:
    """Begin the next epoch where the last one was finished.

    Where steps are limited, Lightning would go through the end of the last epoch once more.
    """
    fit = cast("Any", trainer.fit_loop)
    progress = fit.epoch_progress
    if fit.restarting and progress.total.ready == progress.total.processed:
        progress.total.completed = progress.total.processed
        progress.current.completed = progress.current.processed
        for loop in (fit, fit.epoch_loop, fit.epoch_loop.val_loop):
            loop._restarting = False
            loop.reset_restart_stage()


def random_state() -> dict[str, Any]:
    """Return the states of Python, NumPy, torch and CUDA."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 -- the global one
    return {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Let the generators go on from states that `random_state` gave."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all([item.cpu() for item in state["cuda"]])
