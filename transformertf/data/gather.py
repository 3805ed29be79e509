"""Rows of windows, and the gather of what is stored for them."""

import warnings
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from transformertf.data.windows import IntArray
from transformertf.utils.sequence import Alignment, create_padding_mask

HOST = torch.device("cpu")


class Rows:
    """The stored rows of one side of a batch of windows.

    Args:
        first: (B,) first row of each window's side in the stored arrays.
        lengths: (B,) data steps, at least 1.
        alignment: end of the padded side at which data lies.
        device: where the tensors below are.

    Attributes:
        first: as given.
        count: steps T of the longest window.
        full: whether all windows are as long, so that nothing is padding.
        lengths: (B,) int64 data steps.
        device: as given.
    """

    def __init__(
        self,
        first: IntArray,
        lengths: IntArray,
        alignment: Alignment,
        device: torch.device = HOST,
    ) -> None:
        self.first = first
        self.count = int(lengths.max())
        self.full = bool(lengths.min() == self.count)
        self.lengths = torch.from_numpy(lengths).to(device)
        self.alignment = alignment
        self.device = device
        self._lengths = lengths

    @cached_property
    def mask(self) -> torch.Tensor:
        """(B, T) True on data."""
        if self.full:
            shape = len(self.first), self.count
            return torch.ones(shape, dtype=torch.bool, device=self.device)
        return create_padding_mask(self.lengths, self.count, self.alignment)

    @cached_property
    def index(self) -> IntArray:
        """(B, T) stored row of each step; padding repeats a data row."""
        index: IntArray = self.first[:, None] + self._step
        return index

    @property
    def position(self) -> torch.Tensor:
        """(B, T, 1) 1 on the first data step, rising by 1."""
        step = torch.from_numpy(self._step + 1).to(self.device)
        return step.expand(len(self.first), -1).unsqueeze(-1)

    @cached_property
    def _step(self) -> IntArray:
        """(B, T), or (1, T) where all are full: steps since each window's first."""
        step = np.arange(self.count)[None]
        if self.full:
            return step
        lengths = self._lengths[:, None]
        left = self.alignment == "left"
        own: IntArray = np.minimum(step, lengths - 1) if left else step - (self.count - lengths)
        return own.clip(min=0)


class Gather:
    """Takes the rows of windows out of a stored array, in one copy.

    Where all windows are full each is one block of the array: on the host blocks are copied whole,
    which takes a third of the time that rows take one by one.

    Args:
        values: (N, F) array, row after row without gaps.
        device: where the values are kept, and taken from.
    """

    def __init__(self, values: npt.NDArray[Any], device: torch.device = HOST) -> None:
        self.values = values
        with warnings.catch_warnings():
            # torch warns of arrays that are read-only, as mapped ones are; nothing writes here
            warnings.simplefilter("ignore", UserWarning)
            self._tensor = torch.from_numpy(values).to(device)
        self.dtype = self._tensor.dtype
        self._views: dict[int, npt.NDArray[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the views out: pickled, each would be a copy of all blocks."""
        return {**vars(self), "_views": {}}

    def __call__(self, rows: Rows) -> torch.Tensor:
        """Return the values (B, T, F) of rows; those of padding are some row's."""
        if not rows.full or rows.device != HOST:
            return self._take(rows.index, rows.device)
        blocks = self._blocks(rows.count)[rows.first]
        return torch.from_numpy(blocks).view(-1, rows.count, self.values.shape[1])

    def before(self, rows: Rows, begin: IntArray) -> torch.Tensor:
        """Return the values (B, T, F) one row before, but not before `begin` (B,)."""
        return self._take(np.maximum(rows.index - 1, begin[:, None]), rows.device)

    def first(self, begin: IntArray, device: torch.device) -> torch.Tensor:
        """Return the values (B, 1, F) of single rows."""
        return self._take(begin[:, None], device)

    def _take(self, index: IntArray, device: torch.device) -> torch.Tensor:
        """Return the values (B, T, F) of rows (B, T)."""
        rows = torch.from_numpy(index).to(device)
        return self._tensor.index_select(0, rows.view(-1)).view(*rows.shape, -1)

    def _blocks(self, steps: int) -> npt.NDArray[Any]:
        """Return (N - steps + 1, steps * F): at each row the block that begins there."""
        if steps not in self._views:
            count, width = self.values.shape
            self._views[steps] = np.lib.stride_tricks.as_strided(
                self.values,
                (count - steps + 1, steps * width),
                (self.values.strides[0], self.values.itemsize),
                writeable=False,
            )
        return self._views[steps]
