"""The data module of forecasts: windows with a context and a horizon."""

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from transformertf.data.base import CHOICES, DTYPES, Paths, WindowDataModule
from transformertf.data.dataset import Layout, WindowDataset
from transformertf.data.frames import DownsampleMethod, Series
from transformertf.data.origins import Origin
from transformertf.data.sampler import RandomLengths
from transformertf.data.scaling import TimeFormat
from transformertf.data.splits import SplitBy
from transformertf.data.windows import Part, WindowLimits, Windows
from transformertf.errors import InputError
from transformertf.utils.sequence import Alignment

Normalize = bool | Literal["global", "window"]


class EncoderDecoderDataModule(WindowDataModule):
    """Windows with a context and a horizon, of one or several series.

    Args:
        target_covariate: column to forecast.
        known_covariates: columns known in past and future. With none and no time column the
            decoder's one input is the relative position in the horizon.
        known_past_covariates: columns known only in the past.
        series_id: columns that tell the series of a table apart; without it each file is one
            series.
        train_df_paths: training files: a path, a glob or a list of them; parquet, csv or
            feather, or folders of parquet files. `~` and environment variables expand.
        val_df_paths: validation files, likewise.
        test_df_paths: test files, likewise.
        predict_df_paths: files to forecast, likewise; the target may be missing at their end.
        val_fraction: share of each training series kept for validation, before the test part;
            only without validation files.
        test_fraction: share at the end of each training series kept for test; only without
            test files.
        split_by: "time" takes these shares of the rows of each series, "series" of the series,
            drawn with the run's seed.
        drop_short_series: leave out series, or their parts of a split, that are too short even
            for the shortest window; if not, they are refused.
        normalize: True or "global" standardises every column with training statistics;
            "window" also centres each window on its context's mean and divides its target by
            the context's spread; False leaves original units.
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
        origin: rows after which forecasts start at predict: auto, last, all, every:N, or a
            time stamp (a row number without a time column).
        batch_size: windows of a batch.
        num_workers: processes that prepare batches; 0 prepares them in this one.
        shuffle: draw training windows in random order.
        dtype: floating type of the batches.
    """

    gives = "windows"
    missing_at_predict = "future"
    choices: ClassVar = {
        **CHOICES,
        "normalize": (True, False, "global", "window"),
        "encoder_alignment": get_args(Alignment),
        "decoder_alignment": get_args(Alignment),
    }

    def __init__(
        self,
        target_covariate: str,
        known_covariates: list[str] | str | None = None,
        known_past_covariates: list[str] | str | None = None,
        series_id: list[str] | str | None = None,
        train_df_paths: Paths = None,
        val_df_paths: Paths = None,
        test_df_paths: Paths = None,
        predict_df_paths: Paths = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        split_by: SplitBy = "time",
        drop_short_series: bool = False,
        normalize: Normalize = True,
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
        origin: str = "auto",
        batch_size: int = 128,
        num_workers: int = 0,
        shuffle: bool = True,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__()
        inputs = known_covariates, known_past_covariates, time_column
        if not add_target_to_past and not any(inputs):
            raise InputError(
                "the encoder has no input: give covariates or a time column, or leave "
                "add_target_to_past on"
            )
        self.limits = WindowLimits(
            ctxt_seq_len,
            tgt_seq_len,
            ctxt_seq_len if min_ctxt_seq_len is None else min_ctxt_seq_len,
            tgt_seq_len if min_tgt_seq_len is None else min_tgt_seq_len,
        )
        self.origin = Origin.parse(origin)
        self.layout = Layout(
            encoder_alignment,
            decoder_alignment,
            normalize == "window",
            add_target_to_past,
            tgt_seq_len,
            DTYPES[dtype],
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
        """Number of features of a context step."""
        width = len(self.columns.known) + len(self.columns.past) + int(self.layout.add_target)
        return width + int(self.columns.has_time)

    @property
    def num_future_known_covariates(self) -> int:
        """Number of features of a horizon step."""
        width = len(self.columns.known) + int(self.columns.has_time)
        return width + int(self.columns.needs_position)

    @property
    def num_static_features(self) -> int:
        """Number of features constant within a series."""
        return 0

    def make_dataset(self, series: Sequence[Series], windows: Windows) -> WindowDataset:
        """Return the batches of windows over the series."""
        return WindowDataset(series, windows, self.scaling, self.layout)

    def predict_windows(self) -> Windows:
        """Return the windows of `predict_series` to forecast, by series and origin."""
        series = self.predict_series
        whole = [Part(index, item.name, 0, len(item)) for index, item in enumerate(series)]
        return Windows(
            self.short.keep(
                "predict",
                whole,
                lambda part: self.origin.windows(part.series, series[part.series], self.limits),
            )
        )
