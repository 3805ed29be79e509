"""The command that trains."""

import argparse
import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from transformertf.callbacks import (
    BestCheckpoint,
    Hyperparameters,
    Interruption,
    LastCheckpoint,
    LossCurve,
    Resumption,
    RunRecord,
    State,
    StepLoss,
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
from transformertf.cli.closing import closing_lines, next_command
from transformertf.cli.experiment import (
    experiment,
    find_checkpoint,
    find_source,
    fitted_data,
    make_composer,
    run,
)
from transformertf.cli.keywords import keep_frames
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.parts import model_lines, size_remark
from transformertf.cli.proposing import Call
from transformertf.cli.refusals import users_mistakes
from transformertf.cli.screen import is_first_process, say
from transformertf.cli.signals import requeue
from transformertf.data import length_of, summary_of
from transformertf.errors import InputError
from transformertf.evaluation import variables_of
from transformertf.places import lock
from transformertf.plots import can_plot
from transformertf.wording import counted


def fit(options: argparse.Namespace, flags: Sequence[str], call: Call | None = None) -> Path | None:
    """Train; a new run folder holds config, metrics, checkpoints and plots.

    Args:
        options: of the command.
        flags: arguments of the configuration.
        call: what Python gives over them.

    Returns:
        The run folder; None where the checkpoint has trained for long enough.
    """
    name, cli, source, checkpoint, frames = compose_fit(options, flags, call)
    # a resumed fit has the categories of what it goes on from, which the model is made for
    parent = None if options.refit_scaling else checkpoint or source
    interruption = Interruption(patient=True)
    try:
        with runs.new_version(name or cli.model_name) as folder:
            keep_frames(cli, folder, frames)
            cli.build(None if parent is None else fitted_data(parent), folder)
            prepare_fit(cli, source, checkpoint)
    except AlreadyTrainedError as error:
        say(f"nothing to do: {error}")
        return None
    try:
        if is_first_process():
            _save_config(cli, folder, checkpoint)
            _sweep(options, name, checkpoint)
        callbacks = _callbacks(cli, folder, interruption, checkpoint)
        cli.make_trainer(callbacks, logger=_loggers(folder), default_root_dir=folder)
        say(f"run: {folder}")
        for line in summary_of(cli.datamodule, cli.trainer).lines():
            say(line)
        _say_model(cli)
        if cli.model.compile_model:
            say("compiling the network: the first step takes a minute or more")
        begun = time.monotonic()
        with naming(folder), _recorded(cli, folder):
            run(cli, "fit", checkpoint)
        if is_first_process():
            for line in closing_lines(cli, time.monotonic() - begun):
                say(line)
    except KeyboardInterrupt as error:
        if interruption.asked == signal.SIGUSR1 and is_first_process():
            requeue()
        hints = ["go on with --ckpt_path last"] if _names(folder) else []
        raise KeyboardInterrupt(*hints) from error
    finally:
        if is_first_process():
            _close(folder, _steps(cli, checkpoint))
    if _names(folder):
        say(f"next: {next_command(cli, folder)}")
    return folder


class Composed(NamedTuple):
    """What a fit is of.

    Attributes:
        name: of the experiment; None for that of the model.
        cli: the configuration.
        source: the checkpoint whose weights are transferred.
        checkpoint: the one that the fit goes on from.
        frames: what Python gave for files, by the argument.
    """

    name: str | None
    cli: ForecastCLI
    source: Checkpoint | None
    checkpoint: Checkpoint | None
    frames: dict[str, pd.DataFrame]


def compose_fit(
    options: argparse.Namespace, flags: Sequence[str], call: Call | None = None
) -> Composed:
    """Compose what a fit is of; see `fit` for the arguments."""
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
    frames = {} if call is None else call.add_to(composer)
    if checkpoint is not None:
        composer.go_on(checkpoint)
        if checkpoint.calibration is not None:
            say(
                f"the calibration of {checkpoint.path} is dropped: calibrate what comes of this fit"
            )
    cli = ForecastCLI(composer, shares=call is None, writes_run=True)
    return Composed(name, cli, find_source(options), checkpoint, frames)


def _say_model(cli: ForecastCLI) -> None:
    """Tell of the model's parts, and of a size that takes long."""
    if cli.config["trainer"]["enable_model_summary"] is not False:
        for line in model_lines(cli.model):
            say(line)
    remark = size_remark(cli.model, cli.trainer.strategy.root_device)
    if remark is not None:
        say(remark)


def _steps(cli: ForecastCLI, checkpoint: Checkpoint | None) -> int:
    """Return the optimizer steps that a fit has made, after those that it went on from."""
    trainer = getattr(cli, "trainer", None)  # what is refused before has none
    before = 0 if checkpoint is None else checkpoint.steps
    return 0 if trainer is None else max(0, trainer.global_step - before)


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
    header = "" if parent is None else f"# resumed from {parent.path}\n"
    text = header + yaml.safe_dump(cli.resolved(), sort_keys=False)
    (folder / runs.CONFIG).write_text(text, encoding="utf-8")


def _loggers(folder: Path) -> list[Logger]:
    root, name = folder.parent.parent, folder.parent.name
    version = runs.number(folder)
    loggers: list[Logger] = [CSVLogger(root, name, version)]
    if find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(root, name, version))
    return loggers


@users_mistakes()
def _callbacks(
    cli: ForecastCLI, folder: Path, interruption: Interruption, parent: Checkpoint | None
) -> list[Callback]:
    place = folder / runs.CHECKPOINTS
    every = _interval(cli.config["checkpoint_every"])
    best = BestCheckpoint(place, filename="{epoch}-{step}", monitor=monitored(cli))
    metrics = [monitored(cli), *map(str, cli.model.validation_metrics)]
    callbacks: list[Callback] = [
        Resumption(),
        interruption,
        StepLoss(),
        Hyperparameters(runs.flat(cli.resolved()), best, metrics),
        best,
        LastCheckpoint(place / runs.KEPT["last"], every, interruption),
        RunRecord(folder / runs.RECORD, best, None if parent is None else parent.path),
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
    interval = length_of(every)
    if interval is None:
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
        for own in (folder, folder / runs.CHECKPOINTS, folder / "plots"):
            sweep(own)


@contextlib.contextmanager
def _recorded(cli: ForecastCLI, folder: Path) -> Iterator[None]:
    """Keep record of how a run ends; as long as it goes on, its folder is locked."""
    (record,) = (one for one in cli.trainer.checkpoint_callbacks if isinstance(one, RunRecord))
    state: State = "failed"
    with contextlib.ExitStack() as stack:
        if is_first_process():
            stack.enter_context(lock(folder / runs.RUNNING, wait=False))
        try:
            yield
            state = "done"
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        finally:
            with contextlib.suppress(OSError):  # on a full disk it is the reason that counts
                record.end(cli.trainer, state)


def _close(folder: Path, steps: int) -> None:
    """Say what a run has kept, however it ended; one that kept nothing is taken away.

    Args:
        folder: of the run.
        steps: that it has made.
    """
    if _names(folder):
        say(f"checkpoints: {folder / runs.CHECKPOINTS} ({_names(folder)})")
    else:
        runs.discard(folder)
        say(f"{counted(steps, 'step') if steps else 'no step'} trained, nothing is kept")


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.glob(f"{runs.CHECKPOINTS}/*.ckpt")))
