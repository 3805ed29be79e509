"""The commands that measure a checkpoint: validate and test."""

import argparse
from collections.abc import Sequence

from transformertf.cli.experiment import (
    load,
    make_composer,
    make_trainer,
    require_checkpoint,
    run,
)
from transformertf.cli.lightning_cli import ForecastCLI, Phase
from transformertf.cli.screen import is_first_process, say
from transformertf.data import Stage, as_list
from transformertf.data.windows import rows_in_training
from transformertf.wording import number, table

# metrics in the units of the target; others have their square, or none
IN_UNITS = ("MAE", "RMSE")
DIGITS = 6  # of what others compute with


def validate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the validation data."""
    _measure("validate", options, flags)


def test(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the test data."""
    _measure("test", options, flags)


def _measure(phase: Phase, options: argparse.Namespace, flags: Sequence[str]) -> None:
    checkpoint = require_checkpoint(options)
    cli = load(checkpoint, make_composer(options, flags, checkpoint), phase)
    stage: Stage = "test" if phase == "test" else "validation"
    stages, fitted = cli.datamodule.stages, cli.datamodule.fitted
    line = rows_in_training(stages, fitted.trained, stage)
    for told in ([] if line is None else [line]) + fitted.unlike_in_stage(stages, stage):
        say(told)
    make_trainer(cli)
    run(cli, phase, checkpoint, verbose=False)
    if is_first_process():
        _show(cli, stage)


def _show(cli: ForecastCLI, stage: Stage) -> None:
    """Print what was measured, a line each: its name, and its value."""
    found = {name: float(value) for name, value in sorted(cli.trainer.callback_metrics.items())}
    target = ", ".join(as_list(cli.datamodule.hparams["target_covariate"]))
    own = [name for name in IN_UNITS if f"{stage}/{name}" in found]
    units = f": {' and '.join(own)} in units of {target}" if own else ""
    print(f"{stage} data{units}")
    for line in table([(name, number(value, DIGITS)) for name, value in found.items()]):
        print(line)
    if cli.model.takes == "windows":
        say(
            "each row is an origin here; `transformertf evaluate` forecasts once each horizon, "
            "as in use, so its errors differ"
        )
