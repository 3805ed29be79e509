"""The data module of sequence-to-sequence models: inputs and target on the same steps."""

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from transformertf.data.base import CHOICES, DTYPES, Paths, WindowDataModule
from transformertf.data.dataset import SequenceDataset
from transformertf.data.frames import DownsampleMethod, Series
from transformertf.data.sampler import RandomLengths
from transformertf.data.scaling import TimeFormat
from transformertf.data.splits import SplitBy
from transformertf.data.windows import Part, WindowLimits, Windows, consecutive
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
        normalize: True or "global" standardises every column with training statistics; False
            leaves original units.
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
        batch_size: sequences of a batch.
        num_workers: processes that prepare batches; 0 prepares them in this one.
        shuffle: draw training sequences in random order.
        dtype: floating type of the batches.
    """

    gives = "sequences"
    missing_at_predict = "target"
    choices: ClassVar = {
        **CHOICES,
        # a window's own statistics would be those of its context
        "normalize": (True, False, "global"),
        "alignment": get_args(Alignment),
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
        normalize: bool | Literal["global"] = True,
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
        batch_size: int = 128,
        num_workers: int = 0,
        shuffle: bool = True,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__()
        if self.num_features == 0:
            raise InputError(
                "a sequence has no input: give known_covariates, known_past_covariates or "
                "time_column; the target is none"
            )
        least = seq_len if min_seq_len is None else min_seq_len
        self.limits = WindowLimits.of_sequences(seq_len, least)

    @property
    def num_features(self) -> int:
        """Number of features of a step."""
        width = len(self.columns.known) + len(self.columns.past)
        return width + int(self.columns.has_time)

    def make_dataset(self, series: Sequence[Series], windows: Windows) -> SequenceDataset:
        """Return the batches of sequences over the series."""
        alignment, dtype = self.hparams["alignment"], DTYPES[self.hparams["dtype"]]
        return SequenceDataset(series, windows, self.scaling, alignment, dtype)

    def predict_windows(self) -> Windows:
        """Return consecutive sequences that hold each row of `predict_series` once."""
        return Windows(
            run
            for index, item in enumerate(self.predict_series)
            for run in consecutive(Part(index, item.name, 0, len(item)), self.limits.horizon)
        )
