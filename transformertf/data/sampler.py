"""The order of an epoch's windows, the random lengths drawn for them, and their batches."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch.utils.data import Sampler

from transformertf.data.windows import IntArray, WindowLimits, Windows

RandomLengths = bool | Literal["batch"]

# Bucketing looks at so many batches at a time: enough to leave little padding, and few enough
# that the windows of a batch still come from all over the data.
_POOL = 100


@dataclass(frozen=True)
class Request:
    """One batch to fetch: window indices, and the longest context and horizon of each."""

    index: IntArray
    context: IntArray
    horizon: IntArray


class BatchSampler(Sampler[Request]):
    """Batches of windows; a pure function of seed, epoch and rank.

    All ranks draw the same batches of `world_size` times `batch_size` windows and take their
    share of each, so that every rank has as many batches, of like lengths.

    Args:
        windows: the windows to draw from; at least `world_size`.
        batch_size: windows of a batch on each rank; the last batch may be smaller.
        limits: longest and shortest context and horizon.
        seed: seed of order and lengths.
        shuffle: draw the windows in random order.
        random_lengths: draw context and horizon uniformly from their minimum to their maximum,
            both included: True for each window, "batch" once for all windows of a batch.
        bucketing: put windows of like lengths into a batch; only where they are shuffled.
        epoch: the epoch to start with.
        rank: which share of each batch to take.
        world_size: number of ranks.
    """

    def __init__(
        self,
        windows: Windows,
        batch_size: int,
        limits: WindowLimits,
        seed: int = 0,
        shuffle: bool = False,
        random_lengths: RandomLengths = False,
        bucketing: bool = False,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.limits = limits
        self.seed = seed
        self.shuffle = shuffle
        self.random_lengths = random_lengths
        self.bucketing = bucketing and shuffle
        self.epoch = epoch
        self.rank = rank
        self.world_size = world_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches, the same on every rank."""
        return len(self._edges(len(self.windows))) - 1

    def __iter__(self) -> Iterator[Request]:
        """Yield this rank's part of the batches of the current epoch."""
        generator = np.random.default_rng([self.seed, self.epoch])
        size = len(self.windows)
        order = generator.permutation(size) if self.shuffle else np.arange(size)
        edges = self._edges(size)
        for first in range(0, len(edges) - 1, _POOL):
            last = min(first + _POOL, len(edges) - 1)
            yield from self._pool(generator, order[edges[first] : edges[last]])

    def _edges(self, size: int) -> list[int]:
        """Return where the batches of all ranks begin among `size` windows, and the end."""
        step = self.batch_size * self.world_size
        edges = [*range(0, size, step), size]
        if len(edges) > 2 and edges[-1] - edges[-2] < self.world_size:
            del edges[-2]  # too few for every rank to have one: they join the batch before
        return edges

    def _pool(self, generator: np.random.Generator, index: IntArray) -> Iterator[Request]:
        """Yield the batches of a stretch of the epoch's order."""
        limits, size = self.limits, len(index)
        context = np.full(size, limits.context)
        horizon = np.full(size, limits.horizon)
        if self.random_lengths is True:
            context, horizon = self._draw(generator, size)
        batches = [slice(*ends) for ends in itertools.pairwise(self._edges(size))]
        if self.bucketing:
            _, _, longest_context, longest_horizon = self.windows.locate(index)
            lengths = np.minimum(context, longest_context), np.minimum(horizon, longest_horizon)
            if any(np.ptp(side) > 0 for side in lengths):
                order = _by_length(*lengths, len(batches))
                index, context, horizon = index[order], context[order], horizon[order]
                batches = [batches[place] for place in generator.permutation(len(batches))]
        for batch in batches:
            if self.random_lengths == "batch":
                context[batch], horizon[batch] = self._draw(generator, 1)
            mine = slice(batch.start + self.rank, batch.stop, self.world_size)
            yield Request(index[mine], context[mine], horizon[mine])

    def _draw(self, generator: np.random.Generator, size: int) -> tuple[IntArray, IntArray]:
        """Return random contexts and horizons, each (size,)."""
        limits = self.limits
        return (
            generator.integers(limits.min_context, limits.context, size, endpoint=True),
            generator.integers(limits.min_horizon, limits.horizon, size, endpoint=True),
        )


def _by_length(context: IntArray, horizon: IntArray, batches: int) -> IntArray:
    """Return an order in which neighbours are alike in context and horizon.

    Windows are grouped by context, and sorted by horizon within a group. A batch then spans
    one group's share of all contexts and its own share of a group's horizons; the number of
    groups makes the padding of both together smallest.
    """
    size = len(context)
    by_context = context.argsort(kind="stable")
    rank = np.empty(size, dtype=np.int64)
    rank[by_context] = np.arange(size)
    spread = context.std(), horizon.std()
    groups = size
    if spread[1] > 0:
        groups = int(np.clip(np.sqrt(batches * spread[0] / spread[1]), 1, size))
    group = rank * groups // size
    # up in one group and down in the next: the batch across two groups is alike as well
    return np.lexsort((np.where(group % 2 == 0, horizon, -horizon), group))
