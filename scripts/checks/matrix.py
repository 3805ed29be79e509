"""Run the quick part of the suite under each Python at hand, and tell how it went.

    python -m scripts.checks.matrix 3.11 3.12 3.13
    python -m scripts.checks.matrix 3.11 --minimum

For each, `make quick` with an environment of its own, `.venv-VERSION`; with --minimum in
`.venv-minimum`, of the oldest dependencies allowed. Needs nothing but Python.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# make's variables for the oldest dependencies; loggers are optional, and have a bound, too
MINIMUM = ["VENV=.venv-minimum", "CONSTRAINTS=constraints-minimum.txt", "EXTRAS=[dev,plot,loggers]"]
# what an environment needs; says which Python this is
PROBE = "import ensurepip, sys, venv; print('.'.join(map(str, sys.version_info[:3])))"


def candidates(version: str) -> Iterator[str]:
    """Yield where `pythonVERSION` may be: on PATH, then among pyenv's, the newest first."""
    name = f"python{version}"
    if found := shutil.which(name):
        yield found
    if pyenv := shutil.which("pyenv"):
        done = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False)
        places = Path(done.stdout.strip(), "versions").glob(f"{version}.*/bin/{name}")
        yield from map(str, sorted(places, key=lambda path: _patch(path.parts[-3]), reverse=True))


def _patch(version: str) -> int:
    number = version.rpartition(".")[2]
    return int(number) if number.isdecimal() else -1  # 3.14-dev, and the like, come last


def find_python(version: str) -> tuple[str | None, str]:
    """Return an interpreter that runs and its version, or None and why there is none.

    That it is on PATH is not enough: pyenv puts a `python3.12` there that only says it is not
    active.
    """
    reason = "not on PATH"
    for path in candidates(version):
        done = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False)
        found = done.stdout.strip()
        if done.returncode == 0 and found.startswith(f"{version}."):
            return path, found
        lines = done.stderr.strip().splitlines() or [f"is Python {found}"]
        reason = f"{path}: {lines[0]}"
    return None, reason


def run_quick(variables: Sequence[str]) -> str:
    """Make the environment that make's variables describe and run the quick part in it.

    Returns:
        "passed", or what failed.
    """
    for target, failure in (("install", "could not be installed"), ("quick", "tests failed")):
        words = [os.environ.get("MAKE", "make"), target, *variables]
        if subprocess.run(words, check=False).returncode:
            return failure
    return "passed"


def report(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a table of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run all, print the table; 1 where something failed or no Python was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="as 3.12")
    parser.add_argument("--minimum", action="store_true", help="the oldest dependencies allowed")
    arguments = parser.parse_args(words)
    rows, found = [["Python", "result", "time", "which"]], []
    for version in arguments.versions:
        python, which = find_python(version)
        if python is None:
            rows.append([version, "skipped", "", which])
            continue
        print(f"\nPython {which}, {python}", flush=True)
        start = time.monotonic()
        own = MINIMUM if arguments.minimum else [f"VENV=.venv-{version}"]
        found.append(run_quick([f"PYTHON={python}", *own]))
        rows.append([version, found[-1], f"{time.monotonic() - start:.0f} s", f"{which} {python}"])
    print(f"\n{report(rows)}")
    return int(not found or set(found) != {"passed"})


if __name__ == "__main__":
    sys.exit(main())
