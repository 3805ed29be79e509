"""Chunk after chunk, along the point forecast or along sampled paths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device

from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule, FloatArray, IntArray, Series
from transformertf.errors import InputError, at_least_one
from transformertf.forecasts.continuation import Continuation
from transformertf.models import ForecastModule
from transformertf.utils.sequence import align_encoder_sequences

# levels are the midpoints of so many intervals: never 0 or 1, not even in single precision
_LEVELS = 2**23


@dataclass(frozen=True)
class Rolled:
    """Forecasts of B windows over N steps, in original units, data first and 0 on padding.

    Attributes:
        point: (B, N, 1) float64 point forecasts.
        outputs: (B, N, Q) float64 quantiles, rising; the point forecasts without quantiles.
        mask: (B, N) bool, the steps that there are.
        paths: (B, K, N) float64 sampled paths; None without samples.
    """

    point: torch.Tensor
    outputs: torch.Tensor
    mask: torch.Tensor
    paths: torch.Tensor | None


@torch.no_grad()
def roll(
    model: ForecastModule,
    data: EncoderDecoderDataModule,
    batch: Batch,
    series: Sequence[Series],
    horizon: int,
    samples: int,
    seed: int,
    keep_paths: bool = True,
) -> Rolled:
    """Forecast windows over any horizon, in chunks of the trained one.

    Each chunk's forecast is the target's history of the next one. Without samples that is the
    point forecast, and quantiles are conditional on it. With samples each path follows one level
    of the forecast through a chunk, drawn anew for the next; quantiles are those of the paths then,
    but in the first chunk, where they are the model's own.

    Levels depend on the seed, the name of the series, the origin, the path and the chunk alone.

    Args:
        model: in evaluation mode, on its device.
        data: the fitted data module.
        batch: one of `data.predict_dataloader()`, B windows.
        series: `data.predict_series`.
        horizon: steps to forecast; fewer where the known covariates end, or a gap follows.
        samples: paths of each window; 0 for none.
        seed: of the levels, at least 0.
        keep_paths: return the paths, too; without, memory does not grow with paths times steps.

    Raises:
        InputError: a number out of its range, covariates that are not known so far ahead, or paths
            of a model that gives no spread.
    """
    assert not model.training
    _check(data, horizon, samples, seed)
    windows = Continuation(data, series, batch, horizon)
    chunks = _Chunks(model, data, windows, samples, seed, keep_paths)
    paths = chunks.first(batch)
    for group in windows.groups(max(samples, 1)):
        chunks.go_on(group, paths[group])
    return chunks.rolled(horizon)


def _check(data: EncoderDecoderDataModule, horizon: int, samples: int, seed: int) -> None:
    at_least_one(horizon=horizon)
    for name, number in (("samples", samples), ("seed", seed)):
        if number < 0:
            raise InputError(f"{name} must be at least 0, found {number}")
    *past, _ = data.columns.unknown_ahead
    if past and horizon > data.tgt_seq_len:
        raise InputError(
            f"known_past_covariates: {', '.join(map(repr, past))} unknown beyond the trained "
            f"horizon of {data.tgt_seq_len} steps: expected a horizon of at most so many, found "
            f"{horizon}; lower it, or train without these columns or with a longer tgt_seq_len"
        )


class _Chunks:
    """The forecasts of B windows, chunk after chunk.

    Args:
        model: in evaluation mode, on its device.
        data: the fitted data module.
        windows: the windows.
        samples: paths of each window; 0 for none.
        seed: of their levels.
        keep_paths: for `rolled`.
    """

    def __init__(
        self,
        model: ForecastModule,
        data: EncoderDecoderDataModule,
        windows: Continuation,
        samples: int,
        seed: int,
        keep_paths: bool,
    ) -> None:
        self.model = model
        self.data = data
        self.windows = windows
        self.samples = samples
        self.seed = seed
        count, steps = len(windows.steps), int(windows.steps.max())
        self.outputs = np.zeros((count, steps, model.outputs.num_shown))
        self.points = np.zeros((count, steps, 1))
        self.paths = np.zeros((count, samples, steps)) if samples and keep_paths else None

    def first(self, batch: Batch) -> FloatArray:
        """Forecast the first chunk, and return what is fed back: paths (B, K, Td)."""
        every = np.arange(len(self.windows.steps))
        forecast = _Forecast(self.model, self.data, batch)
        paths = forecast.paths(self._levels(every, 0)) if self.samples else None
        return self._keep(every, 0, *forecast.shown(), paths)

    def go_on(self, going: IntArray, recent: FloatArray) -> None:
        """Forecast the further chunks of windows (W,), of whose first one paths (W, K, Td) came."""
        chunk = self.data.tgt_seq_len
        for done in range(chunk, int(self.windows.steps[going].max()), chunk):
            left = self.windows.steps[going] > done
            going, recent = going[left], recent[left]
            paths = self._next(going, done, recent)
            recent = np.concatenate([recent, paths], axis=2)[..., -self.windows.memory :]

    def _next(self, going: IntArray, done: int, recent: FloatArray) -> FloatArray:
        """Forecast the chunk after the first `done` steps, and return what is fed back."""
        batches = self.windows.batches(going, done, recent)
        forecasts = (_Forecast(self.model, self.data, batch) for batch in batches)
        if not self.samples:
            shown = zip(*(forecast.shown() for forecast in forecasts), strict=True)
            points, quantiles = map(_join, shown)
            return self._keep(going, done, points, quantiles)
        levels, parts, first = self._levels(going, done).reshape(-1, 1), [], 0
        for forecast in forecasts:
            parts.append(forecast.paths(levels[first : first + len(forecast)])[:, 0, :, None])
            first += len(forecast)
        whole = _join(parts)
        paths = whole.reshape(len(going), self.samples, -1)
        assert self.model.quantiles is not None
        # right in the median whatever the distribution (Hyndman and Fan 1996, definition 8)
        found = np.quantile(paths, [0.5, *self.model.quantiles], axis=1, method="median_unbiased")
        found = np.moveaxis(found, 0, -1)
        return self._keep(going, done, found[..., :1], found[..., 1:], paths)

    def rolled(self, horizon: int) -> Rolled:
        """Return what was forecast, up to the horizon."""
        steps = self.windows.steps.clip(max=horizon)
        cut = slice(int(steps.max()))
        return Rolled(
            torch.from_numpy(self.points[:, cut]),
            torch.from_numpy(self.outputs[:, cut]),
            torch.from_numpy(np.arange(cut.stop) < steps[:, None]),
            None if self.paths is None else torch.from_numpy(self.paths[..., cut]),
        )

    def _keep(
        self,
        going: IntArray,
        done: int,
        points: FloatArray,
        outputs: FloatArray,
        paths: FloatArray | None = None,
    ) -> FloatArray:
        """Keep points (W, Td, 1) and quantiles (W, Td, Q); return paths (W, K, Td), else points."""
        steps = slice(done, done + outputs.shape[1])
        self.points[going, steps], self.outputs[going, steps] = points, outputs
        if paths is None:
            return points.swapaxes(1, 2)
        if self.paths is not None:
            self.paths[going, :, steps] = paths
        return paths

    def _levels(self, going: IntArray, done: int) -> FloatArray:
        """Return the levels (W, K) that the paths follow through a chunk."""
        chunk = done // self.data.tgt_seq_len
        return np.stack([
            draw_levels(self.seed, self.windows.names[window], origin, chunk, self.samples)
            for window, origin in zip(going, self.windows.origin[going].tolist(), strict=True)
        ])  # fmt: skip


def draw_levels(seed: int, name: str, origin: int, chunk: int, count: int) -> FloatArray:
    """Return levels (count,) between 0 and 1, uniform, that the other arguments alone decide.

    Args:
        seed: at least 0.
        name: of the series.
        origin: row of the last context step of the first chunk.
        chunk: number of the chunk, from 0.
        count: how many; of a larger number these are the first.
    """
    generator = np.random.default_rng([seed, origin, chunk, *name.encode()])
    levels: FloatArray = (generator.integers(_LEVELS, size=count) + 0.5) / _LEVELS
    return levels


class _Forecast:
    """Forecasts of one batch in original units, data first and 0 on padding.

    Args:
        model: in evaluation mode, on its device.
        data: the fitted data module.
        batch: B windows.
    """

    def __init__(self, model: ForecastModule, data: EncoderDecoderDataModule, batch: Batch) -> None:
        self._model = model
        self._data = data
        self._batch = move_data_to_device(batch, model.device)
        self._output = model(self._batch, need_weights=False)["output"]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._output)

    def shown(self) -> tuple[FloatArray, FloatArray]:
        """Return point forecasts (B, Td, 1) and quantiles (B, Td, Q), rising, or the points."""
        point, shown = self._model.way_back(self._output, self._batch, self._data)
        return self._data_first(point), self._data_first(shown)

    def paths(self, levels: FloatArray) -> FloatArray:
        """Return paths (B, K, Td) that each follow a level (B, K) through all steps."""
        given = torch.from_numpy(levels).to(self._output).unsqueeze(-1)
        drawn = self._model.draw(self._output, given.expand(-1, -1, self._output.size(1)))
        back = self._data.inverse_transform_target(drawn.transpose(1, 2), self._batch)
        return self._data_first(back).swapaxes(1, 2)

    def _data_first(self, values: torch.Tensor) -> FloatArray:
        """Return values (B, Td, ...) with the data first."""
        lengths = self._batch["decoder_lengths"].cpu()
        source = self._data.layout.decoder_alignment
        first = align_encoder_sequences(values.cpu().double(), lengths, source=source)
        array: FloatArray = first.numpy()
        return array


def _join(parts: Sequence[FloatArray]) -> FloatArray:
    """Return the rows of batches, each as long as its own longest one, 0 on padding."""
    steps = max(part.shape[1] for part in parts)
    return np.concatenate([
        np.pad(part, ((0, 0), (0, steps - part.shape[1]), (0, 0))) for part in parts
    ])  # fmt: skip
