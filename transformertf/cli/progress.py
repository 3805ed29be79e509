"""How far a fit is, how well it does and how long it takes, in lines that stay."""

import math
import time
from typing import Any, cast

import lightning
from lightning.pytorch.callbacks import Callback, Timer

from transformertf.cli.screen import say
from transformertf.wording import duration, number, pace

PERIOD = 120.0  # seconds from one line within an epoch to the next
GAP = "  "  # between what is told in a line
_PHASES = {"validate": "validation", "test": "test", "predict": "forecasts"}


class Clock:
    """How fast steps go by, and how long those that are left will take.

    The first step is left out: it prepares what the others find. So is validation, of the rate.
    Times are in seconds, of any clock that only goes forward.
    """

    def __init__(self) -> None:
        self._done = 0
        self._since: float | None = None
        self._paused = 0.0
        self._pause: float | None = None

    def step(self, steps: int, now: float) -> None:
        """Count steps that have been made."""
        if steps and self._since is None:
            self._since, self._paused = now, 0.0
        elif steps:
            self._done += steps

    def pause(self, now: float) -> None:
        """Note that something else than steps begins."""
        self._pause = now

    def go_on(self, now: float) -> None:
        """Note that steps go on."""
        if self._pause is not None:
            self._paused += now - self._pause
        self._pause = None

    def rate(self, now: float) -> float | None:
        """Return steps per second; None while nothing is known."""
        if self._since is None or not self._done:
            return None
        since_pause = 0.0 if self._pause is None else now - self._pause
        passed = now - self._since - self._paused - since_pause
        return self._done / passed if passed > 0 else None

    def left(self, steps: float, now: float) -> float | None:
        """Return how long so many steps take, with what comes between; None where not known."""
        if self._since is None or not self._done or not math.isfinite(steps):
            return None
        return steps * (now - self._since) / self._done


class Lines(Callback):
    """Says a line for each epoch and each validation within, and without a bar also now and then.

    Args:
        often: say a line now and then within an epoch, too.
    """

    def __init__(self, often: bool) -> None:
        self._often = often
        self._clock = Clock()
        self._step = self._batches = 0
        self._validated = self._untold = False
        self._said = self._begun = 0.0

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Count from here."""
        self._step = trainer.global_step
        self._clock, self._said = Clock(), time.monotonic()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin an epoch; one that goes on counts its batches from where it was."""
        self._batches, self._validated = 0, False

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Tell of a validation, where the epoch goes on after it."""
        if self._untold:
            self._say(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count; tell where nothing was told for long."""
        now = time.monotonic()
        self._clock.step(trainer.global_step - self._step, now)
        self._step, self._batches = trainer.global_step, batch_idx + 1
        if self._often and now - self._said >= PERIOD and not trainer.is_last_batch:
            self._say(trainer, pl_module)

    def on_validation_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Let steps wait."""
        self._begun = time.monotonic()
        self._clock.pause(self._begun)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Note that there is something to tell."""
        self._clock.go_on(time.monotonic())
        if not trainer.sanity_checking:
            self._validated = self._untold = True

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Tell of the epoch."""
        self._say(trainer, pl_module, ended=True)

    def on_test_start(self, *_: Any) -> None:
        """Count from here."""
        self._said = self._begun = time.monotonic()

    def on_predict_start(self, *_: Any) -> None:
        """Count from here."""
        self._said = self._begun = time.monotonic()

    def on_validation_batch_end(self, trainer: lightning.Trainer, *given: Any) -> None:
        """Tell where nothing was told for long, of a validation alone."""
        if _phase(trainer) == "validate":
            self._tell_batches(trainer, given[3] + 1)

    def on_test_batch_end(self, trainer: lightning.Trainer, *given: Any) -> None:
        """Tell where nothing was told for long."""
        self._tell_batches(trainer, given[3] + 1)

    def on_predict_batch_end(self, trainer: lightning.Trainer, *given: Any) -> None:
        """Tell where nothing was told for long."""
        self._tell_batches(trainer, given[3] + 1)

    def _tell_batches(self, trainer: lightning.Trainer, done: int) -> None:
        now = time.monotonic()
        if self._often and now - max(self._said, self._begun) >= PERIOD:
            self._said = now
            total = batches_of(trainer)
            left = duration((total - done) * (now - self._begun) / done)
            say(f"{_PHASES[_phase(trainer)]} {done}/{total:.0f}  {left} left")

    def _say(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, ended: bool = False
    ) -> None:
        self._untold, self._said = False, time.monotonic()
        say(GAP.join([self.place(trainer, ended), *self.told(trainer, module, ended)]))

    def place(self, trainer: lightning.Trainer, ended: bool = False) -> str:
        """Return which epoch it is, counted from 1, and which step where steps are limited."""
        epochs = f"/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
        place = f"epoch {trainer.current_epoch + 1}{epochs}"
        if not ended and math.isfinite(trainer.num_training_batches):
            place += f" ({self._batches / max(1, trainer.num_training_batches):.0%})"
        if trainer.max_steps > 0:
            place += f"  step {trainer.global_step}/{trainer.max_steps}"
        return place

    def told(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, ended: bool = False
    ) -> list[str]:
        """Return losses, the error in units of the target, the pace and the time that is left.

        Args:
            trainer: which fits.
            module: which it fits.
            ended: the epoch has, so that its mean loss is there; until then it is that of the
                batches so far, of this process.
        """
        seen = trainer.callback_metrics
        train = (
            float(seen["train/loss"]) if ended and "train/loss" in seen else _loss_so_far(module)
        )
        parts = [] if train is None else [f"train {number(train)}"]
        if self._validated and "validation/loss" in seen:
            parts.append(f"val {number(float(seen['validation/loss']))}")
            parts += [f"{name} {number(value)}" for name, value in validation_errors(seen)[:1]]
        now = time.monotonic()
        rate, left = self._clock.rate(now), self._left(trainer, ended, now)
        if rate is not None:
            parts.append(pace(rate, "step"))
        if left:
            parts.append(f"{duration(left)} left")
        return parts

    def _left(self, trainer: lightning.Trainer, ended: bool, now: float) -> float | None:
        """Return how long the fit goes on, in seconds, by whichever limit is the first."""
        batches, every = trainer.num_training_batches, trainer.accumulate_grad_batches
        limits = [math.inf]
        if (trainer.max_epochs or -1) > 0 and math.isfinite(batches):
            epochs = cast("int", trainer.max_epochs) - trainer.current_epoch - ended
            done = 0 if ended else self._batches
            limits.append(epochs * math.ceil(batches / every) - math.ceil(done / every))
        if trainer.max_steps > 0:
            limits.append(trainer.max_steps - trainer.global_step)
        times = [self._clock.left(max(0, min(limits)), now)]
        for callback in cast("Any", trainer).callbacks:
            if isinstance(callback, Timer):
                times.append(callback.time_remaining())
        return min((max(0.0, one) for one in times if one is not None), default=None)


def _loss_so_far(module: lightning.LightningModule) -> float | None:
    """Return the mean loss of the batches of an epoch so far, of this process alone."""
    mean: Any = getattr(module, "training_metrics", {}).get("train/loss")
    return float(mean.total / mean.weight) if mean is not None and float(mean.weight) else None


def validation_errors(seen: Any) -> list[tuple[str, float]]:
    """Return the errors of a validation in units of the target, by their names."""
    prefix, loss = "validation/", "validation/loss"
    return [
        (name.removeprefix(prefix), float(value))
        for name, value in seen.items()
        if name.startswith(prefix) and name != loss
    ]


def _phase(trainer: lightning.Trainer) -> str:
    """Return what a trainer runs: fit, validate, test or predict."""
    assert trainer.state.fn is not None
    return trainer.state.fn.value


def batches_of(trainer: lightning.Trainer) -> float:
    """Return the number of batches of a phase without training; infinite where not known."""
    counts = {
        "validate": trainer.num_val_batches,
        "test": trainer.num_test_batches,
        "predict": trainer.num_predict_batches,
        "fit": trainer.num_val_batches,
    }
    return float(sum(counts[_phase(trainer)]))
