"""Evaluation by folds: the model is trained anew before each, on all rows before it."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from transformertf.callbacks import ForecastWriter, Interruption
from transformertf.checkpoint import Checkpoint
from transformertf.cli.agreement import monitored
from transformertf.cli.config import Composer
from transformertf.cli.experiment import load, run
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.screen import say
from transformertf.data.windows import Origin
from transformertf.errors import InputError
from transformertf.forecasts import (
    ForecastFile,
    ForecastFrames,
    ForecastTables,
    Horizon,
    calibration_of,
)


def forecast_folds(
    options: argparse.Namespace, flags: Sequence[str], horizon: Horizon
) -> tuple[ForecastCLI, Checkpoint, pd.DataFrame]:
    """Forecast the test rows in folds; the checkpoint does the first one.

    Args:
        options: of the command; `refit` is the number of folds.
        flags: arguments of the configuration.
        horizon: how far forecasts go.

    Returns:
        Model and data of the first fold, the checkpoint, and the forecast table of all folds.

    Raises:
        InputError: the test rows are no share of the rows trained on, or the configuration of the
            training is not there.
    """
    kept = ForecastFrames()
    share = 0.0

    def prepare(cli: ForecastCLI, checkpoint: Checkpoint) -> list[Callback]:
        nonlocal share
        share = _test_share(cli)
        _configurations(options, checkpoint)
        rest = _rest(share, 0, options.refit)
        return [make_writer(kept, cli, checkpoint, options, horizon, rest)]

    cli, checkpoint = load("test", options, flags, prepare)
    run(cli, "predict", ckpt_path=checkpoint.path, return_predictions=False)
    for fold in range(1, options.refit):
        say(f"training anew for fold {fold + 1} of {options.refit}")
        composer = Composer()
        for path in _configurations(options, checkpoint):
            composer.add_file(path)
        composer.add_flags(flags)
        trained = _rest(share, fold - 1, options.refit)
        composer.add_tree("--refit", {"data": {"init_args": {"test_fraction": trained}}})
        rest = _rest(share, fold, options.refit)
        _fit_and_forecast(composer, checkpoint, kept, options, horizon, rest)
    if not kept.pieces:
        raise InputError("nothing was predicted; see trainer.limit_predict_batches")
    table = pd.concat(kept.pieces, ignore_index=True)
    order = ["series", "origin", "step"]
    return cli, checkpoint, table.sort_values(order, kind="stable", ignore_index=True)


def check_refit(options: argparse.Namespace) -> None:
    """Refuse what folds of the test rows cannot have.

    Raises:
        InputError: another stage, or a single origin.
    """
    if options.stage != "test":
        raise InputError(f"--refit goes on into the test rows; leave --stage {options.stage} out")
    if Origin.parse(options.origin).kind in ("at", "last"):
        raise InputError(
            f"--refit forecasts from origins in each fold; --origin {options.origin} is in one"
        )


def _fit_and_forecast(
    composer: Composer,
    checkpoint: Checkpoint,
    kept: ForecastFrames,
    options: argparse.Namespace,
    horizon: Horizon,
    rest: float,
) -> None:
    """Train as the checkpoint was, and forecast the rows of a fold.

    Args:
        composer: the configuration.
        checkpoint: whose training is done again; the best epoch is taken, unless it is a last one.
        kept: takes the forecasts.
        options: of the command.
        horizon: how far forecasts go.
        rest: share of the rows after the fold.
    """
    with tempfile.TemporaryDirectory() as folder:
        best: ModelCheckpoint | None = None

        def prepare(cli: ForecastCLI) -> dict[str, Any]:
            nonlocal best
            cli.datamodule.setup("fit")
            writer = make_writer(kept, cli, checkpoint, options, horizon, rest)
            callbacks: list[Callback] = [Interruption(), writer]
            if checkpoint.path.name != "last.ckpt":
                best = ModelCheckpoint(folder, monitor=monitored(cli))
                callbacks.append(best)
            return {"logger": False, "enable_checkpointing": best is not None,
                    "callbacks": callbacks, "default_root_dir": folder}  # fmt: skip

        # a run of its own has no logger, and leaves no files
        without = ("logger", "default_root_dir")
        cli = ForecastCLI(composer, prepare, without=without, is_refit=True, shares=False)
        run(cli, "fit")
        path = None if best is None else best.best_model_path
        run(cli, "predict", ckpt_path=path, return_predictions=False)


def make_writer(
    sink: ForecastFrames | ForecastFile,
    cli: ForecastCLI,
    checkpoint: Checkpoint,
    options: argparse.Namespace,
    horizon: Horizon,
    rest: float = 0.0,
) -> ForecastWriter:
    """Return what brings forecasts of a stage, and those of the naive baselines, to a sink.

    Args:
        sink: takes the forecasts.
        cli: model and data, which is set to forecast the stage.
        checkpoint: has the calibration.
        options: of the command.
        horizon: how far forecasts go.
        rest: share of each series' rows, at its end, that are left out.
    """
    horizon.check(cli.model, cli.datamodule)
    cli.datamodule.forecast_on(options.stage, options.origin, rest)
    calibration = calibration_of(checkpoint)
    tables = ForecastTables(cli.datamodule, horizon, calibration, options.season)
    return ForecastWriter(sink, tables)


def _test_share(cli: ForecastCLI) -> float:
    """Return the share of the rows that is kept for test."""
    given = cli.datamodule.hparams
    share = given["test_fraction"]
    if not share or given["test_df_paths"] is not None or given["split_by"] != "time":
        raise InputError(
            "--refit wants test rows that follow those trained on: expected test_fraction and "
            "split_by: time, without test_df_paths; leave --refit out, or train so"
        )
    return float(share)


def _rest(share: float, fold: int, folds: int) -> float:
    """Return the share of the rows after a fold, of a share that is cut into equal folds."""
    return share * (folds - 1 - fold) / folds


def _configurations(options: argparse.Namespace, checkpoint: Checkpoint) -> list[Path]:
    """Return the files of the configuration, or that of the run.

    Raises:
        InputError: none is given, and none lies beside the checkpoint.
    """
    own: Path = checkpoint.path.parent.parent / "config.yaml"
    if not options.config and not own.is_file():
        raise InputError(f"--refit trains as the run did, but there is no {own}; give --config")
    return list(options.config) or [own]
