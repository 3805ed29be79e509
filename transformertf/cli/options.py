"""The options of each command; every argument of trainer, model and data is one more."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from transformertf.class_paths import PACKAGES
from transformertf.errors import InputError
from transformertf.version import __version__


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


class _FullHelp(argparse.Action):
    """Prints the command's own options, then every argument of trainer, model and data."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        import jsonargparse

        # torch takes seconds to import
        from transformertf.data import EncoderDecoderDataModule
        from transformertf.models import EncoderDecoderLSTM

        parser.print_help()
        full = jsonargparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
        full.add_class_arguments(EncoderDecoderDataModule, "data")
        full.add_class_arguments(EncoderDecoderLSTM, "model")
        print("\nEvery argument below is a key of the YAML, too.")
        full.print_help()
        print("\n--trainer.* takes every argument of lightning.Trainer.")
        parser.exit()


def make_parser(commands: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser of all commands, which leaves what is no option of theirs.

    Args:
        commands: what each does, by name.
    """
    parser = _Parser(
        prog="transformertf",
        description="Forecast long, ragged, covariate-driven time series.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    choices = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )
    for name, summary in commands.items():
        command = choices.add_parser(
            name, help=summary, description=summary, allow_abbrev=False, add_help=False
        )
        if name == "cache":
            _add_cache_options(command)
        elif name == "init":
            _add_init_options(command)
        else:
            _add_options(command, name)
    return parser


def _add_options(parser: argparse.ArgumentParser, command: str) -> None:
    add = parser.add_argument
    add("-h", "--help", action=_FullHelp, nargs=0, help="show every argument and exit")
    add("-c", "--config", action="append", type=Path, default=[], metavar="FILE",
        help="YAML; repeatable, later files win")  # fmt: skip
    add("--ckpt_path", metavar="FILE", help="checkpoint, or `last` for the newest of NAME")
    add("-n", "--name", help="name of the experiment; default: the config's stem")
    add("-v", "--verbose", action="store_true", help="show log lines and tracebacks")
    add("--allow", action="append", default=[], metavar="PACKAGE",
        help="take classes from this package, too; repeatable (always: "
        f"{', '.join(PACKAGES)})")  # fmt: skip
    if command == "fit":
        add("--transfer-ckpt", type=Path, metavar="FILE",
            help="start from the weights of this checkpoint that fit, and its scaling")  # fmt: skip
        add("--refit-scaling", action="store_true",
            help="with --transfer-ckpt: fit scaling and categories to the new data")  # fmt: skip
    if command == "predict":
        add("--output", type=Path, default=Path("forecasts.parquet"), metavar="FILE",
            help="parquet or csv file to write (default: %(default)s)")  # fmt: skip
        add("--origin",
            help="where forecasts start: auto, last, all, every:N, end, or a time")  # fmt: skip
    if command in ("predict", "evaluate"):
        add("--horizon", type=int, metavar="STEPS",
            help="steps of each forecast, more or fewer than in training")  # fmt: skip
        add("--samples", type=int, metavar="PATHS",
            help="paths by which quantiles go on beyond the trained horizon; 0 goes on with the "
            "point forecast (default: 200 where there are quantiles)")  # fmt: skip
    if command == "evaluate":
        add("--output", type=Path, default=Path("evaluation"), metavar="DIR",
            help="folder to write (default: %(default)s)")  # fmt: skip
        add("--season", type=int, default=1, metavar="ROWS",
            help="rows of a season: of the seasonal naive forecast and MASE "
            "(default: %(default)s)")  # fmt: skip
        add("--refit", type=int, default=1, metavar="FOLDS",
            help="folds of the test rows; before each one after the first the model is trained "
            "anew, as the run was, with all rows before it (default: %(default)s)")  # fmt: skip
        add("--plots", action=argparse.BooleanOptionalAction,
            help="write plots and a report (default: where matplotlib is installed)")  # fmt: skip
    if command == "calibrate":
        add("--output", type=Path, metavar="FILE",
            help="checkpoint to write (default: the one that was read)")  # fmt: skip
        add("--levels", type=float, nargs="+", metavar="LEVEL",
            help="levels around a point forecast, each between 0 and 1")  # fmt: skip
        add("--by-series", action="store_true", help="calibrate each series by itself")
    if command in ("evaluate", "calibrate"):
        default = "test" if command == "evaluate" else "validation"
        add("--stage", choices=("validation", "test"), default=default,
            help="whose data (default: %(default)s)")  # fmt: skip
        add(
            "--origin",
            default="auto" if command == "evaluate" else None,
            help="where forecasts start: auto (one every horizon), all, every:N, last, or a time"
            + ("" if command == "evaluate" else " (default: about 10,000, evenly spread)"),
        )


def _add_cache_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    parser.add_argument("--clear", action="store_true", help="remove all that no process writes")


def _add_init_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-h", "--help", action="help", help="show this help and exit")
    add("--data", nargs="+", required=True, metavar="FILE",
        help="files, globs or folders of parquet files to learn from")  # fmt: skip
    add("--target", nargs="+", metavar="COLUMN", help="column to forecast; asked on a terminal")
    for role, meaning in (
        ("known", "columns known in the future, too"),
        ("past", "columns known only up to now"),
        ("static", "columns constant within a series"),
        ("series-id", "columns that tell the series of a table apart"),
    ):
        add(f"--{role}", nargs="*", metavar="COLUMN",
            help=f"{meaning} (default: found in the data)")  # fmt: skip
    add("--time", metavar="COLUMN", help="time stamps (default: found in the data)")
    add("--time-zone", metavar="ZONE", help="of dates by local clocks, as Europe/Berlin")
    add("--horizon", type=int, metavar="STEPS",
        help="steps ahead (default: a season of the data)")  # fmt: skip
    add("--context", type=int, metavar="STEPS",
        help="steps of the past; 0 for a model that never sees the target")  # fmt: skip
    add("--model", metavar="NAME", help="model (default: by the data)")
    add("-o", "--output", type=Path, default=Path("my.yml"), metavar="FILE",
        help="YAML to write (default: %(default)s)")  # fmt: skip
    add("--force", action="store_true", help="overwrite the file")
    add("-v", "--verbose", action="store_true", help="show tracebacks")
