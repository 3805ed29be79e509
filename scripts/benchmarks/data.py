"""Measures data delivery, set-up and memory against rows; writes `docs/benchmarks/data.md`.

Peers, where they are installed, get the same table and windows, each as its library delivers
batches to a model on this computer without workers:

- pytorch-forecasting: `TimeSeriesDataSet` and its own loader.
- darts: `SequentialTorchTrainingDataset`, a `DataLoader` and darts' own collate function.
"""

import argparse
import contextlib
import importlib.util
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import torch
from torch.utils.data import DataLoader

from scripts.benchmarks.benchmarking import (
    Runner,
    describe_machine,
    markdown_table,
    peak_of_command,
    section_of,
    time_interleaved,
)
from transformertf.cli.ranks import keep_freed_memory
from transformertf.data import EncoderDecoderDataModule

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks" / "data.md"
CONTEXT, HORIZON, BATCH, BATCHES = 168, 24, 64, 100
KNOWN, PAST = ["k0", "k1", "k2"], ["p0", "p1", "p2"]
COLUMNS = [*KNOWN, *PAST, "y"]
DELIVERY_ROWS = 200_000
SETUP_COLUMNS = [*COLUMNS, "p3"]
PEERS = ("pytorch-forecasting", "darts")
# the sections of other scripts, which are kept
CSV_FILES, MANY = "## Csv files", "## Set-up against files, series and gaps"
PAGE = """# Data delivery, set-up and memory

Written by `scripts/benchmarks/data.py`. {machine}

## Delivery

Windows in random order, {context} + {horizon} steps of 7 columns (three known, three past, the
target), batches of {batch}, no workers, {rows:,} rows. Each candidate has a process of its own with
one thread; all take turns in random order, and times are medians.

{delivery}
{absent}
## Set-up

A parquet file of {setup_rows:,} rows of 8 columns of float64, written by pyarrow with its defaults.
`setup` is what a fit waits for: read, check, fit the scaling. Medians of runs in turns, in one
process.

{setup}

## Memory against rows

The highest anonymous memory (`RssAnon`) of `transformertf fit` on a parquet file of 8 columns of
float64: {steps} training steps, batches of {batch}. Pages of mapped files are not in it: they are
the system's cache, which it takes back when it wants.

{memory}
"""


def write_table(path: Path, rows: int, columns: Sequence[str], *, time: bool = False) -> Path:
    """Write a parquet file of noise, and of time `t` where asked, in row groups of a million."""
    generator = np.random.default_rng(0)
    writer: pyarrow.parquet.ParquetWriter | None = None
    for begin in range(0, rows, 1_000_000):
        count = min(1_000_000, rows - begin)
        noise = {name: generator.standard_normal(count) for name in columns}
        table = pa.table({**noise, **({"t": np.arange(begin, begin + count)} if time else {})})
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def make_data(path: Path, **options: Any) -> EncoderDecoderDataModule:
    """Return a data module on a file."""
    given = {
        "target_covariate": "y",
        "known_covariates": KNOWN,
        "known_past_covariates": PAST,
        "train_df_paths": str(path),
        "ctxt_seq_len": CONTEXT,
        "tgt_seq_len": HORIZON,
        "batch_size": BATCH,
    }
    return EncoderDecoderDataModule(**{**given, **options})


def our_batches(path: Path, **options: Any) -> Iterator[object]:
    """Yield our batches."""
    data = make_data(path, **options)
    data.setup("fit")
    loader = data.train_dataloader()
    while True:
        yield from loader


def pytorch_forecasting_batches(path: Path) -> Iterator[object]:
    """Yield pytorch-forecasting's batches."""
    from pytorch_forecasting import TimeSeriesDataSet

    frame = pd.read_parquet(path).astype(np.float32).assign(group="a")
    dataset = TimeSeriesDataSet(
        frame.assign(step=np.arange(len(frame))),
        time_idx="step",
        target="y",
        group_ids=["group"],
        max_encoder_length=CONTEXT,
        max_prediction_length=HORIZON,
        time_varying_known_reals=KNOWN,
        time_varying_unknown_reals=[*PAST, "y"],
    )
    loader = dataset.to_dataloader(train=True, batch_size=BATCH, num_workers=0)
    while True:
        yield from loader


def darts_batches(path: Path) -> Iterator[object]:
    """Yield darts' batches."""
    from darts import TimeSeries
    from darts.models.forecasting.torch_forecasting_model import _batch_collate_fn_train
    from darts.utils.data import SequentialTorchTrainingDataset

    frame = pd.read_parquet(path).astype(np.float32)
    target, past, known = (
        TimeSeries.from_dataframe(frame[columns]) for columns in (["y"], PAST, KNOWN)
    )
    dataset = SequentialTorchTrainingDataset(
        series=target,
        past_covariates=past,
        future_covariates=known,
        input_chunk_length=CONTEXT,
        output_chunk_length=HORIZON,
    )
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, collate_fn=_batch_collate_fn_train)
    while True:
        yield from loader


CANDIDATES: dict[str, Callable[[Path], Iterator[object]]] = {
    "transformertf": our_batches,
    "transformertf, mapped files": partial(our_batches, storage="mmap"),
    "transformertf, with time": partial(our_batches, known_covariates=KNOWN[:2], time_column="t"),
    "transformertf, per window": partial(our_batches, normalize="window"),
    "transformertf, random lengths": partial(
        our_batches, min_ctxt_seq_len=84, min_tgt_seq_len=12, randomize_seq_len=True
    ),
    "pytorch-forecasting": pytorch_forecasting_batches,
    "darts": darts_batches,
}


def prepare(name: str, path: Path) -> Callable[[], None]:
    """Return what takes some batches from a candidate."""
    keep_freed_memory()
    batches = CANDIDATES[name](path)
    next(batches)

    def run() -> None:
        for _ in itertools.islice(batches, BATCHES):
            pass

    return run


def measure_delivery(names: Sequence[str], path: Path, seconds: float) -> dict[str, float]:
    """Return the windows a second of each candidate."""
    with contextlib.ExitStack() as stack:
        runners = {
            name: stack.enter_context(Runner(prepare, name, path, threads=1)) for name in names
        }
        times = time_interleaved(runners, seconds, warm_up=3)
    return {name: BATCH * BATCHES / spent for name, spent in times.items()}


def measure_setup(path: Path, rounds: int) -> dict[str, float]:
    """Return the seconds of reading a file, and of our set-up on it."""

    def setup(**options: Any) -> None:
        data = make_data(path, known_past_covariates=[*PAST, "p3"], **options)
        data.setup("fit")

    def anew() -> None:
        shutil.rmtree(os.environ["TRANSFORMERTF_CACHE"], ignore_errors=True)
        setup(storage="mmap")

    candidates: dict[str, Callable[[], object]] = {
        "pyarrow reads the file": lambda: pyarrow.parquet.read_table(path),
        "pandas reads the file": lambda: pd.read_parquet(path),
        "setup": lambda: setup(storage="memory"),
        "setup, mapped files, the first time": anew,
        "setup, mapped files, once they are there": lambda: setup(storage="mmap"),
    }
    return time_interleaved(candidates, 0.0, at_least=rounds)


CONFIG = """
model:
  class_path: EncoderDecoderLSTM
  init_args: {{d_encoder: 8, d_decoder: 8, num_encoder_layers: 1, num_decoder_layers: 1}}
data:
  class_path: EncoderDecoderDataModule
  init_args:
    target_covariate: y
    known_covariates: [k0, k1, k2]
    known_past_covariates: [p0, p1, p2, p3]
    train_df_paths: {path}
    val_fraction: 0.1
    ctxt_seq_len: {context}
    tgt_seq_len: {horizon}
    batch_size: {batch}
    storage: {storage}
trainer:
  {{max_epochs: 1, limit_train_batches: {steps}, limit_val_batches: 10, accelerator: cpu,
    enable_progress_bar: false, enable_model_summary: false}}
"""


def measure_memory(path: Path, storage: str, steps: int) -> float:
    """Return the highest anonymous memory of a fit, in MB."""
    folder = path.parent
    text = CONFIG.format(
        path=path, context=CONTEXT, horizon=HORIZON, batch=BATCH, storage=storage, steps=steps
    )
    (folder / "fit.yml").write_text(text)
    words = ["fit", "--config", "fit.yml"]
    return peak_of_command("transformertf", words, folder, ["RssAnon"])["RssAnon"]


def write_page(
    machine: str,
    delivery: Mapping[str, float],
    setup: Mapping[str, float],
    memory: Mapping[int, Mapping[str, float]],
    absent: Sequence[str],
    setup_rows: int,
    steps: int,
) -> str:
    """Return the page.

    Args:
        machine: it, in words.
        delivery: windows a second.
        setup: seconds, that of pyarrow first.
        memory: MB by rows and storage.
        absent: peers that are not installed.
        setup_rows: rows of the file that was set up.
        steps: training steps of a fit whose memory was measured.
    """
    reference = next(iter(setup.values()))
    storages = list(next(iter(memory.values()))) if memory else []
    return PAGE.format(
        machine=machine,
        context=CONTEXT,
        horizon=HORIZON,
        batch=BATCH,
        rows=DELIVERY_ROWS,
        setup_rows=setup_rows,
        steps=steps,
        delivery=markdown_table(
            ["", "windows a second", "us a batch"],
            [
                [name, f"{found:,.0f}", f"{BATCH / found * 1e6:,.0f}"]
                for name, found in delivery.items()
            ],
        ),
        setup=markdown_table(
            ["", "seconds", "times pyarrow"],
            [[name, f"{spent:.2f}", f"{spent / reference:.2f}"] for name, spent in setup.items()],
        ),
        memory=markdown_table(
            ["rows", *(f"storage: {name}, MB" for name in storages)],
            [
                [
                    f"{rows:,}",
                    *(f"{found[name]:,.0f}" if name in found else "-" for name in storages),
                ]
                for rows, found in memory.items()
            ],
        ),
        absent=f"\nNot installed: {', '.join(absent)}.\n" if absent else "",
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="measure other libraries too")
    parser.add_argument("--seconds", type=float, default=60.0, help="time to spend on delivery")
    parser.add_argument("--setup-rows", type=int, default=10_000_000)
    parser.add_argument(
        "--memory-rows", type=int, nargs="*", default=[1_000_000, 3_000_000, 10_000_000, 30_000_000]
    )
    parser.add_argument("--memory-steps", type=int, default=300)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # what the page says of them
    asked = [name for name in CANDIDATES if arguments.peers or name not in PEERS]
    names = [
        name for name in asked
        if name not in PEERS or importlib.util.find_spec(name.replace("-", "_"))
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["TRANSFORMERTF_CACHE"] = str(folder / "cache")
        path = write_table(folder / "delivery.parquet", DELIVERY_ROWS, COLUMNS, time=True)
        delivery = measure_delivery(names, path, arguments.seconds)
        print(delivery, flush=True)
        path = write_table(folder / "setup.parquet", arguments.setup_rows, SETUP_COLUMNS)
        setup = measure_setup(path, rounds=5)
        print(setup, flush=True)
        memory: dict[int, dict[str, float]] = {}
        for rows in arguments.memory_rows:
            path = write_table(folder / "memory.parquet", rows, SETUP_COLUMNS)
            memory[rows] = {
                storage: measure_memory(path, storage, arguments.memory_steps)
                for storage in ("mmap", "memory")
            }
            shutil.rmtree(folder / "cache", ignore_errors=True)
            print(rows, memory[rows], flush=True)
    packages = [name for name in names if name in PEERS]
    page = write_page(
        describe_machine("numpy", "pyarrow", *packages),
        delivery,
        setup,
        memory,
        [name for name in asked if name not in names],
        arguments.setup_rows,
        arguments.memory_steps,
    )
    kept = arguments.output.read_text() if arguments.output.exists() else ""
    arguments.output.write_text(
        page + "".join(section_of(kept, title) for title in (MANY, CSV_FILES))
    )
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
