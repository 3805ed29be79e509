"""A loader of batches that are made whole."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from transformertf.batch import Batch
from transformertf.data.dataset import StoredWindows
from transformertf.data.gather import HOST
from transformertf.data.sampler import Request


class BatchLoader(DataLoader[Batch]):
    """A `DataLoader` whose batches, made in this process, come as they are.

    What torch does around each batch, for workers, profilers and data of any kind, takes a third
    of the time that a batch takes here. With workers, or memory to pin, it is torch's own.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names a class of its own
        """Yield the batches of the sampler's requests."""
        if self.num_workers or self.pin_memory:
            return super().__iter__()
        return map(self.dataset.__getitem__, self.sampler)


def make_loader(
    dataset: StoredWindows, sampler: Sampler[Request], workers: int, seed: int
) -> BatchLoader:
    """Return the batches that a sampler asks of a data set.

    Args:
        dataset: makes the batches.
        sampler: asks for them.
        workers: processes that prepare them; 0 prepares them in this one.
        seed: seed of the workers.
    """
    return BatchLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        collate_fn=_as_it_is,  # torch's own looks into every batch for arrays to convert
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available() and dataset.device == HOST,
        # the global generator stays as it is, so that a resumed run draws the same dropout
        generator=torch.Generator().manual_seed(seed),
    )


def _as_it_is(batch: Any) -> Any:
    return batch
