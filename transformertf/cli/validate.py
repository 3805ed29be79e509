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
from transformertf.cli.lightning_cli import Phase
from transformertf.cli.screen import say
from transformertf.data import Stage
from transformertf.data.windows import rows_in_training


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
    run(cli, phase, checkpoint)
