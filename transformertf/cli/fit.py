"""The command that trains."""

import argparse
import signal
from collections.abc import Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from transformertf.callbacks import (
    BestCheckpoint,
    Interruption,
    LastCheckpoint,
    LossCurve,
    Resumption,
)
from transformertf.checkpoint import Checkpoint, naming, sweep
from transformertf.cli import runs
from transformertf.cli.agreement import (
    AlreadyTrainedError,
    monitored,
    prepare_resume,
    refuse_clock,
    refuse_no_validation,
    refuse_still,
    refuse_unlogged,
    require_same_rows,
)
from transformertf.cli.experiment import (
    experiment,
    find_checkpoint,
    fitted_data,
    make_composer,
    run,
)
from transformertf.cli.lightning_cli import ForecastCLI, users_mistakes
from transformertf.cli.screen import is_first_process, say
from transformertf.cli.signals import requeue
from transformertf.data import summary_of
from transformertf.errors import InputError
from transformertf.evaluation import variables_of
from transformertf.plots import can_plot


def fit(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Train; a new run folder holds config, metrics, checkpoints and plots."""
    name, cli, source, checkpoint = compose_fit(options, flags)
    # a resumed fit has the categories of what it goes on from, which the model is made for
    parent = None if options.refit_scaling else checkpoint or source
    interruption = Interruption(patient=True)
    try:
        with runs.new_version(name or cli.model_name) as folder:
            cli.build(None if parent is None else fitted_data(parent), folder)
            prepare_fit(cli, source, checkpoint)
    except AlreadyTrainedError as error:
        say(f"nothing to do: {error}")
        return
    try:
        if is_first_process():
            _save_config(cli, folder, checkpoint)
            _sweep(options, name, checkpoint)
        callbacks = _callbacks(cli, folder, interruption)
        cli.make_trainer(callbacks, logger=_loggers(folder), default_root_dir=folder)
        say(f"run: {folder}")
        for line in summary_of(cli.datamodule, cli.trainer).lines():
            say(line)
        if cli.model.compile_model:
            say("compiling the network: the first step takes a minute or more")
        with naming(folder):
            run(cli, "fit", checkpoint)
    except KeyboardInterrupt:
        if interruption.asked == signal.SIGUSR1 and is_first_process():
            requeue()
        raise
    finally:
        if is_first_process():
            _close(folder)


def compose_fit(
    options: argparse.Namespace, flags: Sequence[str]
) -> tuple[str | None, ForecastCLI, Checkpoint | None, Checkpoint | None]:
    """Return what a fit is of: the experiment's name, its configuration, and two checkpoints.

    Returns:
        The name, the configuration, the checkpoint whose weights are transferred, and the one
        that the fit goes on from.
    """
    if options.transfer_ckpt is not None and options.ckpt_path is not None:
        raise InputError("--transfer-ckpt starts anew, --ckpt_path goes on: give one of them")
    if options.refit_scaling and options.transfer_ckpt is None:
        raise InputError("--refit-scaling leaves the scaling of --transfer-ckpt; give that, too")
    name = experiment(options)
    checkpoint = find_checkpoint(options)
    if options.ckpt_path is not None and checkpoint is None:
        assert name is not None  # whose last one was looked for
        say(f"no checkpoint of {name!r} under {runs.ROOT / name} yet: starting anew")
    composer = make_composer(options, flags)
    if checkpoint is not None:
        composer.go_on(checkpoint)
    cli = ForecastCLI(composer, writes_run=True)
    source = None
    if options.transfer_ckpt is not None:
        source = Checkpoint.read(options.transfer_ckpt, "--transfer-ckpt")
    return name, cli, source, checkpoint


@users_mistakes()
def prepare_fit(cli: ForecastCLI, source: Checkpoint | None, checkpoint: Checkpoint | None) -> None:
    """Bring model and data to where training starts.

    Args:
        cli: built.
        source: whose weights are transferred.
        checkpoint: which the fit goes on from.

    Raises:
        AlreadyTrainedError: there is nothing left to train.
    """
    if checkpoint is not None:
        prepare_resume(checkpoint, cli)
    if source is not None:
        transfer(source, cli)
    # an impossible setting is told before anything is read
    optimizers = cli.model.configure_optimizers()
    refuse_clock(cli, optimizers)
    refuse_still(optimizers)
    cli.set_up("fit")
    if checkpoint is not None:
        require_same_rows(checkpoint, cli)
    if source is not None:
        inheritance = cli.datamodule.fitted.inheritance
        how = "fitted anew, as told" if inheritance is None else inheritance.report()
        say(f"scaling and categories of {source.path}: {how}")
        if inheritance is not None:
            _say_other_rows(source, cli)
    refuse_unlogged(cli, optimizers)
    refuse_no_validation(cli)


def _say_other_columns(source: Checkpoint, cli: ForecastCLI) -> None:
    """Tell where weights of as many inputs are of other ones, or of the same in another order."""
    before, now = (
        variables_of(data.columns, data.hparams.get("add_target_to_past", False))
        for data in (fitted_data(source), cli.datamodule)
    )
    others = {
        f"{new!r} for {old!r}": None
        for side, kinds in now.items()
        for theirs, ours in zip(before[side], kinds, strict=True)
        # of another number of inputs their weights have another shape
        for old, new in zip(theirs, ours, strict=False)
        if len(theirs) == len(ours) and old != new
    }
    if others:
        say(f"the weights of {source.path} are used for other columns: {', '.join(others)}")


def _say_other_rows(source: Checkpoint, cli: ForecastCLI) -> None:
    """Tell where rows are unlike those that transferred weights have seen."""
    before, stages = fitted_data(source).fitted, cli.datamodule.stages
    if before.columns == cli.datamodule.columns:
        rows = stages.series("train"), stages.sections("train")
        for line in before.unlike(f"beside {source.path}", *rows):
            say(line)


def transfer(source: Checkpoint, cli: ForecastCLI) -> None:
    """Take over the weights that have the same name and shape, and say what was not.

    Raises:
        InputError: nothing in common, or weights that are not finite.
    """
    source.refuse_non_finite()
    own, stored = cli.model.state_dict(), source.content["state_dict"]
    matching = {
        name: value for name, value in stored.items()
        # what is fitted as a fit begins has no size before
        if name in own and (own[name].shape == value.shape or not own[name].numel())
    }  # fmt: skip
    if not matching:
        raise InputError(
            f"--transfer-ckpt {source.path}: no parameter has a name and shape of "
            f"{type(cli.model).__name__}; it holds {next(iter(stored), 'none')}, ..."
        )
    cli.model.load_state_dict(matching, strict=False)
    left = [name for name in own if name not in matching]
    say(f"transferred {len(matching)} of {len(own)} parameters from {source.path}")
    _say_other_columns(source, cli)
    if left:
        say(f"not in the checkpoint with this shape: {', '.join(left)}")
    unused = [name for name in stored if name not in own]
    if unused:
        say(f"in the checkpoint only: {', '.join(unused)}")


@users_mistakes()
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


@users_mistakes()
def _callbacks(cli: ForecastCLI, folder: Path, interruption: Interruption) -> list[Callback]:
    place = folder / "checkpoints"
    every = _interval(cli.config["checkpoint_every"])
    callbacks: list[Callback] = [
        Resumption(),
        interruption,
        BestCheckpoint(place, filename="{epoch}-{step}", monitor=monitored(cli)),
        LastCheckpoint(place / "last.ckpt", every, interruption),
    ]
    if can_plot():
        callbacks.insert(1, LossCurve(folder / "plots" / "loss.png"))
    return callbacks


def _interval(every: int | str | None) -> int | timedelta | None:
    """Return steps or time as given.

    Raises:
        InputError: a text that is no time.
    """
    if not isinstance(every, str):
        return every
    try:
        interval = pd.Timedelta(every)
    except ValueError:
        interval = pd.Timedelta(0)
    if not interval > pd.Timedelta(0):
        raise InputError(
            f"checkpoint_every is {every!r}: expected steps, or a time such as 30s or 2h"
        )
    return interval.to_pytimedelta()


def _sweep(options: argparse.Namespace, name: str | None, checkpoint: Checkpoint | None) -> None:
    """Take away what killed fits left unfinished: of the experiment, or of the run that goes on."""
    found = [] if checkpoint is None else [checkpoint.path.absolute().parent.parent]
    if options.ckpt_path == "last" and name is not None:
        found = runs.versions(name)
    for folder in found:
        for own in ("checkpoints", "plots"):
            sweep(folder / own)


def _close(folder: Path) -> None:
    """Say what a run has kept, however it ended; one that kept nothing is taken away."""
    if _names(folder):
        say(f"checkpoints: {folder / 'checkpoints'} ({_names(folder)})")
    else:
        runs.discard(folder)
        say("no step was trained, nothing is kept")


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.glob("checkpoints/*.ckpt")))
