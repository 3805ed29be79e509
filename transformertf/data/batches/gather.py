"""Rows of windows, the gather of what is stored for them, and its scaling window by window."""

import warnings
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from transformertf.data.columns import Columns
from transformertf.data.series import IntArray
from transformertf.utils.sequence import Alignment, create_padding_mask

HOST = torch.device("cpu")
# the least spread of a window that its target is divided by, as a share of the series' spread
_LEAST_SPREAD = 0.1


class Steps(Protocol):
    """Which steps of a side of a batch are data; see `Rows`."""

    @property
    def mask(self) -> torch.Tensor:
        """(B, T) True on data."""

    @property
    def lengths(self) -> torch.Tensor:
        """(B,) int64 data steps."""


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
        step = np.minimum(step, lengths - 1) if left else step - (self.count - lengths)
        return step.clip(min=0)


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


class WindowScaling:
    """Takes the context's mean off covariates and target, and divides the target by its spread.

    Lags of the target go with the target. Features of the calendar and indicators stay. Statistics
    are of data steps only, those of the target of observed ones.

    The unit of a window's target, in which losses count, is the spread of the context or of the
    series, whichever is larger: a still context makes no large loss. The spread of a series is that
    of its training rows; of one that has none a least one, as it must not depend on what comes
    later.

    Args:
        columns: roles of the columns.
        least: the spread of a series that has none of its own, in units of all series; None
            leaves all windows in those units.
    """

    def __init__(self, columns: Columns, least: float | None) -> None:
        self.indicators = columns.indicators
        self.least = least
        # (features,) whether each is centred by its own mean
        self.centred = torch.tensor(
            [name in (*columns.known, *columns.past) for name in columns.features]
        )
        # the places of the target's values
        lags = {f"{columns.target}_lag_{lag}" for lag in columns.lags}
        self.target = [
            place for place, name in enumerate(columns.features)
            if name in lags or name == columns.target
        ]  # fmt: skip

    def __call__(
        self,
        past: torch.Tensor,
        rows: Steps,
        future: torch.Tensor,
        statistics: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalise contexts and horizons in place, and return what was taken off the target.

        Args:
            past: (B, Tc, features) contexts, the target last.
            rows: their rows.
            future: (B, Td, features) horizons.
            statistics: (B,) which statistics the target was scaled with, 0 for those of all series;
                None where all were.

        Returns:
            mean and spread (B,) of the context's target, as it was given, and its unit (B,).
        """
        target, known = past[..., -1], rows.mask
        # padding repeats a data row, so what counts for nothing is finite
        weight = known.to(past.dtype).unsqueeze(1)
        mean = (weight @ past).squeeze(1) / rows.lengths.unsqueeze(1)  # (B, features)
        if self.indicators:
            known = known & (past[..., -2] > 0.5)
        count = known.sum(dim=1).clamp(min=1)
        level = torch.where(known, target, 0.0).sum(dim=1) / count  # (B,)
        distance = torch.where(known, target - level.unsqueeze(1), 0.0)
        spread = (distance.square().sum(dim=1) / count).sqrt()
        least = unit = torch.ones_like(spread)
        if self.least is not None and statistics is not None:
            # the units of all series tell no smaller spread apart
            unseen = max(self.least, torch.finfo(spread.dtype).eps)
            least = torch.where(statistics.to(past.device) > 0, least, unseen)
            unit = torch.maximum(spread, least)
        spread = torch.maximum(spread, _LEAST_SPREAD * least)
        loc = torch.where(self.centred.to(past.device), mean, 0.0)
        for place in self.target:
            loc[:, place] = level
        for values in (past, future):
            values -= loc.unsqueeze(1)
            for place in self.target:
                values[..., place] /= spread.unsqueeze(1)
        return level, spread, unit
