"""The data module of sequence-to-sequence models: inputs and target on the same steps."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np
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
from transformertf.data.batches import SequenceDataset
from transformertf.data.scaling import ScaledRows
from transformertf.data.series import Series
from transformertf.data.windows import WindowLimits, Windows, consecutive
from transformertf.errors import InputError
from transformertf.utils.sequence import Alignment


class TimeSeriesDataModule(WindowDataModule):
    """Sequences of inputs and of the target on the same steps, of one or several series.

    The target is no input: at predict its values may be missing, or the whole column. Every row
    of a file is then forecast once, by sequences of `seq_len` rows one after the other, the last
    one as short as need be; a model starts each of them afresh.

    Args:
        target_covariate: column to forecast.
        known_covariates: input columns.
        known_past_covariates: further input columns; all inputs are needed on every row, at
            predict too.
        static_covariates: columns constant within a series.
        categorical_covariates: those of the columns above, or of `calendar_features`, that are
            categories: text, whole numbers or booleans. Their values are those in training; any
            other one is "unknown".
        calendar_features: fields of the time stamps as further inputs: minute, hour, dayofweek,
            day, dayofyear, week, month, quarter; as sine and cosine, or as categories where
            `categorical_covariates` names them.
        series_id: columns that tell the series of a table apart; without it each file is one
            series.
        train_df_paths: training files: a path, a glob or a list of them; parquet, csv or
            feather, or folders of parquet files. `~` and environment variables expand.
        val_df_paths: validation files, likewise.
        test_df_paths: test files, likewise.
        predict_df_paths: files to forecast, likewise.
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
            for each real covariate which were observed, and leaves missing targets out of loss and
            metrics.
        impute: how "mask" fills in: "last" takes the last value before; "interpolate" draws a line
            through known covariates.
        freq: distance of rows in time, as "15min", "1h", "D", or a number in the unit of the time
            column; rows that are missing are put in, to be masked.
        max_gap: longest gap in time that a window may cross, likewise.
        normalize: True or "global" standardises every column with training statistics; "series"
            with those of each series, and with those of all for a series that training did not
            have; False leaves original units.
        extra_transforms: column, or `__time__` for the time feature, to a transform or a list of
            them, applied before normalising.
        target_depends_on: known covariate that a transform of the target takes as x.
        seq_len: length of a sequence in steps.
        min_seq_len: shortest sequence, for random lengths and short series; `seq_len` if not
            given.
        randomize_seq_len: draw the length of each training sequence uniformly from the minimum
            to the maximum; "batch" draws once for all sequences of a batch.
        bucket_by_length: put training sequences of like lengths into a batch, where they vary
            and are shuffled; less padding, hence faster.
        alignment: end of a padded sequence at which data lies.
        stride: rows between the starts of sequences, for all but predict.
        downsample: keep one step of so many.
        downsample_method: "interval" picks rows, "average" and "median" summarise blocks.
        time_column: column of time stamps; adds one time feature, the first input.
        time_format: "absolute" is time since the sequence's start, "relative" time since the
            previous step.
        noise_std: standard deviation of Gaussian noise on scaled inputs while training.
        storage: where columns are kept: "memory", "mmap" for files that are mapped (see
            `transformertf cache`), or "auto" for files where memory would be filled.
        device_resident: keep scaled columns on the CUDA device that trains, and make batches there;
            "auto" does where they take at most a quarter of its free memory, without workers.
        batch_size: sequences of a batch.
        num_workers: processes that prepare batches; 0 prepares them in this one.
        shuffle: draw training sequences in random order.
        dtype: floating type of the batches.
        distributed: on several processes: "auto" gives each a share of the windows, False all of
            them to each.
    """

    gives = "sequences"
    missing_at_predict = "target"
    choices: ClassVar = {
        **CHOICES,
        # a window's own statistics would be those of its context
        "normalize": (True, False, "global", "series"),
        "alignment": get_args(Alignment),
    }

    def __init__(
        self,
        target_covariate: str,
        known_covariates: list[str] | str | None = None,
        known_past_covariates: list[str] | str | None = None,
        static_covariates: list[str] | str | None = None,
        categorical_covariates: list[str] | str | None = None,
        calendar_features: list[str] | str | None = None,
        series_id: list[str] | str | None = None,
        train_df_paths: Paths = None,
        val_df_paths: Paths = None,
        test_df_paths: Paths = None,
        predict_df_paths: Paths = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        split_by: SplitBy = "time",
        drop_short_series: bool = False,
        sort: bool = False,
        missing: Literal["error", "mask"] = "error",
        impute: Impute = "last",
        freq: str | float | None = None,
        max_gap: str | float | None = None,
        normalize: bool | Literal["global", "series"] = True,
        extra_transforms: dict[str, Any] | None = None,
        target_depends_on: str | None = None,
        seq_len: int = 500,
        min_seq_len: int | None = None,
        randomize_seq_len: RandomLengths = False,
        bucket_by_length: bool = True,
        alignment: Alignment = "left",
        stride: int = 1,
        downsample: int = 1,
        downsample_method: DownsampleMethod = "interval",
        time_column: str | None = None,
        time_format: TimeFormat = "absolute",
        noise_std: float = 0.0,
        storage: Storage = "auto",
        device_resident: bool | Literal["auto"] = "auto",
        batch_size: int = 128,
        num_workers: int = 0,
        shuffle: bool = True,
        dtype: Literal["float32", "float64"] = "float32",
        distributed: Distributed = "auto",
    ) -> None:
        super().__init__()
        if self.num_features == 0:
            raise InputError(
                "a sequence has no real input: give known_covariates, known_past_covariates or "
                "time_column; the target is none"
            )
        least = seq_len if min_seq_len is None else min_seq_len
        self.limits = WindowLimits.of_sequences(seq_len, least)

    @property
    def num_features(self) -> int:
        """Number of real features of a step."""
        return len(self.columns.encoder_features(add_target=False))

    @property
    def category_sizes(self) -> list[int]:
        """Numbers that each category of a step has; wants a fit."""
        return [*self.known_category_sizes, *self._sizes(self.columns.past_categories)]

    def make_dataset(
        self, stored: ScaledRows, windows: Windows, device: torch.device, needs_target: bool = False
    ) -> SequenceDataset:
        """Return the batches of sequences over stored series; see the base class."""
        alignment, noise_std = self.hparams["alignment"], self.hparams["noise_std"]
        return SequenceDataset(
            stored, windows, self.scaling, alignment, noise_std, device, needs_target
        )

    def predict_windows(self) -> Windows:
        """Return consecutive sequences that hold each row of `predict_series` once."""
        series = self.predict_series
        windows = Windows(
            run
            for index, item in enumerate(series)
            for part in self._whole(index, item)
            for run in consecutive(part, self.limits.horizon)
        )
        if self.scaling.has_delta and not self.columns.indicators:
            self._refuse_unknown_starts(series, windows)
        return windows

    def evaluation_windows(self, stage: Stage, origin: str) -> Windows:
        """Return consecutive sequences that hold each row of a stage once."""
        if origin != "auto":
            raise InputError(
                f"origin {origin!r}: sequences have no origins, each row is forecast once; leave "
                "it out"
            )
        series = self.stage_series(stage)
        parts = sorted(self.stages.parts(stage), key=lambda part: series[part.series].name)
        return Windows(run for part in parts for run in consecutive(part, self.limits.horizon))

    def _refuse_unknown_starts(self, series: Sequence[Series], windows: Windows) -> None:
        """Refuse sequences to predict that differences of the target cannot be summed up from."""
        for run in windows.runs:
            item = series[run.series]
            before = run.origin + run.step * np.arange(run.count)
            before += np.isin(before + 1, (0, *item.breaks))
            lost = before[np.isnan(item.values[before, -1])]
            if lost.size:
                raise InputError(
                    f"series {item.name!r}: a DeltaTransform of {self.columns.target!r} counts "
                    f"from its value before each sequence of {self.limits.horizon} rows, and row "
                    f"{lost[0]} (counted from 0) has none; give it, or train without DeltaTransform"
                )
