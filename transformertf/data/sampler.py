"""The order of an epoch's windows, and the random lengths drawn for them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from transformertf.data.windows import IntArray, WindowLimits


@dataclass(frozen=True)
class Request:
    """One batch to fetch: window indices, and the longest context and horizon of each."""

    index: IntArray
    context: IntArray
    horizon: IntArray


class BatchSampler(Sampler[Request]):
    """Batches of windows; a pure function of seed and epoch.

    Args:
        size: number of windows.
        batch_size: windows of a batch; the last batch may be smaller.
        limits: longest and shortest context and horizon.
        seed: seed of order and lengths.
        shuffle: draw the windows in random order.
        random_lengths: draw context and horizon of each window uniformly from their minimum to
            their maximum, both included.
        epoch: the epoch to start with.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        limits: WindowLimits,
        seed: int = 0,
        shuffle: bool = False,
        random_lengths: bool = False,
        epoch: int = 0,
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.limits = limits
        self.seed = seed
        self.shuffle = shuffle
        self.random_lengths = random_lengths
        self.epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[Request]:
        """Yield the batches of the current epoch."""
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(self.size) if self.shuffle else np.arange(self.size)
        context = self._lengths(generator, self.limits.min_context, self.limits.context)
        horizon = self._lengths(generator, self.limits.min_horizon, self.limits.horizon)
        for start in range(0, self.size, self.batch_size):
            stop = start + self.batch_size
            yield Request(order[start:stop], context[start:stop], horizon[start:stop])

    def _lengths(self, generator: np.random.Generator, low: int, high: int) -> IntArray:
        if self.random_lengths:
            return generator.integers(low, high, size=self.size, endpoint=True)
        return np.full(self.size, high)
