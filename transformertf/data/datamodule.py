"""The Lightning data module: files in, batches out."""

import logging
from typing import Any, Literal, get_args

import lightning
import torch
from torch.utils.data import DataLoader

from transformertf.batch import Batch
from transformertf.data.columns import Columns, as_list
from transformertf.data.dataset import Layout, WindowDataset
from transformertf.data.frames import DownsampleMethod, Series, downsample, read_series, share_time
from transformertf.data.origins import Origin
from transformertf.data.sampler import BatchSampler, RandomLengths
from transformertf.data.scaling import Scaling, TimeFormat
from transformertf.data.splits import Fractions, Stage
from transformertf.data.windows import Part, WindowLimits, Windows, sliding
from transformertf.errors import InputError, at_least_one, nearest
from transformertf.hyperparameters import describe
from transformertf.utils.sequence import Alignment

log = logging.getLogger(__name__)

Paths = list[str] | str | None
Normalize = bool | Literal["global", "window"]
OWN_PATHS: dict[Stage, str] = {
    "train": "train_df_paths",
    "validation": "val_df_paths",
    "test": "test_df_paths",
}
FRACTIONS: dict[Stage, str] = {"validation": "val_fraction", "test": "test_fraction"}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
CHOICES: dict[str, tuple[object, ...]] = {
    "normalize": (True, False, "global", "window"),
    "randomize_seq_len": (True, False, "batch"),
    "encoder_alignment": get_args(Alignment),
    "decoder_alignment": get_args(Alignment),
    "downsample_method": get_args(DownsampleMethod),
    "time_format": get_args(TimeFormat),
    "dtype": tuple(DTYPES),
}


class EncoderDecoderDataModule(lightning.LightningDataModule):
    """Windows with a context and a horizon, from files with one series each.

    Args:
        target_covariate: column to forecast.
        known_covariates: columns known in past and future. With none and no time column the
            decoder's one input is the relative position in the horizon.
        known_past_covariates: columns known only in the past.
        train_df_paths: training files: a path, a glob or a list of them; parquet, csv or
            feather. `~` and environment variables expand.
        val_df_paths: validation files, likewise.
        test_df_paths: test files, likewise.
        predict_df_paths: files to forecast, likewise; the target may be missing at their end.
        val_fraction: share of each training series kept for validation, before the test part;
            only without validation files.
        test_fraction: share at the end of each training series kept for test; only without
            test files.
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

    def __init__(
        self,
        target_covariate: str,
        known_covariates: list[str] | str | None = None,
        known_past_covariates: list[str] | str | None = None,
        train_df_paths: Paths = None,
        val_df_paths: Paths = None,
        test_df_paths: Paths = None,
        predict_df_paths: Paths = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
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
        self.save_hyperparameters(logger=False)
        self._check_arguments()
        self.columns = Columns(
            tuple(as_list(known_covariates)),
            tuple(as_list(known_past_covariates)),
            target_covariate,
            time_column,
        )
        self.limits = WindowLimits(
            ctxt_seq_len,
            tgt_seq_len,
            ctxt_seq_len if min_ctxt_seq_len is None else min_ctxt_seq_len,
            tgt_seq_len if min_tgt_seq_len is None else min_tgt_seq_len,
        )
        self.fractions = Fractions(val_fraction or 0.0, test_fraction or 0.0)
        self.origin = Origin.parse(origin)
        self.scaling = Scaling(self.columns, normalize is not False, time_format)
        self.layout = Layout(
            encoder_alignment,
            decoder_alignment,
            normalize == "window",
            add_target_to_past,
            tgt_seq_len,
            DTYPES[dtype],
        )
        self.hparams.update(describe(self))
        self.seed: int | None = None
        self._cache: dict[str, list[Series]] = {}  # files are read once in a stage

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

    @property
    def has_validation(self) -> bool:
        """Whether a fit has data to validate on."""
        return self.hparams["val_df_paths"] is not None or self.fractions.validation > 0

    def setup(self, stage: str) -> None:
        """Read and check the files of a stage; a fit also fits the scaling.

        Raises:
            InputError: files are missing, or what is in them cannot be used.
        """
        self._refuse_ranks()
        if stage == "fit":
            self._fit()
        if stage == "validate" or (stage == "fit" and self.has_validation):
            self._windows("validation")
        elif stage == "test":
            self._windows("test")
        elif stage == "predict":
            self._predict_windows()

    def teardown(self, stage: str) -> None:
        """Let go of the files' content; the next stage reads them again."""
        self._cache.clear()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches, shuffled where asked."""
        return self._loader(self._dataset("train"), training=True)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Return validation batches in order; none where there is no validation data."""
        return self._loader(self._dataset("validation")) if self.has_validation else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return test batches in order."""
        return self._loader(self._dataset("test"))

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the windows to forecast, by series and origin."""
        self._require_fit()
        windows = self._predict_windows()
        return self._loader(WindowDataset(self.predict_series, windows, self.scaling, self.layout))

    @property
    def predict_series(self) -> list[Series]:
        """The series to forecast, sorted by name, so that forecasts come out sorted."""
        return self._read("predict_df_paths")

    def inverse_transform_target(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return target values (B, Td, ...) in original units."""
        return self.scaling.inverse_target(values)

    def describe_training_window(self, series: int, origin: int) -> str:
        """Return name, origin row and time of a training window, for messages."""
        item = self._stage_series("train")[series]
        time = "" if item.time is None else f" ({self.columns.time} {item.time[origin]})"
        return f"series {item.name!r}, origin row {origin}{time}"

    def state_dict(self) -> dict[str, Any]:
        """Return what was fitted, and the seed of the sampling, as primitives."""
        return {"seed": self.seed, "scaling": self.scaling.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint holds; nothing is fitted again."""
        self.seed = state_dict["seed"]
        self.scaling.load_state_dict(state_dict["scaling"])

    def _fit(self) -> None:
        ends = [part.end for part in self._parts("train")]
        self.scaling.fit(self._stage_series("train"), ends, self._windows("train"))
        self.seed = torch.initial_seed() % 2**63
        for name in self.scaling.constant_columns if self.scaling.enabled else ():
            log.warning("column %r is constant in the training data; it is not scaled", name)

    def _require_fit(self) -> None:
        if self.seed is not None:
            return
        if self.hparams["train_df_paths"] is None:
            raise InputError(
                "the data module is not fitted: give a checkpoint, or train_df_paths to fit on"
            )
        self._fit()

    def _dataset(self, stage: Stage) -> WindowDataset:
        self._require_fit()
        series, windows = self._stage_series(stage), self._windows(stage)
        return WindowDataset(series, windows, self.scaling, self.layout)

    def _windows(self, stage: Stage) -> Windows:
        stride = self.hparams["stride"]
        return Windows(sliding(part, self.limits, stride) for part in self._parts(stage))

    def _predict_windows(self) -> Windows:
        return Windows(
            self.origin.windows(index, item, self.limits)
            for index, item in enumerate(self.predict_series)
        )

    def _parts(self, stage: Stage) -> list[Part]:
        series = self._stage_series(stage)
        if stage == "train" or self.hparams[OWN_PATHS[stage]] is None:
            return [self.fractions.part(index, item, stage) for index, item in enumerate(series)]
        return [Part(index, item.name, 0, len(item)) for index, item in enumerate(series)]

    def _stage_series(self, stage: Stage) -> list[Series]:
        if self.hparams[OWN_PATHS[stage]] is not None:
            return self._read(OWN_PATHS[stage])
        share = self.fractions.validation if stage == "validation" else self.fractions.test
        if stage == "train" or share == 0:
            option = "" if stage == "train" else f" or {FRACTIONS[stage]}"
            raise InputError(f"no {stage} data: give {OWN_PATHS[stage]}{option}")
        return self._read(OWN_PATHS["train"])

    def _read(self, argument: str) -> list[Series]:
        if argument in self._cache:
            return self._cache[argument]
        spec = self.hparams[argument]
        if spec is None:
            raise InputError(f"no data: give {argument}")
        future = argument == "predict_df_paths"
        factor, method = self.hparams["downsample"], self.hparams["downsample_method"]
        series = [
            downsample(item, factor, method)
            for item in read_series(spec, argument, self.columns, future=future)
        ]
        if future:
            series.sort(key=lambda item: item.name)
        series = share_time(series)
        self.scaling.check_time(series)
        self._cache[argument] = series
        return series

    def _check_arguments(self) -> None:
        given = self.hparams
        for name, known in CHOICES.items():
            if given[name] not in known:
                choices = [str(choice) for choice in known]
                hint = nearest(str(given[name]), choices)
                raise InputError(f"{name} must not be {given[name]!r}; {hint}")
        if given["num_workers"] < 0:
            raise InputError(f"num_workers must be at least 0, found {given['num_workers']}")
        at_least_one(**{name: given[name] for name in ("stride", "downsample", "batch_size")})
        for own, share in (("val_df_paths", "val_fraction"), ("test_df_paths", "test_fraction")):
            if given[own] is not None and given[share] is not None:
                raise InputError(f"{own} and {share} are both given; give one of them")
        inputs = ("known_covariates", "known_past_covariates", "time_column")
        if not given["add_target_to_past"] and not any(given[name] for name in inputs):
            raise InputError(
                "the encoder has no input: give covariates or a time column, or leave "
                "add_target_to_past on"
            )

    def _loader(self, dataset: WindowDataset, *, training: bool = False) -> DataLoader[Batch]:
        assert self.seed is not None
        sampler = BatchSampler(
            dataset.windows,
            self.hparams["batch_size"],
            self.limits,
            self.seed,
            shuffle=training and self.hparams["shuffle"],
            random_lengths=training and self.hparams["randomize_seq_len"],
            bucketing=self.hparams["bucket_by_length"],
            epoch=self._epoch() if training else 0,
        )
        workers = self.hparams["num_workers"]
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            # the global generator stays as it is, so that a resumed run draws the same dropout
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _epoch(self) -> int:
        """Return the epoch a fit starts with; workers of a resumed one fetch before it is set."""
        if self.trainer is None:
            return 0
        # `trainer.current_epoch` still counts from 0 when a resumed fit asks for its loader
        return int(getattr(self.trainer.fit_loop.epoch_progress.current, "processed", 0))

    def _refuse_ranks(self) -> None:
        if self.trainer is not None and self.trainer.world_size > 1:
            raise InputError(
                f"training on {self.trainer.world_size} processes is not supported yet; set "
                "trainer.devices and trainer.num_nodes to 1"
            )
