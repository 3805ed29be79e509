"""A loader of batches that are made whole."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from transformertf.batch import Batch


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
