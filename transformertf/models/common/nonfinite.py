"""What becomes of batches whose loss or gradient is not finite, and which windows they hold."""

import logging
import math
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Literal, get_args

import lightning
import torch
from torch import distributed

from transformertf.batch import Batch
from transformertf.errors import InputError, NonFiniteLossError, nearest
from transformertf.models.common.loss import MeanLosses
from transformertf.processes import gather, is_distributed

OnNonFinite = Literal["stop", "skip"]
# loss, series and origin
WindowLoss = tuple[float, int, int]
# batches without a step between them, after which there is little hope of one
MOST_IN_A_ROW = 100
log = logging.getLogger(__name__)


class NonFinite(lightning.Callback):
    """Keeps from the weights what is not finite, and tells of losses that are not.

    Where the gradients of several batches add up to a step, a batch whose loss is not finite is
    left out by itself, and all of them where their sum is not finite. All ranks decide alike.

    Args:
        on_nonfinite: "stop" the run at such a batch, or "skip" it.
        losses: the mean loss of each stage. That of training gets the batches that a step is taken
            with, here; the others get theirs elsewhere.

    Attributes:
        steps: whether the gradients at hand make a step.

    Raises:
        InputError: `on_nonfinite` is neither.
    """

    def __init__(self, on_nonfinite: str, losses: MeanLosses) -> None:
        if on_nonfinite not in get_args(OnNonFinite):
            hint = nearest(str(on_nonfinite), get_args(OnNonFinite))
            raise InputError(f"on_nonfinite must not be {on_nonfinite!r}; {hint}")
        self._skips = on_nonfinite == "skip"
        self._losses = losses
        self.steps = False
        # of this epoch, and how many of them were left out
        self._batches = self._skipped = 0
        self._in_a_row = 0
        self._told = False
        # losses and weights of the batches of the coming step
        self._taken: list[tuple[torch.Tensor, torch.Tensor]] = []
        # the largest of these losses, and what names its windows
        self._largest: tuple[float, Callable[[], str]] | None = None
        # batches of an evaluation whose loss is not finite, and the windows of the first
        self._doubted, self._where = 0, ""
        self._when = "epoch 0, step 0"

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Note the time for messages."""
        self._when = f"epoch {trainer.current_epoch}, step {trainer.global_step}"

    def take(self, loss: torch.Tensor, weight: torch.Tensor, windows: Callable[[], str]) -> bool:
        """Count a training batch, and return whether its gradient may be taken.

        Args:
            loss: mean over the batch, on all ranks the same.
            weight: of the batch in the epoch's mean.
            windows: names those whose loss is not finite, or the largest; all ranks call it
                together.

        Raises:
            NonFiniteLossError: the loss is not finite, and such batches are not skipped, or too
                many were.
        """
        self._batches += 1
        value = loss.item()
        if not math.isfinite(value):
            self._leave_out(1, f"the training loss is {value}", windows)
            return False
        if self._largest is None or value > self._largest[0]:
            self._largest = value, windows
        self._taken.append((loss.detach(), weight))
        return True

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Take the gradients away where no batch gave one, or where they are not finite.

        An optimizer leaves parameters without a gradient alone, and what it keeps of them.

        Raises:
            NonFiniteLossError: as by `take`.
        """
        parameters = list(pl_module.parameters())
        taken, largest = self._taken, self._largest
        self._taken, self._largest = [], None
        finite = gradient_is_finite(parameters)
        self.steps = bool(taken) and finite
        if self.steps:
            self._in_a_row = 0
        else:
            for parameter in parameters:
                parameter.grad = None
        # a scaler looks for overflow, and leaves such a step out itself
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if taken and not finite:
            assert largest is not None
            loss, windows = largest
            event = f"the gradient is not finite, though the training loss is {loss:g},"
            if not scaled:
                self._leave_out(len(taken), event, windows)
                return
            # it halves its scale each time, and no overflow lasts so long
            self._count(len(taken), event, windows)
        for loss_and_weight in taken:
            self._losses.of("train").update(*loss_and_weight)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Tell how many batches were left out.

        Raises:
            NonFiniteLossError: it was all of them.
        """
        batches, skipped = self._batches, self._skipped
        self._batches = self._skipped = 0
        told = f"skipped {skipped} of {batches} batches of epoch {trainer.current_epoch}"
        if skipped and skipped == batches:
            raise NonFiniteLossError(f"{told}: none had a finite loss and gradient")
        if skipped:
            log.warning("%s: their loss or gradient was not finite", told)
        if self._skips:
            pl_module.log("train/skipped", float(skipped))

    def look(self, loss: torch.Tensor, windows: Callable[[], str]) -> None:
        """Note a batch of an evaluation whose loss is not finite.

        Args:
            loss: mean over the batch.
            windows: names them.
        """
        if not torch.isfinite(loss):
            self._where = self._where or windows()
            self._doubted += 1

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Warn of a loss that is not finite."""
        self._warn("validation", trainer)

    def on_test_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Warn of a loss that is not finite."""
        self._warn("test", trainer)

    def state_dict(self) -> dict[str, int]:
        """Return the counts."""
        return {"batches": self._batches, "skipped": self._skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take over counts."""
        self._batches, self._skipped = state_dict["batches"], state_dict["skipped"]
        self._in_a_row = state_dict["in_a_row"]

    def _leave_out(self, batches: int, event: str, windows: Callable[[], str]) -> None:
        if not self._skips:
            raise NonFiniteLossError(
                f"{event} in {self._when} {windows()}: lower the learning rate, clip gradients "
                "with trainer.gradient_clip_val, or leave such batches out with "
                "model.on_nonfinite skip"
            )
        self._skipped += batches
        if not self._told:
            self._told = True
            log.warning("a batch is left out: %s in %s %s", event, self._when, windows())
        self._count(batches, event, windows)

    def _count(self, batches: int, event: str, windows: Callable[[], str]) -> None:
        self._in_a_row += batches
        if self._in_a_row >= MOST_IN_A_ROW:
            raise NonFiniteLossError(
                f"{self._in_a_row} batches in a row gave no step, the last because {event} in "
                f"{self._when} {windows()}: lower the learning rate, or mend the data"
            )

    def _warn(self, stage: str, trainer: lightning.Trainer) -> None:
        doubted, where = self._doubted, self._where
        self._doubted, self._where = 0, ""
        mean = self._losses.of(stage)
        if not mean.update_called or trainer.sanity_checking:
            return
        # of all ranks: they come here together
        loss = mean.compute().item()
        if math.isfinite(loss):
            return
        reason = "another process has a batch whose loss is not finite"
        if doubted:
            reason = f"that of {doubted} batches is not finite, at first {where}"
        elif not mean.weight:
            reason = "no target is observed in any window of this data"
        log.warning("%s/loss is %s in epoch %d: %s", stage, loss, trainer.current_epoch, reason)


def gradient_is_finite(parameters: Iterable[torch.nn.Parameter]) -> bool:
    """Return whether each number of all gradients is finite, on all ranks."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    # the largest and not the Euclidean norm: the square of a finite number may overflow
    largest = torch.nn.utils.get_total_norm(gradients, norm_type=math.inf)
    if is_distributed():
        # ranks may hold parts of one gradient
        broken = (~torch.isfinite(largest)).float()
        distributed.all_reduce(broken, distributed.ReduceOp.MAX)
        return not broken.item()
    return bool(torch.isfinite(largest))


def zero_with_zero_gradient(parameters: Iterable[torch.nn.Parameter]) -> torch.Tensor:
    """Return a loss of 0 that gives each parameter that trains a gradient of 0.

    So ranks that add their gradients up have one for each parameter.
    """
    sums = [parameter.sum() * 0.0 for parameter in parameters if parameter.requires_grad]
    return torch.stack([part.float() for part in sums]).sum()


def gather_windows(rows: list[WindowLoss]) -> list[WindowLoss]:
    """Return the rows of all ranks, in the order of the ranks."""
    return [row for part in gather(rows) for row in part]


def non_finite_windows(
    losses: torch.Tensor, batch: Batch, over_ranks: bool
) -> tuple[list[WindowLoss], int]:
    """Return the windows whose loss is not finite, and how many windows there are.

    Where each is finite and only their sum is not, the one of the largest loss.

    Args:
        losses: (B, Td, Q) or (B, Td, 1) weighted losses.
        batch: with `series` and `origin`.
        over_ranks: look at the batches of all ranks; all must call this together.
    """
    places = batch["series"].tolist(), batch["origin"].tolist()
    windows = list(zip(losses.sum(dim=(1, 2)).tolist(), *places, strict=True))
    if over_ranks:
        windows = gather_windows(windows)
    bad = [window for window in windows if not math.isfinite(window[0])]
    return bad or [max(windows, key=itemgetter(0))], len(windows)


def describe_non_finite(
    losses: torch.Tensor, batch: Batch, over_ranks: bool, describe: Callable[[int, int], str]
) -> str:
    """Return words for the windows that `non_finite_windows` gives.

    Args:
        losses: (B, Td, Q) or (B, Td, 1) weighted losses.
        batch: with `series` and `origin`.
        over_ranks: look at the batches of all ranks; all must call this together.
        describe: gives words for a series and an origin.
    """
    bad, count = non_finite_windows(losses, batch, over_ranks)
    names = [describe(series, origin) for _, series, origin in bad[:3]]
    return f"({len(bad)} of {count} windows: {'; '.join(names)})"
