"""The entry point: options of each command, exit codes, and what is said on the way."""

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import jsonargparse

from transformertf import __version__
from transformertf.class_paths import PACKAGES, allowing
from transformertf.cli import cache_command, commands, evaluate_command, fit_command, ranks
from transformertf.cli.process import ended_by_sigterm, fast_process
from transformertf.cli.screen import quiet, say
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError, NonFiniteLossError, nearest
from transformertf.models import EncoderDecoderLSTM

COMMANDS = {
    "fit": (fit_command.fit, "train a model; writes runs/NAME/version_K/"),
    "validate": (commands.validate, "measure a checkpoint on the validation data"),
    "test": (commands.test, "measure a checkpoint on the test data"),
    "predict": (commands.predict, "write the forecasts of a checkpoint to a parquet file"),
    "evaluate": (
        evaluate_command.evaluate,
        "score rolling-origin forecasts; writes metrics, plots and a report to a folder",
    ),
    "calibrate": (
        evaluate_command.calibrate,
        "fit intervals on validation data, and keep them in the checkpoint",
    ),
    "cache": (cache_command.cache, "show or clear what is kept of large tables, see data.storage"),
}
# of an error, in characters: what was given can be of any length
LONGEST = 1200
EXIT_FAILURE, EXIT_USER, EXIT_INTERRUPTED = 1, 2, 130
# what the system says of a disk that takes no more
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


class _FullHelp(argparse.Action):
    """Prints the command's own options, then every argument of trainer, model and data."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        parser.print_help()
        full = jsonargparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
        full.add_class_arguments(EncoderDecoderDataModule, "data")
        full.add_class_arguments(EncoderDecoderLSTM, "model")
        print("\nEvery argument below is a key of the YAML, too.")
        full.print_help()
        print("\n--trainer.* takes every argument of lightning.Trainer.")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done, 1 a failure of ours, 2 a mistake of the user (told in one line), 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = "-v" in words or "--verbose" in words
    try:
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            raise InputError(f"no command {words[0]!r}; {nearest(words[0], COMMANDS)}")
        options, flags = _make_parser().parse_known_args(words)
        allowed = getattr(options, "allow", ())
        with (
            quiet(verbose),
            fast_process(),
            ended_by_sigterm(),
            allowing(allowed),
            ranks.ending_together(),
        ):
            COMMANDS[options.command][0](options, flags)
    except InputError as error:
        return _report(error, verbose, EXIT_USER)
    except NonFiniteLossError as error:
        return _report(error, verbose, EXIT_FAILURE)
    except BrokenPipeError:
        return EXIT_FAILURE
    except OSError as error:
        if error.errno not in FULL:
            return _report_failure()
        where = error.filename or "a file"
        return _report(error, verbose, EXIT_USER, f"{where} cannot be written: {error.strerror}")
    except KeyboardInterrupt:
        hint = "; go on with --ckpt_path last" if words[:1] == ["fit"] else ""
        say(f"interrupted{hint}")
        return EXIT_INTERRUPTED
    except Exception as error:
        if ranks.is_lost(error):
            _report(error, verbose, EXIT_FAILURE, ranks.LOST)
            return ranks.exit_code(EXIT_FAILURE)
        return _report_failure()
    finally:
        _flush()
    return 0


def _report_failure() -> int:
    """The last resort: our failure, with what is needed to report it."""
    traceback.print_exc()
    say("error: this is a failure of transformertf, please report it")
    return EXIT_FAILURE


def _flush() -> None:
    """Write what is left to standard output; who reads it, as `head`, may have seen enough."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # else Python would complain of it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: Exception, verbose: bool, code: int, message: str | None = None) -> int:
    """Print one line, and the traceback where asked for; return the exit code."""
    if ranks.speaks(code):
        if verbose:
            traceback.print_exception(error)
        line = " ".join((message or str(error)).split())
        if len(line) > LONGEST:
            line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
        print(f"error: {line}", file=sys.stderr)
    return code


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="transformertf",
        description="Forecast long, ragged, covariate-driven time series.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    choices = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )
    for name, (_, summary) in COMMANDS.items():
        command = choices.add_parser(
            name, help=summary, description=summary, allow_abbrev=False, add_help=False
        )
        if name == "cache":
            cache_command.add_options(command)
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
            help="start from the weights of this checkpoint that fit")  # fmt: skip
    if command == "predict":
        add("--output", type=Path, default=Path("forecasts.parquet"), metavar="FILE",
            help="parquet file to write (default: %(default)s)")  # fmt: skip
        add("--origin",
            help="where forecasts start: auto, last, all, every:N, or a time")  # fmt: skip
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
