"""The command that makes a forecaster's intervals hold."""

import argparse
from collections.abc import Sequence

from lightning.pytorch.callbacks import Callback

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import Checkpoint
from transformertf.cli.evaluate import SETUP, _check_output
from transformertf.cli.experiment import load, run
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.screen import say
from transformertf.errors import InputError
from transformertf.forecasts import (
    Calibration,
    ForecastFrames,
    ForecastTables,
    calibration_origin,
    check_levels,
)


def calibrate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Fit intervals on validation data, and keep them in the checkpoint."""
    kept = ForecastFrames()
    if options.levels is not None:
        check_levels(options.levels)

    def prepare(cli: ForecastCLI, checkpoint: Checkpoint) -> list[Callback]:
        _check_output(options.output or checkpoint.path, checkpoint)
        levels = cli.model.quantiles
        if None not in (options.levels, levels) and list(options.levels) != levels:
            raise InputError(
                f"--levels {options.levels}: the model forecasts the levels {levels}, which are "
                "calibrated as they are; leave --levels out"
            )
        origin = options.origin or calibration_origin(cli.datamodule, options.stage)
        cli.datamodule.forecast_on(options.stage, origin)
        return [ForecastWriter(kept, ForecastTables(cli.datamodule))]

    cli, checkpoint = load(SETUP[options.stage], options, flags, prepare)
    run(cli, "predict", ckpt_path=checkpoint.path, return_predictions=False)
    calibration = Calibration.fit(kept.pieces, options.levels, options.by_series)
    path = options.output or checkpoint.path
    checkpoint.write(path, calibration.state_dict())
    levels = ", ".join(f"{level:g}" for level in calibration.levels)
    rows = sum(map(len, kept.pieces))
    say(f"calibrated: {path} (levels {levels}, {calibration.steps} steps, {rows} forecast rows)")
