"""The page on Python does what it says: its snippets run, in their order."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.pages import ROOT, blocks, run
from tests.processes import run_snippet
from tests.runs import same, weights
from transformertf.models import TOLD_BY_DATA

PAGE = ROOT / "docs" / "python.md"
# a fit of the page's few rows: else it would go through them sixty times
SHORT = 'horizon=24, name="prices", epochs=2, trainer={"accelerator": "cpu"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's folder: three weeks of prices, and what is forecast of the day after."""
    made = tmp_path_factory.mktemp("notebook")
    rows, rng = 21 * 24, np.random.default_rng(0)
    load = 40 + 10 * np.sin(np.arange(rows) * np.pi / 12) + rng.normal(size=rows)
    frame = pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "load forecast": load,
            "price": 30 + 0.8 * load + rng.normal(size=rows),
        }
    )
    frame[:-24].to_csv(made / "prices.csv", index=False)
    frame[-24:].drop(columns="price").to_csv(made / "tomorrow.csv", index=False)
    return made


def test_snippets_run_and_the_command_makes_the_fit_again(folder: Path) -> None:
    snippets = blocks(PAGE, "python")
    assert len(snippets[0].strip().splitlines()) <= 12
    whole = "\n".join(snippets)
    short = whole.replace('horizon=24, name="prices"', SHORT)
    assert short != whole
    result = run_snippet(short, folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "evaluation" / "report.html").stat().st_size > 10_000
    assert (folder / "tomorrow.png").stat().st_size > 10_000
    (line,) = blocks(PAGE, "bash")
    again = run(line.strip(), folder)
    assert again.returncode == 0, again.stderr
    last = [
        folder / "runs" / "prices" / f"version_{version}" / "checkpoints" / "last.ckpt"
        for version in (0, 1)
    ]
    assert same(weights(last[0]), weights(last[1]))


def test_the_table_is_what_models_ask_for() -> None:
    rows = re.findall(r"^\| `(\w+)`(?: \(of sequences\))? \| `(\w+)` \|$", PAGE.read_text(), re.M)
    assert dict(rows) == TOLD_BY_DATA
