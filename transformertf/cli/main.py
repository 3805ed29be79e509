"""The entry point: commands, exit codes, and what is said on the way.

torch and Lightning take seconds to import. The help, and mistakes in the words of a command or in
its YAML, do without: what needs them is imported once a command is to run.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module

from transformertf.class_paths import allowing
from transformertf.cli.completion import script
from transformertf.cli.help_pages import show
from transformertf.cli.limits import limit_told
from transformertf.cli.options import make_parser
from transformertf.cli.screen import any_console, is_first_process, quiet, say, tell
from transformertf.cli.signals import ended_from_outside, imported_whole
from transformertf.cli.surroundings import check_surroundings
from transformertf.cli.yaml_file import YamlFile
from transformertf.errors import InputError, NonFiniteLossError, nearest

Command = Callable[[argparse.Namespace, Sequence[str]], None]


def _later(module: str, name: str) -> Command:
    """Return a command that is imported when it runs."""

    def run(options: argparse.Namespace, flags: Sequence[str]) -> None:
        with imported_whole():
            command = getattr(import_module(f"transformertf.cli.{module}"), name)
        command(options, flags)

    return run


COMMANDS: dict[str, tuple[Command, str]] = {
    "check": (
        _later("check", "check"),
        "tell all mistakes in what fit is to be given, and what it would do; writes nothing",
    ),
    "init": (_later("init", "init"), "look at data files and write a YAML to fit them with"),
    "fit": (_later("fit", "fit"), "train a model; writes runs/NAME/version_K/"),
    "validate": (_later("validate", "validate"), "measure a checkpoint on the validation data"),
    "test": (_later("validate", "test"), "measure a checkpoint on the test data"),
    "predict": (
        _later("predict", "predict"),
        "write the forecasts of a checkpoint to a parquet file",
    ),
    "evaluate": (
        _later("evaluate", "evaluate"),
        "score rolling-origin forecasts; writes metrics, plots and a report to a folder",
    ),
    "calibrate": (
        _later("calibrate", "calibrate"),
        "fit intervals on validation data, and keep them in the checkpoint",
    ),
    "export": (
        _later("export", "export"),
        "write a forecaster to an ONNX file that runs without torch, proven equal",
    ),
    "runs": (_later("run_table", "runs"), "list runs: state, metrics, settings that differ"),
    "compare": (
        _later("compare", "compare"),
        "hold forecasts of several checkpoints or files against each other, on the same windows",
    ),
    "show": (_later("show", "show"), "say what a checkpoint holds"),
    "cache": (
        _later("cache", "cache"),
        "show or clear what is kept of large tables, see data.storage",
    ),
    "config": (
        _later("resolved", "config"),
        "print the configuration that a fit would take, with all defaults",
    ),
    "schema": (
        _later("schema", "schema"),
        "print the JSON schema of configurations, by which editors complete and check",
    ),
}
# these do without torch
LIGHT = ("init", "runs", "schema")
# of an error, in characters: what was given can be of any length
LONGEST = 1200
EXIT_FAILURE, EXIT_USER, EXIT_INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done, 1 a failure of ours, 2 what the user can mend, a limit of the system too (told in one
    line), 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with any_console():
        return _guarded(words, verbose="-v" in words or "--verbose" in words)


def _guarded(words: Sequence[str], verbose: bool) -> int:
    """Run a command, tell of what ends it, and return its exit code."""
    try:
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            raise InputError(f"no command {words[0]!r}; {nearest(words[0], COMMANDS)}")
        summaries = {name: summary for name, (_, summary) in COMMANDS.items()}
        parser = make_parser(summaries)
        options, flags = parser.parse_known_args(words)
        if options.completion is not None:
            print(script(options.completion, parser))
        elif options.command is None:
            if words:
                raise InputError(f"{words[0]}: before it a command; {nearest('', COMMANDS)}")
            parser.print_help()
        elif getattr(options, "help", None) is not None:
            show(options, flags)
        else:
            _run(options, flags, verbose)
        sys.stdout.flush()
    except InputError as error:
        return _report(error, verbose, EXIT_USER)
    except NonFiniteLossError as error:
        return _report(error, verbose, EXIT_FAILURE)
    except BrokenPipeError:  # who reads standard output, as `head`, may have seen enough
        return EXIT_FAILURE
    except KeyboardInterrupt as interrupt:
        say("; ".join(["interrupted", *map(str, interrupt.args)]))  # with a hint how to go on
        return EXIT_INTERRUPTED
    except Exception as error:
        return _report_other(error, verbose)
    return 0


def _run(options: argparse.Namespace, flags: Sequence[str], verbose: bool) -> None:
    check_surroundings()
    if options.command in LIGHT:
        COMMANDS[options.command][0](options, flags)
        return
    if paths := getattr(options, "config", ()):
        options.config = [YamlFile.read(path) for path in paths]
        for file in options.config:
            file.tree()
    with imported_whole():
        from transformertf.cli.ranks import ending_together, fast_process

    allowed = getattr(options, "allow", ())
    with (
        quiet(verbose),
        fast_process(),
        ended_from_outside(),
        allowing(allowed),
        ending_together(),
    ):
        COMMANDS[options.command][0](options, flags)


def _report_other(error: Exception, verbose: bool) -> int:
    """Tell of a limit of the system, or of a lost process; the rest is a failure of ours."""
    line = limit_told(error)
    if line is not None:
        return _report(error, verbose, EXIT_USER, line)
    from transformertf.cli import ranks

    if ranks.is_lost(error):
        _report(error, verbose, EXIT_FAILURE, ranks.LOST)
        return ranks.exit_code(EXIT_FAILURE)
    tell(traceback.format_exc())
    say("error: this is a failure of transformertf, please report it")
    return EXIT_FAILURE


def _report(error: Exception, verbose: bool, code: int, message: str | None = None) -> int:
    """Print one line, and the traceback where asked for; return the exit code."""
    ranks = sys.modules.get("transformertf.cli.ranks")
    if is_first_process() if ranks is None else ranks.speaks(code):
        if verbose:
            tell("".join(traceback.format_exception(error)))
        text = message or str(error)
        if text.startswith("Caught "):  # by torch, in a worker, with a traceback before it
            text = text.rpartition(f"{type(error).__name__}: ")[2]
        line = " ".join(text.split())
        if len(line) > LONGEST:
            line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
        tell(f"error: {line}")
    return code
