"""The last lines of a fit: how long it took, its best epoch, and the error to hold it against."""

import contextlib
from pathlib import Path
from typing import Any

import lightning

from transformertf.callbacks import BestCheckpoint
from transformertf.cli import runs
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.progress import validation_errors
from transformertf.data import Stage
from transformertf.errors import InputError
from transformertf.evaluation import naive_errors
from transformertf.wording import counted, duration, number

# of the stages that there can be data of, what `evaluate` wants to be told
EVALUATIONS: dict[Stage, str] = {"test": "", "validation": " --stage validation"}


def closing_lines(cli: ForecastCLI, seconds: float) -> list[str]:
    """Return what there is to say at the end of a fit.

    Args:
        cli: whose trainer has fitted.
        seconds: that it took.
    """
    trainer = cli.trainer
    epochs, of = trainer.current_epoch, trainer.max_epochs or -1
    told = f"{epochs} of {counted(of, 'epoch')}" if of > 0 else counted(epochs, "epoch")
    lines = [f"fitted: {told}, {counted(trainer.global_step, 'step')} in {duration(seconds)}"]
    seen = _best_metrics(trainer)
    if not seen:
        return lines
    lines.append(_told_of_best(seen))
    errors, share = dict(validation_errors(seen)), cli.config["trainer"]["limit_val_batches"]
    # a part of the validation is not to be held against all of it
    if errors and (share is None or (isinstance(share, float) and share == 1)):
        lines += _told_of_naive(cli, errors)
    return lines


def next_command(cli: ForecastCLI, folder: Path) -> str:
    """Return the command that comes after a fit: of the test data, or else of what there is."""
    # a fit that ended before it could tell keeps no best one
    word = "best" if (folder / "checkpoints" / runs.KEPT["best"]).exists() else "last"
    own = f"-n {folder.parent.name} --ckpt_path {word}"
    for stage, words in EVALUATIONS.items():
        with contextlib.suppress(InputError):
            cli.datamodule.stages.argument(stage)
            return f"transformertf evaluate {own}{words}"
    return f"transformertf predict {own} --data.predict_df_paths FILES"


def _best_metrics(trainer: lightning.Trainer) -> dict[str, float]:
    """Return what was measured with the best checkpoint, and its epoch; nothing without one."""
    (best,) = (one for one in trainer.checkpoint_callbacks if isinstance(one, BestCheckpoint))
    return best.best_metrics


def _told_of_best(seen: dict[str, float]) -> str:
    """Return which epoch was the best, by the value that told so, and its first error."""
    monitor = "validation/loss" if "validation/loss" in seen else "train/loss"
    values = [(monitor, seen[monitor])] if monitor in seen else []
    values += [(f"validation/{name}", value) for name, value in validation_errors(seen)[:1]]
    told = "".join(f", {name} {number(value)}" for name, value in values)
    return f"best: epoch {seen['epoch']:g}{told}"


def _told_of_naive(cli: ForecastCLI, errors: dict[str, float]) -> list[str]:
    """Return the error of forecasts that need no model, the better one of each first."""
    naive: dict[str, dict[str, Any]] = naive_errors(cli.datamodule, loss_steps=cli.model.loss_steps)
    metric = next((name for name in errors if all(name in one for one in naive.values())), None)
    if metric is None or not naive:
        return []
    ranked = sorted((one[metric], name) for name, one in naive.items())
    told = ", ".join(f"{name.replace('_', ' ')} {number(value)}" for value, name in ranked)
    least, own = ranked[0][0], errors[metric]
    if own < least:
        held = f"the best epoch's is {number(least / own, 2)} times smaller" if own else "its is 0"
    else:
        held = "the best epoch's is no smaller: it has learnt nothing of use yet"
    return [f"validation/{metric} without a model: {told}; {held}"]
