"""What all data modules share: files in, windows of each stage, batches out."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, get_args

import lightning
import torch
from torch.utils.data import DataLoader

from transformertf.batch import Batch, BatchKind
from transformertf.data.columns import Columns
from transformertf.data.dataset import StoredWindows
from transformertf.data.filling import read_series
from transformertf.data.frames import DownsampleMethod, Series, downsample
from transformertf.data.panels import Missing, Rules
from transformertf.data.sampler import BatchSampler
from transformertf.data.scaling import Scaling, TimeFormat
from transformertf.data.short import ShortSeries
from transformertf.data.splits import Fractions, SplitBy, Stage
from transformertf.data.windows import Part, WindowLimits, Windows, sliding
from transformertf.errors import InputError, at_least_one, nearest
from transformertf.hyperparameters import describe

log = logging.getLogger(__name__)

Paths = list[str] | str | None
OWN_PATHS: dict[Stage, str] = {
    "train": "train_df_paths",
    "validation": "val_df_paths",
    "test": "test_df_paths",
}
FRACTIONS: dict[Stage, str] = {"validation": "val_fraction", "test": "test_fraction"}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
# arguments of every data module that are one of a few
CHOICES: dict[str, tuple[object, ...]] = {
    "randomize_seq_len": (True, False, "batch"),
    "downsample_method": get_args(DownsampleMethod),
    "time_format": get_args(TimeFormat),
    "split_by": get_args(SplitBy),
    "dtype": tuple(DTYPES),
}


class WindowDataModule(lightning.LightningDataModule):
    """Windows of one or several series.

    The arguments are those of the subclass's constructor. It calls this one, which keeps and
    checks them, and then says how long its windows are, in `limits`.

    Attributes:
        columns: roles of the columns.
        limits: lengths of the windows; set by the subclass.
        fractions: shares of the rows, or of the series, kept for validation and test.
        held_out: names of the series kept for validation and test, by stage; None before a fit,
            and where each series' rows are split.
        short: the series that were left out as too short, by stage.
        short_in_training: names of those left out of the fit, or out of a checkpoint's.
        scaling: fitted to the training data by `setup("fit")`, or out of a checkpoint.
        seed: seed of order and random lengths; None before a fit.
    """

    # what the batches hold
    gives: ClassVar[BatchKind]
    # what files may lack at predict
    missing_at_predict: ClassVar[Missing]
    # arguments of the subclass, and the values they can have
    choices: ClassVar[dict[str, tuple[object, ...]]]
    limits: WindowLimits

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self._check_arguments()
        given = self.hparams
        self.columns = Columns.of(dict(given))
        self.fractions = Fractions(given["val_fraction"] or 0.0, given["test_fraction"] or 0.0)
        self.scaling = Scaling(self.columns, given["normalize"] is not False, given["time_format"])
        self.short = ShortSeries(given["drop_short_series"])
        self.short_in_training: list[str] = []
        self.held_out: dict[str, list[str]] | None = None
        self.hparams.update(describe(self))
        self.seed: int | None = None
        self._cache: dict[str, list[Series]] = {}  # files are read once in a stage

    def make_dataset(self, series: Sequence[Series], windows: Windows) -> StoredWindows:
        """Return the batches of windows over the series."""
        raise NotImplementedError

    def predict_windows(self) -> Windows:
        """Return the windows of `predict_series` to forecast, by series and origin."""
        raise NotImplementedError

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
            self._check("validation")
        elif stage == "test":
            self._check("test")
        elif stage == "predict":
            self.predict_windows()

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
        return self._loader(self.make_dataset(self.predict_series, self.predict_windows()))

    @property
    def predict_series(self) -> list[Series]:
        """The series to forecast, sorted by name, so that forecasts come out sorted."""
        return self._read("predict_df_paths")

    def inverse_transform_target(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return target values (B, Td, ...) in original units."""
        return self.scaling.inverse_target(values)

    def describe_training_window(self, series: int, origin: int) -> str:
        """Return name, row and time of a training window's origin, or of its start."""
        item = self._stage_series("train")[series]
        # without a context there may be no row before the first one
        what, row = ("origin", origin) if self.limits.context else ("first", origin + 1)
        time = "" if item.time is None else f" ({self.columns.time} {item.time[row]})"
        return f"series {item.name!r}, {what} row {row}{time}"

    def state_dict(self) -> dict[str, Any]:
        """Return what was fitted, drawn and left out in training, as primitives."""
        return {
            "seed": self.seed,
            "scaling": self.scaling.state_dict(),
            "held_out": self.held_out,
            "short_series": self.short_in_training,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint holds; nothing is fitted again."""
        self.seed = state_dict["seed"]
        self.scaling.load_state_dict(state_dict["scaling"])
        self.held_out = state_dict["held_out"]
        self.short_in_training = list(state_dict["short_series"])

    def _fit(self) -> None:
        seed = torch.initial_seed() % 2**63
        self.held_out = None
        if self.hparams["split_by"] == "series":
            names = [item.name for item in self._read(OWN_PATHS["train"])]
            self.held_out = self.fractions.hold_out(names, seed)
        windows = self._windows("train")
        # what is left out as too short is left out of the scaling, too
        used = {run.series for run in windows.runs}
        ends = [part.end if part.series in used else 0 for part in self._parts("train")]
        self.scaling.fit(self._stage_series("train"), ends, windows)
        self.short_in_training = self.short.names[OWN_PATHS["train"]] + self.short.names["train"]
        self.seed = seed
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

    def _dataset(self, stage: Stage) -> StoredWindows:
        self._require_fit()
        return self.make_dataset(self._stage_series(stage), self._windows(stage))

    def _check(self, stage: Stage) -> None:
        """Read what a stage needs, and see that its windows can be made."""
        if self._is_split(stage) and self.hparams["split_by"] == "series" and self.seed is None:
            self._source(stage)  # which series are its own, a checkpoint will tell
        else:
            self._windows(stage)

    def _windows(self, stage: Stage) -> Windows:
        stride = self.hparams["stride"]
        return Windows(
            self.short.keep(
                stage, self._parts(stage), lambda part: sliding(part, self.limits, stride)
            )
        )

    def _parts(self, stage: Stage) -> list[Part]:
        series = self._stage_series(stage)
        if self._is_split(stage) and self.hparams["split_by"] == "time":
            return [self.fractions.part(index, item, stage) for index, item in enumerate(series)]
        return [Part(index, item.name, 0, len(item)) for index, item in enumerate(series)]

    def _is_split(self, stage: Stage) -> bool:
        """Whether the data of a stage is a share of the training files."""
        return stage == "train" or self.hparams[OWN_PATHS[stage]] is None

    def _source(self, stage: Stage) -> list[Series]:
        """Return the series in the files of a stage, or in those it has a share of."""
        if not self._is_split(stage):
            return self._read(OWN_PATHS[stage])
        share = {"validation": self.fractions.validation, "test": self.fractions.test}
        if stage != "train" and share[stage] == 0:
            raise InputError(f"no {stage} data: give {OWN_PATHS[stage]} or {FRACTIONS[stage]}")
        if stage == "train" and self.hparams[OWN_PATHS[stage]] is None:
            raise InputError(f"no {stage} data: give {OWN_PATHS[stage]}")
        return self._read(OWN_PATHS["train"])

    def _stage_series(self, stage: Stage) -> list[Series]:
        series = self._source(stage)
        if not self._is_split(stage):
            return series
        by_series = self.hparams["split_by"] == "series"
        if self.seed is not None and by_series != (self.held_out is not None):
            raise InputError(
                f"split_by is {self.hparams['split_by']}, but the checkpoint was trained with "
                f"{'time' if by_series else 'series'}; leave it as it was"
            )
        return self._held(series, stage) if by_series else series

    def _held(self, series: list[Series], stage: Stage) -> list[Series]:
        """Return the series that the split gave to a stage.

        Raises:
            InputError: the split gave it none, or they are not in the training files any more.
        """
        assert self.held_out is not None
        held = {name: own for own, names in self.held_out.items() for name in names}
        if stage == "train":
            return [item for item in series if item.name not in held]
        wanted = self.held_out[stage]
        lost = sorted(set(wanted) - {item.name for item in series})
        if lost or not wanted:
            found = f"{lost[0]!r} is not there" if lost else "it kept none"
            raise InputError(
                f"train_df_paths: expected the series that the fit kept for {stage}, but {found}; "
                f"give the files it was trained on, or {OWN_PATHS[stage]}"
            )
        return [item for item in series if held.get(item.name) == stage]

    def _read(self, argument: str) -> list[Series]:
        if argument in self._cache:
            return self._cache[argument]
        spec = self.hparams[argument]
        if spec is None:
            raise InputError(f"no data: give {argument}")
        missing = self.missing_at_predict if argument == "predict_df_paths" else "nothing"
        factor, method = self.hparams["downsample"], self.hparams["downsample_method"]
        series = self.short.keep(
            argument,
            read_series(spec, argument, self.columns, Rules(missing)),
            lambda item: downsample(item, factor, method),
        )
        if argument == "predict_df_paths":
            series.sort(key=lambda item: item.name)
        self.scaling.check_time(series)
        self._cache[argument] = series
        return series

    def _check_arguments(self) -> None:
        given = self.hparams
        for name, known in self.choices.items():
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

    def _loader(self, dataset: StoredWindows, *, training: bool = False) -> DataLoader[Batch]:
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
