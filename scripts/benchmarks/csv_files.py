"""Measures how csv files are read, in speed and memory; writes a section of a page.

That of `docs/benchmarks/data.md`. Each measurement of memory has a process of its
own; reading is timed in turns with `pyarrow.csv`, which holds all rows of a file in memory.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from scripts.benchmarks.benchmarking import (
    describe_machine,
    markdown_table,
    time_interleaved,
    write_section,
)
from scripts.benchmarks.data import CSV_FILES, OUTPUT
from transformertf.data import EncoderDecoderDataModule

COLUMNS = ["a", "b", "c", "d", "y"]
TIMES = {"whole numbers": None, "dates": "%Y-%m-%d %H:%M:%S", "day first": "%d.%m.%Y %H:%M:%S"}
SECTION = """{title}

Written by `scripts/benchmarks/csv_files.py`. {machine}

Files of a time column and five of numbers with six decimals, {size:.1f} GB at {most:,} rows. Set-up
is with `storage: mmap`, nothing in the cache, its memory the highest `RssAnon` of a fresh process,
imports and all.

{memory}

Speed at {most:,} rows, medians of {rounds} runs in turns; time in whole numbers.

{speed}
"""


def write_csv(path: Path, rows: int, time: str | None) -> Path:
    """Write a file, its time column in whole numbers or as dates in a format."""
    generator = np.random.default_rng(0)
    options = pyarrow.csv.WriteOptions(quoting_style="none", include_header=False)
    with path.open("wb") as file:
        file.write(",".join(["t", *COLUMNS]).encode() + b"\n")
        for begin in range(0, rows, 500_000):
            steps = np.arange(begin, min(begin + 500_000, rows))
            stamps = pa.array(steps)
            if time is not None:
                stamps = pa.compute.strftime(stamps.cast(pa.timestamp("s")), format=time)
            values = {name: generator.normal(size=len(steps)).round(6) for name in COLUMNS}
            pyarrow.csv.write_csv(pa.table({"t": stamps, **values}), file, options)
    return path


def set_up(path: Path) -> None:
    """Read a file into mapped columns, with nothing in the cache."""
    shutil.rmtree(os.environ["TRANSFORMERTF_CACHE"], ignore_errors=True)
    data = EncoderDecoderDataModule(
        "y", COLUMNS[:-1], time_column="t", train_df_paths=str(path), storage="mmap",
        ctxt_seq_len=168, tgt_seq_len=24,
    )  # fmt: skip
    data.setup("fit")


def peak_of(path: Path) -> float:
    """Return the highest anonymous memory of this process while it sets up, in MB."""
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            with open("/proc/self/status", encoding="utf-8") as lines:
                now = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            peak = max(peak, now / 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    set_up(path)
    done.set()
    watcher.join()
    return peak


def in_a_fresh_process(path: Path) -> float:
    """Return `peak_of` a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(peak_of, path).result()


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 20_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    memory: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        os.environ["TRANSFORMERTF_CACHE"] = f"{place}/cache"
        path = Path(place) / "run.csv"
        for name, time in reversed(TIMES.items()):
            memory[name] = []
            for rows in arguments.rows:
                write_csv(path, rows, time)
                memory[name].append(in_a_fresh_process(path))
            print(name, memory[name], flush=True)
        candidates: dict[str, Callable[[], object]] = {
            "pyarrow.csv reads the file": partial(pyarrow.csv.read_csv, path),
            "set-up": partial(set_up, path),
        }
        speed = time_interleaved(candidates, 0.0, at_least=arguments.rounds, warm_up=0)
        size = path.stat().st_size / 1e9
    reference = next(iter(speed.values()))
    section = SECTION.format(
        title=CSV_FILES,
        machine=describe_machine("numpy", "pyarrow", "pandas"),
        size=size,
        most=arguments.rows[-1],
        rounds=arguments.rounds,
        memory=markdown_table(
            ["time column", *(f"{rows:,} rows, MB" for rows in arguments.rows)],
            [[name, *(f"{found:,.0f}" for found in peaks)] for name, peaks in memory.items()],
        ),
        speed=markdown_table(
            ["", "seconds", "times pyarrow"],
            [[name, f"{spent:.1f}", f"{spent / reference:.2f}"] for name, spent in speed.items()],
        ),
    )
    print(section)
    write_section(arguments.output, section)


if __name__ == "__main__":
    main()
