"""The command that scores forecasts: of one training, or of one before each fold."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from transformertf.callbacks import ForecastWriter, Interruption
from transformertf.checkpoint import Checkpoint
from transformertf.cli import runs
from transformertf.cli.agreement import monitored
from transformertf.cli.config import Composer
from transformertf.cli.experiment import (
    PHASES,
    choose_season,
    load,
    make_composer,
    make_trainer,
    refuse_among_data,
    require_checkpoint,
    run,
    write_forecasts,
)
from transformertf.cli.lightning_cli import WRITING, ForecastCLI
from transformertf.cli.screen import say
from transformertf.cli.tables import show
from transformertf.cli.yaml_file import YamlFile
from transformertf.data.windows import Origin
from transformertf.errors import InputError, at_least_one
from transformertf.evaluation import (
    FORECASTS,
    METRICS,
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
    ForecastFrames,
    ForecastTables,
    Horizon,
    calibration_of,
    scored_rows,
)
from transformertf.plots import can_plot

# of a table of its own: metrics, and the end of their names by forecaster
_BESIDE = ("MAE", "RMSE")
_FORECASTERS = {"model": "", "seasonal naive": "_seasonal_naive", "naive": "_naive"}


def evaluate(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Score rolling-origin forecasts; a folder holds metrics, forecasts, plots and a report."""
    found = judge(options, flags)
    if found is not None:
        evaluation, path = found
        _show(evaluation)
        say(f"evaluation: {path}")


def judge(
    options: argparse.Namespace, flags: Sequence[str], trained: Checkpoint | None = None
) -> tuple[Evaluation, Path] | None:
    """Do what `evaluate` does, and show nothing.

    Args:
        options: of the command.
        flags: arguments of the configuration.
        trained: the checkpoint; that of the options if not given.

    Returns:
        What was found, and the file that shows it; None in all processes but the first one.
    """
    at_least_one(refit=options.refit)
    if options.season is not None:
        at_least_one(season=options.season)
    horizon = Horizon(options.horizon, options.samples, lead=options.lead)
    if options.plots and not can_plot():
        raise InputError("--plots wants matplotlib: pip install 'transformertf[plot]'")
    if options.refit > 1:
        _check_refit(options)
    checkpoint = trained or require_checkpoint(options)
    place = options.output or runs.output_of(checkpoint.path, "evaluation")
    with open_folder(place, "--output") as folder:
        file = ForecastFile(folder / FORECASTS)
        composer = make_composer(options, flags, checkpoint)
        cli = load(checkpoint, composer, PHASES[options.stage])
        choose_season(options, cli)
        if options.refit > 1:
            _forecast_folds(file, cli, checkpoint, options, flags, horizon)
        else:
            _forecast(file, cli, checkpoint, options, horizon)
    return _score(options, cli, checkpoint, file) if cli.trainer.is_global_zero else None


def _check_refit(options: argparse.Namespace) -> None:
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


def _forecast(
    file: ForecastFile,
    cli: ForecastCLI,
    checkpoint: Checkpoint,
    options: argparse.Namespace,
    horizon: Horizon,
) -> None:
    """Write the forecasts of a stage, beside those of the naive baselines."""
    refuse_among_data(file.path, cli, cli.datamodule.stages.argument(options.stage))
    make_trainer(cli, _writer(file, cli, checkpoint, options, horizon))
    write_forecasts(file, cli, checkpoint)


def _forecast_folds(
    file: ForecastFile,
    cli: ForecastCLI,
    checkpoint: Checkpoint,
    options: argparse.Namespace,
    flags: Sequence[str],
    horizon: Horizon,
) -> None:
    """Write the forecasts of the test rows in folds; the checkpoint does the first one.

    Args:
        file: takes the forecasts.
        cli: the checkpoint's model and data, set up for the test rows.
        checkpoint: what was trained.
        options: of the command; `refit` is the number of folds.
        flags: arguments of the configuration.
        horizon: how far forecasts go.

    Raises:
        InputError: the test rows are no share of the rows trained on, or the configuration of the
            training is not there.
    """
    share = _test_share(cli)
    files = _configurations(options, checkpoint)
    # what of the share lies after each fold, where it is cut into equal ones
    rests = [share * (options.refit - 1 - fold) / options.refit for fold in range(options.refit)]
    kept = ForecastFrames()
    make_trainer(cli, _writer(kept, cli, checkpoint, options, horizon, rests[0]))
    run(cli, "predict", checkpoint, return_predictions=False)
    for fold in range(1, options.refit):
        say(f"training anew for fold {fold + 1} of {options.refit}")
        composer = Composer()
        for own in files:
            composer.add_file(own)
        composer.add_flags(flags)
        composer.add_tree("--refit", {"data": {"init_args": {"test_fraction": rests[fold - 1]}}})
        _fit_and_forecast(composer, checkpoint, kept, options, horizon, rests[fold])
    if not kept.pieces:
        raise InputError("nothing was predicted; see trainer.limit_predict_batches")
    table = pd.concat(kept.pieces, ignore_index=True)
    with file:
        order = ["series", "origin", "step"]
        file.write(table.sort_values(order, kind="stable", ignore_index=True))


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


def _configurations(options: argparse.Namespace, checkpoint: Checkpoint) -> list[YamlFile]:
    """Return the files of the configuration, or that of the run.

    Raises:
        InputError: none is given, and none lies beside the checkpoint.
    """
    own: Path = checkpoint.path.parent.parent / runs.CONFIG
    if not options.config and not own.is_file():
        raise InputError(f"--refit trains as the run did, but there is no {own}; give --config")
    return list(options.config) or [YamlFile.read(own)]


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
    # a run of its own has no logger, and leaves no files
    cli = ForecastCLI(composer, ("logger", *WRITING), is_refit=True, shares=False)
    with tempfile.TemporaryDirectory() as folder:
        cli.build(folder=Path(folder))
        cli.set_up("fit")
        writer = _writer(kept, cli, checkpoint, options, horizon, rest)
        callbacks: list[Callback] = [Interruption(), writer]
        best: ModelCheckpoint | None = None
        if checkpoint.path.name != runs.KEPT["last"]:
            best = ModelCheckpoint(folder, monitor=monitored(cli))
            callbacks.append(best)
        cli.make_trainer(
            callbacks,
            logger=False,
            enable_checkpointing=best is not None,
            default_root_dir=folder,
        )
        run(cli, "fit")
        path = None if best is None else best.best_model_path
        run(cli, "predict", ckpt_path=path, return_predictions=False)


def _writer(
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
    for line in scored_rows(cli.datamodule, options.horizon):
        say(line)
    tables = ForecastTables(cli.datamodule, horizon, calibration, options.season)
    return ForecastWriter(sink, tables)


def _score(
    options: argparse.Namespace, cli: ForecastCLI, checkpoint: Checkpoint, file: ForecastFile
) -> tuple[Evaluation, Path]:
    """Hold forecasts against what happened, and write that beside them."""
    settings = {
        "checkpoint": str(checkpoint.path),
        "stage": options.stage,
        "origin": options.origin,
        "horizon": options.horizon,
        "lead": options.lead if options.lead != "0" else None,
        "samples": options.samples,
        "refit": options.refit,
        "calibrated": checkpoint.calibration is not None,
    }
    folder, pieces = file.path.parent, read_pieces(file.path)
    evaluation = evaluate_pieces(pieces, cli.datamodule, options.season, settings)
    draws = can_plot() if options.plots is None else options.plots
    write_metrics(folder, evaluation)
    if draws:
        sections = make_sections(evaluation, cli.model, cli.datamodule)
        write_report(folder, evaluation, sections)
    return evaluation, folder / (REPORT if draws else METRICS)


def _show(evaluation: Evaluation) -> None:
    """Print the metrics over all, and the errors beside those of the naive forecasts."""
    beside = {f"{metric}{end}" for metric in _BESIDE for end in _FORECASTERS.values() if end}
    found = dict(evaluation.shown())
    title = f"{evaluation.settings['target']}, original units"
    rows = [(name, value) for name, value in found.items() if name not in beside]
    show(("metric", "value"), rows, title, left=("metric",))
    if "MAE_naive" not in found:
        return
    ends = {name: end for name, end in _FORECASTERS.items() if f"MAE{end}" in found}
    errors = ([metric, *(found[metric + end] for end in ends.values())] for metric in _BESIDE)
    show(("", *ends), errors, "beside the naive forecasts")
