"""The LightningCLI: a resolved configuration to data module, model and trainer."""

import argparse
import enum
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    LearningRateFinder,
    ProgressBar,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger

from transformertf.callbacks import AveragedWeights, ValidationClock
from transformertf.class_paths import refuse_foreign
from transformertf.cli.bar import progress_of
from transformertf.cli.classes import arguments_of, import_class
from transformertf.cli.config import NAMING, Composer
from transformertf.cli.options import EPOCHS
from transformertf.cli.ranks import Launcher, supervise
from transformertf.cli.refusals import REFUSALS, cause, explain, of_trainer, users_mistakes
from transformertf.cli.runs import refuse_metrics
from transformertf.cli.screen import say
from transformertf.data import WindowDataModule
from transformertf.errors import InputError, at_least_one
from transformertf.models import TOLD_BY_DATA, ForecastModule, precision_of
from transformertf.reach import check, place

# what a trainer runs, in Lightning's words
Phase = Literal["fit", "validate", "test", "predict"]
# what a model must know of the data, where it takes it and the data has it
LINKS = {
    f"data.{teller}": f"model.init_args.{argument}" for argument, teller in TOLD_BY_DATA.items()
}
# of these, what the data can only tell once it is read; a checkpoint's model knows it
FITTED = tuple(source for source in LINKS if source.endswith("_sizes"))
LARGEST_SEED = 2**32 - 1  # of numpy's generators
# callbacks that write files or want a logger
WATCHING = (
    "DeviceStatsMonitor", "ForecastPlots", "LearningRateMonitor", "LossCurve", "ModelCheckpoint",
    "OnExceptionCheckpoint", "SpikeDetection",
)  # fmt: skip
# keys of the trainer that write files
WRITING = ("default_root_dir", "profiler")
# callbacks that do not do here what they are for, and what does
USELESS = {
    LearningRateFinder: "the learning rate is optimizer.init_args.lr: compare fits with several",
    BatchSizeFinder: "data.batch_size is fixed before it looks: give one, as large as fits",
}


class ForecastCLI(LightningCLI):
    """Turns what a configuration says into objects, one step after the other.

    The constructor composes the configuration and checks its types: it makes no object, and reads
    no data. `build` makes data module and model, `set_up` reads the data, `make_trainer` makes the
    trainer. What happens in between, and what is run in the end, each command says.

    Args:
        composer: composed to the resolved configuration; names the sources of values.
        without: keys of the trainer that this command has no use for.
        is_trained: the model's arguments are those of a checkpoint.
        is_refit: a run is done again on other rows: without what its model knew of the data, and
            without callbacks that write files or want a logger.
        shares: this command can share its work among processes.
        writes_run: it has a run folder; without one, what a file says of writing is left out.

    Attributes:
        given: the resolved configuration.
        is_trained: as given.
        links: what of the data becomes which argument of the model.
        datamodule: made by `build`.
        model: made by `build`.
        trainer: made by `make_trainer`.
    """

    model: ForecastModule
    datamodule: WindowDataModule

    def __init__(
        self,
        composer: Composer,
        without: Sequence[str] = (),
        is_trained: bool = False,
        is_refit: bool = False,
        shares: bool = True,
        writes_run: bool = False,
    ) -> None:
        self._shares, self.is_trained = shares, is_trained
        self._composer = composer
        self.given = composer.compose()
        for key in (*without, *(() if writes_run else WRITING)):
            if key in without or not composer.is_typed(f"trainer.{key}"):
                self.given.get("trainer", {}).pop(key, None)
        if writes_run or is_refit:
            self._limit_epochs()
        model = import_class(self.given["model"]["class_path"], "model.class_path")
        data = import_class(self.given["data"]["class_path"], "data.class_path")
        taken = arguments_of(model) or []
        self.links = {
            source: target
            for source, target in LINKS.items()
            if target.split(".")[-1] in taken
            and hasattr(data, source.split(".")[-1])
            and not (is_trained and source in FITTED)
        }
        # what the data module said, by the argument of the model
        self._said: dict[str, Any] = {}
        if is_refit:
            self._forget()
        super().__init__(
            ForecastModule,
            WindowDataModule,
            save_config_callback=None,
            trainer_defaults={"devices": 1},
            seed_everything_default=42,
            parser_kwargs={"exit_on_error": False},
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=self.given,
            run=False,
            auto_configure_optimizers=False,
        )

    def _limit_epochs(self) -> None:
        """Give a fit that nothing bounds a number of epochs: Lightning's own is not told."""
        trainer = self.given.setdefault("trainer", {})
        bounds = trainer.get("max_epochs"), trainer.get("max_time")
        is_tried = bool(trainer.get("fast_dev_run"))  # of so many steps
        if bounds == (None, None) and trainer.get("max_steps", -1) == -1 and not is_tried:
            trainer["max_epochs"] = EPOCHS
            say(f"trainer.max_epochs is not given: {EPOCHS} epochs")

    @property
    def composer(self) -> Composer:
        """What names the sources of values."""
        return self._composer

    @property
    def model_name(self) -> str:
        """The name of the model's class."""
        path: str = self.given["model"]["class_path"]
        return path.rpartition(".")[2]

    @property
    def own_callbacks(self) -> list[Callback]:
        """The callbacks of the configuration, one or several."""
        own = self.config_init["trainer"]["callbacks"] or []
        return own if isinstance(own, list) else [own]

    @staticmethod
    def declare(parser: ArgumentParser) -> None:
        """Add the keys beside trainer, model and data that are this package's own."""
        parser.add_argument(
            "--num_threads",
            type=PositiveInt | None,
            default=None,
            help="CPU threads of torch; small recurrent models are fastest with 1",
        )
        parser.add_argument(
            "--checkpoint_every",
            type=PositiveInt | str | None,
            default="10min",
            help="optimizer steps, or time such as 30s or 2h, from one checkpoint within an epoch "
            "to the next; null for none, beside those at the end of each epoch",
        )
        parser.add_argument(
            "--ema",
            type=float | None,
            default=None,
            help="validate and keep the moving average of the weights, of which a step leaves this "
            "share, such as 0.99; null for the weights as they are",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what torch must know, and link what the model must know of the data."""
        self.declare(parser)
        for target in self.links.values():
            # a link to the attribute itself would read files whenever jsonargparse looks at it
            said = partial(self._said_of, target)
            parser.link_arguments("data", target, compute_fn=said, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Check types and fill in defaults."""
        try:
            self.config = _with_values(parser.parse_object(args))
        except argparse.ArgumentError as error:
            raise InputError(explain(str(error), self.given, self._composer.where)) from error
        # with what stands in files that a text named; defaults lead nowhere
        given = parser.parse_object(args, defaults=False)
        refuse_foreign(given, "")
        check(given, self._composer.is_typed, self._composer.where, NAMING)
        seed = self.config["seed_everything"]
        if type(seed) is int and not 0 <= seed <= LARGEST_SEED:
            raise InputError(f"seed_everything must be from 0 to {LARGEST_SEED}, found {seed}")

    def resolved(self) -> dict[str, Any]:
        """Return the configuration with all defaults, as a file may hold it.

        Once the model is made, with what it was told of the data.
        """
        tree: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        tree.pop("config", None)
        for target, value in self._said.items():
            tree["model"]["init_args"][target.rpartition(".")[2]] = value
        return tree

    def instantiate_classes(self) -> None:
        """Make nothing: LightningCLI asks for it in its constructor, a command by `build`."""

    @users_mistakes()
    def build(
        self,
        parent: WindowDataModule | None = None,
        folder: Path | None = None,
        check: Callable[["ForecastCLI"], None] = lambda _: None,
    ) -> None:
        """Make the data module, ask it what the model must know, then make the model.

        Args:
            parent: whose scaling and categories a fit takes along.
            folder: what a configuration names as places to write lies in it.
            check: refuses data, before a model of other sizes is.
        """
        if self.config["num_threads"] is not None:  # before anything computes
            torch.set_num_threads(self.config["num_threads"])
        self._make_data()
        check(self)
        if parent is not None:
            self.datamodule.fitted.inherit(parent.fitted)
        self._ask_data()
        self._make_model(folder)
        self._check_links()
        chosen = self.config_init["trainer"]
        _check_batches(chosen)
        _refuse_useless(self.own_callbacks, chosen["profiler"])
        self._averaging = self._make_averaging()
        if not self._shares:
            _refuse_processes(chosen["devices"], chosen["num_nodes"])

    def _make_data(self) -> None:
        alone = Namespace(data=self.config["data"])  # type: ignore[no-untyped-call]
        self.datamodule = self.parser.instantiate(alone)["data"]

    def _ask_data(self) -> None:
        """Ask for what the model must know; where that is of categories, files are read for it."""
        for source, target in self.links.items():
            self._said[target] = getattr(self.datamodule, source.rpartition(".")[2])

    def _said_of(self, target: str, data: object) -> Any:
        """Return what the data module said of an argument of the model.

        jsonargparse asks while the data is made, too: then nothing is said yet, and no model there.
        """
        return self._said.get(target)

    def _make_model(self, folder: Path | None) -> None:
        """Make the model, and the callbacks and loggers of the configuration."""
        config = self.config.clone()
        place(config, folder, self._composer.is_typed)
        config["data"] = self.datamodule
        self.config_init = self.parser.instantiate(config)
        self.model = self.config_init["model"]

    @users_mistakes()
    def set_up(self, phase: Phase) -> None:
        """Let the data module read and check the files of a phase of the trainer."""
        self.datamodule.setup(phase)

    @users_mistakes()
    def make_trainer(self, callbacks: Sequence[Callback], **options: Any) -> None:
        """Make the trainer.

        Args:
            callbacks: of the command, after those of the configuration.
            **options: arguments of the trainer that are the command's. A folder gives way to that
                of the configuration, and so do loggers, but for the first one.
        """
        chosen = self.config_init["trainer"]
        options["logger"] = _loggers(chosen["logger"], options["logger"])
        if chosen["default_root_dir"] is not None:
            options.pop("default_root_dir", None)
        if chosen["precision"] is None:
            options["precision"] = self.precision
        # the data module shares windows out itself, so that none is forecast twice
        options = {
            "use_distributed_sampler": False,
            "enable_model_summary": False,  # a fit says what there is to know
            **options,
        }
        progress = progress_of(self.own_callbacks, chosen["enable_progress_bar"] is not False)
        if progress:
            options["enable_progress_bar"] = any(isinstance(one, ProgressBar) for one in progress)
        # what looks at the weights finds the averages there
        callbacks = [
            ValidationClock(), *self._averaging, *self.own_callbacks, *callbacks, *progress
        ]  # fmt: skip
        try:
            self.trainer = self.instantiate_trainer(**options, callbacks=callbacks)
        except (TypeError, *REFUSALS) as error:
            raise InputError(of_trainer(str(cause(error)), chosen)) from error
        for logger in self.trainer.loggers:
            if isinstance(logger, CSVLogger):
                refuse_metrics(Path(logger.log_dir, "metrics.csv"))
        if chosen["precision"] == "16-mixed" and self.trainer.precision != "16-mixed":
            say(f"trainer.precision: no 16-mixed on this device, {self.trainer.precision} instead")
        if self.datamodule.hparams["dtype"] == "float64" and self.trainer.precision != "64-true":
            say(
                f"data.dtype float64 is computed with in trainer.precision {self.trainer.precision}"
            )
        supervise(self.trainer, divides_cores=self.config["num_threads"] is None)
        launcher = self.trainer.strategy.launcher
        if isinstance(launcher, Launcher) and launcher.starts_others:
            self._composer.refuse_pipes()

    @property
    def precision(self) -> str | None:
        """The precision where none is chosen: of the weights, and to train, of the data."""
        trains = not self.is_trained and self.datamodule.hparams["dtype"] == "float64"
        return "64-true" if trains else precision_of(self.model)

    def _make_averaging(self) -> list[Callback]:
        decay = self.config["ema"]
        if decay is None:
            return []
        for callback in self.own_callbacks:
            if isinstance(callback, WeightAveraging | StochasticWeightAveraging):
                name = type(callback).__name__
                raise InputError(f"trainer.callbacks: {name} and ema both average; leave one out")
        return [AveragedWeights(decay)]

    def _forget(self) -> None:
        """Leave out what only the rows of another run are described or watched by."""
        for target in self.links.values():
            self.given["model"]["init_args"].pop(target.rpartition(".")[2], None)
        trainer = self.given.get("trainer", {})
        callbacks = trainer.get("callbacks") or []
        trainer["callbacks"] = [
            item for item in (callbacks if isinstance(callbacks, list) else [callbacks])
            if item["class_path"].rpartition(".")[2] not in WATCHING
        ]  # fmt: skip

    def _check_links(self) -> None:
        """Refuse sizes that contradict the data."""
        for target, wanted in self._said.items():
            found = self.given["model"]["init_args"].get(target.rpartition(".")[2])
            if found not in (None, wanted):
                raise InputError(
                    f"{target} is {found}{self._composer.where(target)}, but the data "
                    f"gives {wanted}; leave it out"
                )


def _with_values(node: Any) -> Any:
    """Return a configuration with the values of enumerations, which are all that YAML can say."""
    if isinstance(node, enum.Enum):
        return node.value
    if isinstance(node, list):
        return [_with_values(item) for item in node]
    if isinstance(node, argparse.Namespace):
        for name, value in vars(node).items():
            setattr(node, name, _with_values(value))
    return node


def _loggers(own: Any, given: Any) -> Any:
    """Return loggers of the configuration behind the first of the command's, or all of these.

    Args:
        own: of the configuration: one, several, None or True for those of the command, False for
            none.
        given: of the command, False for none.
    """
    if own in (None, True) or given is False:
        return given
    if own is False:
        return False
    others = own if isinstance(own, list) else [own]
    ours, *_ = given
    same = any(getattr(one, "log_dir", None) == ours.log_dir for one in others)
    return others if same else [ours, *others]


def _check_batches(trainer: Mapping[str, Any]) -> None:
    """Refuse what batches cannot be counted by: Lightning finds out while it trains."""
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):  # Lightning divides
        if trainer[name] is not None:
            at_least_one(**{f"trainer.{name}": trainer[name]})
    interval = trainer["val_check_interval"]
    if isinstance(interval, int | float) and interval <= 0:
        raise InputError(f"trainer.val_check_interval must be above 0, found {interval}")
    clip = trainer["gradient_clip_val"]
    if clip is not None and clip < 0:  # would turn the gradient round
        raise InputError(f"trainer.gradient_clip_val must be at least 0, found {clip}")
    if trainer["overfit_batches"]:
        raise InputError(
            "trainer.overfit_batches takes the order of the data away from the data module; set "
            "trainer.limit_train_batches, and data.shuffle to false"
        )


def _refuse_useless(callbacks: Sequence[Callback], profiler: object) -> None:
    if profiler == "xla":  # Lightning's own fails once more when it is thrown away
        raise InputError("trainer.profiler xla is for TPUs; take simple, advanced or pytorch")
    for callback in callbacks:
        for kind, instead in USELESS.items():
            if isinstance(callback, kind):
                raise InputError(f"trainer.callbacks: {kind.__name__} is of no use, {instead}")


def _refuse_processes(devices: object, nodes: int) -> None:
    # "auto" and -1 mean what is there: only the running trainer knows, and the data module asks it
    if devices not in ("auto", "-1", -1, "1", 1, [0]) or nodes != 1:
        raise InputError(
            f"trainer.devices is {devices} and trainer.num_nodes {nodes}: this command "
            "runs in one process; set both to 1"
        )
