"""A data set to what a trainer goes through, and the share of it that this process has.

`BatchLoader` knows how many batches of an epoch it gave, `Delivery` which batches those are; the
functions below ask a trainer for the rank, epoch and device of this process.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import lightning
import torch
from torch.utils.data import DataLoader, Sampler

from transformertf.batch import Batch
from transformertf.data.arguments import Distributed, RandomLengths
from transformertf.data.batches.dataset import BatchDataset
from transformertf.data.batches.gather import HOST
from transformertf.data.reading import resident_device
from transformertf.data.windows import (
    BatchSampler,
    EpochSampler,
    LaneSampler,
    RankShare,
    Request,
    SeriesSampler,
    WindowLimits,
    Windows,
)
from transformertf.errors import InputError
from transformertf.processes import gather

log = logging.getLogger(__name__)
Trainer = lightning.Trainer | None


class BatchLoader(DataLoader[Batch]):
    """A `DataLoader` whose batches, made in this process, come as they are.

    What torch does around each batch, for workers, profilers and data of any kind, takes a third
    of the time that a batch takes here. With workers, or memory to pin, it is torch's own.

    Its state is the epoch and the numbers of batches given in it and before it: what workers have
    made ahead does not count. Lightning keeps it in checkpoints, and a fit goes on with the batch
    that comes next.
    """

    _epoch = _given = 0
    # batches given in the epochs before the current one
    before = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names a class of its own
        """Yield the batches of the sampler's requests."""
        sampler, given, self._given = self.sampler, self._given, 0
        if isinstance(sampler, EpochSampler):
            if sampler.epoch != self._epoch:
                self._epoch, self.before = sampler.epoch, self.before + given
            self._given = sampler.skipped
            sampler.follow(self.before)
        if self.num_workers or self.pin_memory:
            return self._count(super().__iter__())
        return self._count(map(self.dataset.__getitem__, self.sampler))

    def state_dict(self) -> dict[str, int]:
        """Return the place in the epoch of an `EpochSampler`, and what the place depends on."""
        batches = self._batches
        return {
            "epoch": batches.epoch,
            "batches": self._given,
            "before": self.before,
            "windows": len(batches.windows),
            "batch_size": batches.batch_size * batches.world_size,
        }

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from a place in an epoch; other epochs are whole."""
        batches = self._batches
        batches.skip(state_dict["epoch"], state_dict["batches"])
        self._epoch, self._given = state_dict["epoch"], state_dict["batches"]
        self.before = state_dict.get("before", 0)  # earlier checkpoints do not tell
        now = self.state_dict()
        if any(now[name] != state_dict[name] for name in ("windows", "batch_size")):
            log.warning(
                "resumed within epoch %d with other batches: %d windows, %d a batch, were %d and "
                "%d; in this epoch some windows may come twice or not at all",
                state_dict["epoch"],
                now["windows"],
                now["batch_size"],
                state_dict["windows"],
                state_dict["batch_size"],
            )

    @property
    def _batches(self) -> EpochSampler:
        assert isinstance(self.sampler, EpochSampler)
        return self.sampler

    def _count(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            self._given += 1
            yield batch


@dataclass(frozen=True)
class Delivery:
    """How batches are drawn and handed out.

    Attributes:
        batch_size: windows of a batch.
        workers: processes that prepare batches; 0 prepares them in this one.
        shuffle: draw training windows in random order.
        random_lengths: of training windows, see `BatchSampler`.
        bucketing: put training windows of like lengths into a batch.
        noise_std: standard deviation of the noise on scaled inputs while training.
        device_resident: make batches on the device that trains; "auto" where there is room.
        distributed: "auto" gives each process a share of the windows, False all of them to each.
        fresh_starts: of training that carries states, see `LaneSampler`.
    """

    batch_size: int
    workers: int
    shuffle: bool
    random_lengths: RandomLengths
    bucketing: bool
    noise_std: float
    device_resident: bool | Literal["auto"]
    distributed: Distributed
    fresh_starts: float = 0.0

    def device(self, trainer: Trainer, size: int) -> torch.device:
        """Return where stored columns are kept, of so many bytes, and batches made."""
        return resident_device(self.device_resident, device_of(trainer), self.workers, size)

    def loader(
        self,
        dataset: BatchDataset,
        limits: WindowLimits,
        seed: int,
        trainer: Trainer,
        training: bool,
        shared: bool,
    ) -> BatchLoader:
        """Return what gives the batches of a data set; see `sampler`."""
        sampler = self.sampler(dataset.windows, limits, seed, trainer, training, shared)
        before = batches_before(trainer) if training else 0
        return self._loader(dataset, sampler, seed, before)

    def sampler(
        self,
        windows: Windows,
        limits: WindowLimits,
        seed: int,
        trainer: Trainer,
        training: bool,
        shared: bool = False,
    ) -> EpochSampler | RankShare | SeriesSampler:
        """Return what says which windows are in which batch of this process; it has a length.

        Args:
            windows: the windows.
            limits: longest and shortest context and horizon.
            seed: seed of order, random lengths and noise.
            trainer: of this process; None without one.
            training: shuffle, draw lengths and add noise, where asked for.
            shared: give each process a stretch of the batches, not a part of each of them.
        """
        rank, world_size = rank_of(trainer if self.distributed else None)
        if training and windows.carried:
            return self._lanes(windows, limits, seed, trainer)
        batches = BatchSampler(
            windows,
            self.batch_size,
            limits,
            seed,
            shuffle=training and self.shuffle,
            random_lengths=training and self.random_lengths,
            bucketing=self.bucketing,
            noise=training and self.noise_std > 0,
            epoch=first_epoch(trainer) if training else 0,
            rank=0 if shared else rank,
            world_size=1 if shared else world_size,
        )
        if windows.carried:
            return SeriesSampler(windows, self.batch_size, rank, world_size, not shared)
        return RankShare(batches, rank, world_size) if shared else batches

    def _lanes(
        self, windows: Windows, limits: WindowLimits, seed: int, trainer: Trainer
    ) -> LaneSampler:
        if getattr(trainer, "reload_dataloaders_every_n_epochs", 0):
            raise InputError(
                "carry_state: lanes go on from epoch to epoch, but would begin anew with "
                "reload_dataloaders_every_n_epochs; leave that out"
            )
        rank, world_size = rank_of(trainer if self.distributed else None)
        return LaneSampler(
            windows,
            self.batch_size,
            limits,
            seed,
            shuffle=self.shuffle,
            random_lengths=self.random_lengths,
            fresh_starts=self.fresh_starts,
            noise=self.noise_std > 0,
            epoch=first_epoch(trainer),
            rank=rank,
            world_size=world_size,
        )

    def _loader(
        self, dataset: BatchDataset, sampler: Sampler[Request], seed: int, before: int
    ) -> BatchLoader:
        loader = BatchLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            collate_fn=_as_it_is,  # torch's own looks into every batch for arrays to convert
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available() and dataset.device == HOST,
            # the global generator stays as it is, so that a resumed run draws the same dropout
            generator=torch.Generator().manual_seed(seed),
        )
        loader.before = before
        return loader


def _as_it_is(batch: Any) -> Any:
    return batch


def rank_of(trainer: Trainer) -> tuple[int, int]:
    """Return the rank of this process and how many there are; 0 and 1 without a trainer."""
    return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


def first_epoch(trainer: Trainer) -> int:
    """Return the epoch a fit starts with; workers of a resumed one fetch before it is set."""
    if trainer is None:
        return 0
    # `trainer.current_epoch` still counts from 0 when a resumed fit asks for its loader
    return int(getattr(trainer.fit_loop.epoch_progress.current, "processed", 0))


def batches_before(trainer: Trainer) -> int:
    """Return how many training batches a fit has had; a loader is told only within an epoch."""
    if trainer is None:
        return 0
    return int(getattr(trainer.fit_loop.epoch_loop.batch_progress.total, "processed", 0))


def device_of(trainer: Trainer) -> torch.device:
    """Return the device that trains."""
    return HOST if trainer is None else trainer.strategy.root_device


def require_agreement(trainer: Trainer, **facts: Any) -> None:
    """Refuse to go on where processes differ: they would wait for one another without end.

    All processes call this together, once they have met.

    Args:
        trainer: of this process.
        facts: what this process found, by name.

    Raises:
        InputError: on every process, and names two that differ.
    """
    if trainer is None:
        return
    found = gather(facts)
    for rank, other in enumerate(found):
        for name, value in other.items():
            if value != found[0][name]:
                raise InputError(
                    f"the processes of this run differ in their {name}: process 0 has "
                    f"{found[0][name]}, process {rank} has {value}; give all of them the same "
                    "files and seed (seed_everything: a number)"
                )
