"""The commands that measure a checkpoint: validate and test."""

import argparse
from collections.abc import Sequence
from typing import Any, Literal

from transformertf.cli.experiment import load, run


def validate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the validation data."""
    _measure("validate", options, flags)


def test(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the metrics of a checkpoint on the test data."""
    _measure("test", options, flags)


def _measure(stage: Literal["validate", "test"], options: Any, flags: Sequence[str]) -> None:
    cli, checkpoint = load(stage, options, flags)
    run(cli, stage, ckpt_path=checkpoint.path)
