"""What all data modules share: files in, windows of each stage, batches out."""

import inspect
import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import lightning
import torch
from torch.utils.data import DataLoader

from transformertf.batch import Batch, BatchKind
from transformertf.checkpoint import describe
from transformertf.data.arguments import (
    Balance,
    Csv,
    Distributed,
    DownsampleMethod,
    Dtype,
    Impute,
    Missing,
    Normalize,
    Paths,
    RandomLengths,
    Rename,
    SplitBy,
    Stage,
    Storage,
    TimeFormat,
    check_arguments,
    whole_signature,
)
from transformertf.data.batches import BatchDataset, Delivery, Fitted, require_agreement
from transformertf.data.columns import Columns
from transformertf.data.reading import Reader, Reading
from transformertf.data.scaling import (
    ScaledRows,
    Scaling,
    Vocabularies,
    tell_unknown,
)
from transformertf.data.series import Series, ShortSeries
from transformertf.data.source import Source
from transformertf.data.windows import (
    OWN_PATHS,
    PREDICT_PATHS,
    Content,
    Ends,
    Part,
    Split,
    Stages,
    WindowLimits,
    Windows,
    balanced,
    origin_text,
    seen_in_fit,
    sliding,
    trained_spans,
)
from transformertf.errors import InputError

log = logging.getLogger(__name__)


class WindowDataModule(lightning.LightningDataModule, Source):
    """Windows of one or several series.

    A subclass declares what only its own windows have, hands all else on, and then says how long
    its windows are, in `limits`. A sequence is a window without a context.

    Args:
        target_covariate: column to forecast.
        known_covariates: columns known in past and future.
        known_past_covariates: columns known only in the past. Sequences want all of their inputs
            on every row, at predict too.
        static_covariates: columns constant within a series.
        categorical_covariates: those of the columns above, or of `calendar_features`, that are
            categories: text, whole numbers or booleans. Their values are those in training; any
            other one is "unknown".
        calendar_features: fields of the time stamps as further known covariates: minute, hour,
            dayofweek, day, dayofyear, week, month, quarter; as sine and cosine, or as categories
            where `categorical_covariates` names them.
        difference_covariates: real ones of the covariates above whose difference from the row
            before, as `NAME_difference`, is a further covariate of their role: a rate of change is
            small beside the values, and hard to learn from them.
        weight_covariate: column of numbers from 0 that weighs rows in the loss, and whole windows
            where it is constant in them. No input, and not read at predict. Metrics leave out rows
            of weight 0 and take all others alike.
        balance: "series" weighs training windows so that each series counts alike whatever its
            number of rows, on top of `weight_covariate`. Each window still comes once an epoch: to
            draw those of short series more often would repeat them, and leave others out.
        series_id: columns that tell the series of a table apart; else each file is one series.
        train_df_paths: training files: a path, a glob or a list of them; parquet, csv, feather
            or HDF5, or folders of parquet files. `~` and environment variables expand.
        val_df_paths: validation files, likewise.
        test_df_paths: test files, likewise.
        predict_df_paths: files to forecast, likewise; the target may be missing at their end, of
            sequences anywhere.
        csv: how csv files are written: `sep`, `decimal`, `thousands`, `comment`, `skiprows` (a
            number of lines, or a list from 0) and `encoding`.
        rename: columns of other names, or units, in some files: `{NEW: OLD}`, or
            `{NEW: {from: OLD, scale: 1000}}`.
        val_fraction: share of each training series kept for validation, before the test part;
            only without validation files.
        test_fraction: share at the end of each training series for test; only without test files.
        val_start: time, or row where there is no time_column, at which the rows for validation
            begin, in place of a share.
        test_start: where those for test begin, likewise.
        val_blocks: take the share for validation as so many blocks, spread evenly over the rows
            before the test part; no training window reaches into one.
        split_by: "time" takes these shares of the rows of each series, "series" of the series,
            drawn with the run's seed.
        drop_short_series: leave out series, or their parts of a split, that are too short even
            for the shortest window; if not, they are refused.
        sort: sort the rows of a series by time, where they are not.
        missing: "error" refuses missing values; "mask" fills them in, tells the model by a feature
            for each real covariate, and for a target that is an input, which were observed, and
            leaves missing targets out of loss and metrics.
        impute: how "mask" fills in: "last" takes the last value before; "interpolate" draws a line
            through known covariates, the others take the last value, for a line would show the
            model what comes after the forecast's origin.
        freq: distance of rows in time, as "15min", "1h", "D", or a number in the unit of the time
            column; rows that are missing are put in, to be masked.
        freq_tolerance: share of `freq` that time stamps may be off its grid.
        max_gap: longest gap in time that a window may cross, likewise.
        normalize: True or "global" standardises every column with training statistics;
            "series" with those of each series, and with those of all for a series that training
            did not have; "window" is global, and centres each window on its context's mean and
            divides its target by the context's spread; False leaves original units.
        extra_transforms: column, or `__time__` for the time feature, to a transform or a list of
            them, applied before normalising.
        target_depends_on: known covariate that a transform of the target takes as x.
        randomize_seq_len: draw the lengths of each training window uniformly from their minimum
            to their maximum; "batch" draws once for all windows of a batch.
        bucket_by_length: make shuffled training batches of windows of like lengths: less padding.
        stride: rows between windows, for all but predict; of sequences in training alone.
        downsample: keep one step of so many.
        downsample_method: "interval" picks rows, "average" and "median" summarise blocks.
        time_column: column of time stamps; adds one time feature, the first input.
        time_zone: zone of the dates, as Europe/Berlin: of its clocks where none is written.
        time_format: time since the window's start ("absolute") or since the step before.
        noise_std: standard deviation of Gaussian noise on scaled inputs while training.
        washout: steps at the beginning of each horizon, or sequence, that take no part in loss and
            metrics of a fit and of validation and test, where context or sequence does not begin
            with its run: a series, or its rows after a gap longer than `max_gap`.
        storage: where columns are kept: "memory", "mmap" for files that are mapped (see
            `transformertf cache`), or "auto" for files where memory would be filled.
        device_resident: keep scaled columns on the CUDA device that trains, and make batches there;
            "auto" does where they take at most a quarter of its free memory, without workers.
        batch_size: windows of a batch.
        num_workers: processes that prepare batches; 0 prepares them in this one.
        shuffle: draw training windows in random order, as is done where it is not given.
        dtype: floating type of the batches.
        distributed: "auto" gives each process a share of the windows, False all of them.

    Attributes:
        columns: roles of the columns.
        limits: lengths of the windows; set by the subclass.
        reading: how files become series.
        stages: which series and rows each stage uses.
        short: the series that were left out as too short, by stage.
        short_in_training: names of those left out of the fit, or out of a checkpoint's.
        scaling: fitted to the training data by `setup("fit")`, or out of a checkpoint.
        vocabularies: of the categories, likewise.
        fitted: both of them, and the way from series to batches with them.
        delivery: how batches are drawn and handed out.
        seed: seed of order, random lengths and noise; None before a fit.
    """

    # what the batches hold
    gives: ClassVar[BatchKind]
    # what files may lack at predict
    missing_at_predict: ClassVar[Missing]
    # of the constructor, with all that it hands on
    __signature__: ClassVar[inspect.Signature]
    limits: WindowLimits

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Tell what the constructor takes, with what it hands on."""
        super().__init_subclass__(**kwargs)
        cls.__signature__ = whole_signature(cls)

    def __init__(
        self,
        target_covariate: str,
        known_covariates: list[str] | str | None = None,
        known_past_covariates: list[str] | str | None = None,
        static_covariates: list[str] | str | None = None,
        categorical_covariates: list[str] | str | None = None,
        calendar_features: list[str] | str | None = None,
        *,
        difference_covariates: list[str] | str | None = None,
        weight_covariate: str | None = None,
        balance: Balance | None = None,
        series_id: list[str] | str | None = None,
        train_df_paths: Paths = None,
        val_df_paths: Paths = None,
        test_df_paths: Paths = None,
        predict_df_paths: Paths = None,
        csv: Csv | None = None,
        rename: Rename | None = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        val_start: str | int | float | None = None,
        test_start: str | int | float | None = None,
        val_blocks: int = 1,
        split_by: SplitBy = "time",
        drop_short_series: bool = False,
        sort: bool = False,
        missing: Literal["error", "mask"] = "error",
        impute: Impute = "last",
        freq: str | float | None = None,
        freq_tolerance: float = 0.0,
        max_gap: str | float | None = None,
        normalize: Normalize = True,
        extra_transforms: dict[str, Any] | None = None,
        target_depends_on: str | None = None,
        randomize_seq_len: RandomLengths = False,
        bucket_by_length: bool = True,
        stride: int = 1,
        downsample: int = 1,
        downsample_method: DownsampleMethod = "interval",
        time_column: str | None = None,
        time_zone: str | None = None,
        time_format: TimeFormat = "absolute",
        noise_std: float = 0.0,
        washout: int = 0,
        storage: Storage = "auto",
        device_resident: bool | Literal["auto"] = "auto",
        batch_size: int = 128,
        num_workers: int = 0,
        shuffle: bool | None = None,
        dtype: Dtype = "float32",
        distributed: Distributed = "auto",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        check_arguments(self.hparams, inspect.signature(type(self)))
        self.hparams["shuffle"] = shuffle is not False
        for name, start in (("val_start", val_start), ("test_start", test_start)):
            self.hparams[name] = None if start is None else origin_text(start)
        self.columns = Columns.of(dict(self.hparams))
        self.scaling = Scaling(
            self.columns, normalize, time_format, extra_transforms, target_depends_on, impute
        )
        self.hparams["extra_transforms"] = self.scaling.extra
        self.vocabularies = Vocabularies(self.columns)
        self.fitted = Fitted(self.scaling, self.vocabularies, dtype, self.make_dataset)
        self.short = ShortSeries(drop_short_series)
        self.short_in_training: list[str] = []
        self.reading = Reading.of(self.columns, dict(self.hparams))
        self._reader = Reader(self.reading, self.short, lambda: self.scaling.time_kind)
        self.stages = Stages(
            self.hparams,
            Split(
                val_fraction or 0.0,
                test_fraction or 0.0,
                split_by,
                val_blocks,
                self.hparams["val_start"],
                self.hparams["test_start"],
            ),
            self._reader,
            self.missing_at_predict,
            max(self.columns.lags, default=0),
        )
        self.delivery = Delivery(
            batch_size, num_workers, shuffle is not False, randomize_seq_len, bucket_by_length,
            noise_std, device_resident, distributed,
        )  # fmt: skip
        self.stride, self.balance, self.washout = stride, balance, washout
        self.hparams.update(describe(self))
        self.seed: int | None = None
        # arguments whose time stamps were checked, since there is something to check them with
        self._timed: set[str] = set()
        # what is warned of once: unknown categories, by argument, and short contexts
        self._warned: set[str] = set()
        self._fitted_here = False
        # stage and origins that are forecast in place of the files to predict
        self._evaluated: tuple[Stage, str] | None = None
        # with few batches, not every process has one to forecast
        self.allow_zero_length_dataloader_with_multiple_devices = True

    @abstractmethod
    def make_dataset(
        self, stored: ScaledRows, windows: Windows, device: torch.device, needs_target: bool = False
    ) -> BatchDataset:
        """Return the batches of windows over stored series.

        Args:
            stored: the series.
            windows: the windows over them.
            device: where the batches are made.
            needs_target: give a target, though none of a batch is observed.
        """

    @abstractmethod
    def predict_windows(self) -> Windows:
        """Return the windows of `predict_series` to forecast, by series and origin."""

    @abstractmethod
    def evaluation_windows(self, stage: Stage, origin: str) -> Windows:
        """Return windows of `stage_series` to forecast and compare, all in the stage's rows."""

    def setup(self, stage: str) -> None:
        """Read and check the files of a stage; a fit also fits scaling and vocabularies, once.

        Raises:
            InputError: files are missing, or what is in them cannot be used.
        """
        if stage == "fit" and not self._fitted_here:
            self._fit()
        windows = len(self.stage_windows("train")) if stage == "fit" else 0
        if stage == "validate" or (stage == "fit" and self.has_validation):
            windows += self._check("validation")
        if stage == "fit":
            self._tell_seen()
        if stage == "test":
            windows = self._check("test")
        elif stage == "predict":
            windows = len(self.forecast_windows())
        require_agreement(self.trainer, windows=windows, seed=self.seed)

    def teardown(self, stage: str) -> None:
        """Let go of the files' content; the next stage reads them again."""
        self._reader.clear()
        self._timed.clear()
        self._warned.clear()
        self._fitted_here = False

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches, shuffled where asked."""
        dataset = self._dataset("train")
        if self.balance == "series":
            # lanes go through whole runs, whatever the pieces
            random = self.delivery.random_lengths and not dataset.windows.carried
            dataset.series_weights = balanced(dataset.windows, self.limits, random)
        return self._loader(dataset, training=True)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Return validation batches in order; none where there is no validation data."""
        return self._loader(self._dataset("validation")) if self.has_validation else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return test batches in order."""
        return self._loader(self._dataset("test"))

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the windows to forecast, by series and origin."""
        if self._evaluated is not None:
            return self.evaluation_dataloader(*self._evaluated)
        self._require_fit()
        windows = self.predict_windows()
        dataset = self._store(PREDICT_PATHS, self.predict_series, windows)
        return self._loader(dataset, shared=True)

    def forecast_on(self, stage: Stage, origin: str = "auto", rest: float = 0.0) -> None:
        """Forecast the rows of a stage from now on, where the files to predict were forecast.

        Args:
            stage: "validation" or "test".
            origin: rows after which forecasts start, as at predict.
            rest: share of each series' rows, at its end, that a share of them for test leaves out.
        """
        self._evaluated, self.stages.rest = (stage, origin), rest

    @property
    def forecast_stage(self) -> tuple[Stage, str] | None:
        """Stage and origins that are forecast; None where the files to predict are."""
        return self._evaluated

    @property
    def forecast_series(self) -> list[Series]:
        """The series that the batches of `predict_dataloader` count."""
        stage = self._evaluated
        return self.predict_series if stage is None else self.stage_series(stage[0])

    @property
    def forecast_ends(self) -> Ends:
        """Tells of origins in `forecast_series` the row after the last that may be forecast."""
        if self._evaluated is not None:
            return Ends(self.stages.parts(self._evaluated[0]))
        series = self.forecast_series
        return Ends(Part(index, one.name, 0, len(one)) for index, one in enumerate(series))

    def forecast_windows(self) -> Windows:
        """Return the windows of `forecast_series` to forecast, by series and origin."""
        stage = self._evaluated
        return self.predict_windows() if stage is None else self.evaluation_windows(*stage)

    def evaluation_dataloader(self, stage: Stage, origin: str = "auto") -> DataLoader[Batch]:
        """Return windows of a stage to forecast and compare with what happened, in order.

        Args:
            stage: "validation" or "test".
            origin: rows after which forecasts start, as at predict.

        Raises:
            InputError: there is no data of that stage, or no forecast is possible there.
        """
        self._require_fit()
        windows = self.evaluation_windows(stage, origin)
        series = self.stage_series(stage)
        return self._loader(self._store(self.stages.argument(stage), series, windows), shared=True)

    @property
    def predict_series(self) -> list[Series]:
        """The series to forecast, sorted by name, so that forecasts come out sorted."""
        return self._read(PREDICT_PATHS)

    def stage_series(self, stage: Stage) -> list[Series]:
        """Return the series of a stage, which its batches count."""
        self._read(self.stages.argument(stage))
        return self.stages.series(stage)

    def training_content(self) -> Content:
        """Return the check sums of the rows to train on."""
        series = self.stage_series("train")
        return self.fitted.content_of(series, self.stages.sections("train"))

    def state_dict(self) -> dict[str, Any]:
        """Return what was fitted, drawn and left out in training, as primitives."""
        return {
            "seed": self.seed,
            **self.fitted.state_dict(),
            "held_out": self.stages.held_out,
            "short_series": self.short_in_training,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint holds; nothing is fitted again."""
        self.seed, kind = state_dict["seed"], self.scaling.time_kind
        self.fitted.load_state_dict(state_dict)
        if self.scaling.time_kind != kind:  # another one is read in another way
            self._reader.clear()
        self.stages.hold_out(state_dict["held_out"])
        self._timed.clear()
        self.short_in_training = list(state_dict["short_series"])

    def _fit(self) -> None:
        seed = torch.initial_seed() % 2**63
        self.stages.draw(seed)
        series, parts = self.stage_series("train"), self.stages.parts("train")
        windows = self._training_windows(parts)
        # what is left out as too short is left out of what is fitted, too
        spans = trained_spans(series, windows, parts, self.stages.lag)
        self.fitted.fit(series, spans, self.stages.sections("train"), windows)
        self.fitted.content = self.training_content()
        self._timed.clear()
        self.short_in_training = self.short.names[OWN_PATHS["train"]] + self.short.names["train"]
        self.seed, self._fitted_here = seed, True
        for name in self.scaling.constant_columns:
            log.warning("column %r is constant in the training data; it is not scaled", name)

    def _require_fit(self) -> None:
        if self.seed is not None:
            return
        if self.stages.files[OWN_PATHS["train"]] is None:
            raise InputError(
                "the data module is not fitted: give a checkpoint, or train_df_paths to fit on"
            )
        self._fit()

    def _dataset(self, stage: Stage) -> BatchDataset:
        self._require_fit()
        windows = self.stage_windows(stage)
        return self._store(self.stages.argument(stage), self.stage_series(stage), windows)

    def _store(self, argument: str, series: Sequence[Series], windows: Windows) -> BatchDataset:
        if argument not in self._warned:
            self._warned.add(argument)
            tell_unknown(self.vocabularies, series, self.stages.named(argument))
        keep = self._reader.keeper(argument, lambda: self.fitted.parts(series))
        stored = self.fitted.store(series, keep)
        device = self.delivery.device(self.trainer, stored.size)
        return self.make_dataset(stored, windows, device, argument != PREDICT_PATHS)

    def _check(self, stage: Stage) -> int:
        """Read what a stage needs, see that its windows can be made, and return their number."""
        if self.stages.is_split(stage) and self.stages.by_series and self.seed is None:
            self._read(self.stages.argument(stage))  # which of them are its, a checkpoint says
            return 0
        return len(self.stage_windows(stage))

    def _tell_seen(self) -> None:
        """Say once what of validation and test is trained on, and what of a fit's rows is odd."""
        if "seen" not in self._warned:
            self._warned.add("seen")
            seen = seen_in_fit(self.stages, self.fitted.trained)
            unlike = self.fitted.unlike_in_fit(self.stages, self.short_in_training)
            for line in (*seen, *unlike):
                log.warning("%s", line)

    def stage_windows(self, stage: Stage) -> Windows:
        """Return the windows of a stage, in its order."""
        self._read(self.stages.argument(stage))
        parts = self.stages.parts(stage)
        return self._training_windows(parts) if stage == "train" else self._sliding(stage, parts)

    def _training_windows(self, parts: Sequence[Part]) -> Windows:
        return self._sliding("train", parts)

    def _sliding(self, stage: Stage, parts: Sequence[Part]) -> Windows:
        keep = self.short.keep
        return Windows(keep(stage, parts, lambda part: sliding(part, self.limits, self.stride)))

    def _read(self, argument: str) -> list[Series]:
        """Return the series of an argument, with time stamps as in training."""
        series = self.stages.read(argument)
        if argument not in self._timed:
            self.scaling.check_time(series)
            self._timed.add(argument)
        return series

    def _loader(
        self, dataset: BatchDataset, *, training: bool = False, shared: bool = False
    ) -> DataLoader[Batch]:
        """Return what gives batches: parts of them all, or a stretch where they are `shared`."""
        assert self.seed is not None
        return self.delivery.loader(dataset, self.limits, self.seed, self.trainer, training, shared)
