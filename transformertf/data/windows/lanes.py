"""Lanes: rows of a batch that go along runs piece by piece, from batch to batch."""

import copy
from collections.abc import Iterator

import numpy as np

from transformertf.data.arguments import RandomLengths
from transformertf.data.series import AnyArray, IntArray
from transformertf.data.windows.sampler import EpochSampler, Lanes, Request
from transformertf.data.windows.windows import WindowLimits, Windows

# steps whose random numbers are drawn together
_POOL = 100
# streams of random numbers
_STARTS, _ORDER, _STEPS = range(1, 4)


class LaneSampler(EpochSampler):
    """Pieces of runs: row b of a batch goes on where row b of the one before stopped.

    A lane first begins at a row drawn from all rows. Where its run ends it takes up the next one,
    from its first row on; all runs have had a turn before one has another. All ranks draw the same
    lanes, `world_size` times `batch_size`, and have their share of them.

    Where the lanes are is a pure function of the seed and of the number of batches before, in this
    epoch and those before it: they go on from epoch to epoch. An epoch has as many rows as there
    are, padding at the ends of runs left aside; which these are, differs.

    Args:
        runs: whole runs, see `whole_run`.
        batch_size: lanes on each rank.
        limits: longest and shortest piece.
        seed: seed of all that is drawn.
        shuffle: take runs in random order, another one in each turn.
        random_lengths: "batch" draws the length of a piece for each batch, for all lanes, uniformly
            from its minimum to its maximum; False takes the maximum.
        fresh_starts: probability that a lane leaves its run after a piece, to begin at a row drawn
            from all rows.
        epoch: the epoch to start with.
        rank: which share of the lanes to take.
        world_size: number of ranks.
        noise: give each batch of each rank a seed for noise.
    """

    def __init__(
        self,
        runs: Windows,
        batch_size: int,
        limits: WindowLimits,
        seed: int = 0,
        shuffle: bool = True,
        random_lengths: RandomLengths = False,
        fresh_starts: float = 0.0,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        noise: bool = False,
    ) -> None:
        super().__init__(runs, batch_size, epoch, rank, world_size)
        low, high = limits.min_horizon if random_lengths else limits.horizon, limits.horizon
        self.rows = runs.locate(np.arange(len(runs)))[3]
        self.noise = noise
        self._steps = _Steps(seed, batch_size * world_size, world_size, (low, high), fresh_starts)
        # pieces of mean length that all rows make, for each lane
        self._count = -(-2 * int(self.rows.sum()) // (batch_size * world_size * (low + high)))
        self._first = _Course(self.rows, self._steps, seed, shuffle)
        # where the lanes are at the first batch of the epoch that was drawn last
        self._course = self._first.fork()
        self._before = 0

    def __len__(self) -> int:
        """Return the number of batches of an epoch, the same on every rank."""
        return self._count

    def follow(self, batches: int) -> None:
        """Go on after so many batches of the epochs before the current one."""
        self._before = batches

    def __iter__(self) -> Iterator[Request]:
        """Yield this rank's part of the batches of the current epoch."""
        if self._course.step > self._before:
            self._course = self._first.fork()
        while self._course.step < self._before:
            self._course.advance()
        course, mine = self._course.fork(), slice(self.rank, None, self.world_size)
        for place in range(self._count):
            if place < self.skipped:
                course.advance()
                continue
            seed = self._steps.noise(course.step, self.rank) if self.noise else None
            run, begun, done, length = (each[mine] for each in course.advance())
            no_context = np.zeros(len(run), dtype=np.int64)
            yield Request(run, no_context, length, seed, lanes=Lanes(begun, done))


class _Steps:
    """What is drawn for each step of all lanes; a pure function of the seed and the step.

    Args:
        seed: seed.
        lanes: number of lanes.
        ranks: number of ranks.
        lengths: shortest and longest piece.
        fresh_starts: probability that a lane begins anew after a piece.
    """

    def __init__(
        self, seed: int, lanes: int, ranks: int, lengths: tuple[int, int], fresh_starts: float
    ) -> None:
        self.seed = seed
        self.lanes = lanes
        self.ranks = ranks
        self.lengths = lengths
        self.fresh_starts = fresh_starts
        self._pool = -1
        self._drawn: tuple[AnyArray, ...] = ()

    def length(self, step: int) -> int:
        """Return the rows of a piece at a step."""
        return int(self._at(step)[0])

    def leaves(self, step: int) -> IntArray:
        """Return the lanes that begin anew after a step."""
        return np.flatnonzero(self._at(step)[1] < self.fresh_starts)

    def noise(self, step: int, rank: int) -> int:
        """Return the seed of the noise on a rank's batch."""
        return int(self._at(step)[2][rank])

    def places(self, step: int) -> np.random.Generator:
        """Return what draws the rows at which lanes begin that left their runs at a step."""
        # [seed, 0] and [seed, 0, 0] are one seed
        return np.random.default_rng([self.seed, _STARTS, step + 1])

    def _at(self, step: int) -> list[AnyArray]:
        """Return what is drawn for a step: the length, a number of each lane, and of each rank."""
        pool, place = divmod(step, _POOL)
        if pool != self._pool:
            generator = np.random.default_rng([self.seed, _STEPS, pool])
            self._pool = pool
            self._drawn = (
                generator.integers(*self.lengths, _POOL, endpoint=True),
                generator.random((_POOL, self.lanes)),
                generator.integers(2**63, size=(_POOL, self.ranks), dtype=np.uint64),
            )
        return [each[place] for each in self._drawn]


class _Course:
    """Where all lanes are at a step.

    Args:
        rows: (R,) rows of each run.
        steps: what is drawn for each step.
        seed: seed of the order of the runs.
        shuffle: take them in random order.
    """

    def __init__(self, rows: IntArray, steps: _Steps, seed: int, shuffle: bool) -> None:
        self.step = 0
        self._rows = rows
        self._ends = rows.cumsum()
        self._steps = steps
        self._seed = seed
        self._shuffle = shuffle
        # runs that were taken up from their first rows on, and the order of those of this turn
        self._taken, self._order = 0, np.empty(0, dtype=np.int64)
        self._run, self._done = self._draw(steps.lanes, np.random.default_rng([seed, _STARTS]))
        self._begun = self._done.copy()

    def fork(self) -> "_Course":
        """Return a course that goes on from here by itself."""
        course = copy.copy(self)
        for name in ("_run", "_done", "_begun"):
            setattr(course, name, getattr(self, name).copy())
        return course

    def advance(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Go on by a step.

        Returns:
            of each lane (L,) its run, the step of it at which the lane began, the steps before the
            piece, and the rows of the piece.
        """
        step, self.step = self.step, self.step + 1
        length = np.minimum(self._steps.length(step), self._rows[self._run] - self._done)
        found = self._run.copy(), self._begun.copy(), self._done.copy(), length
        self._done += length
        leaves = self._steps.leaves(step)
        if leaves.size:
            places = self._draw(leaves.size, self._steps.places(step))
            self._run[leaves], self._done[leaves] = places
            self._begun[leaves] = self._done[leaves]
        ended = np.flatnonzero(self._done >= self._rows[self._run])
        if ended.size:
            self._run[ended] = [self._next() for _ in ended]
            self._done[ended] = self._begun[ended] = 0
        return found

    def _draw(self, count: int, generator: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Return runs and steps of them (count,), each row of all runs as likely as any other."""
        row = generator.integers(int(self._ends[-1]), size=count, dtype=np.int64)
        run = np.searchsorted(self._ends, row, side="right")
        done: IntArray = row - (self._ends - self._rows)[run]
        return run, done

    def _next(self) -> int:
        """Return the run that is taken up next."""
        turn, place = divmod(self._taken, len(self._rows))
        if place == 0:
            order = np.random.default_rng([self._seed, _ORDER, turn])
            count = len(self._rows)
            self._order = order.permutation(count) if self._shuffle else np.arange(count)
        self._taken += 1
        return int(self._order[place])
