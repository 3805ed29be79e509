"""Steps to which the gradients of several batches add up."""

from collections.abc import Iterable

import lightning
import torch
from torch import distributed

from transformertf.errors import InputError


class Accumulation:
    """Makes a step of several batches that of one batch with all their rows.

    Lightning takes the mean of the batches' means, in which an element of a small batch counts more
    than one of a large batch. Here each batch counts by its weight, and the gradient is at all
    times the mean over the data elements of the batches so far: where an epoch ends before the
    last of them, and for whatever looks at it, clips it or scales it.
    """

    def __init__(self) -> None:
        self._batches = 1
        # of the batches whose gradients are there, and of the one at hand
        self._total = self._own = 0.0

    def begin(self) -> None:
        """Note that the gradients of another step begin."""
        self._total = 0.0

    def take(
        self, weight: torch.Tensor, trainer: lightning.Trainer | None, over_ranks: bool
    ) -> None:
        """Note the batch that `share` is asked for next; one that is not noted adds nothing.

        Args:
            weight: the sum of the weights of its data elements.
            trainer: has the number of batches of a step, which may change between epochs.
            over_ranks: the loss is a mean over all ranks; all must call this together.

        Raises:
            InputError: the optimizer asks for a loss several times, and so for gradients that are
                not there any more.
        """
        self._batches = 1 if trainer is None else trainer.accumulate_grad_batches
        if trainer is None or self._batches == 1:
            return
        if any(isinstance(optimizer, torch.optim.LBFGS) for optimizer in trainer.optimizers):
            raise InputError(
                f"trainer.accumulate_grad_batches is {self._batches}, but LBFGS looks at the loss "
                "of a step several times, which is there for its last batch only; set it to 1 and "
                "data.batch_size higher, or take another optimizer"
            )
        if over_ranks:
            weight = weight.clone()
            distributed.all_reduce(weight)
        self._own = weight.item()

    def share(self, loss: torch.Tensor, parameters: Iterable[torch.nn.Parameter]) -> torch.Tensor:
        """Return what of a batch's loss the gradient gets, and make room for it there.

        Args:
            loss: divided by the number of batches, as Lightning does.
            parameters: with the gradient of the batches before.
        """
        own, self._own = self._own, 0.0
        if not own:
            return loss
        before, self._total = self._total, self._total + own
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if before and gradients:
            torch._foreach_mul_(gradients, before / self._total)
        return loss * (self._batches * own / self._total)
