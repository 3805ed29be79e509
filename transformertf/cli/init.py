"""The command that looks at files and writes a configuration to fit them with."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from transformertf.cli import catalogue
from transformertf.cli.screen import say
from transformertf.errors import InputError, at_least_one, nearest
from transformertf.proposal import Answers, AsProposed, Given, Wishes, look, propose

# so many files of a folder are written as a glob, where they are all of their kind in it
_MANY = 4


def init(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Write the configuration that is proposed, and say what it takes for what."""
    if flags:
        raise InputError(
            f"init: unknown argument {flags[0]!r}; see transformertf init --help, and change other "
            "settings in the file that it writes"
        )
    path: Path = options.output
    _check_place(path, options.force)
    seen = look(options.data)
    proposal = propose(seen, _wishes(options), _answers(), str(path))
    # by which an editor completes and checks it, see docs/editor.md
    _write(
        path, f"# yaml-language-server: $schema={catalogue.PATH}\n{proposal.text}", options.force
    )
    for line in proposal.lines():
        say(line)
    say(f"{path} is written; next: transformertf check --config {path}")


class Terminal:
    """Asks who sits at a terminal; an empty answer takes what is proposed."""

    def columns(self, what: str, proposed: Sequence[str], known: Sequence[str]) -> list[str]:
        """Ask for the columns of a role: names with commas between them, or - for none."""
        while known:
            answer = _ask(f"{what} columns (- for none)", ", ".join(proposed) or "-")
            names = [] if answer == "-" else [name.strip() for name in answer.split(",")]
            unknown = [name for name in names if name not in known]
            if not unknown:
                return names
            say(f"no column {unknown[0]!r} is left; {nearest(unknown[0], known)}")
        return []

    def target(self, proposed: str, known: Sequence[str]) -> str:
        """Ask for the column to forecast."""
        say(f"numeric columns: {', '.join(known)}")
        return self._one("column to forecast", proposed, known)

    def number(self, what: str, proposed: int) -> int:
        """Ask for a number of steps."""
        while True:
            answer = _ask(f"{what} in steps", str(proposed))
            if answer.isdecimal() and int(answer) > 0:
                return int(answer)
            say(f"expected a whole number above 0, found {answer!r}")

    def model(self, proposed: str, known: Sequence[str]) -> str:
        """Ask for the model."""
        return self._one("model", proposed, known)

    def _one(self, what: str, proposed: str, known: Sequence[str]) -> str:
        while (answer := _ask(what, proposed)) not in known:
            say(f"no {what} {answer!r}; {nearest(answer, known)}")
        return answer


def _ask(what: str, proposed: str) -> str:
    try:
        return input(f"{what} [{proposed}]: ").strip() or proposed
    except EOFError:
        return proposed


def _answers() -> Answers:
    return Terminal() if sys.stdin is not None and sys.stdin.isatty() else AsProposed()


def _wishes(options: argparse.Namespace) -> Wishes:
    targets = options.target or [None]
    if len(targets) > 1:
        raise InputError(
            f"--target: one column is forecast, found {', '.join(targets)}; write a configuration "
            "for each"
        )
    if options.horizon is not None:
        at_least_one(horizon=options.horizon)
    if options.context:
        at_least_one(context=options.context)
    given = Given(targets[0], options.known, options.past, options.static)
    return Wishes(
        _as_globs(options.data), given, options.series_id, options.time,
        options.time_zone, options.horizon,
        options.context, options.model,
    )  # fmt: skip


def _as_globs(paths: Sequence[str]) -> list[str]:
    """Return many files of a folder as the glob that the shell has expanded, if they are all."""
    first = Path(paths[0])
    glob = str(first.parent / f"*{first.suffix}")
    if len(paths) >= _MANY and {str(Path(path)) for path in paths} == {
        str(path) for path in first.parent.glob(f"*{first.suffix}")
    }:
        return [glob]
    return list(paths)


def _check_place(path: Path, force: bool) -> None:
    if path.is_dir():
        raise InputError(f"--output {path}: is a folder; name a file, as {path / 'my.yml'}")
    if path.exists() and not force:
        raise InputError(f"--output {path}: is there already; name another file, or give --force")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--output {path}: the folder {path.absolute().parent} must exist")


def _write(path: Path, text: str, force: bool) -> None:
    """Write a file whole or not at all; one that came up meanwhile stays, but with force."""
    folder = path.absolute().parent
    try:
        with tempfile.NamedTemporaryFile("wb", dir=folder, delete=False) as file:
            part = Path(file.name)
            try:
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.chmod(part, 0o666 & ~_umask())
                _check_place(path, force)
                os.replace(part, path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    part.unlink()
    except PermissionError as error:
        raise InputError(f"--output {path}: the folder {folder} cannot be written to") from error


def _umask() -> int:
    """Return the bits that new files lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
