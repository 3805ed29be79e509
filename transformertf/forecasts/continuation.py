"""Series that go on with forecasts, and the windows whose origins lie among these."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule, FloatArray, IntArray, Series
from transformertf.data.windows import Run

# rows that are scaled and stored at once, of all paths
_ROWS = 2**21


class Continuation:
    """Windows that are forecast in chunks of the trained horizon, each after the one before.

    For a chunk, the rows that its windows depend on are cut out of each series. Paths are copies
    of them that differ in the target behind the first origin; they follow each other as stretches
    of one series. Its name stays, so that it is scaled as the whole series is.

    Args:
        data: the fitted data module.
        series: the series that `batch["series"]` counts.
        batch: the first chunk, B windows.
        horizon: steps to forecast.

    Attributes:
        names: of the B series.
        origin: (B,) row of the last context step of each first chunk.
        steps: (B,) steps that can be forecast: whole chunks, as many as the horizon wants, but none
            beyond the origin's stretch.
    """

    def __init__(
        self, data: EncoderDecoderDataModule, series: Sequence[Series], batch: Batch, horizon: int
    ) -> None:
        self._data = data
        self._items = [series[number] for number in batch["series"].tolist()]
        self.names = [one.name for one in self._items]
        self.origin: IntArray = batch["origin"].cpu().numpy()
        stretches = [
            one.stretch_at(origin)
            for one, origin in zip(self._items, self.origin.tolist(), strict=True)
        ]
        self._first, self._end = np.array(stretches, dtype=np.int64).T
        chunk = data.tgt_seq_len
        whole = -(-horizon // chunk) * chunk
        self.steps: IntArray = np.minimum(self._end - 1 - self.origin, whole)

    @property
    def memory(self) -> int:
        """How many of the last forecasts a chunk depends on."""
        return self._data.limits.context + self._data.stages.lag + 1

    def groups(self, paths: int) -> list[IntArray]:
        """Return the windows that go on after the first chunk, as many together as memory allows.

        Args:
            paths: of each window.
        """
        going = np.flatnonzero(self.steps > self._data.tgt_seq_len)
        rows = len(going) * paths * (self.memory + self._data.limits.horizon)
        return np.array_split(going, min(-(-rows // _ROWS), len(going))) if len(going) else []

    def batches(self, windows: IntArray, done: int, recent: FloatArray) -> Iterator[Batch]:
        """Yield the chunk that follows the first `done` steps.

        Args:
            windows: (W,) which of the windows to go on with.
            done: steps that are forecast already.
            recent: (W, K, L) the last of them, of K paths, in original units.

        Yields:
            Batches of W * K windows in all, those of the paths of one window side by side.
        """
        made, runs = [], []
        for place, window in enumerate(windows.tolist()):
            series, run = self._go_on(place, window, done, recent[place])
            made.append(series)
            runs.append(run)
        fitted, size = self._data.fitted, self._data.delivery.batch_size
        yield from fitted.batches(fitted.store(made), runs, size)

    def _go_on(self, place: int, window: int, done: int, recent: FloatArray) -> tuple[Series, Run]:
        """Return paths (K, L) of a window as stretches of a series, and their windows."""
        series = self._items[window]
        first, before = int(self.origin[window]) + 1, int(self._first[window])
        origin, lag, limits = first - 1 + done, self._data.stages.lag, self._data.limits
        context = min(limits.context, origin + 1 - before - lag)
        horizon = min(limits.horizon, int(self.steps[window]) - done)
        # a difference in the first row takes the row before it
        begin = self._begin(series, before, max(before, origin - context - lag), first)
        end = self._finish(series, origin + 1 + horizon, int(self._end[window]))
        values = np.repeat(series.values[None, begin:end], len(recent), axis=0)
        known = slice(max(first - begin, 0), origin + 1 - begin)
        # rows before are there for missing values of other columns: their targets are not looked at
        place_of = np.arange(max(begin - first, 0), done) - (done - recent.shape[1])
        values[:, known, -1] = recent[:, place_of.clip(0)]
        values[:, known.stop :, -1] = np.nan
        run = Run(place, origin - begin, end - begin, len(recent), context, horizon)
        return _stretches(series, begin, values), run

    def _begin(self, series: Series, before: int, begin: int, first: int) -> int:
        """Return a row at or before `begin` from which on missing values are filled in as ever.

        Args:
            series: the series.
            before: first row of the stretch.
            begin: first row that is needed.
            first: first row whose target is a forecast.
        """
        if not self._data.columns.indicators:
            return begin
        lost = np.isnan(series.values[begin])
        # a forecast is never missing
        lost[-1] &= begin < first
        rows = [begin]
        for column in np.flatnonzero(lost):
            seen = np.flatnonzero(~np.isnan(series.values[before:begin, column]))
            rows.extend(seen[-1:] + before)
        return int(min(rows))

    def _finish(self, series: Series, end: int, after: int) -> int:
        """Return a row at or behind `end` up to which known covariates are filled in as ever.

        Args:
            series: the series.
            end: row after the last that is needed.
            after: row after the last of the stretch.
        """
        if self._data.scaling.impute != "interpolate":
            return end
        known = series.values[:, : len(self._data.columns.known)]
        rows = [end]
        for column in np.flatnonzero(np.isnan(known[end - 1])):
            seen = np.flatnonzero(~np.isnan(known[end:after, column]))
            rows.extend(seen[:1] + end + 1)
        return int(max(rows))


def _stretches(series: Series, begin: int, values: FloatArray) -> Series:
    """Return copies of the rows from `begin` on as stretches of one series.

    Args:
        series: the series.
        begin: first row of each copy.
        values: (K, rows, columns) of the copies.
    """
    copies, count, width = values.shape
    rows = np.tile(np.arange(begin, begin + count), copies)
    return replace(
        series,
        values=values.reshape(-1, width),
        time=None if series.time is None else series.time[rows],
        observed=len(rows),
        categories=tuple(replace(one, codes=one.codes[rows]) for one in series.categories),
        breaks=tuple(range(count, len(rows), count)),
        fed_back=True,
        weights=None,
    )
