"""What the commands that use a checkpoint do, once their options are read."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from transformertf.callbacks import ForecastWriter
from transformertf.checkpoint import Checkpoint
from transformertf.cli.experiment import load, run
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.screen import say
from transformertf.data import EncoderDecoderDataModule
from transformertf.data.reading import expand_paths
from transformertf.errors import InputError
from transformertf.forecasts import ForecastFile, ForecastTables, Horizon, calibration_of


def predict(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Write the forecasts of a checkpoint to a parquet file."""
    file = ForecastFile(options.output)
    horizon = Horizon(options.horizon, options.samples)

    def prepare(cli: ForecastCLI, checkpoint: Checkpoint) -> list[Callback]:
        horizon.check(cli.model, cli.datamodule)
        tables = ForecastTables(cli.datamodule, horizon, calibration_of(checkpoint))
        return [ForecastWriter(file, tables)]

    cli, checkpoint = load("predict", options, flags, prepare)
    refuse_overwriting(options.output, cli, "predict_df_paths", "future_df_paths")
    if isinstance(cli.datamodule, EncoderDecoderDataModule):
        _say_futures(cli.datamodule, options.horizon)
    write_forecasts(file, cli, checkpoint)
    say(f"forecasts: {options.output} ({file.rows} rows)")


def write_forecasts(file: ForecastFile, cli: ForecastCLI, checkpoint: Checkpoint) -> None:
    """Run the trainer's predict, which a writer among its callbacks brings to a file.

    Raises:
        InputError: nothing came out.
    """
    with file:
        run(cli, "predict", ckpt_path=checkpoint.path, return_predictions=False)
        # of several processes each has a part, which the first one joins
        cli.trainer.strategy.barrier()
    if cli.trainer.is_global_zero and file.rows == 0:
        raise InputError("nothing was predicted; see trainer.limit_predict_batches")


def refuse_overwriting(path: Path, cli: ForecastCLI, *arguments: str) -> None:
    """Refuse an output among the data, where it would be read with it, the next time.

    Args:
        path: of the output.
        cli: of the command.
        arguments: that name the data.

    Raises:
        InputError: names the output.
    """
    output = path.resolve()
    for argument in arguments:
        given = cli.datamodule.hparams.get(argument)
        inputs = [] if given is None else expand_paths(given, argument)
        if {output, *output.parents} & {found.resolve() for found in inputs}:
            raise InputError(f"--output {path}: would overwrite the data to forecast")


def _say_futures(data: EncoderDecoderDataModule, steps: int | None) -> None:
    """Tell of rows after the last target: beyond the horizon, or at the end of some series only."""
    horizon = steps or data.tgt_seq_len
    series = data.predict_series
    ending = [item for item in series if len(item) > item.observed]
    if data.origin.kind == "auto" and 0 < len(ending) < len(series):
        # a last value that was only not measured looks the same
        say(
            f"{len(ending)} of {len(series)} series end with rows without a target, "
            f"which alone are forecast there: {ending[0].name!r}"
            + (", ..." if len(ending) > 1 else "")
        )
    beyond = [item for item in series if len(item) - item.observed > horizon]
    if beyond:
        first, more = beyond[0], len(beyond) - 1
        whose = "the model's horizon" if steps is None else "--horizon"
        say(
            f"series {first.name!r}: {len(first) - first.observed} rows to forecast, "
            f"{whose} covers the first {horizon}"
            + (f" (likewise in {more} more series)" if more else "")
            + ("; --horizon N goes further" if steps is None else "")
        )
