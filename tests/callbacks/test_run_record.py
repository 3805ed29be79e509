"""What a run keeps of how it was made."""

import shutil
import subprocess
from pathlib import Path

import lightning
import pytest
import torch

from transformertf.callbacks.run_record import made_with
from transformertf.version import __version__


def git(*words: str) -> str:
    name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *name, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_versions_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = made_with()
    assert found.pop("python").startswith("3.")
    assert found == {
        "transformertf": __version__,
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }
    monkeypatch.setenv("PATH", "")
    assert "git" not in made_with()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init")
    Path("a.yml").write_text("1")
    git("add", "a.yml")
    git("commit", "-m", "one")
    assert made_with()["git"] == git("rev-parse", "HEAD")
