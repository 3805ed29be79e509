"""From the options of a command to what it runs: checkpoint, configuration, model and data."""

import argparse
import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.connectors import checkpoint_connector
from lightning.pytorch.trainer.states import TrainerStatus

from transformertf.callbacks import Interruption
from transformertf.checkpoint import Checkpoint, WholeCheckpoints, blamed
from transformertf.cli import runs
from transformertf.cli.agreement import MAY_DIFFER, refuse_other_data, require_agreement
from transformertf.cli.checkpoints import named, newest
from transformertf.cli.classes import import_class
from transformertf.cli.config import Composer
from transformertf.cli.lightning_cli import ForecastCLI, Phase
from transformertf.cli.limits import limit_told
from transformertf.cli.refusals import REFUSALS, users_mistakes
from transformertf.cli.screen import say
from transformertf.data import Stage, WindowDataModule
from transformertf.data.reading import expand_paths
from transformertf.data.windows import OWN_PATHS, SHARES
from transformertf.errors import InputError, NonFiniteLossError
from transformertf.evaluation import usual_season
from transformertf.forecasts import ForecastFile

# what runs on the data of a stage
PHASES: dict[Stage, Phase] = {"validation": "validate", "test": "test"}


def experiment(options: argparse.Namespace) -> str | None:
    """Return the name of the experiment, as given or from the configuration's file.

    Raises:
        InputError: it cannot be the name of a folder among those of runs.
    """
    if options.name is not None:
        return runs.check_name(options.name, f"-n {options.name!r:.40}")
    path = options.config[0].path if options.config else None
    # a pipe has no name
    if path is None or not path.is_file():
        return None
    first = Path(os.path.abspath(path))
    # the configuration that a run left behind belongs to that run's experiment
    left_behind = first.name == runs.CONFIG and first.parent.name.startswith("version_")
    name = first.parent.parent.name if left_behind else first.stem
    return runs.check_name(
        name, f"--config {options.config[0].path}: give -n NAME, for {name!r:.40}"
    )


def find_checkpoint(options: argparse.Namespace) -> Checkpoint | None:
    """Return the checkpoint that was asked for; None where none was, or NAME has none yet.

    Of a run or an experiment a fit goes on from the last one, other commands take the best.

    Raises:
        InputError: there is no such file, it is not a whole one, or its training diverged.
    """
    if options.ckpt_path is None:
        return None
    checkpoint = _find(options, options.ckpt_path, "last" if options.command == "fit" else "best")
    if checkpoint is not None:
        checkpoint.refuse_non_finite()
    return checkpoint


def require_checkpoint(options: argparse.Namespace) -> Checkpoint:
    """Return the checkpoint that was asked for.

    Raises:
        InputError: as `find_checkpoint`, or there is none.
    """
    if options.ckpt_path is None:
        raise InputError(f"{options.command} wants a checkpoint: give --ckpt_path FILE")
    checkpoint = require_named(options, options.ckpt_path)
    checkpoint.refuse_non_finite()
    return checkpoint


def find_source(options: argparse.Namespace) -> Checkpoint | None:
    """Return the checkpoint whose weights a fit starts from; None where none was asked for.

    Raises:
        InputError: there is no such file, or it is not a whole one.
    """
    if options.transfer_ckpt is None:
        return None
    return require_named(options, options.transfer_ckpt, "--transfer-ckpt")


def require_named(options: argparse.Namespace, word: str, flag: str = "--ckpt_path") -> Checkpoint:
    """Return the checkpoint that a word names, of a run or an experiment the best one.

    Raises:
        InputError: there is no such file, or it is not a whole one.
    """
    checkpoint = _find(options, word, "best", flag)
    if checkpoint is None:
        folder = runs.ROOT / _whose(options, word, flag)
        raise InputError(f"{flag} {word}: no whole checkpoint under {folder}; fit first")
    return checkpoint


def _find(
    options: argparse.Namespace, word: str, kept: str, flag: str = "--ckpt_path"
) -> Checkpoint | None:
    """Return the checkpoint that a word names; None where it is the last or best of none."""
    if word in runs.KEPT:
        checkpoint = newest(runs.versions(_whose(options, word, flag)), word, flag)
    else:
        checkpoint = named(word, kept, flag)
    if checkpoint is not None and str(checkpoint.path) != word:
        say(f"checkpoint: {checkpoint.path}")
    return checkpoint


def _whose(options: argparse.Namespace, word: str, flag: str) -> str:
    """Return the experiment whose last or best checkpoint is asked for."""
    name = experiment(options)
    if name is None:
        raise InputError(f"{flag} {word} wants the experiment: give -n NAME or --config FILE")
    return name


def make_composer(
    options: argparse.Namespace, flags: Sequence[str], checkpoint: Checkpoint | None = None
) -> Composer:
    """Return the configuration of a command: checkpoint, files, flags, each over the one before."""
    composer = Composer()
    if checkpoint is not None:
        tree = {"model": checkpoint.model, "data": checkpoint.data}
        for stage, names in SHARES.items():
            # files that are given now take the place of a part of those trained on
            if any(flag.split("=")[0].endswith(f".{OWN_PATHS[stage]}") for flag in flags):
                for name in names:
                    tree["data"]["init_args"].pop(name, None)
        composer.add_checkpoint(checkpoint.path, tree)
    for file in options.config:
        composer.add_file(file)
    composer.add_flags(flags)
    return composer


def load(
    checkpoint: Checkpoint, composer: Composer, phase: Phase, shares: bool = True
) -> ForecastCLI:
    """Return a checkpoint's model and data, set up to be run.

    Args:
        checkpoint: what was trained.
        composer: has the configuration of this command on top of the checkpoint's.
        phase: the data is set up for it.
        shares: the command can share its work among processes.

    Raises:
        InputError: the checkpoint contradicts the configuration, or the data is of no use.
    """
    # loggers and callbacks of a training configuration belong to its fit
    cli = ForecastCLI(composer, ("logger", "callbacks"), is_trained=True, shares=shares)
    cli.build(check=lambda made: refuse_other_data(checkpoint, made))
    _take_over(checkpoint, cli)
    cli.set_up(phase)
    return cli


def fitted_data(checkpoint: Checkpoint) -> WindowDataModule:
    """Return the data module of a checkpoint, as it was fitted in training; no file is read."""
    kind: type[WindowDataModule] = import_class(checkpoint.data["class_path"], "data.class_path")
    return checkpoint.make_data(kind)


@users_mistakes()
def _take_over(checkpoint: Checkpoint, cli: ForecastCLI) -> None:
    """Give the data module what was fitted in training, where it means the same now.

    A model whose weights were in double precision is so, unless another one is asked for.
    """
    require_agreement(checkpoint, cli, untold=MAY_DIFFER)
    with blamed(checkpoint.place):
        cli.datamodule.load_state_dict(checkpoint.data_state)
    if cli.config["trainer"]["precision"] is None:
        checkpoint.fill(cli.model)


def make_trainer(cli: ForecastCLI, *callbacks: Callback) -> None:
    """Make the trainer of a command that leaves no run folder behind."""
    cli.make_trainer([Interruption(), *callbacks], logger=False, enable_checkpointing=False)


def run(
    cli: ForecastCLI, phase: Phase, checkpoint: Checkpoint | None = None, **arguments: Any
) -> None:
    """Run a phase of the trainer.

    Args:
        cli: with a trainer.
        phase: what to run.
        checkpoint: what model, data and training take over; what lies there now is not read.
        **arguments: of the phase.

    Raises:
        InputError: Lightning refuses what the user asked for.
        KeyboardInterrupt: it was interrupted, and has ended in order.
    """
    command = getattr(cli.trainer, phase)
    if checkpoint is not None:
        _hand_out(cli, checkpoint)
        arguments["ckpt_path"] = checkpoint.path
    try:
        command(cli.model, datamodule=cli.datamodule, weights_only=True, **arguments)
    except (InputError, NonFiniteLossError):
        raise
    except Exception as error:
        if limit_told(error) is not None:
            raise
        culprit = _culprit(error, cli)
        if culprit is not None:
            reason = " ".join(str(error).split()) or repr(error)
            raise InputError(
                f"{culprit} of the configuration fails ({reason}); correct it, or leave it out"
            ) from error
        if isinstance(error, REFUSALS) and _raised_by_lightning(error):
            raise InputError(" ".join(str(error).split())) from error
        if _is_restoring(error):
            with blamed(f"--ckpt_path {arguments.get('ckpt_path')}"):
                raise
        raise
    except SystemExit as error:
        # Lightning leaves so after Ctrl-C, once loggers and workers are closed
        if cli.trainer.state.status == TrainerStatus.INTERRUPTED:
            raise KeyboardInterrupt from error
        raise


def _hand_out(cli: ForecastCLI, checkpoint: Checkpoint) -> None:
    """Let the trainer restore what was read, and not what lies at its path by then."""
    strategy = cli.trainer.strategy
    if type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = WholeCheckpoints(checkpoint.path, checkpoint.content)
    else:  # a user's own reads for itself
        checkpoint.refuse_changed()


def _culprit(error: BaseException, cli: ForecastCLI) -> str | None:
    """Name the callback or logger of the configuration that an error is from, not from our code."""
    trainer = cli.trainer
    asked = {
        id(one) for one in (*cli.own_callbacks, *trainer.loggers, cast("Any", trainer).profiler)
    }
    found = None
    _, *frames = traceback.walk_tb(error.__traceback__)  # the first one is that of `run`
    for frame, _ in frames:
        own = frame.f_locals.get("self")
        if str(frame.f_globals.get("__name__", "")).startswith("transformertf."):
            found = None
        elif id(own) in asked:
            found = type(own).__name__
    return found


def _raised_by_lightning(error: BaseException) -> bool:
    """Whether Lightning itself found something wrong, such as a setting of the trainer."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith("lightning.")


def _is_restoring(error: BaseException) -> bool:
    """Whether an error comes from where Lightning hands a checkpoint's content out."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(
        frame.f_globals.get("__name__") == checkpoint_connector.__name__
        and frame.f_code.co_name.lstrip("_").startswith(("restore", "resume"))
        for frame in frames
    )


def choose_season(options: argparse.Namespace, cli: ForecastCLI) -> None:
    """Take the season that the rate of the rows suggests, where the user gives none, and say so."""
    if options.season is None:
        options.season = usual_season(cli.datamodule.stage_series(options.stage))
        if options.season > 1:
            say(f"season: {options.season} rows, by their rate; --season gives another")


def write_forecasts(file: ForecastFile, cli: ForecastCLI, checkpoint: Checkpoint) -> None:
    """Let the trainer predict, and a writer among its callbacks bring that to a file.

    Raises:
        InputError: nothing came out.
    """
    with file:
        run(cli, "predict", checkpoint, return_predictions=False)
        # of several processes each has a part, which the first one joins
        cli.trainer.strategy.barrier()
    if cli.trainer.is_global_zero and file.rows == 0:
        raise InputError("nothing was predicted; see trainer.limit_predict_batches")


def refuse_among_data(path: Path, cli: ForecastCLI, *arguments: str) -> None:
    """Refuse an output among the data, where it would be read with it, the next time.

    Args:
        path: of the output.
        cli: of the command.
        arguments: that name the data.

    Raises:
        InputError: names the output.
    """
    output = path.resolve()
    for argument in arguments:
        given = cli.datamodule.hparams.get(argument)
        inputs = [] if given is None else expand_paths(given, argument)
        if {output, *output.parents} & {found.resolve() for found in inputs}:
            raise InputError(f"--output {path}: would overwrite the data to forecast")
