"""The rows of a session to batches of one window, or of one sequence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from transformertf.batch import Batch, sides
from transformertf.data import (
    Codes,
    EncoderDecoderDataModule,
    FloatArray,
    Series,
    WindowDataModule,
)
from transformertf.data.reading import Rules, as_frame, next_times
from transformertf.data.windows import Run
from transformertf.errors import InputError
from transformertf.streaming.history import History
from transformertf.streaming.rows import RowReader


class SessionBatches:
    """Makes batches as the data module makes them of files.

    Args:
        data: fitted.
        carry: the time feature goes on from the session's start, not from that of the window.
        lag: row of the session at which its context begins.
    """

    def __init__(self, data: WindowDataModule, carry: bool, lag: int) -> None:
        self.data = data
        self.carry = carry
        self.lag = lag
        columns = data.columns.to_forecast
        future = replace(
            columns, past=(), ids=(), static=(), past_categories=(), static_categories=()
        )
        kind, how = data.scaling.time_kind, data.reading
        rules = Rules("target", columns.indicators, False, kind, how.zone, renames=how.renames)
        self._read_future = RowReader("future", future, rules, data.vocabularies)
        masked = data.layout.masked if isinstance(data, EncoderDecoderDataModule) else ()
        self._sees_time = columns.time not in masked

    def horizon(self, history: History, future: pd.DataFrame | None) -> Series:
        """Return the rows of a horizon, whose target and past covariates are missing.

        Args:
            history: the rows before it.
            future: as the user gives it.

        Raises:
            InputError: it cannot be used, or is not there and needed.
        """
        columns, steps, past = self.data.columns, self.data.limits.horizon, history.series
        if future is None:
            if columns.known_ahead:
                raise InputError(
                    f"future: expected known covariates ({', '.join(columns.known_ahead)}) of the "
                    "horizon, found none; "
                    "give the rows that follow"
                )
            time = history.time
            if time is not None and len(time) < 2:
                raise InputError(
                    "future: one row of the session has no distance in time to go on with; give "
                    "the time column of the horizon"
                )
            later = None if time is None else next_times(time, steps)
            series = Series(past.name, np.empty((steps, 1)), later, 0)
        else:
            future = as_frame(future, "future").iloc[:steps]
            if len(future) == 0:
                raise InputError("future: no rows; give those of the horizon")
            # nobody knows it there, whatever a plan has in its place
            future = future.drop(columns=columns.target, errors="ignore")
            series = self._read_future(
                future, past.name, Series(past.name, np.empty((0, 0)), None, 0)
            )
        values = np.full((len(series), len(columns.values)), np.nan)
        values[:, : len(columns.known)] = series.values[:, :-1]
        missing = np.full(len(series), -1, dtype=np.int32)
        unknown = [Codes(missing, one.texts) for one in past.categories[len(series.categories) :]]
        return replace(series, values=values, categories=(*series.categories, *unknown))

    def window(self, history: History, series: Series, begin: int) -> Batch:
        """Return a batch of one window, whose context ends with the newest row.

        Args:
            history: the rows there are.
            series: these, and those of the horizon.
            begin: row of the session at which the context begins.
        """
        first, end = begin - history.first, len(history.series)
        return self._batch(
            history, series, Run(0, end - 1, 1, 1, end - first, len(series) - end), begin
        )

    def sequence(self, history: History, begin: int) -> Batch:
        """Return a batch of the sequence from a row of the session to its newest one."""
        first, end = begin - history.first, len(history.series)
        return self._batch(history, history.series, Run(0, first - 1, 1, 1, 0, end - first), begin)

    def _batch(self, history: History, series: Series, run: Run, begin: int) -> Batch:
        fitted = self.data.fitted
        stored = fitted.store([series])
        (batch,) = fitted.batches(stored, [run], size=1)
        if self.carry and stored.elapsed is not None:
            self._count_on(batch, stored.elapsed, history, begin)
        return batch

    def _count_on(self, batch: Batch, elapsed: FloatArray, history: History, begin: int) -> None:
        """Let the time feature go on from the session's start.

        Args:
            batch: of one window or sequence.
            elapsed: (rows,) time since the first row of the history.
            history: the rows there are.
            begin: row of the session at which the batch begins.
        """
        assert history.series.time is not None
        assert history.begin is not None
        before = max(begin - 1, self.lag)
        since = history.series.time[0] - history.begin[0]
        passed = since.total_seconds() if isinstance(since, pd.Timedelta) else float(since)
        elapsed = elapsed[before - history.first :] + passed
        if self.data.scaling.time_format == "relative":
            # before the session's first row there is none
            elapsed = np.diff(elapsed, prepend=elapsed[:1])
        feature = self.data.scaling.transform_time(torch.from_numpy(elapsed[begin - before :]))
        first, *others = [side.inputs for side in sides(batch)]
        if self._sees_time:
            first[0, :, 0] = feature[: first.size(1)]
        for inputs in others:
            inputs[0, :, 0] = feature[first.size(1) :]
