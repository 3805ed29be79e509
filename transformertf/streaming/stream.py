"""A session that takes the rows of one series as they come, and forecasts after each."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import torch
from lightning.fabric.utilities import move_data_to_device

from transformertf.batch import Batch
from transformertf.data import ARGUMENTS, Missing, Series, WindowDataModule
from transformertf.data.reading import Rules, as_frame
from transformertf.data.scaling import Watch
from transformertf.errors import InputError
from transformertf.forecasts import session_table
from transformertf.models import EncoderDecoderLSTMModel, ForecastModule, SequenceModel
from transformertf.models.common import ForecastOutput, check_source
from transformertf.streaming.batches import SessionBatches
from transformertf.streaming.history import History, join
from transformertf.streaming.rows import RowReader

log = logging.getLogger(__name__)


def check_data(model: ForecastModule, data: WindowDataModule) -> None:
    """Refuse data that a session of a model cannot be of.

    Raises:
        InputError: data of another kind, not fitted, or with options that take whole files.
    """
    meaning = model.prediction_type, model.season
    check_source(data, model.takes, *meaning, type(model).__name__)
    if data.seed is None:
        raise InputError(
            "the data module is not fitted: load it from a checkpoint, or call its setup('fit')"
        )
    for name, row in ARGUMENTS.items():
        whole = row.whole_files
        if whole is not None and data.hparams.get(name, whole.without) != whole.without:
            raise InputError(
                f"{name} is {data.hparams[name]!r}, which takes whole files; a session takes rows "
                f"as they come: {whole.instead}, and load the data module with {name} "
                f"{whole.without}"
            )
    if data.columns.indicators and data.scaling.impute == "interpolate":
        raise InputError(
            "impute is 'interpolate', which draws lines to values that a session does not know "
            "yet; train with impute 'last'"
        )
    if data.scaling.has_delta and model.takes == "sequences":
        raise InputError(
            f"a DeltaTransform of {data.columns.target!r} counts from the target before the rows, "
            f"which a session of {type(model).__name__} need not know; train without it"
        )


class Stream:
    """A session of one series: new rows in, forecasts out.

    A model with a state (EncoderDecoderLSTM, LSTM, GRU) carries it from update to update: its
    context is all rows since the session's start, and forecasts are the same however the rows are
    split into updates. An update costs what its own rows cost. The time feature "absolute" counts
    from the session's start, so beyond the contexts of the training in a session that is longer.

    Any other model, one of `prediction_type: seasonal` or `ridge` too, and any data normalised per
    window, is windowed: the context is the last `ctxt_seq_len` rows, fewer at the beginning, and
    forecasts are those of `Forecaster.predict` at that origin. A sequence model windowed begins
    anew with each update, `seq_len` rows before its end, or at its first new row where it has more.

    With `target_lags` the session's first rows, as many as the largest lag, give lags only: they
    are no context, and an update that ends among them gives no forecast.

    Data is scaled as in training; nothing is fitted, and noise is never added. An update that is
    refused leaves the session as it was. A session cannot do what takes whole files: `freq`,
    `max_gap`, `downsample`, interpolating missing values, and the sums that a sequence model's
    forecasts of a target with `DeltaTransform` need. `sort` sorts the rows of each update.

    Args:
        model: trained; put in evaluation mode.
        data: fitted, or with the state of a checkpoint; its files are not read.
        name: of the series in forecasts, where its rows have no ids; with `normalize: series` or
            `window` that of a training series to take its statistics.
        carry: False makes a model with a state windowed.
        finish: what each table goes through at the end, such as a calibration.

    Raises:
        InputError: data of another kind, not fitted, or with options that take whole files.
    """

    def __init__(
        self,
        model: ForecastModule,
        data: WindowDataModule,
        name: str = "stream",
        *,
        carry: bool = True,
        finish: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    ) -> None:
        check_data(model, data)
        self.model = model
        self.data = data
        self.name = name
        self._finish = finish
        stateful = isinstance(model.model, EncoderDecoderLSTMModel | SequenceModel)
        # with a state come new rows alone, too few to hold a season or what a regression reads
        looks_back = data.scaling.normalize == "window" or model.prediction_type in (
            "seasonal",
            "ridge",
        )
        self._carry = carry and stateful and not looks_back
        self._sequences = model.takes == "sequences"
        missing: Missing = "target" if self._sequences else "nothing"
        how, kind = data.reading, data.scaling.time_kind
        rules = Rules(
            missing, data.columns.indicators, how.sort, kind, how.zone, renames=how.renames
        )
        columns = data.columns.to_forecast
        self._read = RowReader("rows", columns, rules, data.vocabularies)
        # what a state must be of
        self._columns = [*columns.stored, *columns.copies]
        self._lag = max(data.columns.lags, default=0)
        self._batches = SessionBatches(data, self._carry, self._lag)
        self._steps = data.limits.horizon if self._sequences else data.limits.context
        # rows that the next update looks back on: the one before its context, for differences
        self._kept = (1 if self._carry else self._steps) + self._lag + 1
        self._history: History | None = None
        self._state: Any = None
        ranges = data.fitted.ranges
        level = data.fitted.has_level
        self._watch = None if ranges is None else Watch(ranges, data.columns, level=level)

    @property
    def carries_state(self) -> bool:
        """Whether the context is all rows since the session's start; the last ones if not."""
        return self._carry

    @property
    def rows(self) -> int:
        """Number of rows since the session's start."""
        return 0 if self._history is None else self._history.end

    def update(
        self, rows: pd.DataFrame | Mapping[str, Any], future: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Take new rows and forecast what follows the newest one.

        Args:
            rows: new rows, columns as in the training data; none to forecast again; a mapping
                for one row, by column. Id columns may be left out. Of sequence models, the target
                may be missing.
            future: rows after the newest one, the first `tgt_seq_len` of which are the horizon:
                known covariates, and the time column where there is one. Without known covariates
                it may be left out: the horizon then is `tgt_seq_len` steps, which go on as the
                session's rows do, by the calendar or by their distance. Not for sequence models,
                whose forecasts are of the new rows.

        Returns:
            One row for each step: `series`, `origin`, `step`, `time`, `prediction`, and `q<level>`
            for each quantile, in original units. `origin` is the newest row, of sequence models
            that before the new ones, missing at the start. It and `time` are time stamps, or row
            numbers since the session's start without a time column.

        Raises:
            InputError: rows that cannot be used; the session is as it was.
        """
        history = self._grown(rows)
        before = self.rows
        if self._sequences and future is not None:
            raise InputError(
                "future: expected none, as a sequence model forecasts the new rows; leave it out"
            )
        series = history.series
        if not self._sequences:
            series = join(series, self._batches.horizon(history, future), "future")
        begin = self._begin(history.end, before)
        if begin >= history.end or (self._sequences and history.end == before):
            none = torch.empty(1, 0, self.model.outputs.num_shown)
            frame, state = self._table(history, series, before, none, none), self._state
        else:
            frame, state = self._forecast(history, series, begin, before)
        self._history, self._state = history.trim(self._kept, self.data.scaling), state
        if self._watch is not None:
            new = history.end - before
            first = len(history.series) - new
            for line in self._watch.look(series, slice(first, None), new):
                log.warning("%s: %s", series.name, line)
        return frame if self._finish is None else self._finish(frame)

    def state_dict(self) -> dict[str, Any]:
        """Return the session as tensors and primitives, to be saved with `torch.save`."""
        state = self._state
        parts = [state] if isinstance(state, torch.Tensor) else list(state or ())
        return {
            "carry": self._carry,
            "columns": self._columns,
            "history": None if self._history is None else self._history.state_dict(),
            "state": move_data_to_device(parts, "cpu"),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with a session of the same model and data.

        Args:
            state: as `state_dict` returned it.

        Raises:
            InputError: it is that of other data, or of a session with another `carry`.
        """
        if state["carry"] != self._carry:
            raise InputError(
                f"carry: the state is of a session whose carries_state is {state['carry']}, here "
                f"it is {self._carry}; make the session as that one was"
            )
        columns = self.data.columns
        if state["columns"] != self._columns:
            raise InputError(
                f"the state is of columns {', '.join(state['columns'])}, expected "
                f"{', '.join(self._columns)}; make the session with the model and data of that one"
            )
        history = state["history"]
        if history is not None:
            texts = [self.data.vocabularies.texts[name] for name in columns.categories]
            history = History.of_state(history, texts)
        parts = tuple(move_data_to_device(state["state"], self.model.device))
        self._history = history
        self._state = parts[0] if len(parts) == 1 else parts or None

    def _grown(self, rows: pd.DataFrame | Mapping[str, Any]) -> History:
        """Return the history with new rows, untrimmed."""
        history = self._history
        rows = pd.DataFrame([rows]) if isinstance(rows, Mapping) else as_frame(rows, "rows")
        if len(rows) == 0:
            if history is None:
                raise InputError("rows: no rows, and the session has none yet; give its first ones")
            return history
        name, known = (
            (self.name, None) if history is None else (history.series.name, history.series)
        )
        new = self._read(rows, name, known)
        self.data.scaling.check_time([new])
        if history is None:
            return History.starting(new, self._lag)
        return history.append(new, self._lag)

    def _begin(self, end: int, before: int) -> int:
        """Return the row of the session at which the context of an update begins.

        Args:
            end: row after the newest one.
            before: rows before the new ones.
        """
        if self._carry:
            # without new rows the newest one stands for the context, and is not read again
            return max(min(before, end - 1), self._lag)
        steps = max(self._steps, end - before) if self._sequences else self._steps
        return max(end - steps, self._lag)

    def _forecast(
        self, history: History, series: Series, begin: int, before: int
    ) -> tuple[pd.DataFrame, Any]:
        """Return the forecasts, and the state after the newest row.

        Args:
            history: the rows there are.
            series: these, and those of the horizon.
            begin: row of the session at which the context, or the sequence, begins.
            before: rows before the new ones.
        """
        if self._sequences:
            batch = self._batches.sequence(history, begin)
        else:
            batch = self._batches.window(history, series, begin)
        batch = move_data_to_device(batch, self.model.device)
        if self.model.training:
            self.model.eval()
        with torch.inference_mode():
            output, state = self._run(batch, reads=history.end > max(before, self._lag))
            point, shown = self.model.way_back(output, batch, self.data)
        return self._table(history, series, before, point, shown), state

    def _run(self, batch: Batch, reads: bool) -> tuple[torch.Tensor, Any]:
        """Return scaled outputs (1, Td, Q), and the state after the context.

        Args:
            batch: of one row, all of it data.
            reads: whether the context is new; if not, the state has it already.
        """
        if not self._carry:
            return self.model(batch, need_weights=False)["output"], None
        network, state = self.model.model, self._state

        def run(*given: torch.Tensor) -> ForecastOutput:
            nonlocal state
            if isinstance(network, SequenceModel):
                result, state = network.advance(given[0], state=state)
                return result
            assert isinstance(network, EncoderDecoderLSTMModel)
            if reads:
                state = network.encode(given[0], state=state)
            return network.decode(state, given[1])

        return self.model.forecast(batch, run=run)["output"], state

    def _table(
        self,
        history: History,
        series: Series,
        before: int,
        point: torch.Tensor,
        shown: torch.Tensor,
    ) -> pd.DataFrame:
        """Return the forecasts of a horizon, or of the new rows of sequence models.

        Args:
            history: the rows there are.
            series: these, and those of the horizon.
            before: rows before the new ones.
            point: (1, Td, 1) point forecasts in original units.
            shown: (1, Td, Q) what the model shows, in original units.
        """
        steps = history.end - before if self._sequences else len(series) - len(history.series)
        steps = min(steps, point.size(1))
        time = series.time
        if time is None:
            time = pd.RangeIndex(history.first, history.first + len(series))
        return session_table(series.name, time, steps, point, shown, self.model.quantiles)
