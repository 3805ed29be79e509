"""Commands and snippets of the pages, in a stranger's folder."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from tests.processes import Ended, run_command

ROOT = Path(__file__).parents[1]


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run(line: str, folder: Path) -> Ended:
    """Run a command of a page in a folder."""
    name, *words = shlex.split(line, comments=True)
    assert name == "transformertf"
    return run_command(words, folder)


def measure(rows: int, seed: int) -> pd.DataFrame:
    """Return what a stranger measured: a temperature that follows a heater."""
    heater = np.random.default_rng(seed).normal(size=rows).cumsum() / 5
    temperature = 290 + np.convolve(heater, np.full(10, 0.1))[:rows]
    return pd.DataFrame(
        {
            "time": np.arange(rows) * 2.0,
            "heater": heater,
            "pressure": 1 + temperature / 300,
            "temperature": temperature,
        }
    )
