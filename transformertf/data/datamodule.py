"""The data module of forecasts: windows with a context and a horizon."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch

from transformertf.data.arguments import (
    CHOICES,
    Distributed,
    DownsampleMethod,
    Impute,
    Paths,
    RandomLengths,
    SplitBy,
    Stage,
    Storage,
    TimeFormat,
)
from transformertf.data.base import WindowDataModule
from transformertf.data.batches import Layout, WindowDataset
from transformertf.data.columns import as_list
from transformertf.data.scaling import ScaledRows
from transformertf.data.windows import Origin, Part, Run, WindowLimits, Windows
from transformertf.errors import InputError, count_names, nearest
from transformertf.utils.sequence import Alignment

log = logging.getLogger(__name__)

Normalize = bool | Literal["global", "series", "window"]


class EncoderDecoderDataModule(WindowDataModule):
    """Windows with a context and a horizon, of one or several series.

    Args:
        target_covariate: column to forecast.
        known_covariates: columns known in past and future. With none and no time column the
            decoder's one input is the relative position in the horizon.
        known_past_covariates: columns known only in the past.
        static_covariates: columns constant within a series.
        categorical_covariates: those of the columns above, or of `calendar_features`, that are
            categories: text, whole numbers or booleans. Their values are those in training; any
            other one is "unknown".
        calendar_features: fields of the time stamps as further known covariates: minute, hour,
            dayofweek, day, dayofyear, week, month, quarter; as sine and cosine, or as categories
            where `categorical_covariates` names them.
        target_lags: lags in steps, each at least `tgt_seq_len`: the target so long ago, as known
            covariates. Windows begin so many rows after a series' start.
        series_id: columns that tell the series of a table apart; without it each file is one
            series.
        train_df_paths: training files: a path, a glob or a list of them; parquet, csv or
            feather, or folders of parquet files. `~` and environment variables expand.
        val_df_paths: validation files, likewise.
        test_df_paths: test files, likewise.
        predict_df_paths: files to forecast, likewise; the target may be missing at their end.
        future_df_paths: files of the rows that follow those to forecast, likewise: time and known
            covariates. They join by `series_id`, else by the files' stems.
        val_fraction: share of each training series kept for validation, before the test part;
            only without validation files.
        test_fraction: share at the end of each training series kept for test; only without
            test files.
        split_by: "time" takes these shares of the rows of each series, "series" of the series,
            drawn with the run's seed.
        drop_short_series: leave out series, or their parts of a split, that are too short even
            for the shortest window; if not, they are refused.
        sort: sort the rows of a series by time, where they are not.
        missing: "error" refuses missing values; "mask" fills them in, tells the model by a feature
            for each real covariate and the target which were observed, and leaves missing targets
            out of loss and metrics.
        impute: how "mask" fills in: "last" takes the last value before; "interpolate" draws a line
            through known covariates, the others take the last value, for a line would show the
            model what comes after the forecast's origin.
        freq: distance of rows in time, as "15min", "1h", "D", or a number in the unit of the time
            column; rows that are missing are put in, to be masked.
        max_gap: longest gap in time that a window may cross, likewise.
        normalize: True or "global" standardises every column with training statistics;
            "series" with those of each series, and with those of all for a series that training
            did not have; "window" also centres each window on its context's mean and divides its
            target by the context's spread; False leaves original units.
        extra_transforms: column, or `__time__` for the time feature, to a transform or a list of
            them, applied before normalising.
        target_depends_on: known covariate that a transform of the target takes as x.
        ctxt_seq_len: context in steps.
        tgt_seq_len: horizon in steps.
        min_ctxt_seq_len: shortest context, for random lengths and short series; the maximum if
            not given.
        min_tgt_seq_len: shortest horizon, likewise.
        randomize_seq_len: draw context and horizon of each training window uniformly from
            their minimum to their maximum; "batch" draws once for all windows of a batch.
        bucket_by_length: put training windows of like lengths into a batch, where they vary
            and are shuffled; less padding, hence faster.
        encoder_alignment: end of a padded context at which data lies.
        decoder_alignment: end of a padded horizon at which data lies.
        stride: rows between windows, for all but predict.
        downsample: keep one step of so many.
        downsample_method: "interval" picks rows, "average" and "median" summarise blocks.
        time_column: column of time stamps; adds one time feature, first in both inputs.
        time_format: "absolute" is time since the window's start, "relative" time since the
            previous step.
        add_target_to_past: give the target's history to the encoder, as its last feature.
        mask_encoder_features: features of the encoder that are set to zero.
        noise_std: standard deviation of Gaussian noise on scaled inputs while training.
        storage: where columns are kept: "memory", "mmap" for files that are mapped (see
            `transformertf cache`), or "auto" for files where memory would be filled.
        device_resident: keep scaled columns on the CUDA device that trains, and make batches there;
            "auto" does where they take at most a quarter of its free memory, without workers.
        origin: rows after which forecasts start at predict: auto, last, all, every:N, or a
            time stamp (a row number without a time column).
        batch_size: windows of a batch.
        num_workers: processes that prepare batches; 0 prepares them in this one.
        shuffle: draw training windows in random order.
        dtype: floating type of the batches.
        distributed: on several processes: "auto" gives each a share of the windows, False all of
            them to each.
    """

    gives = "windows"
    missing_at_predict = "future"
    choices: ClassVar = {
        **CHOICES,
        "normalize": (True, False, "global", "series", "window"),
        "encoder_alignment": get_args(Alignment),
        "decoder_alignment": get_args(Alignment),
    }

    def __init__(
        self,
        target_covariate: str,
        known_covariates: list[str] | str | None = None,
        known_past_covariates: list[str] | str | None = None,
        static_covariates: list[str] | str | None = None,
        categorical_covariates: list[str] | str | None = None,
        calendar_features: list[str] | str | None = None,
        target_lags: list[int] | None = None,
        series_id: list[str] | str | None = None,
        train_df_paths: Paths = None,
        val_df_paths: Paths = None,
        test_df_paths: Paths = None,
        predict_df_paths: Paths = None,
        future_df_paths: Paths = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        split_by: SplitBy = "time",
        drop_short_series: bool = False,
        sort: bool = False,
        missing: Literal["error", "mask"] = "error",
        impute: Impute = "last",
        freq: str | float | None = None,
        max_gap: str | float | None = None,
        normalize: Normalize = True,
        extra_transforms: dict[str, Any] | None = None,
        target_depends_on: str | None = None,
        ctxt_seq_len: int = 500,
        tgt_seq_len: int = 300,
        min_ctxt_seq_len: int | None = None,
        min_tgt_seq_len: int | None = None,
        randomize_seq_len: RandomLengths = False,
        bucket_by_length: bool = True,
        encoder_alignment: Alignment = "left",
        decoder_alignment: Alignment = "left",
        stride: int = 1,
        downsample: int = 1,
        downsample_method: DownsampleMethod = "interval",
        time_column: str | None = None,
        time_format: TimeFormat = "absolute",
        add_target_to_past: bool = True,
        mask_encoder_features: list[str] | str | None = None,
        noise_std: float = 0.0,
        storage: Storage = "auto",
        device_resident: bool | Literal["auto"] = "auto",
        origin: str = "auto",
        batch_size: int = 128,
        num_workers: int = 0,
        shuffle: bool = True,
        dtype: Literal["float32", "float64"] = "float32",
        distributed: Distributed = "auto",
    ) -> None:
        super().__init__()
        if not self.columns.encoder_features(add_target_to_past):
            raise InputError(
                "the encoder has no real input: give covariates or a time column, or leave "
                "add_target_to_past on"
            )
        self.limits = WindowLimits(
            ctxt_seq_len,
            tgt_seq_len,
            ctxt_seq_len if min_ctxt_seq_len is None else min_ctxt_seq_len,
            tgt_seq_len if min_tgt_seq_len is None else min_tgt_seq_len,
        )
        for lag in self.columns.lags:
            if lag < tgt_seq_len:
                raise InputError(
                    f"target_lags: {lag} is less than tgt_seq_len {tgt_seq_len}: the target so "
                    "long before the end of the horizon is not known yet; raise it, or leave it out"
                )
        self.origin = Origin.parse(origin)
        self.layout = Layout(
            encoder_alignment,
            decoder_alignment,
            normalize == "window",
            add_target_to_past,
            tgt_seq_len,
            self._masked(as_list(mask_encoder_features)),
        )

    @property
    def ctxt_seq_len(self) -> int:
        """Context in steps."""
        return self.limits.context

    @property
    def tgt_seq_len(self) -> int:
        """Horizon in steps."""
        return self.limits.horizon

    @property
    def num_past_known_covariates(self) -> int:
        """Number of real features of a context step."""
        return len(self.columns.encoder_features(self.layout.add_target))

    @property
    def num_future_known_covariates(self) -> int:
        """Number of real features of a horizon step."""
        return len(self.columns.decoder_features)

    @property
    def past_category_sizes(self) -> list[int]:
        """Numbers that each category of a context step has; wants a fit."""
        return [*self.known_category_sizes, *self._sizes(self.columns.past_categories)]

    @property
    def future_category_sizes(self) -> list[int]:
        """Numbers that each category of a horizon step has; wants a fit."""
        return self.known_category_sizes

    def make_dataset(
        self, stored: ScaledRows, windows: Windows, device: torch.device, needs_target: bool = False
    ) -> WindowDataset:
        """Return the batches of windows over stored series; see the base class."""
        noise_std = self.hparams["noise_std"]
        return WindowDataset(
            stored, windows, self.scaling, self.layout, noise_std, device, needs_target
        )

    def predict_windows(self) -> Windows:
        """Return the windows of `predict_series` to forecast, by series and origin."""
        series = self.predict_series
        parts = [
            part for index, item in enumerate(series)
            for part in self.origin.choose(self._whole(index, item), item, self.limits)
        ]  # fmt: skip
        runs = self.short.keep(
            "predict",
            parts,
            lambda part: self.origin.windows(part, series[part.series], self.limits),
        )
        self._tell_short_contexts(runs)
        return Windows(runs)

    def evaluation_windows(self, stage: Stage, origin: str) -> Windows:
        """Return windows of `stage_series` to forecast and compare; see `origin_windows`."""
        return self.origin_windows(stage, Origin.parse(origin))

    def origin_windows(self, stage: Stage, origin: Origin) -> Windows:
        """Return the windows of a stage that start where asked, by name of series and origin.

        Their targets are rows of the stage and known; contexts may reach back beyond them. What
        is too short for a whole window is treated as in `Windows` of validation and test.

        Args:
            stage: "validation" or "test".
            origin: `auto` for one forecast every `tgt_seq_len` rows, `last` for the last one of
                each series.

        Raises:
            InputError: there is no data of that stage, or no forecast is possible there.
        """
        series = self.stage_series(stage)
        own: dict[int, list[Part]] = {}
        for part in self.stages.parts(stage):
            own.setdefault(part.series, []).append(part)
        parts = [
            part for index in sorted(own, key=lambda index: series[index].name)
            for part in origin.choose_known(own[index], series[index], self.limits)
        ]  # fmt: skip
        runs = self.short.keep(
            stage,
            parts,
            lambda part: origin.known_windows(part, series[part.series], self.limits),
        )
        return Windows(runs)

    def _tell_short_contexts(self, runs: Sequence[Run]) -> None:
        """Say once which forecasts have shorter contexts than training had."""
        short = [run for run in runs if run.context < self.limits.min_context]
        if not short or "context" in self._told:
            return
        self._told.add("context")
        rows = sorted({run.context for run in short})
        names = [self.predict_series[run.series].name for run in short]
        log.warning(
            "predict: %s rows of context, fewer than the %d of training, in %s",
            rows[0] if len(rows) == 1 else f"{rows[0]} to {rows[-1]}",
            self.limits.min_context,
            count_names(list(dict.fromkeys(names))),
        )

    def _masked(self, names: list[str]) -> tuple[str, ...]:
        features = self.columns.encoder_features(bool(self.hparams["add_target_to_past"]))
        for name in names:
            if name not in features:
                raise InputError(
                    f"mask_encoder_features: the encoder has no feature {name!r}; "
                    f"{nearest(name, features)}"
                )
        return tuple(names)
