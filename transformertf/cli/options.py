"""The options of each command; every argument of trainer, model and data is one more."""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn

from transformertf.class_paths import PACKAGES
from transformertf.cli.completion import SHELLS
from transformertf.cli.help_pages import READS, Asked, examples_of
from transformertf.errors import InputError
from transformertf.version import __version__

# of a fit that neither epochs, steps nor time bound
EPOCHS = 100
# what names a checkpoint, and whose `last` and `best` are meant
_CHECKPOINT = "file; `last` or `best` of NAME; a run: folder, NAME or NAME/version_K"
_WHOSE = "name of the experiment, for `last` and `best`"


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


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
    parser.add_argument("--completion", choices=SHELLS,
        help="print what lets a shell complete commands and keys")  # fmt: skip
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, summary in commands.items():
        command = choices.add_parser(
            name, help=summary, description=summary, allow_abbrev=False, add_help=False
        )
        OWN.get(name, partial(_add_options, command=name))(command)
    return parser


def _add_options(parser: argparse.ArgumentParser, command: str) -> None:
    add = parser.add_argument
    # the screen of a command, see `help_pages`
    own = "--ckpt_path FILE" if command in READS else "--config FILE"
    parser.usage = f"transformertf {command} {own} [options] [--KEY VALUE ...]"
    examples = "\n  ".join(f"transformertf {command} {words}" for words in examples_of(command))
    parser.description = f"{parser.description}\n\nexamples:\n  {examples}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add("-h", "--help", action=Asked, nargs="*", metavar="GROUP",
        help="show this page, or a group of arguments, and exit")  # fmt: skip
    add("--help-all", action=Asked, nargs=0, dest="help", help="show every argument and exit")
    add("-c", "--config", action="append", type=Path, default=[], metavar="FILE",
        help="YAML; repeatable, later files win")  # fmt: skip
    add("--ckpt_path", metavar="CHECKPOINT",
        help=_CHECKPOINT)  # fmt: skip
    add("-n", "--name", help="name of the experiment; default: the config's stem")
    add("-v", "--verbose", action="store_true", help="show log lines and tracebacks")
    add("--allow", action="append", default=[], metavar="PACKAGE",
        help="take classes from this package, too; repeatable (always: "
        f"{', '.join(PACKAGES)})")  # fmt: skip
    if command in MORE:
        MORE[command](parser)


def _add_config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--explain", action="store_true",
        help="say beside each value which line, flag or checkpoint it is from")  # fmt: skip


def _add_fit_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--transfer-ckpt", metavar="CHECKPOINT",
        help="start from the weights of this checkpoint that fit, and its scaling")  # fmt: skip
    add("--refit-scaling", action="store_true",
        help="with --transfer-ckpt: fit scaling and categories to the new data")  # fmt: skip


def _add_predict_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--output", type=Path, metavar="FILE",
        help="parquet or csv file to write (default: forecasts.parquet in the run folder of "
        "the checkpoint; where that lies in none, here)")  # fmt: skip
    add("--origin",
        help="where forecasts start: auto, last, all, every:N, every:1D, daily@23:00, end, or "
        "a time")  # fmt: skip
    add("--plot", action="store_true",
        help="write a picture of some forecasts beside them")  # fmt: skip
    _add_horizon_options(parser)


def _add_horizon_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--horizon", type=int, metavar="STEPS",
        help="steps of each forecast, more or fewer than in training")  # fmt: skip
    add("--lead", default="0", metavar="STEPS",
        help="the first steps of each forecast, in rows or as a time such as 12h, which are "
        "left out: what comes before a decision takes effect")  # fmt: skip
    add("--samples", type=int, metavar="PATHS",
        help="paths by which quantiles go on beyond the trained horizon; 0 goes on with the "
        "point forecast (default: 200 where there are quantiles)")  # fmt: skip


def _add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_horizon_options(parser)
    add("--output", type=Path, metavar="DIR",
        help="folder to write (default: evaluation in the run folder of the checkpoint; where "
        "that lies in none, here)")  # fmt: skip
    _add_season_option(parser)
    add("--refit", type=int, default=1, metavar="FOLDS",
        help="folds of the test rows; before each one after the first the model is trained "
        "anew, as the run was, with all rows before it (default: %(default)s)")  # fmt: skip
    add("--plots", action=argparse.BooleanOptionalAction,
        help="write plots and a report (default: where matplotlib is installed)")  # fmt: skip
    _add_stage_options(parser, "test", "auto")


def _add_calibrate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--output", type=Path, metavar="FILE",
        help="checkpoint to write (default: the one that was read)")  # fmt: skip
    add("--levels", type=float, nargs="+", metavar="LEVEL",
        help="levels around a point forecast, each between 0 and 1")  # fmt: skip
    add("--by-series", action="store_true", help="calibrate each series by itself")
    _add_stage_options(parser, "validation", None)


def _add_season_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--season", type=int, metavar="ROWS",
        help="rows of a season: of the seasonal naive forecast and MASE; 1 for none (default: "
        "what the rate suggests, such as 24 for hours)")  # fmt: skip


def _add_stage_options(parser: argparse.ArgumentParser, stage: str, origin: str | None) -> None:
    add = parser.add_argument
    add("--stage", choices=("validation", "test"), default=stage,
        help="whose data (default: %(default)s)")  # fmt: skip
    add("--origin", default=origin,
        help="where forecasts start: auto (one every horizon), all, every:N, every:1D, "
        "daily@23:00, last, or a time"
        + ("" if origin else " (default: about 10,000, evenly spread)"))  # fmt: skip


def _add_runs_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-h", "--help", action="help", help="show this help and exit")
    add("name", nargs="?", metavar="NAME", help="one experiment (default: all)")
    add("--sort", metavar="METRIC", help="best first by this metric, such as MAE or loss")
    add("--json", action="store_true", help="all that is kept of each run, for programs")


def _add_show_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-h", "--help", action="help", help="show this help and exit")
    add("ckpt_path", metavar="CHECKPOINT",
        help=_CHECKPOINT)  # fmt: skip
    add("-n", "--name", help=_WHOSE)
    add("--json", action="store_true", help="the same for programs")
    parser.set_defaults(config=[])


def _add_export_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-h", "--help", action="help", help="show this help and exit")
    add("--ckpt_path", metavar="CHECKPOINT",
        help=_CHECKPOINT)  # fmt: skip
    add("-n", "--name", help=_WHOSE)
    add("-o", "--output", type=Path, metavar="FILE",
        help="ONNX file to write (default: model.onnx in the run folder of the checkpoint; where "
        "that lies in none, here)")  # fmt: skip
    add("-v", "--verbose", action="store_true", help="show log lines and tracebacks")
    add("--allow", action="append", default=[], metavar="PACKAGE",
        help="take classes from this package, too; repeatable")  # fmt: skip
    parser.set_defaults(config=[])


def _add_compare_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-h", "--help", action="help", help="show this help and exit")
    add("sources", nargs="+", metavar="SOURCE",
        help="a checkpoint as --ckpt_path takes it, or a parquet or csv file of forecasts: series, "
        "origin, step, time, prediction, actual, q0.1 ...")  # fmt: skip
    add("-c", "--config", action="append", type=Path, default=[], metavar="FILE",
        help="YAML, over what each checkpoint says of its data; repeatable")  # fmt: skip
    add("-n", "--name", help=_WHOSE)
    add("--output", type=Path, metavar="DIR", help="folder for a report and the table")
    _add_stage_options(parser, "test", "auto")
    _add_season_option(parser)
    add("-v", "--verbose", action="store_true", help="show log lines and tracebacks")
    add("--allow", action="append", default=[], metavar="PACKAGE",
        help="take classes from this package, too; repeatable")  # fmt: skip


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


def _add_schema_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    parser.add_argument("--model", metavar="NAME", help="of the configurations of this model")


# options beside those of all commands that take arguments of trainer, model and data
MORE: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "calibrate": _add_calibrate_options,
    "check": _add_fit_options,
    "config": _add_config_options,
    "evaluate": _add_evaluate_options,
    "fit": _add_fit_options,
    "predict": _add_predict_options,
}
# of commands that take none
OWN: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "cache": _add_cache_options,
    "compare": _add_compare_options,
    "export": _add_export_options,
    "init": _add_init_options,
    "runs": _add_runs_options,
    "schema": _add_schema_options,
    "show": _add_show_options,
}
