"""What a step of carried states costs on short and on long runs, in time and in memory.

    python -m scripts.benchmarks.lanes [--write]

One run of 10 000 to 10 000 000 rows, two columns, in a parquet file: `transformertf fit` with an
LSTM of width 48, 32 lanes and pieces of 100 steps. Time is that of the steps alone, in turns with
each other in processes of their own; memory is the peak of the whole command, mapped files left
out: of the first one, which reads the file, and of the next, which finds its columns kept.
`--write` writes the table into docs/benchmarks/memory.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from scripts.benchmarks.benchmarking import (
    Runner,
    describe_machine,
    markdown_table,
    peak_of_command,
    time_interleaved,
    write_section,
)
from transformertf.data import TimeSeriesDataModule
from transformertf.models import LSTM

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "memory.md"
ROWS = (10_000, 1_000_000, 10_000_000)
STEPS = 100
DATA = {
    "target_covariate": "y",
    "known_covariates": ["u"],
    "seq_len": 100,
    "batch_size": 32,
    "carry_state": True,
    "storage": "mmap",
}


def write_run(path: Path, rows: int) -> None:
    """Write a run: noise, and a leaky sum of it."""
    noise = np.random.default_rng(0).normal(size=rows)
    sums = pd.Series(noise).ewm(alpha=1e-3).mean().to_numpy()
    pd.DataFrame({"u": noise, "y": sums}).astype(np.float32).to_parquet(path)


def prepare(path: str) -> Callable[[], object]:
    """Return what trains for some steps."""
    torch.manual_seed(0)
    data = TimeSeriesDataModule(train_df_paths=path, **DATA)  # type: ignore[arg-type]
    data.setup("fit")
    model = LSTM(1, num_layers=1, d_model=48, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters())
    loader = data.train_dataloader()

    def run() -> None:
        given = 0
        while given < STEPS:
            for batch in loader:
                optimizer.zero_grad()
                loss: Any = model.calc_loss(model(batch, need_weights=False), batch)
                loss.backward()
                optimizer.step()
                given += 1
                if given == STEPS:
                    break

    return run


def peak(path: Path, folder: Path) -> float:
    """Return the highest memory of a fit of some steps, in MB."""
    config = {
        "num_threads": 1,
        "model": {"class_path": "LSTM", "init_args": {"num_layers": 1, "d_model": 48}},
        "data": {
            "class_path": "TimeSeriesDataModule",
            "init_args": {**DATA, "train_df_paths": str(path)},
        },
        "trainer": {"max_steps": STEPS, "max_epochs": -1},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    words = ["fit", "--config", "config.yml", "-n", path.stem]
    return peak_of_command("transformertf", words, folder, ["RssAnon"])["RssAnon"]


def main() -> None:
    """Measure and print; write where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = {rows: folder / f"run_{rows}.parquet" for rows in ROWS}
        for rows, path in paths.items():
            write_run(path, rows)
        peaks = {
            rows: [peak(path, folder) for _ in ("reads the file", "finds its columns kept")]
            for rows, path in paths.items()
        }
        runners = {str(rows): Runner(prepare, str(path), threads=1) for rows, path in paths.items()}
        try:
            times = time_interleaved(runners, seconds=20.0)
        finally:
            for runner in runners.values():
                runner.close()
    cells = [
        (
            f"{rows:,}",
            f"{1e3 * times[str(rows)] / STEPS:.2f} ms",
            *(f"{each:.0f} MB" for each in peaks[rows]),
        )
        for rows in ROWS
    ]
    table = markdown_table(
        ("rows of the run", "a step", "peak of the first command", "of the next one"), cells
    )
    section = f"## Cost of a step\n\n{table}\n\n{describe_machine('lightning')}"
    print(section)
    if options.write:
        write_section(PAGE, section)


if __name__ == "__main__":
    main()
