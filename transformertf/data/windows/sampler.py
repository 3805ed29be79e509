"""The order of an epoch's windows, the random lengths drawn for them, and their batches."""

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from torch.utils.data import DistributedSampler, Sampler

from transformertf.data.arguments import RandomLengths
from transformertf.data.series import IntArray
from transformertf.data.windows.windows import WindowLimits, Windows

# So many batches are made at a time, and bucketing looks no further: enough to leave little
# padding, and few enough that the windows of a batch still come from all over the data.
_POOL = 100
# rows of series side by side, from which on no more are put beside them: so many forecasts may wait
# for those of the first one
_ROWS = 2**22
# Differences of neighbours are not uniform after three pairs of rounds, and are after four.
_PAIRS_OF_ROUNDS = 6


@dataclass(frozen=True)
class Request:
    """One batch to fetch.

    Attributes:
        index: (B,) windows.
        context: (B,) longest context of each.
        horizon: (B,) longest horizon of each.
        noise: seed of the noise on this batch; None without noise.
        counts: False where no target of the batch is to count: it only keeps a rank in step.
        lanes: where each lane is in its window, a whole run; None where windows come whole.
    """

    index: IntArray
    context: IntArray
    horizon: IntArray
    noise: int | None = None
    counts: bool = True
    lanes: "Lanes | None" = None

    @classmethod
    def whole(cls, index: IntArray, counts: bool = True) -> Self:
        """Return the request for windows (B,) at full length."""
        longest = np.full(len(index), np.iinfo(np.int64).max)
        return cls(index, longest, longest, counts=counts)


class Lanes(NamedTuple):
    """Where the lanes of a batch are in their runs.

    Attributes:
        begun: (B,) steps of the run before the one at which the lane began, with a fresh state.
        done: (B,) steps of the run before the lane's piece.
    """

    begun: IntArray
    done: IntArray


class EpochSampler(Sampler[Request]):
    """What is drawn anew in each epoch; one that is resumed leaves out what a fit has had.

    Args:
        windows: the windows to draw from.
        batch_size: windows of a batch on each rank.
        epoch: the epoch to start with.
        rank: which share of each batch to take.
        world_size: number of ranks.
    """

    def __init__(
        self, windows: Windows, batch_size: int, epoch: int, rank: int, world_size: int
    ) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.epoch = epoch
        self.rank = rank
        self.world_size = world_size
        self._begun = (-1, 0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def skip(self, epoch: int, batches: int) -> None:
        """Leave out the first batches of one epoch, which a fit that is resumed has had."""
        self._begun = (epoch, batches)

    @property
    def skipped(self) -> int:
        """Number of batches that are left out of the current epoch."""
        epoch, batches = self._begun
        return batches if epoch == self.epoch else 0

    def follow(self, batches: int) -> None:
        """Take note of how many batches were given in the epochs before the current one."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches of an epoch, the same on every rank."""


class BatchSampler(EpochSampler):
    """Batches of windows; a pure function of seed, epoch and rank.

    All ranks draw the same batches of `world_size` times `batch_size` windows and take their
    share of each, so that every rank has as many batches, of like lengths. Where the last batch has
    too few windows, a rank without any gets its first one, which does not count. Memory does not
    grow with the windows, but for the square root of their number where they are shuffled.

    Args:
        windows: the windows to draw from.
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
        noise: give each batch of each rank a seed for noise.
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
        noise: bool = False,
    ) -> None:
        super().__init__(windows, batch_size, epoch, rank, world_size)
        self.limits = limits
        self.seed = seed
        self.shuffle = shuffle
        self.random_lengths = random_lengths
        alike = windows.one_length and random_lengths is not True
        self.bucketing = bucketing and shuffle and not alike
        self.noise = noise

    def __len__(self) -> int:
        """Return the number of batches, the same on every rank."""
        return -(-len(self.windows) // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[Request]:
        """Yield this rank's part of the batches of the current epoch."""
        # pools are drawn apart from each other: those that are skipped need not be
        pool, first = divmod(self.skipped, _POOL)
        yield from itertools.islice(self._pools(pool), first, None)

    def _pools(self, begin: int) -> Iterator[Request]:
        """Yield the batches of the current epoch from a pool on."""
        size, count, step = len(self.windows), len(self), self.batch_size * self.world_size
        key = [self.seed, self.epoch]
        order = Permutation(size, np.random.default_rng(key)) if self.shuffle else None
        for pool in range(begin, -(-count // _POOL)):
            first, end = pool * _POOL, min((pool + 1) * _POOL, count)
            index = np.arange(first * step, size if end == count else end * step)
            index = index if order is None else order(index)
            # another stream than that of the order
            seeds = np.random.SeedSequence(key, spawn_key=(pool,))
            edges = [*range(0, (end - first) * step, step), len(index)]
            yield from self._pool(np.random.default_rng(seeds), index, edges)

    def _pool(
        self, generator: np.random.Generator, index: IntArray, edges: list[int]
    ) -> Iterator[Request]:
        """Yield the batches between the edges of a stretch of the epoch's order."""
        limits, size = self.limits, len(index)
        batches = [slice(*ends) for ends in itertools.pairwise(edges)]
        context = np.full(size, limits.context)
        horizon = np.full(size, limits.horizon)
        if self.random_lengths is True:
            context, horizon = self._draw(generator, size)
        if self.bucketing:
            _, _, longest_context, longest_horizon = self.windows.locate(index)
            lengths = np.minimum(context, longest_context), np.minimum(horizon, longest_horizon)
            if any(np.ptp(side) > 0 for side in lengths):
                order = _by_length(*lengths, len(batches))
                index, context, horizon = index[order], context[order], horizon[order]
                batches = [batches[place] for place in generator.permutation(len(batches))]
        if self.random_lengths == "batch":
            drawn = self._draw(generator, len(batches))
            context, horizon = (np.repeat(side, np.diff(edges)) for side in drawn)
        noise: list[int] | list[None] = [None] * len(batches)
        if self.noise:
            seeds = generator.integers(2**63, size=(len(batches), self.world_size), dtype=np.uint64)
            noise = seeds[:, self.rank].tolist()
        for batch, seed in zip(batches, noise, strict=True):
            first = batch.start + self.rank
            counts = first < batch.stop
            mine = slice(first if counts else batch.start, batch.stop, self.world_size)
            yield Request(index[mine], context[mine], horizon[mine], seed, counts)

    def _draw(self, generator: np.random.Generator, size: int) -> tuple[IntArray, IntArray]:
        """Return random contexts and horizons, each (size,)."""
        limits = self.limits
        return (
            generator.integers(limits.min_context, limits.context, size, endpoint=True),
            generator.integers(limits.min_horizon, limits.horizon, size, endpoint=True),
        )


class RankShare(DistributedSampler[Request]):
    """The batches of one rank: a stretch of all batches, so that rows stay in order over ranks.

    With fewer batches than ranks, some ranks have none, the last ones first. Lightning would deal
    the batches out anew, were this none of torch's distributed samplers.

    Args:
        batches: all batches, as a single process has them.
        rank: which share to take.
        world_size: number of ranks.
    """

    def __init__(self, batches: BatchSampler, rank: int = 0, world_size: int = 1) -> None:
        # torch's asks for no more than the length
        super().__init__(batches, world_size, rank, shuffle=False)  # type: ignore[arg-type]
        self.batches = batches
        count = len(batches)
        self.first, self.end = (-(-count * place // world_size) for place in (rank, rank + 1))

    def __len__(self) -> int:
        """Return the number of this rank's batches."""
        return self.end - self.first

    def __iter__(self) -> Iterator[Request]:
        """Yield this rank's batches."""
        return itertools.islice(iter(self.batches), self.first, self.end)


class SeriesSampler(DistributedSampler[Request]):
    """Batches of pieces of sequences, those of a series one after the other.

    So many series as a batch holds go side by side: batch k of them has the k-th piece of each, of
    those that have so many. A rank has whole series, neighbours, and about as many rows as others.

    Args:
        windows: the pieces, see `consecutive`, by series.
        batch_size: series side by side.
        rank: which share to take.
        world_size: number of ranks.
        keep_in_step: give a rank without series a batch that does not count.

    Attributes:
        own: this rank's windows.
    """

    def __init__(
        self,
        windows: Windows,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        keep_in_step: bool = False,
    ) -> None:
        # torch's asks for no more than the length
        super().__init__(windows, world_size, rank, shuffle=False)  # type: ignore[arg-type]
        first, count, rows = windows.by_series
        ends = rows.cumsum()
        # the rank in whose share of all rows the middle of a series lies
        owner = (2 * ends - rows) * world_size // (2 * ends[-1:].sum())
        mine = owner == rank
        self._first, self._count = first[mine], count[mine]
        begin = int(count[owner < rank].sum())
        self.own = range(begin, begin + int(self._count.sum()))
        self._groups = _side_by_side(rows[mine], batch_size)
        self._idles = keep_in_step and not mine.any()

    def __len__(self) -> int:
        """Return the number of this rank's batches."""
        return self._idles + sum(int(self._count[group].max()) for group in self._groups)

    def __iter__(self) -> Iterator[Request]:
        """Yield this rank's batches."""
        if self._idles:
            yield Request.whole(np.zeros(1, dtype=np.int64), counts=False)
        for group in self._groups:
            first, count = self._first[group], self._count[group]
            for place in range(int(count.max())):
                yield Request.whole(first[count > place] + place)


def _side_by_side(rows: IntArray, most: int) -> list[slice]:
    """Return series that go side by side: up to `most`, and few where they have many rows (S,)."""
    groups, begin = [], 0
    while begin < len(rows):
        room = int(np.searchsorted(rows[begin : begin + most].cumsum(), _ROWS, side="right"))
        groups.append(slice(begin, begin + max(room, 1)))
        begin = groups[-1].stop
    return groups


class Permutation:
    """A random permutation of 0 to `size` - 1, in memory and set-up of O(sqrt(size)).

    A Feistel network (Luby and Rackoff 1988). The numbers fill the rows of a nearly square
    table; a round shifts each row, or each column, around by a random amount of its own. What
    lands on one of the few cells beyond `size` goes through again, and so to a cell of the
    numbers ("cycle walking", Black and Rogaway 2002).

    Args:
        size: how many numbers.
        generator: source of the random amounts; nothing else is random.
    """

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self.size = size
        self._rows = math.isqrt(max(size, 1) - 1) + 1
        self._columns = max(-(-size // self._rows), 1)
        self._shifts = [
            (
                generator.integers(self._rows, size=self._columns),
                generator.integers(self._columns, size=self._rows),
            )
            for _ in range(_PAIRS_OF_ROUNDS)
        ]

    def __call__(self, places: IntArray) -> IntArray:
        """Return the numbers at places (n,) of the order, each 0 to `size` - 1."""
        numbers = self._shuffled(places)
        while (beyond := np.flatnonzero(numbers >= self.size)).size:
            numbers[beyond] = self._shuffled(numbers[beyond])
        return numbers

    def _shuffled(self, cells: IntArray) -> IntArray:
        row, column = np.divmod(cells, self._columns)
        for down, along in self._shifts:
            row += down[column]
            row -= self._rows * (row >= self._rows)  # a remainder, at a third of its cost
            column += along[row]
            column -= self._columns * (column >= self._columns)
        return row * self._columns + column


def _by_length(context: IntArray, horizon: IntArray, batches: int) -> IntArray:
    """Return an order in which neighbours are alike in context and horizon.

    Windows are grouped by context, and sorted by horizon within a group. A batch then spans
    one group's share of all contexts and its own share of a group's horizons; the number of
    groups makes the padding of both together smallest.
    """
    size = len(context)
    by_context = _ranked(context)
    rank = np.empty(size, dtype=np.int64)
    rank[by_context] = np.arange(size)
    spread = context.std(), horizon.std()
    groups = size
    if spread[1] > 0:
        groups = int(np.clip(np.sqrt(batches * spread[0] / spread[1]), 1, size))
    group = rank * groups // size
    # up in one group and down in the next: the batch across two groups is alike as well
    by_horizon = _ranked(np.where(group % 2 == 0, horizon, -horizon))
    return by_horizon[_ranked(group[by_horizon])]


def _ranked(keys: IntArray) -> IntArray:
    """Return the stable order of keys."""
    low = keys.min()
    # NumPy sorts integers of 16 bits by radix, which takes a sixth of the time
    small = (keys - low).astype(np.min_scalar_type(keys.max() - low))
    order: IntArray = small.argsort(kind="stable")
    return order
