"""What all data modules share: files in, windows of each stage, batches out."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, get_args

import lightning
import torch
from torch.utils.data import DataLoader

from transformertf.batch import Batch, BatchKind
from transformertf.data.calendar import calendar_sizes
from transformertf.data.columns import Columns
from transformertf.data.dataset import StoredWindows
from transformertf.data.features import Impute
from transformertf.data.frames import DownsampleMethod, Series
from transformertf.data.gather import HOST
from transformertf.data.loader import BatchLoader
from transformertf.data.panels import Missing
from transformertf.data.reading import Reader, Reading
from transformertf.data.sampler import BatchSampler
from transformertf.data.scaling import Scaling
from transformertf.data.short import ShortSeries
from transformertf.data.splits import SplitBy, Stage
from transformertf.data.stages import OWN_PATHS, PREDICT_PATHS, Stages
from transformertf.data.storage import Storage, resident_device
from transformertf.data.stored import Stored, store_series
from transformertf.data.time_feature import TimeFormat
from transformertf.data.transform import describe_transforms
from transformertf.data.vocabulary import Vocabularies, tell_unknown
from transformertf.data.windows import Part, WindowLimits, Windows, sliding
from transformertf.errors import InputError, at_least_one, nearest
from transformertf.hyperparameters import describe

log = logging.getLogger(__name__)

Paths = list[str] | str | None
# arguments of every data module that are one of a few
CHOICES: dict[str, tuple[object, ...]] = {
    "randomize_seq_len": (True, False, "batch"),
    "downsample_method": get_args(DownsampleMethod),
    "time_format": get_args(TimeFormat),
    "split_by": get_args(SplitBy),
    "missing": ("error", "mask"),
    "impute": get_args(Impute),
    "storage": get_args(Storage),
    "device_resident": (True, False, "auto"),
    "dtype": ("float32", "float64"),
}


class WindowDataModule(lightning.LightningDataModule):
    """Windows of one or several series.

    The arguments are those of the subclass's constructor. It calls this one, which keeps and
    checks them, and then says how long its windows are, in `limits`.

    Attributes:
        columns: roles of the columns.
        limits: lengths of the windows; set by the subclass.
        stages: which series and rows each stage uses.
        short: the series that were left out as too short, by stage.
        short_in_training: names of those left out of the fit, or out of a checkpoint's.
        scaling: fitted to the training data by `setup("fit")`, or out of a checkpoint.
        vocabularies: of the categories, likewise.
        seed: seed of order, random lengths and noise; None before a fit.
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
        extra = given["extra_transforms"]
        self.hparams["extra_transforms"] = describe_transforms(extra)
        self.scaling = Scaling(
            self.columns,
            given["normalize"],
            given["time_format"],
            extra,
            given["target_depends_on"],
            given["impute"],
        )
        self.vocabularies = Vocabularies(self.columns)
        self.short = ShortSeries(given["drop_short_series"])
        self.short_in_training: list[str] = []
        how = Reading(
            self.columns,
            given["missing"] == "mask",
            given["sort"],
            given["freq"],
            given["max_gap"],
            given["downsample"],
            given["downsample_method"],
            given["storage"],
        )
        self._reader = Reader(how, self.short)
        lag = max(self.columns.lags, default=0)
        self.stages = Stages(given, self._reader, self.missing_at_predict, lag)
        self.hparams.update(describe(self))
        self.seed: int | None = None
        # arguments whose unknown categories were told
        self._told: set[str] = set()
        self._fitted_here = False

    def make_dataset(self, stored: Stored, windows: Windows, device: torch.device) -> StoredWindows:
        """Return the batches, made on a device, of windows over stored series."""
        raise NotImplementedError

    def predict_windows(self) -> Windows:
        """Return the windows of `predict_series` to forecast, by series and origin."""
        raise NotImplementedError

    @property
    def has_validation(self) -> bool:
        """Whether a fit has data to validate on."""
        return self.stages.has_validation

    @property
    def num_static_features(self) -> int:
        """Number of real features constant within a series."""
        return len(self.columns.static)

    @property
    def static_category_sizes(self) -> list[int]:
        """Numbers that each static category has, the unknown one included; wants a fit."""
        return self._sizes(self.columns.static_categories)

    @property
    def known_category_sizes(self) -> list[int]:
        """Numbers that each category known in the future has; wants a fit."""
        return [
            *self._sizes(self.columns.known_categories),
            *calendar_sizes(self.columns.calendar_categories),
        ]

    def _sizes(self, names: Sequence[str]) -> list[int]:
        if names:
            self._require_fit()
        return list(self.vocabularies.sizes(names))

    def setup(self, stage: str) -> None:
        """Read and check the files of a stage; a fit also fits scaling and vocabularies, once.

        Raises:
            InputError: files are missing, or what is in them cannot be used.
        """
        self._refuse_ranks()
        if stage == "fit" and not self._fitted_here:
            self._fit()
        if stage == "validate" or (stage == "fit" and self.has_validation):
            self._check("validation")
        elif stage == "test":
            self._check("test")
        elif stage == "predict":
            self.predict_windows()

    def teardown(self, stage: str) -> None:
        """Let go of the files' content; the next stage reads them again."""
        self._reader.clear()
        self._told.clear()
        self._fitted_here = False

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
        windows = self.predict_windows()
        return self._loader(self._store(PREDICT_PATHS, self.predict_series, windows))

    @property
    def predict_series(self) -> list[Series]:
        """The series to forecast, sorted by name, so that forecasts come out sorted."""
        return self._read(PREDICT_PATHS)

    def inverse_transform_target(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return target values (B, Td, ...) in original units."""
        return self.scaling.inverse_target(values, batch)

    def describe_training_window(self, series: int, origin: int) -> str:
        """Return name, row and time of a training window's origin, or of its start."""
        item = self.stages.series("train")[series]
        # without a context there may be no row before the first one
        what, row = ("origin", origin) if self.limits.context else ("first", origin + 1)
        time = "" if item.time is None else f" ({self.columns.time} {item.time[row]})"
        return f"series {item.name!r}, {what} row {row}{time}"

    def state_dict(self) -> dict[str, Any]:
        """Return what was fitted, drawn and left out in training, as primitives."""
        return {
            "seed": self.seed,
            "scaling": self.scaling.state_dict(),
            "vocabularies": self.vocabularies.state_dict(),
            "held_out": self.stages.held_out,
            "short_series": self.short_in_training,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint holds; nothing is fitted again."""
        self.seed = state_dict["seed"]
        self.scaling.load_state_dict(state_dict["scaling"])
        self.vocabularies.load_state_dict(state_dict["vocabularies"])
        self.stages.held_out, self.stages.is_fitted = state_dict["held_out"], True
        self.short_in_training = list(state_dict["short_series"])

    def _fit(self) -> None:
        seed = torch.initial_seed() % 2**63
        self.stages.draw(seed)
        windows = self._windows("train")
        # what is left out as too short is left out of what is fitted, too
        ends = [0] * len(self.stages.series("train"))
        used = {run.series for run in windows.runs}
        for part in self.stages.parts("train"):
            if part.series in used:
                ends[part.series] = max(ends[part.series], part.end)
        series = self.stages.series("train")
        self.scaling.fit(series, ends, windows)
        self.vocabularies.fit(series, ends)
        self.short_in_training = self.short.names[OWN_PATHS["train"]] + self.short.names["train"]
        self.seed, self._fitted_here = seed, True
        for name in self.scaling.constant_columns:
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
        windows = self._windows(stage)
        return self._store(self.stages.argument(stage), self.stages.series(stage), windows)

    def _store(self, argument: str, series: Sequence[Series], windows: Windows) -> StoredWindows:
        if argument not in self._told:
            self._told.add(argument)
            tell_unknown(self.vocabularies, series, argument)
        parts = {
            "columns": asdict(self.columns),
            "series": [item.name for item in series],
            "scaling": self.scaling.state_dict(),
            "extra": self.hparams["extra_transforms"],
            "target_depends_on": self.hparams["target_depends_on"],
            "impute": self.hparams["impute"],
            "vocabularies": self.vocabularies.state_dict(),
        }
        keep = self._reader.keeper(argument, parts)
        dtype = self.hparams["dtype"]
        stored = store_series(series, self.scaling, self.vocabularies, dtype, keep)
        wanted, workers = self.hparams["device_resident"], self.hparams["num_workers"]
        trains_on = HOST if self.trainer is None else self.trainer.strategy.root_device
        device = resident_device(wanted, trains_on, workers, stored.size)
        dataset = self.make_dataset(stored, windows, device)
        dataset.needs_target = argument != PREDICT_PATHS
        return dataset

    def _check(self, stage: Stage) -> None:
        """Read what a stage needs, and see that its windows can be made."""
        if self.stages.is_split(stage) and self.stages.by_series and self.seed is None:
            self._read(self.stages.argument(stage))  # which are its own, a checkpoint will tell
        else:
            self._windows(stage)

    def _windows(self, stage: Stage) -> Windows:
        stride = self.hparams["stride"]
        self._read(self.stages.argument(stage))
        return Windows(
            self.short.keep(
                stage, self.stages.parts(stage), lambda part: sliding(part, self.limits, stride)
            )
        )

    def _whole(self, index: int, item: Series) -> list[Part]:
        """Return the stretches of a whole series."""
        return self.stages.stretches(Part(index, item.name, 0, len(item)), item)

    def _read(self, argument: str) -> list[Series]:
        """Return the series of an argument, with time stamps as in training."""
        series = self.stages.read(argument)
        self.scaling.check_time(series)
        return series

    def _check_arguments(self) -> None:
        given = self.hparams
        for name, known in self.choices.items():
            if given[name] not in known:
                choices = [str(choice) for choice in known]
                hint = nearest(str(given[name]), choices)
                raise InputError(f"{name} must not be {given[name]!r}; {hint}")
        for name in ("num_workers", "noise_std"):
            if given[name] < 0:
                raise InputError(f"{name} must be at least 0, found {given[name]}")
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
            noise=training and self.hparams["noise_std"] > 0,
            epoch=self._epoch() if training else 0,
        )
        workers = self.hparams["num_workers"]
        return BatchLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            collate_fn=_as_it_is,  # torch's own looks into every batch for arrays to convert
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available() and dataset.device == HOST,
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


def _as_it_is(batch: Any) -> Any:
    return batch
