"""The command that holds forecasts of checkpoints and files against each other."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import Checkpoint
from transformertf.cli.experiment import (
    PHASES,
    choose_season,
    load,
    make_composer,
    make_trainer,
    require_named,
    run,
)
from transformertf.cli.screen import say
from transformertf.cli.tables import show
from transformertf.errors import InputError, at_least_one
from transformertf.evaluation import (
    COMPARISON_PAGE,
    SUFFIXES,
    Comparison,
    compare_tables,
    open_folder,
    read_forecasts,
    write_comparison,
)
from transformertf.forecasts import (
    ForecastFrames,
    ForecastTables,
    calibration_of,
    naive_scales,
)
from transformertf.wording import number


def compare(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Score forecasts on the windows that all have, beside the naive ones."""
    if options.season is not None:
        at_least_one(season=options.season)
    twice = {name for name in options.sources if options.sources.count(name) > 1}
    if twice:
        raise InputError(f"compare: {min(twice)} is given twice; give each once")
    # what is no checkpoint of ours is told before any of them works
    tables, checkpoints = {}, {}
    for word in options.sources:
        if Path(word).suffix in SUFFIXES:
            tables[word] = read_forecasts(Path(word))
        else:
            checkpoints[word] = require_named(options, word, "compare")
            checkpoints[word].refuse_non_finite()
    if flags and not checkpoints:
        raise InputError(f"compare: {flags[0]} is for checkpoints, and none is given; leave it out")
    if options.output is None:
        _show(_compared(options, flags, tables, checkpoints))
        return
    with open_folder(options.output, "--output") as folder:
        comparison = _compared(options, flags, tables, checkpoints)
        write_comparison(folder, comparison)
    _show(comparison)
    say(f"comparison: {options.output / COMPARISON_PAGE}")


def _compared(
    options: argparse.Namespace,
    flags: Sequence[str],
    tables: dict[str, pd.DataFrame],
    checkpoints: dict[str, Checkpoint],
) -> Comparison:
    """Return the comparison, in the order in which the forecasters were given."""
    scales: dict[str, float] = {}
    for word, checkpoint in checkpoints.items():
        say(f"forecasting with {word}")
        tables[word], own = _forecasts(options, flags, checkpoint)
        scales = {**own, **scales}
    return compare_tables({word: tables[word] for word in options.sources}, scales)


def _forecasts(
    options: argparse.Namespace, flags: Sequence[str], checkpoint: Checkpoint
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return what a checkpoint forecasts of a stage, and the scale of errors of each series."""
    composer = make_composer(options, flags, checkpoint)
    cli = load(checkpoint, composer, PHASES[options.stage], shares=False)
    choose_season(options, cli)
    data = cli.datamodule
    choose_season(options, cli)
    data.forecast_on(options.stage, options.origin)
    calibration, kept = calibration_of(checkpoint), ForecastFrames()
    tables = ForecastTables(data, calibration=calibration, season=options.season)
    make_trainer(cli, ForecastWriter(kept, tables))
    run(cli, "predict", checkpoint, return_predictions=False)
    if not kept.pieces:
        raise InputError("nothing was predicted; see trainer.limit_predict_batches")
    scales = naive_scales(data.forecast_series, data.forecast_windows(), options.season)
    return pd.concat(kept.pieces, ignore_index=True), scales


def _show(comparison: Comparison) -> None:
    """Print the metrics of each, what differs from the first, and what was left out."""
    first = comparison.scores.index[0]
    _show_frame(comparison.scores, f"{comparison.windows:,} windows, original units")
    if len(comparison.pairs):
        _show_frame(comparison.pairs, f"MAE less that of {first}, and whether that is chance")
    for name, count in comparison.left_out.items():
        if count:
            say(f"{name}: {count:,} windows that not all have are left out")
    for name in comparison.partial:
        say(f"{name}: no forecast of some rows, left out")


def _show_frame(frame: pd.DataFrame, title: str) -> None:
    rows = (
        [str(label), *("" if pd.isna(value) else number(value) for value in row)]
        for label, row in frame.iterrows()
    )
    show(["", *map(str, frame.columns)], rows, title)
