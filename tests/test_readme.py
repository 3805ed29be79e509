"""The README does what it says: every command and snippet runs, in its order."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.pages import ROOT, blocks, measure, run
from tests.processes import run_snippet

PAGE = ROOT / "README.md"
README = PAGE.read_text(encoding="utf-8")
# tried from a fresh clone, they cannot run inside the suite they start
MAKE = ("make demo", "make test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's folder: own measurements, and the README's configuration."""
    made = tmp_path_factory.mktemp("stranger")
    (made / "measurements").mkdir()
    for name, rows in (("monday", 700), ("tuesday", 560)):
        measure(rows, rows).to_csv(made / "measurements" / f"{name}.csv", index=False)
    new = measure(120, 7)
    new.loc[100:, ["temperature", "pressure"]] = np.nan
    new.to_csv(made / "new.csv", index=False)
    (config,) = blocks(PAGE, "yaml")
    (made / config.splitlines()[0].removeprefix("# ")).write_text(config)
    return made


def test_commands_and_snippets(folder: Path) -> None:
    lines = [line for block in blocks(PAGE, "bash") for line in block.splitlines()]
    own = [line for line in lines if not line.startswith(MAKE)]
    assert len(own) == 5
    assert len(lines) - len(own) == len(MAKE)
    for line in own:
        result = run(line, folder)
        assert result.returncode == 0, f"{line}\n{result.stderr}"
    (snippet,) = blocks(PAGE, "python")
    result = run_snippet(snippet, folder)
    assert result.returncode == 0, result.stderr
    forecasts = pd.read_parquet(folder / "forecasts.parquet")
    assert forecasts["time"].tolist() == [2.0 * row for row in range(100, 120)]
    assert (folder / "forecast.png").stat().st_size > 10_000


def test_told_mistake_is_told(folder: Path) -> None:
    (console,) = blocks(PAGE, "console")
    command, expected = console.strip().split("\n")
    words = [sys.executable, "-m", *command.removeprefix("$ ").split()]
    result = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.strip() == expected


def test_files_it_names_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith("https:"):
            assert (ROOT / target).exists(), target
    for name in re.findall(r"`((?:data|nn|models|cli|utils)/[\w./]*|\w+\.py)`", README):
        places = [ROOT / "transformertf" / name, ROOT / "transformertf" / "data" / name]
        assert any(place.exists() for place in places), name
