"""The commands that hold a checkpoint against what happened: evaluate and calibrate."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table

from transformertf.checkpoint import Checkpoint, check_place
from transformertf.cli.experiment import Phase, load
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.predict import refuse_overwriting, write_forecasts
from transformertf.cli.refit import check_refit, forecast_folds, make_writer
from transformertf.cli.screen import is_first_process, say
from transformertf.errors import InputError, at_least_one
from transformertf.evaluation import (
    FORECASTS,
    REPORT,
    Evaluation,
    evaluate_pieces,
    make_sections,
    open_folder,
    read_pieces,
    write_metrics,
    write_report,
)
from transformertf.forecasts import (
    ForecastFile,
    Horizon,
)
from transformertf.plots import can_plot

# how the data's stages are set up
SETUP: dict[str, Phase] = {"validation": "validate", "test": "test"}


def evaluate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Score rolling-origin forecasts; a folder holds metrics, forecasts, plots and a report."""
    at_least_one(season=options.season, refit=options.refit)
    horizon = Horizon(options.horizon, options.samples)
    if options.plots and not can_plot():
        raise InputError("--plots wants matplotlib: pip install 'transformertf[plot]'")
    if options.refit > 1:
        check_refit(options)
    is_new = not options.output.exists()
    folder = open_folder(options.output, "--output")
    file = ForecastFile(folder / FORECASTS)

    try:
        if options.refit > 1:
            cli, checkpoint, table = forecast_folds(options, flags, horizon)
            with file:
                file.write(table)
        else:
            cli, checkpoint = _forecast(options, flags, horizon, file)
    except BaseException:
        if is_new and is_first_process() and not any(folder.iterdir()):
            folder.rmdir()
        raise
    if not cli.trainer.is_global_zero:
        return
    settings = {
        "checkpoint": str(checkpoint.path),
        "stage": options.stage,
        "origin": options.origin,
        "horizon": options.horizon,
        "samples": options.samples,
        "refit": options.refit,
        "calibrated": checkpoint.calibration is not None,
    }
    pieces = read_pieces(file.path)
    evaluation = evaluate_pieces(pieces, cli.datamodule, options.season, settings)
    draws = can_plot() if options.plots is None else options.plots
    write_metrics(folder, evaluation)
    _show(evaluation)
    if draws:
        sections = make_sections(evaluation, cli.model, cli.datamodule)
        write_report(folder, evaluation, sections)
    say(f"evaluation: {folder / (REPORT if draws else 'metrics.json')}")


def _forecast(
    options: argparse.Namespace, flags: Sequence[str], horizon: Horizon, file: ForecastFile
) -> tuple[ForecastCLI, Checkpoint]:
    """Write the forecasts of a stage, beside those of the naive baselines."""

    def prepare(cli: ForecastCLI, checkpoint: Checkpoint) -> list[Callback]:
        refuse_overwriting(file.path, cli, cli.datamodule.stages.argument(options.stage))
        return [make_writer(file, cli, checkpoint, options, horizon)]

    cli, checkpoint = load(SETUP[options.stage], options, flags, prepare)
    write_forecasts(file, cli, checkpoint)
    return cli, checkpoint


def _check_output(path: Path, source: Checkpoint) -> None:
    """Refuse to write a checkpoint where none can be, or over something else.

    Args:
        path: of the output.
        source: the checkpoint that was read.

    Raises:
        InputError: names the output.
    """
    check_place(path, "--output")
    if path != source.path and path.exists():
        try:
            Checkpoint.read(path, "--output")
        except InputError as error:
            raise InputError(
                f"--output {path}: would overwrite what is no checkpoint; give another name"
            ) from error


def _show(evaluation: Evaluation) -> None:
    """Print the metrics over all."""
    table = Table(title=f"{evaluation.settings['target']}, original units")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in evaluation.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.5g}")
    Console().print(table)
