"""The commands that measure a checkpoint: validate and test."""

import argparse
from collections.abc import Sequence

from transformertf.cli.experiment import Phase, load, make_trainer, run


def validate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the validation data."""
    _measure("validate", options, flags)


def test(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the test data."""
    _measure("test", options, flags)


def _measure(phase: Phase, options: argparse.Namespace, flags: Sequence[str]) -> None:
    cli, checkpoint = load(phase, options, flags)
    make_trainer(cli)
    run(cli, phase, ckpt_path=checkpoint.path)
