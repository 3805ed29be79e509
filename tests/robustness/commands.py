"""Runs commands in this process, and sees that what they refuse is refused well."""

import contextlib
import io
import os
from pathlib import Path

from transformertf.cli import main


def run(*words: str | os.PathLike[str]) -> tuple[int, str]:
    """Return the exit code of a command, and what it wrote to standard error."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = main([str(word) for word in words])
    return code, errors.getvalue()


def refused(*words: str | os.PathLike[str]) -> str:
    """Run a command that must end with code 2, one line and nothing new on disk."""
    before = sorted(Path.cwd().rglob("*"))
    code, errors = run(*words)
    assert code == 2, errors[-3000:]
    assert sorted(Path.cwd().rglob("*")) == before
    return error_line(errors)


def error_line(errors: str) -> str:
    """Return the one line that tells the mistake."""
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, errors[-3000:]
    return lines[0].removeprefix("error: ")
