"""Batches as they come, against torch's own way."""

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from transformertf.data.batches.loader import BatchLoader


class Doubles(torch.utils.data.Dataset[Any]):
    def __getitem__(self, request):
        return {"input": torch.tensor([request, 2 * request])}


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_torch_in_its_order_in_every_epoch(workers):
    made = BatchLoader(Doubles(), batch_size=None, sampler=[3, 1, 2], num_workers=workers)
    expected = DataLoader(Doubles(), batch_size=None, sampler=[3, 1, 2])
    assert len(made) == len(expected) == 3
    for _ in range(2):
        found = [batch["input"].tolist() for batch in made]
        assert found == [batch["input"].tolist() for batch in expected] == [[3, 6], [1, 2], [2, 4]]


def test_no_batch_is_made_before_it_is_asked_for():
    asked = []

    class Watched(Doubles):
        def __getitem__(self, request):
            asked.append(request)
            return super().__getitem__(request)

    batches = iter(BatchLoader(Watched(), batch_size=None, sampler=[3, 1, 2]))
    next(batches)
    assert asked == [3]
