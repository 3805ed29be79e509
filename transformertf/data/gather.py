"""Rows of windows, and the gather of what is stored for them."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from transformertf.data.windows import IntArray
from transformertf.utils.sequence import Alignment, create_padding_mask


class Rows:
    """The stored rows of one side of a batch of windows.

    Args:
        first: (B,) first row of each window's side in the stored arrays.
        lengths: (B,) data steps, at least 1.
        alignment: end of the padded side at which data lies.

    Attributes:
        first: as given.
        count: steps T of the longest window.
        full: whether all windows are as long, so that nothing is padding.
        lengths: (B,) int64 data steps.
    """

    def __init__(self, first: IntArray, lengths: IntArray, alignment: Alignment) -> None:
        self.first = first
        self.count = int(lengths.max())
        self.full = bool(lengths.min() == self.count)
        self.lengths = torch.from_numpy(lengths)
        self.alignment = alignment

    @cached_property
    def mask(self) -> torch.Tensor:
        """(B, T) True on data."""
        if self.full:
            return torch.ones((len(self.first), self.count), dtype=torch.bool)
        return create_padding_mask(self.lengths, self.count, self.alignment)

    @cached_property
    def index(self) -> IntArray:
        """(B, T) stored row of each step; padding repeats a data row."""
        index: IntArray = self.first[:, None] + self._step
        return index

    @property
    def position(self) -> torch.Tensor:
        """(B, T, 1) 1 on the first data step, rising by 1."""
        step = torch.from_numpy(self._step + 1)
        return step.expand(len(self.first), -1).unsqueeze(-1)

    @cached_property
    def _step(self) -> IntArray:
        """(B, T), or (1, T) where all are full: steps since each window's first."""
        if self.full:
            return np.arange(self.count)[None]
        step: IntArray = (self.mask.cumsum(dim=1) - 1).clamp(min=0).numpy()
        return step

    def take(self, column: npt.NDArray[Any]) -> torch.Tensor:
        """Return the values (B, T) of a stored column (N,)."""
        return torch.from_numpy(column[self.index])

    def take_before(self, column: npt.NDArray[Any], begin: IntArray) -> torch.Tensor:
        """Return the values (B, T) one row before, but not before `begin` (B,)."""
        return torch.from_numpy(column[np.maximum(self.index - 1, begin[:, None])])


class Gather:
    """Takes the rows of windows out of a stored array, in one copy.

    Where all windows are full each is one block of the array: blocks are copied whole, which
    takes a third of the time that rows take one by one.

    Args:
        values: (N, F) array, row after row.
    """

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values
        self.dtype = torch.from_numpy(np.empty(0, values.dtype)).dtype

    def __call__(self, rows: Rows) -> torch.Tensor:
        """Return the values (B, T, F) of rows; those of padding are some row's."""
        count, width = len(self.values), self.values.shape[1]
        if not rows.full:
            return torch.from_numpy(self.values[rows.index])
        row = self.values.strides[0]
        blocks = np.lib.stride_tricks.as_strided(
            self.values,
            (count - rows.count + 1, rows.count * width),
            (row, self.values.itemsize),
            writeable=False,
        )
        return torch.from_numpy(blocks[rows.first]).view(-1, rows.count, width)
