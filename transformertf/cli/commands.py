"""What each command does, once its options are read."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerStatus

from transformertf.callbacks import ForecastWriter, Interruption, LossCurve, RandomState
from transformertf.checkpoint import Checkpoint
from transformertf.cli import runs
from transformertf.cli.agreement import (
    MAY_DIFFER,
    AlreadyTrainedError,
    prepare_resume,
    require_agreement,
)
from transformertf.cli.classes import arguments_of, import_class
from transformertf.cli.config import Composer
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.screen import say
from transformertf.data import EncoderDecoderDataModule
from transformertf.data.files import expand_paths
from transformertf.errors import InputError
from transformertf.plots import can_plot
from transformertf.predictions import ForecastFile

Stage = Literal["validate", "test", "predict"]


def fit(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Train; a new run folder holds config, metrics, checkpoints and plots."""
    if options.transfer_ckpt is not None and options.ckpt_path is not None:
        raise InputError("--transfer-ckpt starts anew, --ckpt_path goes on: give one of them")
    name = _name(options)
    checkpoint = _find_checkpoint(options)
    composer = _composer(options, flags, None)
    folder: Path | None = None

    def prepare(cli: ForecastCLI) -> dict[str, Any]:
        nonlocal folder
        if checkpoint is not None:
            prepare_resume(checkpoint, cli)
        if options.transfer_ckpt is not None:
            transfer(Checkpoint.read(options.transfer_ckpt, "--transfer-ckpt"), cli)
        cli.model.configure_optimizers()  # an impossible setting is told before anything is read
        cli.datamodule.setup("fit")
        folder = runs.new_version(name or type(cli.model).__name__)
        _save_config(cli, folder, checkpoint)
        return {"logger": _loggers(folder), "callbacks": _callbacks(cli, folder)}

    try:
        cli = ForecastCLI(composer, prepare)
    except AlreadyTrainedError:
        assert checkpoint is not None
        say(
            f"nothing to do: {checkpoint.path} has trained {checkpoint.epochs} epochs already; "
            "raise --trainer.max_epochs (or max_steps) to go on"
        )
        return
    except InputError:
        if folder is not None:
            runs.discard(folder)
        raise
    assert folder is not None
    say(f"run: {folder}")
    if cli.model.compile_model:
        say("compiling the network: the first step takes a minute or more")
    path = None if checkpoint is None else checkpoint.path
    try:
        _run(cli, "fit", ckpt_path=path)
    except Exception:
        if not _names(folder):
            runs.discard(folder)
        raise
    if _names(folder):
        say(f"checkpoints: {folder / 'checkpoints'} ({_names(folder)})")
    else:
        runs.discard(folder)
        say("no epoch was trained, nothing is kept")


def validate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the validation data."""
    _evaluate("validate", options, flags)


def test(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the test data."""
    _evaluate("test", options, flags)


def predict(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Write the forecasts of a checkpoint to a parquet file."""
    file = ForecastFile(options.output)
    cli, checkpoint = _load("predict", options, flags, file)
    inputs = expand_paths(cli.datamodule.hparams["predict_df_paths"], "predict_df_paths")
    output = options.output.resolve()
    # in a folder of data it would be read with it, the next time
    if {output, *output.parents} & {path.resolve() for path in inputs}:
        raise InputError(f"--output {options.output}: would overwrite the data to predict from")
    if isinstance(cli.datamodule, EncoderDecoderDataModule):
        _say_futures(cli.datamodule)
    with file:
        _run(cli, "predict", ckpt_path=checkpoint.path, return_predictions=False)
    if file.rows == 0:
        raise InputError("nothing was predicted; see trainer.limit_predict_batches")
    say(f"forecasts: {options.output} ({file.rows} rows)")


def transfer(source: Checkpoint, cli: ForecastCLI) -> None:
    """Take over the weights that have the same name and shape, and say what was not.

    Raises:
        InputError: nothing in common.
    """
    own, stored = cli.model.state_dict(), source.content["state_dict"]
    matching = {
        name: value for name, value in stored.items()
        if name in own and own[name].shape == value.shape
    }  # fmt: skip
    if not matching:
        raise InputError(
            f"--transfer-ckpt {source.path}: no parameter has a name and shape of "
            f"{type(cli.model).__name__}; it holds {next(iter(stored), 'none')}, ..."
        )
    cli.model.load_state_dict(matching, strict=False)
    left = [name for name in own if name not in matching]
    say(f"transferred {len(matching)} of {len(own)} parameters from {source.path}")
    if left:
        say(f"not in the checkpoint with this shape: {', '.join(left)}")
    unused = [name for name in stored if name not in own]
    if unused:
        say(f"in the checkpoint only: {', '.join(unused)}")


def _evaluate(stage: Literal["validate", "test"], options: Any, flags: Sequence[str]) -> None:
    cli, checkpoint = _load(stage, options, flags)
    _run(cli, stage, ckpt_path=checkpoint.path)


def _load(
    stage: Stage,
    options: argparse.Namespace,
    flags: Sequence[str],
    file: ForecastFile | None = None,
) -> tuple[ForecastCLI, Checkpoint]:
    checkpoint = _find_checkpoint(options)
    if checkpoint is None:
        raise InputError(f"{stage} wants a checkpoint: give --ckpt_path FILE")
    composer = _composer(options, flags, checkpoint)

    def prepare(cli: ForecastCLI) -> dict[str, Any]:
        require_agreement(checkpoint, cli, untold=MAY_DIFFER)
        cli.datamodule.load_state_dict(checkpoint.data_state)
        cli.datamodule.setup(stage)
        callbacks: list[Callback] = [Interruption()]
        if file is not None:
            callbacks.append(ForecastWriter(file, cli.datamodule))
        return {"logger": False, "enable_checkpointing": False, "callbacks": callbacks}

    # loggers and callbacks of a training configuration belong to its fit
    cli = ForecastCLI(composer, prepare, without=("logger", "callbacks"), is_trained=True)
    return cli, checkpoint


def _composer(
    options: argparse.Namespace, flags: Sequence[str], checkpoint: Checkpoint | None
) -> Composer:
    composer = Composer()
    if checkpoint is not None:
        tree = {"model": checkpoint.model, "data": checkpoint.data}
        composer.add_tree(str(checkpoint.path), tree)
    for path in options.config:
        composer.add_file(path)
    composer.add_flags(flags)
    if options.command == "predict" and options.origin is not None:
        data = import_class(composer.compose()["data"]["class_path"], "data.class_path")
        if "origin" not in (arguments_of(data) or ()):
            raise InputError(
                f"--origin {options.origin}: {data.__name__} has no origins, each row is forecast "
                "once; leave --origin out"
            )
        composer.add_tree("--origin", {"data": {"origin": options.origin}})
    return composer


def _run(cli: ForecastCLI, stage: str, **arguments: Any) -> None:
    command = getattr(cli.trainer, stage)
    try:
        command(cli.model, datamodule=cli.datamodule, weights_only=True, **arguments)
    except MisconfigurationException as error:
        raise InputError(str(error)) from error
    except RuntimeError as error:
        # Lightning's callback finds out after an epoch that its metric is not logged
        if str(error).startswith("Early stopping conditioned on"):
            raise InputError(str(error)) from error
        raise
    except SystemExit as error:
        # Lightning leaves so after Ctrl-C, once loggers and workers are closed
        if cli.trainer.state.status == TrainerStatus.INTERRUPTED:
            raise KeyboardInterrupt from error
        raise


def _name(options: argparse.Namespace) -> str | None:
    if options.name is not None:
        return runs.check_name(options.name)
    if not options.config:
        return None
    first: Path = options.config[0]
    # the configuration that a run left behind belongs to that run's experiment
    left_behind = first.name == "config.yaml" and first.parent.name.startswith("version_")
    return first.parent.parent.name if left_behind else first.stem


def _find_checkpoint(options: argparse.Namespace) -> Checkpoint | None:
    if options.ckpt_path is None:
        return None
    if options.ckpt_path != "last":
        return Checkpoint.read(Path(options.ckpt_path))
    name = _name(options)
    if name is None:
        raise InputError("--ckpt_path last wants the experiment: give -n NAME or --config FILE")
    path = runs.last_checkpoint(name)
    if path is not None:
        say(f"checkpoint: {path}")
        return Checkpoint.read(path)
    if options.command == "fit":
        say(f"no checkpoint of {name!r} under {runs.ROOT / name} yet: starting anew")
        return None
    raise InputError(f"--ckpt_path last: no whole checkpoint under {runs.ROOT / name}; fit first")


def _say_futures(data: EncoderDecoderDataModule) -> None:
    """Tell of rows after the last target: beyond the horizon, or at the end of some series only."""
    horizon = data.tgt_seq_len
    ending = [item for item in data.predict_series if len(item) > item.observed]
    if data.origin.kind == "auto" and 0 < len(ending) < len(data.predict_series):
        # a last value that was only not measured looks the same
        say(
            f"{len(ending)} of {len(data.predict_series)} series end with rows without a target, "
            f"which alone are forecast there: {ending[0].name!r}"
            + (", ..." if len(ending) > 1 else "")
        )
    beyond = [item for item in data.predict_series if len(item) - item.observed > horizon]
    if beyond:
        first, more = beyond[0], len(beyond) - 1
        say(
            f"series {first.name!r}: {len(first) - first.observed} rows to forecast, the "
            f"model's horizon covers the first {horizon}"
            + (f" (likewise in {more} more series)" if more else "")
        )


def _save_config(cli: ForecastCLI, folder: Path, parent: Checkpoint | None) -> None:
    tree = yaml.safe_load(cli.parser.dump(cli.config, skip_none=False))
    tree.pop("config", None)
    for target in cli.links.values():
        argument = target.rpartition(".")[2]
        tree["model"]["init_args"][argument] = cli.model.hparams[argument]
    header = "" if parent is None else f"# resumed from {parent.path}\n"
    text = header + yaml.safe_dump(tree, sort_keys=False)
    (folder / "config.yaml").write_text(text, encoding="utf-8")


def _loggers(folder: Path) -> list[Logger]:
    root, name = folder.parent.parent, folder.parent.name
    version = runs.number(folder)
    loggers: list[Logger] = [CSVLogger(root, name, version)]
    if find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(root, name, version))
    return loggers


def _callbacks(cli: ForecastCLI, folder: Path) -> list[Callback]:
    limit = cli.config["trainer"]["limit_val_batches"]
    monitor = "validation/loss" if cli.datamodule.has_validation and limit != 0 else "train/loss"
    place = folder / "checkpoints"
    callbacks: list[Callback] = [
        Interruption(),
        RandomState(),
        ModelCheckpoint(place, filename="{epoch}-{step}", monitor=monitor),
        # of its own: beside a monitor, Lightning writes `last` only when the best one changes
        ModelCheckpoint(
            place, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
        ),
    ]
    if can_plot():
        callbacks.insert(0, LossCurve(folder / "plots" / "loss.png"))
    return callbacks


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.glob("checkpoints/*.ckpt")))
