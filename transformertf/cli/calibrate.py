"""The command that makes a forecaster's intervals hold."""

import argparse
from collections.abc import Sequence

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import check_place
from transformertf.cli.experiment import (
    PHASES,
    load,
    make_composer,
    make_trainer,
    require_checkpoint,
    run,
)
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.screen import say
from transformertf.errors import InputError
from transformertf.forecasts import (
    LEVELS,
    Calibration,
    ForecastFrames,
    ForecastTables,
    calibrated_rows,
    calibration_origin,
    check_levels,
)

# what says which rows validate
_VALIDATION = (
    "train_df_paths", "val_df_paths", "val_fraction", "test_fraction", "val_start", "test_start",
    "val_blocks", "split_by",
)  # fmt: skip


def calibrate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Fit intervals on validation data, and keep them in the checkpoint."""
    if options.levels is not None:
        check_levels(options.levels)
    checkpoint = require_checkpoint(options)
    composer = make_composer(options, flags, checkpoint)
    cli = load(checkpoint, composer, PHASES[options.stage], shares=False)
    own = checkpoint.path
    path = options.output or (own.resolve() if own.is_symlink() else own)
    check_place(path, "--output", checkpoint.path)
    _check_levels(options, cli)
    origin = options.origin or calibration_origin(cli.datamodule, options.stage)
    cli.datamodule.forecast_on(options.stage, origin)
    trained = checkpoint.data["init_args"]
    told = calibrated_rows(
        cli.datamodule,
        options.levels or cli.model.quantiles or LEVELS,
        by_series=options.by_series,
        as_in_fit=all(cli.datamodule.hparams[name] == trained.get(name) for name in _VALIDATION),
    )
    for line in told:
        say(line)
    kept = ForecastFrames()
    make_trainer(cli, ForecastWriter(kept, ForecastTables(cli.datamodule)))
    run(cli, "predict", checkpoint, return_predictions=False)
    calibration = Calibration.fit(kept.pieces, options.levels, options.by_series)
    if path.resolve() == own.resolve():  # a fit may have written a later one
        checkpoint.refuse_changed()
    checkpoint.write(path, calibration.state_dict())
    levels = ", ".join(f"{level:g}" for level in calibration.levels)
    rows = sum(map(len, kept.pieces))
    say(f"calibrated: {path} (levels {levels}, {calibration.steps} steps, {rows} forecast rows)")
    if path.resolve() == own.resolve():
        say(f"{path} was replaced; a fit that goes on from it drops the calibration")


def _check_levels(options: argparse.Namespace, cli: ForecastCLI) -> None:
    """Refuse levels beside those that the model forecasts itself."""
    levels = cli.model.quantiles
    if None not in (options.levels, levels) and list(options.levels) != levels:
        raise InputError(
            f"--levels {options.levels}: the model forecasts the levels {levels}, which are "
            "calibrated as they are; leave --levels out"
        )
