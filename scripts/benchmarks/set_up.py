"""Measures set-up against numbers of files, series and gaps; writes a section of a page.

That of `docs/benchmarks/data.md`. Each measurement has a process of its own.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch

from scripts.benchmarks.benchmarking import (
    Runner,
    describe_machine,
    markdown_table,
    write_section,
)
from scripts.benchmarks.data import MANY, OUTPUT
from transformertf.data import EncoderDecoderDataModule

ROWS, STRETCH = 60, 20
CONTEXT, HORIZON = 10, 5
COUNTS = {
    "parquet files": (1_000, 5_000, 20_000),
    "series of one table": (1_000, 5_000, 20_000),
    "gaps in one series": (1_000, 5_000, 20_000, 50_000),
}
SECTION = """{title}

Written by `scripts/benchmarks/set_up.py`. {machine}

What a fit waits for: `setup`, then the first batch of training and of validation, with
`val_fraction: 0.2`, {context} + {horizon} steps. Files and series have {rows} rows each, stretches
between gaps {stretch}. Memory is what that adds to the highest of a fresh process. Medians of
{rounds} runs.

{table}
"""


def _noise(rows: int) -> dict[str, Any]:
    generator = np.random.default_rng(rows)
    return {name: generator.standard_normal(rows) for name in ("x", "y")}


def write_files(folder: Path, count: int) -> dict[str, Any]:
    """Write a file for each series, and return what reads them."""
    for number in range(count):
        pyarrow.parquet.write_table(pa.table(_noise(ROWS)), folder / f"{number:05}.parquet")
    return {"train_df_paths": str(folder / "*.parquet")}


def write_series(folder: Path, count: int) -> dict[str, Any]:
    """Write a table of series, and return what reads it."""
    table = pa.table({"unit": np.repeat(np.arange(count), ROWS), **_noise(ROWS * count)})
    pyarrow.parquet.write_table(table, folder / "series.parquet")
    return {"train_df_paths": str(folder / "series.parquet"), "series_id": "unit"}


def write_gaps(folder: Path, count: int) -> dict[str, Any]:
    """Write a series with gaps, and return what reads it."""
    rows = STRETCH * (count + 1)
    stamps = np.arange(rows) + 9 * (np.arange(rows) // STRETCH)
    pyarrow.parquet.write_table(pa.table({"t": stamps, **_noise(rows)}), folder / "gaps.parquet")
    # the split cuts one of the stretches
    given = {"time_column": "t", "max_gap": 5, "drop_short_series": True}
    return {"train_df_paths": str(folder / "gaps.parquet"), **given}


WRITERS: Mapping[str, Callable[[Path, int], dict[str, Any]]] = dict(
    zip(COUNTS, (write_files, write_series, write_gaps), strict=True)
)


class SetUp:
    """The set-up of a fit, timed.

    Args:
        options: of the data module, besides the columns and lengths.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.seconds = 0.0, 0.0

    def __call__(self) -> None:
        """Set up and make the first batches."""
        begin = time.perf_counter(), time.process_time()
        data = EncoderDecoderDataModule(
            "y", "x", ctxt_seq_len=CONTEXT, tgt_seq_len=HORIZON, val_fraction=0.2, **self.options
        )
        data.setup("fit")
        next(iter(data.train_dataloader()))
        next(iter(data.val_dataloader()))
        self.seconds = time.perf_counter() - begin[0], time.process_time() - begin[1]

    def describe(self) -> tuple[float, float]:
        """Return the seconds that it took, and those of the processor."""
        return self.seconds


def measure(kind: str, count: int, rounds: int) -> list[float]:
    """Return seconds of a set-up, those of the processor, and megabytes added to the peak."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        options = WRITERS[kind](Path(folder), count)
        for _ in range(rounds):
            with Runner(SetUp, options, threads=1) as runner:
                runner()
                found.append((*runner.describe(), runner.peak()))
    return [statistics.median(column) for column in zip(*found, strict=True)]


def write_page(machine: str, rounds: int, rows: Sequence[Sequence[str]]) -> str:
    """Return the section."""
    return SECTION.format(
        title=MANY,
        machine=machine,
        context=CONTEXT,
        horizon=HORIZON,
        rows=ROWS,
        stretch=STRETCH,
        rounds=rounds,
        table=markdown_table(["", "how many", "s", "processor s", "ms each", "MB"], rows),
    )


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers, to try it out")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # what the page says of them
    rows = []
    for kind, counts in COUNTS.items():
        for count in counts:
            many = int(count * arguments.share)
            wall, seconds, peak = measure(kind, many, arguments.rounds)
            numbers = f"{wall:.1f}", f"{seconds:.1f}", f"{1000 * seconds / many:.2f}"
            rows.append([kind, f"{many:,}", *numbers, f"{peak:,.0f}"])
            print(*rows[-1], flush=True)
    machine = describe_machine("numpy", "pyarrow", "pandas")
    section = write_page(machine, arguments.rounds, rows)
    print(section)
    write_section(arguments.output, section)


if __name__ == "__main__":
    main()
