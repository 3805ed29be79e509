"""ScaledRows series and windows to whole batches: one gather for each side of a batch."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from transformertf.batch import Batch, check_batch
from transformertf.data.batches.gather import HOST, Gather, Rows, WindowScaling
from transformertf.data.columns import Columns
from transformertf.data.reading import require_whole
from transformertf.data.scaling import ScaledRows, Scaling
from transformertf.data.series import FloatArray, IntArray
from transformertf.data.windows import Request, Windows
from transformertf.utils.sequence import Alignment


@dataclass(frozen=True)
class Layout:
    """How a batch of windows is laid out.

    Attributes:
        encoder_alignment: end of the padded context at which data lies.
        decoder_alignment: end of the padded horizon at which data lies.
        per_window: normalise each window by its context, on top of the global scaling.
        add_target: give the target's history to the encoder, as its last feature.
        horizon: full horizon in steps, which relative positions are divided by.
        masked: features of the encoder that are set to zero.
    """

    encoder_alignment: Alignment
    decoder_alignment: Alignment
    per_window: bool
    add_target: bool
    horizon: int
    masked: tuple[str, ...] = ()


class Places(NamedTuple):
    """Where the windows of a batch lie.

    Attributes:
        begin: (B,) stored row of the first context step; of a sequence its first row, or that of
            the one it is a piece of.
        start: (B,) stored row of the first horizon step.
        context: (B,) context steps.
        horizon: (B,) horizon steps.
    """

    begin: IntArray
    start: IntArray
    context: IntArray
    horizon: IntArray


class BatchDataset(Dataset[Batch]):
    """Windows over stored series; a subclass fills the batches.

    Args:
        stored: the series.
        windows: the windows over them.
        scaling: what they were scaled with.
        noise_std: standard deviation of the noise on scaled inputs, for requests that ask for it.
        device: where the stored columns are kept, and batches are made.
        needs_target: give a target, though none of a batch is observed.
        washout: steps that do not count at the beginning of what is forecast, where a window or a
            sequence does not begin with its run; only with `needs_target`.
    """

    def __init__(
        self,
        stored: ScaledRows,
        windows: Windows,
        scaling: Scaling,
        noise_std: float = 0.0,
        device: torch.device = HOST,
        needs_target: bool = False,
        washout: int = 0,
    ) -> None:
        self.stored = stored
        self.windows = windows
        self.columns = stored.columns
        self.scaling = scaling
        self.noise_std = noise_std
        self.device = device
        self.needs_target = needs_target
        self.washout = washout if needs_target else 0
        self._checked = False
        self.values = Gather(stored.values, device)
        self.codes = Gather(stored.codes, device)
        elapsed, covariate = stored.elapsed, stored.covariate
        self.elapsed = None if elapsed is None else Gather(elapsed[:, None], device)
        self.covariate = None if covariate is None else Gather(covariate[:, None], device)
        weights = stored.weights
        self.weights = None if weights is None else Gather(weights[:, None], device)
        # (S,) weight of the windows of each series; None where all weigh alike
        self.series_weights: FloatArray | None = None

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.windows)

    def __getitem__(self, request: Request | int) -> Batch:
        """Return the batch of a request, or a batch of one window at full length."""
        if not isinstance(request, Request):
            if not 0 <= request < len(self):
                raise IndexError(request)
            return self.whole(np.array([request]))
        require_whole()
        series, origin, context, horizon = self.windows.locate(request.index)
        context, whole = np.minimum(context, request.context), horizon
        horizon = np.minimum(horizon, request.horizon)
        lanes = request.lanes
        if lanes is not None:
            origin = origin + lanes.done
        batch = Batch(series=torch.from_numpy(series), origin=torch.from_numpy(origin))
        if self.stored.statistics is not None:
            batch["statistics"] = torch.from_numpy(self.stored.statistics[series])
        start = self.stored.offset[series] + origin + 1
        begin, counts = start - context, np.full(len(series), request.counts)
        if lanes is not None:
            begin = start - (lanes.done - lanes.begun)
            batch["begins"] = torch.from_numpy(begin == start)
            batch["lane"] = torch.arange(len(series))
            batch["ends"] = torch.from_numpy(lanes.done + horizon == whole)
        elif self.windows.carried:
            since, forecast = self.windows.pieces(request.index)
            begin, counts = self.stored.offset[series] + since, counts & forecast
            batch["begins"] = torch.from_numpy(since == origin + 1)
            batch["leads"] = torch.from_numpy(~forecast)
            batch["ends"] = torch.from_numpy(self.windows.ends(request.index))
        steps = self._fill(batch, Places(begin, start, context, horizon), request.noise)
        self._add_series(batch, series, start, steps)
        if lanes is not None or self.washout:
            self._place(batch, Places(begin, start, context, horizon), steps)
        if "target" in batch:
            self._add_weight(batch, series, counts, steps)
        if not self._checked and self.device == HOST:
            # all are made in one way, and to check each would take a third of the time
            check_batch(batch)
            self._checked = True
        return batch

    def whole(self, index: IntArray) -> Batch:
        """Return the batch of windows (B,) at full length."""
        return self[Request.whole(index)]

    def _fill(self, batch: Batch, places: Places, noise: int | None) -> Rows:
        """Add inputs and target of windows to a batch, and return the rows that are forecast.

        Args:
            batch: to add to.
            places: where the windows lie.
            noise: seed of the noise on the inputs; None without noise.
        """
        raise NotImplementedError

    def _add_series(self, batch: Batch, series: IntArray, start: IntArray, steps: Rows) -> None:
        """Add what is constant within a series, and what the target's inverse needs."""
        stored = self.stored
        if stored.static.shape[1]:
            batch["static_input"] = torch.from_numpy(stored.static[series])
        if stored.static_codes.shape[1]:
            batch["static_categories"] = torch.from_numpy(stored.static_codes[series])
        if stored.target is not None:
            # the first difference of a stretch is 0, and so counted from the row itself
            begin = stored.stretches[np.searchsorted(stored.stretches, start, side="right") - 1]
            before = start - 1 + (begin == start)
            batch["target_start"] = torch.from_numpy(stored.target[before])
        if self.covariate is not None:
            batch["target_covariate"] = self.covariate(steps).squeeze(-1)

    def _place(self, batch: Batch, places: Places, steps: Rows) -> None:
        """Add where in their runs the steps to forecast begin, and leave out what is washed out."""
        begin, start, context, _ = places
        stretches = self.stored.stretches
        first = stretches[np.searchsorted(stretches, begin, side="right") - 1]
        batch["place"] = torch.from_numpy(start - first)
        if not self.washout:
            return
        passed = start - begin - context
        # rows that only give lags come before the first window
        with_its_run = begin - first <= max(self.columns.lags, default=0)
        left = torch.from_numpy(np.where(with_its_run, 0, (self.washout - passed).clip(min=0)))
        step = steps.position[..., 0]
        batch["target_mask"] = batch["target_mask"] & (step > left.to(step.device).unsqueeze(1))

    def _add_weight(
        self, batch: Batch, series: IntArray, counts: npt.NDArray[np.bool_], steps: Rows
    ) -> None:
        """Add what windows, or their steps, weigh in the loss, where it is not 1.

        Args:
            batch: to add to.
            series: (B,) series of each window.
            counts: (B,) whether a window counts at all.
            steps: the rows that are forecast.
        """
        weight = None
        if self.series_weights is not None:
            weight = torch.from_numpy(self.series_weights[series] * counts).to(batch["target"])
        elif not counts.all():
            weight = torch.from_numpy(counts).to(batch["target"])
        if weight is not None:
            batch["target_mask"] = batch["target_mask"] & (weight > 0).unsqueeze(1)
            batch["weight"] = weight
        if self.weights is not None:
            of_steps = self.weights(steps).squeeze(-1)
            batch["weight"] = of_steps if weight is None else of_steps * weight.unsqueeze(1)

    def _add_target(self, batch: Batch, values: torch.Tensor, steps: Rows) -> None:
        """Add the target, the last of values (B, T, features), and its mask.

        Without a known target there is none, but where one is needed. What is missing is what it
        was filled in with, or 0.
        """
        target = values[..., -1:].clone(memory_format=torch.contiguous_format)
        if self.stored.complete:
            data = steps.mask.unsqueeze(-1)
            batch["target"] = target if steps.full else torch.where(data, target, 0.0)
            batch["target_mask"] = steps.mask
            return
        observed = torch.isfinite(target[..., 0])
        if self.columns.indicators:
            observed = values[..., -2] > 0.5
        batch["target_mask"] = observed & steps.mask
        if self.needs_target or bool(batch["target_mask"].any()):
            data = torch.isfinite(target) & steps.mask.unsqueeze(-1)
            batch["target"] = torch.where(data, target, 0.0)

    def _categories(self, steps: Rows) -> torch.Tensor:
        """Return (B, T, categories) int64, 0 on padding."""
        codes = self.codes(steps).long()
        return codes if steps.full else torch.where(steps.mask.unsqueeze(-1), codes, 0)

    def _time_feature(self, steps: Rows, begin: IntArray) -> torch.Tensor:
        """Return (B, T, 1): time since the window's first row, or since the row before.

        Args:
            steps: the rows.
            begin: (B,) first row of each window, or of the sequence that it is a piece of.
        """
        assert self.elapsed is not None
        now = self.elapsed(steps)
        if self.scaling.time_format == "absolute":
            before = self.elapsed.first(begin, self.device)
        else:
            before = self.elapsed.before(steps, begin)
        return self.scaling.transform_time(now - before).to(self.values.dtype)

    def _inputs(
        self, parts: list[torch.Tensor], steps: Rows, noisy: torch.Tensor, noise: int | None
    ) -> torch.Tensor:
        """Join features (B, T, F) to inputs, with noise where asked and zero on padding.

        Args:
            parts: the features.
            steps: their rows.
            noisy: (F,) 1 for features that take noise, else 0.
            noise: seed of the noise.
        """
        inputs = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0].contiguous()
        if noise is not None:
            # drawn on the host: the same wherever the batch is made
            generator = torch.Generator().manual_seed(noise)
            drawn = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype) * noisy
            inputs = inputs + self.noise_std * drawn.to(self.device)
        return inputs if steps.full else torch.where(steps.mask.unsqueeze(-1), inputs, 0.0)


class WindowDataset(BatchDataset):
    """Batches of windows with context and horizon.

    Args:
        stored: the series.
        windows: the windows over them.
        scaling: what they were scaled with.
        layout: how a batch is laid out.
        noise_std: standard deviation of the noise on scaled inputs, for requests that ask for it.
        device: where the stored columns are kept, and batches are made.
        needs_target: give a target, though none of a batch is observed.
        washout: steps that do not count at the beginning of what is forecast, where a window or a
            sequence does not begin with its run; only with `needs_target`.
    """

    def __init__(
        self,
        stored: ScaledRows,
        windows: Windows,
        scaling: Scaling,
        layout: Layout,
        noise_std: float = 0.0,
        device: torch.device = HOST,
        needs_target: bool = False,
        washout: int = 0,
    ) -> None:
        super().__init__(stored, windows, scaling, noise_std, device, needs_target, washout)
        self.layout = layout
        columns = self.columns
        least = scaling.least_spread
        self.window_scaling = WindowScaling(columns, least) if layout.per_window else None
        features = columns.encoder_features(layout.add_target)
        self.masked = [features.index(name) for name in layout.masked]
        self.encoder_noisy = _noisy(columns, features)
        self.decoder_noisy = _noisy(columns, columns.decoder_features)
        # features of context and horizon among those that are stored
        self.past_width = len(features) - columns.has_time
        self.future_width = len(columns.future_features)

    def _fill(self, batch: Batch, places: Places, noise: int | None) -> Rows:
        begin, start, context, horizon = places
        encoder = Rows(begin, context, self.layout.encoder_alignment, self.device)
        decoder = Rows(start, horizon, self.layout.decoder_alignment, self.device)
        past, future = self.values(encoder), self.values(decoder)
        self._add_target(batch, future, decoder)
        if self.window_scaling is not None:
            statistics = batch.get("statistics")
            loc, scale, unit = self.window_scaling(past, encoder, future, statistics)
            batch["window_loc"], batch["window_scale"] = loc / unit, scale / unit
            batch["window_unit"] = unit
            if "target" in batch:
                batch["target"] /= unit.view(-1, 1, 1)
        encoder_parts = [past[..., : self.past_width]]
        decoder_parts = [future[..., : self.future_width]]
        if self.columns.has_time:
            encoder_parts.insert(0, self._time_feature(encoder, begin))
            decoder_parts.insert(0, self._time_feature(decoder, begin))
        if self.columns.needs_position:
            decoder_parts.append(decoder.position.to(past.dtype) / self.layout.horizon)
        # two seeds of one: the sides are not to share their noise
        seeds = (None, None) if noise is None else (noise, noise ^ 1)
        inputs = self._inputs(encoder_parts, encoder, self.encoder_noisy, seeds[0])
        if self.masked:
            inputs[..., self.masked] = 0.0
        batch["encoder_input"] = inputs
        batch["encoder_lengths"], batch["encoder_mask"] = encoder.lengths, encoder.mask
        batch["decoder_input"] = self._inputs(decoder_parts, decoder, self.decoder_noisy, seeds[1])
        batch["decoder_lengths"], batch["decoder_mask"] = decoder.lengths, decoder.mask
        known = self.stored.known_categories
        if self.stored.codes.shape[1]:
            batch["encoder_categories"] = self._categories(encoder)
        if known:
            batch["decoder_categories"] = self._categories(decoder)[..., :known]
        return decoder


class SequenceDataset(BatchDataset):
    """Batches of sequences: windows without context, whose inputs and target share their steps.

    Args:
        stored: the series.
        windows: the windows over them, all without context.
        scaling: what they were scaled with.
        alignment: end of a padded row at which data lies.
        noise_std: standard deviation of the noise on scaled inputs, for requests that ask for it.
        device: where the stored columns are kept, and batches are made.
        needs_target: give a target, though none of a batch is observed.
        washout: steps that do not count at the beginning of what is forecast, where a window or a
            sequence does not begin with its run; only with `needs_target`.
    """

    def __init__(
        self,
        stored: ScaledRows,
        windows: Windows,
        scaling: Scaling,
        alignment: Alignment,
        noise_std: float = 0.0,
        device: torch.device = HOST,
        needs_target: bool = False,
        washout: int = 0,
    ) -> None:
        super().__init__(stored, windows, scaling, noise_std, device, needs_target, washout)
        self.alignment = alignment
        self.noisy = _noisy(self.columns, self.columns.encoder_features(add_target=False))

    def _fill(self, batch: Batch, places: Places, noise: int | None) -> Rows:
        steps = Rows(places.start, places.horizon, self.alignment, self.device)
        values = self.values(steps)
        parts = [values[..., : -2 if self.columns.indicators else -1]]
        if self.columns.has_time:
            parts.insert(0, self._time_feature(steps, places.begin))
        batch["input"] = self._inputs(parts, steps, self.noisy, noise)
        batch["lengths"], batch["mask"] = steps.lengths, steps.mask
        if self.stored.codes.shape[1]:
            batch["categories"] = self._categories(steps)
        self._add_target(batch, values, steps)
        return steps


def _noisy(columns: Columns, features: tuple[str, ...]) -> torch.Tensor:
    """Return 1 for features that are measured, 0 for indicators and the position."""
    still = [*columns.observed, *(["position"] if columns.needs_position else [])]
    return 1.0 - torch.tensor([name in still for name in features], dtype=torch.float32)
