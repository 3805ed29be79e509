"""The matrix takes a Python that runs, and tells why it left another out."""

import sys
from pathlib import Path

import pytest

from scripts.checks import matrix

RUNNING = ".".join(map(str, sys.version_info[:2]))


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH; its `make` notes what it is told, and fails where asked to."""
    place = tmp_path / "bin"
    make = executable(place / "make", f'echo "$@" >> {tmp_path}/made\n[ "$1" != "$FAILS" ]')
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setenv("MAKE", str(make))
    monkeypatch.setenv("FAILS", "")
    return place


def test_a_python_that_runs_is_taken(place: Path) -> None:
    path = executable(place / f"python{RUNNING}", f'exec {sys.executable} "$@"')
    version = ".".join(map(str, sys.version_info[:3]))
    assert matrix.find_python(RUNNING) == (str(path), version)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo 'pyenv: python: command not found' >&2; exit 127", "pyenv: python: command not"),
        ("echo 2.7.18", "is Python 2.7.18"),
    ],
)
def test_one_that_does_not_is_left_out(place: Path, text: str, reason: str) -> None:
    path = executable(place / f"python{RUNNING}", text)
    found, why = matrix.find_python(RUNNING)
    assert found is None
    assert why.startswith(f"{path}: {reason}")


def test_pyenv_is_asked_and_its_newest_is_taken(place: Path, tmp_path: Path) -> None:
    executable(place / f"python{RUNNING}", "exit 127")
    executable(place / "pyenv", f"echo {tmp_path}")
    for patch in (2, 10, 9):
        path = tmp_path / "versions" / f"{RUNNING}.{patch}" / "bin" / f"python{RUNNING}"
        executable(path, f"echo {RUNNING}.{patch}")
    newest = tmp_path / "versions" / f"{RUNNING}.10" / "bin" / f"python{RUNNING}"
    assert matrix.find_python(RUNNING) == (str(newest), f"{RUNNING}.10")


@pytest.mark.parametrize(
    ("fails", "result"),
    [("", "passed"), ("install", "could not be installed"), ("quick", "tests failed")],
)
def test_each_is_told(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails: str,
    result: str,
) -> None:
    monkeypatch.setenv("FAILS", fails)
    path = executable(place / "python9.8", "echo 9.8.7")
    assert matrix.main(["9.8", "9.9"]) == int(bool(fails))
    told = capsys.readouterr().out.splitlines()
    assert told[-2].startswith(f"9.8     {result}  ")
    assert told[-2].endswith(f"9.8.7 {path}")
    assert told[-1].split() == ["9.9", "skipped", "not", "on", "PATH"]
    made = (tmp_path / "made").read_text().splitlines()
    targets = ["install"] if fails == "install" else ["install", "quick"]
    assert made == [f"{target} PYTHON={path} VENV=.venv-9.8" for target in targets]


def test_the_oldest_dependencies_have_an_environment_of_their_own(
    place: Path, tmp_path: Path
) -> None:
    path = executable(place / "python9.8", "echo 9.8.7")
    assert matrix.main(["--minimum", "9.8"]) == 0
    made = (tmp_path / "made").read_text().splitlines()
    own = (
        f"PYTHON={path} VENV=.venv-minimum CONSTRAINTS=constraints-minimum.txt "
        "EXTRAS=[dev,plot,loggers]"
    )
    assert made == [f"install {own}", f"quick {own}"]


def test_none_at_all_is_a_failure(place: Path) -> None:
    assert place.exists()
    assert matrix.main(["9.9"]) == 1
