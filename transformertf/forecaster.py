"""The Python door: a checkpoint that forecasts files and frames, and is judged on them."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import lightning
import pandas as pd

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import Checkpoint
from transformertf.class_paths import allowing, find_object, refuse_foreign
from transformertf.data import EncoderDecoderDataModule, WindowDataModule
from transformertf.data.reading import as_frame
from transformertf.data.windows import (
    FUTURE_PATHS,
    OWN_PATHS,
    PREDICT_PATHS,
    OriginLike,
    origin_text,
)
from transformertf.errors import InputError, at_least_one
from transformertf.evaluation import (
    FORECASTS,
    Evaluation,
    evaluate_pieces,
    look_inside,
    make_sections,
    open_folder,
    write_metrics,
    write_report,
)
from transformertf.forecasts import (
    LEVELS,
    Calibration,
    ForecastFile,
    ForecastFrames,
    ForecastTables,
    Horizon,
    calibrated_rows,
    calibration_of,
    calibration_origin,
    remarks,
    sample_paths,
    scored_rows,
)
from transformertf.models import ForecastModule, precision_of
from transformertf.plots import can_plot, forecast_figure
from transformertf.streaming import Stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)
# a trainer takes the model for itself: threads take turns
_turn = threading.RLock()
Kind = TypeVar("Kind", ForecastModule, WindowDataModule)
Given = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | pd.DataFrame


class Forecaster:
    """A trained model with everything fitted to its data.

    Args:
        checkpoint: read by `Checkpoint.read`.
        accelerator: where to compute, as `lightning.Trainer` names it.
        allow: packages beside transformertf, torch, lightning and torchmetrics whose classes the
            checkpoint may name.

    Attributes:
        model: the trained model.
        calibration: what moves the quantiles of its forecasts; None before `calibrate`, where the
            checkpoint holds none.
    """

    def __init__(
        self, checkpoint: Checkpoint, accelerator: str = "auto", allow: Sequence[str] = ()
    ) -> None:
        self.checkpoint = checkpoint
        self.accelerator = accelerator
        self.allow = tuple(allow)
        checkpoint.refuse_non_finite()
        model = self._class(checkpoint.model, ForecastModule)
        with allowing(self.allow):
            self.model = checkpoint.make_model(model)
        self.calibration = calibration_of(checkpoint)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], accelerator: str = "auto", allow: Sequence[str] = ()
    ) -> Self:
        """Load a checkpoint, without running code from it.

        Args:
            path: the file that `transformertf fit` wrote.
            accelerator: where to compute: "auto", "cpu", "cuda" and others.
            allow: further packages whose classes the checkpoint may name; their code runs.

        Raises:
            InputError: no such file, or not a whole checkpoint of this package.
        """
        return cls(Checkpoint.read(Path(path), "checkpoint"), accelerator, allow)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the checkpoint with the calibration of this forecaster, where it has one.

        Args:
            path: the file; one that is there is replaced.
        """
        state = None if self.calibration is None else self.calibration.state_dict()
        self.checkpoint.write(Path(path), state)

    def predict(
        self,
        data: Given,
        *,
        future: Given | None = None,
        origin: OriginLike = "auto",
        horizon: int | None = None,
        samples: int | None = None,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """Return the forecasts as one table, in original units and real time.

        Args:
            data: a path, a glob or a list of them, or a frame (of pandas, or a table that knows
                Arrow, as polars' does) with the columns of the training data; without id columns
                a frame is one series, named "frame".
            future: likewise the rows that follow, with known covariates; a target there is not
                used. `future_frame` makes them.
            origin: rows after which forecasts start: auto, last, all, every:N, end, or a time;
                see the guide on data.
            horizon: steps of each forecast; those of training if not given. Beyond them the model
                goes on from its own forecasts.
            samples: paths by which quantiles go on beyond the trained horizon; 0 goes on with the
                point forecast. 200 where there are quantiles, if not given.
            batch_size: windows of a batch; that of the training if not given.

        Returns:
            One row for each series, origin and step, as `transformertf predict` writes it.

        Raises:
            InputError: what is in the data cannot be used.
        """
        module = self._data(batch_size, origin=origin)
        _give(module, PREDICT_PATHS, data)
        if future is not None:
            _give(module, FUTURE_PATHS, future)
        pieces = self._run(module, Horizon(horizon, samples), tell=remarks)
        return pd.concat(pieces, ignore_index=True)

    def future_frame(self, data: Given, horizon: int | None = None) -> pd.DataFrame:
        """Return the rows that follow some data, to be filled in and given as `future`.

        Args:
            data: as for `predict`.
            horizon: rows of each series after its last target; those of training if not given. The
                data's own rows without a target count.

        Returns:
            A frame with the id columns, the time column, in steps as long as those of each series,
            and the known covariates, without values. Without any, `origin="end"` does all this.

        Raises:
            InputError: a model of sequences, or several series that no ids tell apart.
        """
        module = self._data(None)
        if not isinstance(module, EncoderDecoderDataModule):
            raise InputError("future_frame wants a model with a horizon; append rows, and predict")
        at_least_one(**({} if horizon is None else {"horizon": horizon}))
        _give(module, PREDICT_PATHS, data)
        return module.future_frame(horizon)

    def sample(
        self,
        data: Given,
        samples: int = 100,
        *,
        future: Given | None = None,
        origin: OriginLike = "auto",
        horizon: int | None = None,
        seed: int = 0,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """Return paths that the target may take, drawn from quantiles or a distribution.

        A path follows one random level through each stretch of the trained horizon, see the guide
        on evaluation; a calibration takes no part.

        Args:
            data: as for `predict`.
            samples: paths of each window.
            future: as for `predict`.
            origin: as for `predict`.
            horizon: steps of each path; those of training if not given.
            seed: of the paths.
            batch_size: windows of a batch; that of the training if not given.

        Returns:
            One row for each series, origin, path and step: columns `series`, `origin`, `sample`
            (from 0), `step`, `time` and `value`, in original units.

        Raises:
            InputError: a model without spread, or data that cannot be used.
        """
        module = self._data(batch_size, origin=origin)
        if not isinstance(module, EncoderDecoderDataModule):
            raise InputError("sample wants a model with a horizon; take predict")
        _give(module, PREDICT_PATHS, data)
        if future is not None:
            _give(module, FUTURE_PATHS, future)
        steps = horizon or module.tgt_seq_len
        Horizon(steps, samples).check(self.model, module)
        module.reach(steps)
        _log(remarks(module, steps))
        if not samples:
            raise InputError(f"samples must be at least 2, found {samples}")
        with _turn:
            self.model.eval()
            return sample_paths(self.model, module, steps, samples, seed)

    def evaluate(
        self,
        data: Given | None = None,
        *,
        stage: Literal["test", "validation"] = "test",
        origin: OriginLike = "auto",
        season: int = 1,
        horizon: int | None = None,
        samples: int | None = None,
        batch_size: int | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> Evaluation:
        """Score rolling-origin forecasts, as `transformertf evaluate` does.

        Args:
            data: as for `predict`, with a known target; the checkpoint's own data of the stage if
                not given.
            stage: whose data that is.
            origin: rows after which forecasts start: auto (one every horizon), all, every:N,
                last, or a time.
            season: rows of a season, of the seasonal naive baseline and of MASE.
            horizon: as for `predict`.
            samples: as for `predict`.
            batch_size: windows of a batch; that of the training if not given.
            folder: where to write metrics.json, forecasts.parquet, plots and report.html, as the
                command does; nothing is written if not given.

        Returns:
            A mapping of metrics, with tables by step and by series.

        Raises:
            InputError: what is in the data cannot be used.
        """
        opened = nullcontext() if folder is None else open_folder(Path(folder), "folder")
        with opened as place:
            file = None if place is None else ForecastFile(place / FORECASTS, "folder")
            module = self._stage_data(data, stage, batch_size)
            origin = origin_text(origin)
            module.forecast_on(stage, origin)
            pieces = self._run(module, Horizon(horizon, samples), season, tell=scored_rows)
            settings = {"stage": stage, "origin": origin, "horizon": horizon, "samples": samples}
            evaluation = evaluate_pieces(pieces, module, season, settings)
            if place is not None and file is not None:
                with file:
                    for piece in pieces:
                        file.write(piece)
                write_metrics(place, evaluation)
                if can_plot():
                    with _turn:
                        sections = make_sections(evaluation, self.model, module)
                    write_report(place, evaluation, sections)
        return evaluation

    def calibrate(
        self,
        data: Given | None = None,
        *,
        stage: Literal["test", "validation"] = "validation",
        origin: OriginLike = None,
        levels: Sequence[float] | None = None,
        by_series: bool = False,
        batch_size: int | None = None,
    ) -> Calibration:
        """Fit intervals to forecasts of data that was not trained on; `predict` then uses them.

        Quantiles are moved, or put around the point forecast where the model gives none, so that
        each level holds as often as it says; see the guide on evaluation. `save` keeps them.

        Args:
            data: as for `predict`, with a known target; the checkpoint's own data of the stage if
                not given.
            stage: whose data that is.
            origin: rows after which forecasts start, as for `evaluate`; if not given, as many as
                there are, up to 10,000.
            levels: of the intervals around point forecasts.
            by_series: fit each series by itself.
            batch_size: windows of a batch; that of the training if not given.

        Raises:
            InputError: what is in the data cannot be used.
        """
        module = self._stage_data(data, stage, batch_size)
        asked = calibration_origin(module, stage) if origin is None else origin_text(origin)
        module.forecast_on(stage, asked)
        # fitted to what the model itself says
        shown = levels or self.model.quantiles or LEVELS

        def told(module: WindowDataModule, _: int | None) -> Iterable[str]:
            return calibrated_rows(module, shown, by_series=by_series, as_in_fit=data is None)

        pieces = self._run(module, Horizon(), calibrated=False, tell=told)
        self.calibration = Calibration.fit(pieces, levels, by_series)
        return self.calibration

    def stream(self, name: str = "stream", *, carry: bool = True) -> Stream:
        """Start a session that takes rows of one series as they come, and forecasts after each.

        A calibration moves its quantiles as those of `predict`; those of sequences stay, for their
        steps are counted from a session's rows and not from a sequence's start.

        Args:
            name: of the series, in the forecasts; of a series in training where each is normalised
                by itself.
            carry: carry the state of a recurrent model on, rather than read a context each time.
        """
        module = self._data(None)
        used = self.calibration if self.model.takes == "windows" else None
        finish = None if used is None else used.apply
        return Stream(self.model, module, name, carry=carry, finish=finish)

    def importance(
        self, data: Given | None = None, *, stage: Literal["test", "validation"] = "test"
    ) -> pd.DataFrame:
        """Return how much each variable counts in forecasts of some data.

        Of a model that selects variables the mean weight of each, of another the growth of its
        error when the variable is shuffled; see the guide on evaluation.

        Args:
            data: as for `evaluate`.
            stage: whose data that is.

        Returns:
            Columns `side`, `variable`, `importance`.
        """
        module = self._stage_data(data, stage, None)
        with _turn:
            found = look_inside(self.model, module, stage).importance
        if found is None:
            raise InputError("importance wants two windows or more that can be forecast")
        return found

    def plot(self, forecasts: pd.DataFrame, series: str | Sequence[str] | None = None) -> "Figure":
        """Draw forecasts over what happened, one panel for each series.

        Args:
            forecasts: as `predict` returns them.
            series: names of the series to draw; the first three if not given.

        Raises:
            InputError: there is no forecast of such a series.
        """
        target = self.checkpoint.data["init_args"]["target_covariate"]
        if series is None:
            return forecast_figure(forecasts, target)
        names = [series] if isinstance(series, str) else list(series)
        for name in names:
            if name not in set(forecasts["series"]):
                raise InputError(f"series {name!r} is not among the forecasts")
        own = forecasts[forecasts["series"].isin(names)]
        return forecast_figure(own, target, panels=len(names))

    def _stage_data(
        self, data: Given | None, stage: Literal["test", "validation"], batch_size: int | None
    ) -> WindowDataModule:
        """Return the data module with other data of a stage, where it is given."""
        module = self._data(batch_size)
        if data is not None:
            _give(module, OWN_PATHS[stage], data)
        return module

    def _data(self, batch_size: int | None, origin: OriginLike = None) -> WindowDataModule:
        """Return the data module of the checkpoint."""
        origin = origin_text(origin)
        given: dict[str, Any] = {PREDICT_PATHS: None}
        if batch_size is not None:
            given["batch_size"] = batch_size
        data = self._class(self.checkpoint.data, WindowDataModule)  # type: ignore[type-abstract]
        if issubclass(data, EncoderDecoderDataModule):
            given |= {"origin": origin, FUTURE_PATHS: None}
        elif origin != "auto":
            raise InputError(
                f"origin {origin!r}: sequences have no origins, each row is forecast once; leave "
                "it out"
            )
        with allowing(self.allow):
            return self.checkpoint.make_data(data, **given)

    def _class(self, described: dict[str, Any], kind: type[Kind]) -> type[Kind]:
        """Return the class that the checkpoint names.

        Raises:
            InputError: there is none, of another kind, or one that is not allowed.
        """
        path, place = described["class_path"], self.checkpoint.place
        with allowing(self.allow):
            refuse_foreign(described, "", f" in {place}")
            found = find_object(path, place)
        if not (isinstance(found, type) and issubclass(found, kind)):
            raise InputError(f"{place}: no {kind.__name__} has the import path {path!r}")
        return found

    def _run(
        self,
        module: WindowDataModule,
        horizon: Horizon,
        season: int | None = None,
        *,
        calibrated: bool = True,
        tell: Callable[[WindowDataModule, int | None], Iterable[str]],
    ) -> list[pd.DataFrame]:
        """Say what is forecast, and return the forecasts of a data module in pieces."""
        horizon.check(self.model, module)
        frames = ForecastFrames()
        calibration = self.calibration if calibrated else None
        tables = ForecastTables(module, horizon, calibration, season)
        _log(tell(module, horizon.steps))
        trainer = lightning.Trainer(
            accelerator=self.accelerator,
            devices=1,
            logger=False,
            callbacks=[ForecastWriter(frames, tables)],
            precision=precision_of(self.model),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            # nothing is written there; else Lightning asks for the working folder, be it gone
            default_root_dir=os.sep,
        )
        with _turn:
            trainer.predict(self.model, datamodule=module, return_predictions=False)
        return frames.pieces


def _log(lines: Iterable[str]) -> None:
    for line in lines:
        log.warning("%s", line)


def _give(module: WindowDataModule, argument: str, data: object) -> None:
    """Have a data module use files, or a frame.

    Raises:
        InputError: it is neither.
    """
    paths = _paths(data)
    if paths is None:
        where = "future" if argument == FUTURE_PATHS else "data"
        expected = "a path, a list of paths or a DataFrame"
        module.stages.give(argument, as_frame(data, where, expected))
    module.hparams[argument] = "frame" if paths is None else paths


def _paths(data: object) -> list[str] | None:
    """Return the paths that were given; None where it is something else."""
    if isinstance(data, (str, os.PathLike)):
        return [os.fspath(data)]
    # frames and mappings would give the names of their columns
    if isinstance(data, Iterable) and not isinstance(data, (pd.DataFrame, Mapping)):
        with suppress(TypeError):  # of an array without a dimension
            items = list(data)
            if all(isinstance(item, (str, os.PathLike)) for item in items):
                return [os.fspath(item) for item in items]
    return None
