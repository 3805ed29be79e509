"""Series and windows to whole batches: one gather for each side of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from transformertf.batch import Batch, check_batch
from transformertf.data.frames import Series
from transformertf.data.sampler import Request
from transformertf.data.scaling import Scaling
from transformertf.data.windows import IntArray, Windows
from transformertf.utils.sequence import Alignment, create_padding_mask

# the least spread of a window that its target is divided by, as a share of the global spread
_LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class Layout:
    """How a batch is laid out.

    Attributes:
        encoder_alignment: end of the padded context at which data lies.
        decoder_alignment: end of the padded horizon at which data lies.
        per_window: normalise each window by its context, on top of the global scaling.
        add_target: give the target's history to the encoder, as its last feature.
        horizon: full horizon in steps, which relative positions are divided by.
        dtype: floating type of the batch.
    """

    encoder_alignment: Alignment
    decoder_alignment: Alignment
    per_window: bool
    add_target: bool
    horizon: int
    dtype: torch.dtype


class StoredWindows(Dataset[Batch]):
    """Windows over scaled series held in one tensor; a subclass fills the batches.

    Args:
        series: checked series in original units.
        windows: the windows over them.
        scaling: fitted scaling.
        dtype: floating type of the batches.
    """

    def __init__(
        self, series: Sequence[Series], windows: Windows, scaling: Scaling, dtype: torch.dtype
    ) -> None:
        self.windows = windows
        self.columns = scaling.columns
        self.time_format = scaling.time_format
        self.time_scale = scaling.time_scale
        self.dtype = dtype
        lengths = [len(item) for item in series]
        self._offset: IntArray = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
        scaled = np.concatenate([scaling.transform(item.values) for item in series])
        self._values = torch.from_numpy(scaled).to(dtype)
        self._elapsed = torch.from_numpy(np.concatenate([item.elapsed() for item in series]))

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.windows)

    def __getitem__(self, request: Request | int) -> Batch:
        """Return the batch of a request, or a batch of one window at full length."""
        if not isinstance(request, Request):
            if not 0 <= request < len(self):
                raise IndexError(request)
            longest = np.iinfo(np.int64).max
            request = Request(np.array([request]), np.array([longest]), np.array([longest]))
        series, origin, context, horizon = self.windows.locate(request.index)
        context = np.minimum(context, request.context)
        horizon = np.minimum(horizon, request.horizon)
        batch = Batch(series=torch.from_numpy(series), origin=torch.from_numpy(origin))
        self._fill(batch, self._offset[series] + origin + 1, context, horizon)
        check_batch(batch)
        return batch

    def _fill(self, batch: Batch, start: IntArray, context: IntArray, horizon: IntArray) -> None:
        """Add inputs and target of windows to a batch.

        Args:
            batch: to add to.
            start: (B,) stored row of the first horizon step.
            context: (B,) context steps.
            horizon: (B,) horizon steps.
        """
        raise NotImplementedError

    def _time_feature(self, side: "_Side", start: torch.Tensor) -> torch.Tensor:
        """Return (B, T, 1): time since the window's first row, or since the row before."""
        start = start.unsqueeze(1)
        since = start if self.time_format == "absolute" else (side.rows - 1).maximum(start)
        elapsed = self._elapsed[side.rows] - self._elapsed[since]
        return (elapsed / self.time_scale).to(self.dtype).unsqueeze(-1)


class WindowDataset(StoredWindows):
    """Batches of windows with context and horizon.

    Args:
        series: checked series in original units.
        windows: the windows over them.
        scaling: fitted scaling.
        layout: how a batch is laid out.
    """

    def __init__(
        self, series: Sequence[Series], windows: Windows, scaling: Scaling, layout: Layout
    ) -> None:
        super().__init__(series, windows, scaling, layout.dtype)
        self.layout = layout

    def _fill(self, batch: Batch, start: IntArray, context: IntArray, horizon: IntArray) -> None:
        encoder = _Side(start - context, context, self.layout.encoder_alignment)
        decoder = _Side(start, horizon, self.layout.decoder_alignment)
        past, future = self._values[encoder.rows], self._values[decoder.rows]
        _add_target(batch, future[..., -1:], decoder.mask)
        if self.layout.per_window:
            loc, scale = _context_statistics(past, encoder.mask)
            past, future = (past - loc) / scale, (future - loc) / scale
            batch["window_loc"], batch["window_scale"] = loc[:, 0, -1], scale[:, 0, -1]
        known = len(self.columns.known)
        width = past.size(-1) - (0 if self.layout.add_target else 1)
        encoder_parts, decoder_parts = [past[..., :width]], [future[..., :known]]
        if self.columns.has_time:
            encoder_parts.insert(0, self._time_feature(encoder, encoder.first))
            decoder_parts.insert(0, self._time_feature(decoder, encoder.first))
        if self.columns.needs_position:
            decoder_parts.append(decoder.position.to(past.dtype) / self.layout.horizon)
        batch["encoder_input"] = _padded(encoder_parts, encoder.mask)
        batch["encoder_lengths"], batch["encoder_mask"] = encoder.lengths, encoder.mask
        batch["decoder_input"] = _padded(decoder_parts, decoder.mask)
        batch["decoder_lengths"], batch["decoder_mask"] = decoder.lengths, decoder.mask


class SequenceDataset(StoredWindows):
    """Batches of sequences: windows without context, whose inputs and target share their steps.

    Args:
        series: checked series in original units.
        windows: the windows over them, all without context.
        scaling: fitted scaling.
        alignment: end of a padded row at which data lies.
        dtype: floating type of the batches.
    """

    def __init__(
        self,
        series: Sequence[Series],
        windows: Windows,
        scaling: Scaling,
        alignment: Alignment,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(series, windows, scaling, dtype)
        self.alignment = alignment

    def _fill(self, batch: Batch, start: IntArray, context: IntArray, horizon: IntArray) -> None:
        side = _Side(start, horizon, self.alignment)
        values = self._values[side.rows]
        parts = [values[..., :-1]]
        if self.columns.has_time:
            parts.insert(0, self._time_feature(side, side.first))
        batch["input"] = _padded(parts, side.mask)
        batch["lengths"], batch["mask"] = side.lengths, side.mask
        _add_target(batch, values[..., -1:], side.mask)


class _Side:
    """Rows of one side of a batch of windows.

    Attributes:
        first: (B,) first row of each window's side in the stored tensor.
        lengths: (B,) data steps.
        mask: (B, T) True on data.
        rows: (B, T) stored row of each step; padding repeats a data row.
        position: (B, T, 1) 1 on the first data step, rising by 1.
    """

    def __init__(self, first: IntArray, lengths: IntArray, alignment: Alignment) -> None:
        self.first = torch.from_numpy(first)
        self.lengths = torch.from_numpy(lengths)
        self.mask = create_padding_mask(self.lengths, alignment=alignment)
        step = (self.mask.cumsum(dim=1) - 1).clamp(min=0)
        self.rows = self.first.unsqueeze(1) + step
        self.position = (step + 1).unsqueeze(-1)


def _context_statistics(
    past: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return loc and scale (B, 1, K) of contexts (B, T, K), from data steps only.

    Columns are centred on the context's mean; the last one, the target, is also divided by
    its spread.
    """
    data = mask.unsqueeze(-1)
    count = data.sum(dim=1, keepdim=True)
    loc = torch.where(data, past, 0.0).sum(dim=1, keepdim=True) / count
    target = torch.where(data, past[..., -1:] - loc[..., -1:], 0.0)
    spread = (target.square().sum(dim=1, keepdim=True) / count).sqrt()
    scale = torch.ones_like(loc)
    scale[..., -1:] = spread.clamp(min=_LEAST_SPREAD)
    return loc, scale


def _add_target(batch: Batch, target: torch.Tensor, mask: torch.Tensor) -> None:
    """Add target (B, T, 1), zero where unknown, and its mask; no target where none is known."""
    observed = mask & torch.isfinite(target.squeeze(-1))
    batch["target_mask"] = observed
    if bool(observed.any()):
        batch["target"] = torch.where(observed.unsqueeze(-1), target, 0.0)


def _padded(parts: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Join features (B, T, F) and set padding to zero."""
    return torch.where(mask.unsqueeze(-1), torch.cat(parts, dim=-1), 0.0)
