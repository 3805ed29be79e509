"""The LightningCLI: a resolved configuration to data module, model and trainer."""

import argparse
import contextlib
import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    LearningRateFinder,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger

from transformertf.callbacks import AveragedWeights, ValidationClock
from transformertf.class_paths import refuse_foreign, refuse_package
from transformertf.cli.classes import arguments_of, import_class
from transformertf.cli.config import NAMING, Composer
from transformertf.cli.limits import limit_told
from transformertf.cli.ranks import Launcher, supervise
from transformertf.cli.runs import refuse_metrics
from transformertf.cli.screen import say
from transformertf.data import WindowDataModule
from transformertf.errors import InputError, at_least_one
from transformertf.models import ForecastModule, precision_of
from transformertf.reach import check, place

# what a trainer runs, in Lightning's words
Phase = Literal["fit", "validate", "test", "predict"]
# what a model must know of the data, where it takes it and the data has it
LINKS = {
    "data.num_past_known_covariates": "model.init_args.num_past_features",
    "data.num_future_known_covariates": "model.init_args.num_future_features",
    "data.num_features": "model.init_args.num_features",
    "data.num_static_features": "model.init_args.num_static_features",
    "data.static_category_sizes": "model.init_args.static_category_sizes",
    "data.past_category_sizes": "model.init_args.past_category_sizes",
    "data.future_category_sizes": "model.init_args.future_category_sizes",
    "data.category_sizes": "model.init_args.category_sizes",
    "data.ctxt_seq_len": "model.init_args.ctxt_seq_len",
    "data.tgt_seq_len": "model.init_args.tgt_seq_len",
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
# with what Lightning refuses a setting, and what wants a package that is not there
REFUSALS = (ValueError, MisconfigurationException, ImportError)
# callbacks that do not do here what they are for, and what does
USELESS = {
    LearningRateFinder: "the learning rate is optimizer.init_args.lr: compare fits with several",
    BatchSizeFinder: "data.batch_size is fixed before it looks: give one, as large as fits",
}
# how jsonargparse frames the reason it then tells
UNTOLD = ("Does not validate", "Subtypes:", "Errors:", "Expected a", "Given value")


@contextlib.contextmanager
def users_mistakes() -> Iterator[None]:
    """What is refused while the configuration becomes objects is the user's to mend.

    Raises:
        InputError: something was refused.
    """
    try:
        yield
    except InputError:
        raise
    except (TypeError, *REFUSALS) as error:
        raise _cause(error) from error


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

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what torch must know, and link what the model must know of the data."""
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
            **options: arguments of the trainer that are the command's; a logger and a folder give
                way to those of the configuration.
        """
        chosen = self.config_init["trainer"]
        if chosen["logger"] not in (None, True):
            options.pop("logger", None)
        if chosen["default_root_dir"] is not None:
            options.pop("default_root_dir", None)
        if chosen["precision"] is None:
            options["precision"] = self.precision
        # the data module shares windows out itself, so that none is forecast twice
        options = {"use_distributed_sampler": False, **options}
        # what looks at the weights finds the averages there
        callbacks = [ValidationClock(), *self._averaging, *self.own_callbacks, *callbacks]
        try:
            self.trainer = self.instantiate_trainer(**options, callbacks=callbacks)
        except (TypeError, *REFUSALS) as error:
            raise InputError(_of_trainer(str(_cause(error)), chosen)) from error
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


def explain(message: str, config: dict[str, Any], where: Callable[[str], str]) -> str:
    """Return one line for a type error that jsonargparse tells in many.

    Args:
        message: its message.
        config: the configuration it read.
        where: names the source of a key.
    """
    keys = re.findall(r'[Kk]ey "([^"]+)"', message)
    if not keys:
        return " ".join(message.split())
    path, value = _follow(config, ".".join(keys).split("."))
    # the optimizer is the model's, and written at top level
    written = re.sub(r"^model\.init_args\.(lr_scheduler)_(interval|monitor)$", r"\1.\2", path)
    written = re.sub(r"^model\.init_args\.(optimizer|lr_scheduler)\b", r"\1", written)
    path = written if where(written) else path
    denied = re.search(r"Importing '([^']+)' is not allowed", message)
    if denied is not None:
        refuse_package(denied[1], path, where(path))
    lacking = re.search(r"the following arguments are required: (\w+)", message)
    if lacking is not None:
        return f"{path}{where(path)}: lacks {lacking[1]}, which has no default; give it"
    other = re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", message)
    other = other or re.search(r"Expected '(\S+)' to be a subclass of (\w+)", message)
    if other is not None:
        return f"{path}{where(path)}: expected a {other[2]}; found {other[1]}"
    tail = message[message.rindex(f'"{keys[-1]}"') :]
    expected = [
        _plain_type(line) for line in re.findall(r"(?:Expected|Not) (?:an? )?(.+)", tail)
        # where a function is taken, jsonargparse offers its file and its import path, too
        if "NoneType" not in line and not line.startswith(("path but", "dot import path"))
    ]  # fmt: skip
    wanted = " or ".join(dict.fromkeys(expected)) or " ".join(tail.split())
    # what YAML reads as something else may have been meant as text
    quoted = ", and quotes make text of it" if "str" in expected and value is not None else ""
    return f"{path}{where(path)}: expected {wanted}; found {value!r}{quoted}"


def _follow(node: Any, keys: Sequence[str]) -> tuple[str, Any]:
    """Return path and value of what keys lead to, by arguments of classes and items of lists."""
    path = ""
    for key in keys:
        if isinstance(node, list):
            items = [
                (place, item) for place, item in enumerate(node)
                if isinstance(item, dict) and key in (item.get("init_args") or item)
            ]  # fmt: skip
            if not items:
                continue
            path, node = f"{path}.{items[0][0]}", items[0][1]
        if isinstance(node, dict) and key not in node and key in (node.get("init_args") or {}):
            path, node = f"{path}.init_args", node["init_args"]
        path, node = f"{path}.{key}", node.get(key) if isinstance(node, dict) else ""
    path = path.lstrip(".")
    return path, node


def _of_trainer(message: str, chosen: Mapping[str, Any]) -> str:
    """Return a refusal of the trainer with the key that it is about, as far as that is told."""
    if "trainer." in message:
        return message
    given = {key: value for key, value in chosen.items() if value is not None}
    places = [(found.start(), key) for key in given if (found := re.search(rf"\b{key}\b", message))]
    names = [key for _, key in sorted(places)]
    names += [key for key, value in given.items() if isinstance(value, str) and value in message]
    if not names:
        return message
    return f"trainer.{names[0]}: {message.rstrip('.')}; correct it, or leave it out"


def _plain_type(text: str) -> str:
    text = re.sub(r"of type PositiveInt: .*", "whole number above 0", text)
    text = text.partition(". Got value")[0]
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)


def _cause(error: BaseException) -> InputError:
    """Return the user's mistake at the bottom of an error, or make one of its message."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, InputError):
            return link
        link = link.__cause__ or link.__context__
    limit = limit_told(error)
    if limit is not None:
        return InputError(limit)
    lines = [line.strip(" -") for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(UNTOLD)] or lines
    # what ends so only announces the reason
    return InputError(" ".join(told[:2]) if told[0].endswith(":") else told[0])


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
