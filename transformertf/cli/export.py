"""The command that writes a forecaster to a file that needs no torch."""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from transformertf.cli import runs
from transformertf.cli.classes import import_class
from transformertf.cli.experiment import fitted_data, require_checkpoint
from transformertf.cli.screen import say
from transformertf.errors import InputError
from transformertf.exporting import check_target
from transformertf.exporting import export as write
from transformertf.models import ForecastModule

FILE = "model.onnx"


def export(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Write a checkpoint's forecaster to an ONNX file."""
    if flags:
        raise InputError(
            f"export: unknown argument {flags[0]!r}; known: --ckpt_path, -n, -o, -v, --allow"
        )
    checkpoint = require_checkpoint(options)
    path: Path = options.output or runs.output_of(checkpoint.path, FILE)
    check_target(path)
    described = checkpoint.model
    kind: type[ForecastModule] = import_class(described["class_path"], "model.class_path")
    source = {
        "file": str(checkpoint.path),
        "sha256": hashlib.sha256(checkpoint.path.read_bytes()).hexdigest(),
    }
    checkpoint.refuse_changed()
    proof = write(
        checkpoint.make_model(kind),
        fitted_data(checkpoint),
        path,
        checkpoint=source,
        calibrated=checkpoint.calibration is not None,
    )
    say(
        f"exported: {path} ({path.stat().st_size / 2**20:.1f} MB; at most {proof.difference:.1e} "
        f"from the live model on random windows, {proof.difference / proof.spread:.1e} of the "
        "target's spread)"
    )
