"""Commands and snippets in processes of their own, which begin with the package imported.

To import torch and Lightning takes longer than most commands. A server, which has done nothing but
that, forks for each process; what else the tests have done, no process knows of.
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from transformertf.cli import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *(f"transformertf.cli.{name}" for name in ("fit", "evaluate", "predict", "validate")),
        "transformertf.forecaster",
        "matplotlib.figure",
    ]
)
LIMIT = 120  # seconds


@dataclass
class Ended:
    """What came of a process.

    Attributes:
        returncode: exit code, or the number of a signal, below 0.
        stdout: what it wrote there.
        stderr: what it wrote there.
    """

    returncode: int
    stdout: str
    stderr: str


def run_apart(function: Callable[..., Any], *arguments: Any, folder: Path) -> Ended:
    """Call a function of a module in a process of its own.

    Args:
        function: its exit code is that of the process, where it raises SystemExit.
        *arguments: of the function.
        folder: to work in.
    """
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place, name) for name in ("stdout", "stderr")]
        process = CONTEXT.Process(target=_enter, args=(function, arguments, folder, outputs))
        process.start()
        return Ended(_wait(process), *(output.read_text() for output in outputs))


def run_command(words: Sequence[str], folder: Path) -> Ended:
    """Run a command, without the word `transformertf`, in a folder."""
    return run_apart(_command, list(words), folder=folder)


def run_snippet(snippet: str, folder: Path) -> Ended:
    """Run a program in a folder."""
    return run_apart(_snippet, snippet, folder=folder)


def _wait(process: BaseProcess) -> int:
    process.join(LIMIT)
    try:
        assert process.exitcode is not None, f"still runs after {LIMIT} seconds"
        return process.exitcode
    finally:
        process.kill()


def _enter(
    function: Callable[..., Any], arguments: Sequence[Any], folder: Path, outputs: Sequence[Path]
) -> None:
    for number, output in enumerate(outputs, start=1):
        with output.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    function(*arguments)


def _command(words: Sequence[str]) -> None:
    sys.argv[1:] = words
    sys.exit(main(words))


def _snippet(snippet: str) -> None:
    exec(compile(snippet, "snippet", "exec"), {"__name__": "__main__"})
