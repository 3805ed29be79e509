"""The command that writes forecasts."""

import argparse
from collections.abc import Sequence

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import whole_file
from transformertf.cli import runs
from transformertf.cli.classes import arguments_of, import_class
from transformertf.cli.config import Composer
from transformertf.cli.experiment import (
    load,
    make_composer,
    make_trainer,
    refuse_among_data,
    require_checkpoint,
    write_forecasts,
)
from transformertf.cli.screen import say
from transformertf.errors import InputError
from transformertf.evaluation import forecast_picture, read_pieces
from transformertf.forecasts import ForecastFile, ForecastTables, Horizon, calibration_of, remarks
from transformertf.plots import can_plot

FORECASTS = "forecasts.parquet"


def predict(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Write the forecasts of a checkpoint to a parquet file."""
    if options.plot and not can_plot():
        raise InputError("--plot wants matplotlib: pip install 'transformertf[plot]'")
    horizon = Horizon(options.horizon, options.samples, lead=options.lead)
    checkpoint = require_checkpoint(options)
    file = ForecastFile(options.output or runs.output_of(checkpoint.path, FORECASTS))
    composer = make_composer(options, flags, checkpoint)
    if options.origin is not None:
        _add_origin(composer, options.origin)
    cli = load(checkpoint, composer, "predict")
    horizon.check(cli.model, cli.datamodule)
    tables = ForecastTables(cli.datamodule, horizon, calibration_of(checkpoint))
    make_trainer(cli, ForecastWriter(file, tables))
    refuse_among_data(file.path, cli, "predict_df_paths", "future_df_paths")
    for line in remarks(cli.datamodule, options.horizon):
        say(line)
    write_forecasts(file, cli, checkpoint)
    say(f"forecasts: {file.path} ({file.rows} rows)")
    if options.plot and cli.trainer.is_global_zero:
        picture = file.path.with_suffix(".png")
        figure = forecast_picture(read_pieces(file.path), cli.datamodule)
        with whole_file(picture) as stream:
            figure.savefig(stream, format="png", dpi=120)
        say(f"picture: {picture}")


def _add_origin(composer: Composer, origin: str) -> None:
    """Let forecasts start where the command says.

    Raises:
        InputError: the data has no origins.
    """
    data = import_class(composer.compose()["data"]["class_path"], "data.class_path")
    if "origin" not in (arguments_of(data) or ()):
        raise InputError(
            f"--origin {origin}: {data.__name__} has no origins, each row is forecast "
            "once; leave --origin out"
        )
    composer.add_tree("--origin", {"data": {"origin": origin}})
