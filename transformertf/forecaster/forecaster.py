"""The Python door: a checkpoint that forecasts files and frames, and is judged on them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import pandas as pd

from transformertf.checkpoint import Checkpoint
from transformertf.cli import call_evaluate
from transformertf.data import EncoderDecoderDataModule, WindowDataModule
from transformertf.data.reading import Change
from transformertf.data.windows import (
    OWN_PATHS,
    PREDICT_PATHS,
    OriginLike,
    origin_text,
)
from transformertf.errors import InputError, at_least_one
from transformertf.evaluation import (
    Evaluation,
    html_table,
    look_inside,
)
from transformertf.forecaster.fitting import Fitting
from transformertf.forecaster.given import Given, briefly, give, tell
from transformertf.forecaster.judging import judge
from transformertf.forecaster.planning import beside, check_plan, goes_on, plan
from transformertf.forecaster.summary import summary
from transformertf.forecaster.trained import TURN, Trained
from transformertf.forecasts import (
    LEVELS,
    Calibration,
    Horizon,
    calibrated_rows,
    calibration_of,
    calibration_origin,
    remarks,
    sample_paths,
)
from transformertf.plots import forecast_figure
from transformertf.streaming import Stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Forecaster(Fitting):
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
        if not isinstance(checkpoint, Checkpoint):
            raise InputError(
                f"Forecaster: expected a checkpoint that was read, found a "
                f"{type(checkpoint).__name__}; take Forecaster.load(path), or Forecaster.fit(data, "
                "target=...), for a forecast wants all that was fitted to the data, too"
            )
        self.checkpoint = checkpoint
        self._trained = Trained(checkpoint, accelerator, allow)
        self.model = self._trained.model
        self.calibration = calibration_of(checkpoint)

    def __repr__(self) -> str:
        """Say what it is, in a line."""
        told = summary(self.checkpoint, self.model)
        return (
            f"Forecaster({told['model']} of {told['target']}, {told['steps']}, "
            f"{self.checkpoint.path})"
        )

    def _repr_html_(self) -> str:
        """Return what it is and where it comes from, for a notebook."""
        told = summary(self.checkpoint, self.model) | {"run": str(self.run or "")}
        return html_table("Forecaster", [(key, value) for key, value in told.items() if value])

    @property
    def run(self) -> Path | None:
        """The run folder that the checkpoint lies in; None where it lies elsewhere."""
        folder = self.checkpoint.path.parent.parent
        return folder if (folder / "config.yaml").is_file() else None

    @classmethod
    @briefly
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

    @briefly
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the checkpoint with the calibration of this forecaster, where it has one.

        Args:
            path: the file; one that is there is replaced.
        """
        state = None if self.calibration is None else self.calibration.state_dict()
        self.checkpoint.write(Path(path), state)

    @briefly
    def predict(
        self,
        data: Given,
        *,
        future: Given | None = None,
        origin: OriginLike = "auto",
        horizon: int | None = None,
        samples: int | None = None,
        lead: str | int = 0,
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
            lead: first steps of each forecast, as a number or as a time such as "12h", that are
                left out.
            batch_size: windows of a batch; that of the training if not given.

        Returns:
            One row for each series, origin and step, as `transformertf predict` writes it.

        Raises:
            InputError: what is in the data cannot be used.
        """
        module = self._trained.rows(data, future, origin, batch_size)
        how = Horizon(horizon, samples, lead=lead)
        pieces = self._trained.run(module, how, remarks, self.calibration)
        return pd.concat(pieces, ignore_index=True)

    @briefly
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
        module = self._trained.data(None)
        if not isinstance(module, EncoderDecoderDataModule):
            raise InputError("future_frame wants a model with a horizon; append rows, and predict")
        at_least_one(**({} if horizon is None else {"horizon": horizon}))
        give(module, PREDICT_PATHS, data)
        return module.future_frame(horizon)

    @briefly
    def what_if(
        self,
        data: Given,
        changes: Mapping[str, Change] | None = None,
        *,
        future: Given | None = None,
        origin: OriginLike = None,
        horizon: int | None = None,
        samples: int | None = None,
        **columns: Change,
    ) -> pd.DataFrame:
        """Forecast twice: what is planned, and with other known covariates in the horizon.

        Args:
            data: as for `predict`.
            changes: by known column, what it is in the horizon instead: a value, one for each
                step, or a function of the array of its values, (steps,), that gives them.
            future: as for `predict`.
            origin: row after which each series is forecast, once: as for `predict`. Default: the
                last target, where rows follow it; else the latest row with a whole known horizon.
            horizon: as for `predict`.
            samples: as for `predict`.
            **columns: further changes, of columns whose names are words.

        Returns:
            The table of `predict`, and beside it columns `what_if` and `what_if_q<level>`.

        Raises:
            InputError: a column that is not known ahead, several forecasts of a series, or data
                that cannot be used.
        """
        planned, asked = {**(changes or {}), **columns}, Horizon(horizon, samples)
        module = check_plan(self._trained.rows(data, future, origin), planned)
        if origin is None and not goes_on(module):
            module = check_plan(self._trained.rows(data, future, "last"), planned)
        before = self._trained.run(module, asked, remarks, self.calibration)
        plan(module, planned, horizon or module.tgt_seq_len)
        after = self._trained.run(module, asked, calibration=self.calibration)
        return beside(pd.concat(before, ignore_index=True), pd.concat(after, ignore_index=True))

    @briefly
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
        module = self._trained.rows(data, future, origin, batch_size)
        if not isinstance(module, EncoderDecoderDataModule):
            raise InputError("sample wants a model with a horizon; take predict")
        steps = horizon or module.tgt_seq_len
        Horizon(steps, samples).check(self.model, module)
        module.reach(steps)
        tell(remarks(module, steps))
        if not samples:
            raise InputError(f"samples must be at least 2, found {samples}")
        with TURN:
            self.model.eval()
            return sample_paths(self.model, module, steps, samples, seed)

    @briefly
    def evaluate(
        self,
        data: Given | None = None,
        *,
        stage: Literal["test", "validation"] = "test",
        origin: OriginLike = "auto",
        season: int | None = None,
        horizon: int | None = None,
        samples: int | None = None,
        lead: str | int = 0,
        batch_size: int | None = None,
        refit: int = 1,
        folder: str | os.PathLike[str] | None = None,
    ) -> Evaluation:
        """Score rolling-origin forecasts, as `transformertf evaluate` does.

        Args:
            data: as for `predict`, with a known target; the checkpoint's own data of the stage if
                not given.
            stage: whose data that is.
            origin: rows after which forecasts start: auto (one every horizon), all, every:N,
                last, or a time.
            season: rows of a season, of the seasonal naive baseline and of MASE; 1 for none. What
                the rate of the rows suggests, such as 24 for hours, if not given.
            horizon: as for `predict`.
            samples: as for `predict`.
            lead: as for `predict`.
            batch_size: windows of a batch; that of the training if not given.
            refit: folds of the test rows; before each one after the first the model is trained
                anew, as the run was, with all rows before it. This forecaster stays as it is.
            folder: where to write metrics.json, forecasts.parquet, plots and report.html, as the
                command does; nothing is written if not given.

        Returns:
            A mapping of metrics, with tables by step and by series.

        Raises:
            InputError: what is in the data cannot be used.
        """
        place = None if folder is None else Path(folder)
        if refit != 1:
            if data is not None or batch_size is not None:
                raise InputError(
                    "refit goes on into the test rows of the run; leave data and batch_size out"
                )
            state = None if self.calibration is None else self.calibration.state_dict()
            return call_evaluate(
                self.checkpoint.calibrated(state), self._trained.accelerator, self._trained.allow,
                place, stage=stage, origin=origin_text(origin), season=season, horizon=horizon,
                samples=samples, lead=str(lead), refit=refit,
            )  # fmt: skip
        module = self._stage_data(data, stage, batch_size)
        how = Horizon(horizon, samples, lead=lead)
        return judge(self._trained, module, stage, origin, season, how, self.calibration, place)

    def cross_validate(
        self,
        folds: int = 3,
        *,
        origin: OriginLike = "auto",
        season: int | None = None,
        horizon: int | None = None,
        samples: int | None = None,
        lead: str | int = 0,
        folder: str | os.PathLike[str] | None = None,
    ) -> Evaluation:
        """Score forecasts of folds of the test rows, each by a model trained on all rows before it.

        Args:
            folds: as `refit` of `evaluate`; the first one is this forecaster's own.
            origin: as for `evaluate`, and all that follows.
            season: as for `evaluate`.
            horizon: steps of each forecast.
            samples: paths beyond the trained horizon.
            lead: as for `predict`.
            folder: where to write what the command does.

        Returns:
            As `evaluate`.

        Raises:
            InputError: the run has no share of rows for test, or its configuration is gone.
        """
        return self.evaluate(
            origin=origin, season=season, horizon=horizon, samples=samples, lead=lead,
            refit=folds, folder=folder,
        )  # fmt: skip

    @briefly
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

        pieces = self._trained.run(module, Horizon(), told)
        self.calibration = Calibration.fit(pieces, levels, by_series)
        return self.calibration

    @briefly
    def stream(self, name: str = "stream", *, carry: bool = True) -> Stream:
        """Start a session that takes rows of one series as they come, and forecasts after each.

        A calibration moves its quantiles as those of `predict`; those of sequences stay, for their
        steps are counted from a session's rows and not from a sequence's start.

        Args:
            name: of the series, in the forecasts; of a series in training where each is normalised
                by itself.
            carry: carry the state of a recurrent model on, rather than read a context each time.
        """
        module = self._trained.data(None)
        used = self.calibration if self.model.takes == "windows" else None
        finish = None if used is None else used.apply
        return Stream(self.model, module, name, carry=carry, finish=finish)

    @briefly
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
        with TURN:
            found = look_inside(self.model, module, stage).importance
        if found is None:
            raise InputError("importance wants two windows or more that can be forecast")
        return found

    @briefly
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
        module = self._trained.data(batch_size)
        if data is not None:
            give(module, OWN_PATHS[stage], data)
        return module
