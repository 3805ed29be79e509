"""Measures predict against the bare forward pass, and its memory; writes a page of the docs.

The page is `docs/benchmarks/predict.md`.
"""

import argparse
import contextlib
import io
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch

from scripts.benchmarks.benchmarking import (
    describe_machine,
    markdown_table,
    peak_of_command,
    time_interleaved,
)
from transformertf import models
from transformertf.batch import Batch
from transformertf.callbacks import ForecastWriter
from transformertf.cli import main as transformertf
from transformertf.cli.ranks import keep_freed_memory
from transformertf.data import EncoderDecoderDataModule
from transformertf.forecasts.sinks import ForecastFile
from transformertf.forecasts.tables import ForecastTables

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks" / "predict.md"
CONTEXT, HORIZON, BATCH = 168, 24, 128
KNOWN, PAST = ["k0", "k1", "k2"], ["p0", "p1", "p2"]
LENGTHS = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON}
# model, arguments, and batches as many times those of the others
CANDIDATES: Mapping[str, tuple[str, dict[str, object], int]] = {
    "EncoderDecoderLSTM, width 32": ("EncoderDecoderLSTM", {"d_encoder": 32, "d_decoder": 32}, 6),
    "EncoderDecoderLSTM, width 128": ("EncoderDecoderLSTM", {}, 1),
    "EncoderDecoderLSTM, width 128, 7 quantiles": ("EncoderDecoderLSTM", {"output_dim": 7}, 1),
    "TFT, width 32, 7 quantiles": ("TFT", {"d_model": 32, **LENGTHS}, 1),
}
PAGE = """# Predict: speed and memory

Written by `scripts/benchmarks/predict.py`. {machine}

## Against the bare forward pass

{context} + {horizon} steps, six covariates, the target, batches of {batch}, {batches} or more of
them a turn, time with a zone. The bare forward pass runs over batches that are there; predict
reads the file, makes the batches, runs the model, and writes `forecasts.parquet`. Both take
turns in random order; times are medians.

{speed}

## Memory against forecast rows

The highest resident memory (`VmRSS`) of `transformertf predict`, a small model. "every row" has
as many forecasts as fit in a short series (`--origin all`); "every horizon" forecasts each row of a
series once, so that the input has as many rows as the forecasts; its files are mapped
(`--data.storage mmap`), and `RssAnon` leaves mapped files out, which the system takes back when it
wants.

{memory}
"""


def make_frame(rows: int) -> pd.DataFrame:
    """Return noise with a column of time."""
    generator = np.random.default_rng(0)
    noise = {name: generator.standard_normal(rows) for name in [*KNOWN, *PAST, "y"]}
    return pd.DataFrame({"t": pd.date_range("2000", periods=rows, freq="min", tz="UTC"), **noise})


def make_data(frame: pd.DataFrame, folder: Path) -> EncoderDecoderDataModule:
    """Return a fitted data module on a frame, to train and to predict on."""
    path = folder / "frame.parquet"
    frame.to_parquet(path)
    data = EncoderDecoderDataModule(
        target_covariate="y",
        known_covariates=KNOWN,
        known_past_covariates=PAST,
        time_column="t",
        train_df_paths=str(path),
        predict_df_paths=str(path),
        ctxt_seq_len=CONTEXT,
        tgt_seq_len=HORIZON,
        batch_size=BATCH,
        origin="all",
    )
    data.setup("fit")
    return data


def measure_speed(seconds: float, batches: int) -> dict[str, tuple[float, float]]:
    """Return the rows a second of forward pass and of predict, by model."""
    found = {}
    for name, (model_name, options, times_batches) in CANDIDATES.items():
        count = batches * times_batches
        with tempfile.TemporaryDirectory() as folder:
            rows = CONTEXT + HORIZON + BATCH * count
            data = make_data(make_frame(rows), Path(folder))
            model = getattr(models, model_name)(
                num_past_features=data.num_past_known_covariates,
                num_future_features=data.num_future_known_covariates,
                **options,
            ).eval()
            loader = data.predict_dataloader()
            ready = list(itertools.islice(loader, count))
            runs: dict[str, Callable[[], object]] = {
                "forward": partial(forward, model, ready),
                "predict": partial(predict, model, data, count, Path(folder)),
            }
            times = time_interleaved(runs, seconds / len(CANDIDATES))
            made = BATCH * HORIZON * count
            found[name] = (made / times["forward"], made / times["predict"])
    return found


def forward(model: models.ForecastModule, batches: Sequence[Batch]) -> None:
    """Run a model over batches."""
    with torch.inference_mode():
        for number, batch in enumerate(batches):
            model.predict_step(batch, number)


def predict(
    model: models.ForecastModule, data: EncoderDecoderDataModule, batches: int, folder: Path
) -> None:
    """Forecast to a file, as the command does."""
    with ForecastFile(folder / "forecasts.parquet") as file:
        trainer = lightning.Trainer(
            accelerator="cpu",
            logger=False,
            callbacks=[ForecastWriter(file, ForecastTables(data))],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_predict_batches=batches,
        )
        trainer.predict(model, datamodule=data, return_predictions=False)


CONFIG = """
model:
  class_path: EncoderDecoderLSTM
  init_args: {d_encoder: 8, d_decoder: 8, num_encoder_layers: 1, num_decoder_layers: 1}
data:
  class_path: EncoderDecoderDataModule
  init_args:
    target_covariate: y
    known_covariates: [k0, k1, k2]
    known_past_covariates: [p0, p1, p2]
    time_column: t
    train_df_paths: train.parquet
    ctxt_seq_len: 24
    tgt_seq_len: 24
    batch_size: 256
trainer: {max_epochs: 1, limit_train_batches: 2, accelerator: cpu, enable_progress_bar: false}
"""


def measure_memory(rows: list[int]) -> dict[int, dict[str, float]]:
    """Return the highest memory of predict by forecast rows, in MB."""
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_frame(2000).to_parquet(folder / "train.parquet")
        (folder / "small.yml").write_text(CONFIG)
        with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
            if transformertf(["fit", "--config", "small.yml"]):
                raise RuntimeError("the small model does not train")
        for count in rows:
            found[count] = {}
            for how, length, flags in (
                ("every row", count // HORIZON + 24 + HORIZON, ["--origin", "all"]),
                ("every horizon", count + 24, ["--data.storage", "mmap"]),
            ):
                make_frame(length).to_parquet(folder / "new.parquet")
                words = ["predict", "-n", "small", "--ckpt_path", "last", *flags]
                words += ["--data.predict_df_paths", "new.parquet"]
                peaks = peak_of_command("transformertf", words, folder, ["VmRSS", "RssAnon"])
                found[count] |= {f"{how}, {field}": peak for field, peak in peaks.items()}
    return found


def write_page(
    machine: str,
    speed: Mapping[str, tuple[float, float]],
    memory: Mapping[int, Mapping[str, float]],
    batches: int,
) -> str:
    """Return the page.

    Args:
        machine: it, in words.
        speed: rows a second of forward pass and of predict, by model.
        memory: MB by forecast rows and way.
        batches: of a turn, at least.
    """
    ways = list(next(iter(memory.values()), {}))
    return PAGE.format(
        machine=machine,
        context=CONTEXT,
        horizon=HORIZON,
        batch=BATCH,
        batches=batches,
        speed=markdown_table(
            ["", "forward, rows a second", "predict, rows a second", "predict / forward"],
            [
                [name, f"{bare:,.0f}", f"{whole:,.0f}", f"{whole / bare:.2f}"]
                for name, (bare, whole) in speed.items()
            ],
        ),
        memory=markdown_table(
            ["forecast rows", *(f"{way}, MB" for way in ways)],
            [
                [f"{count:,}", *(f"{found[way]:,.0f}" for way in ways)]
                for count, found in memory.items()
            ],
        ),
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="time to spend on speed")
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument(
        "--memory-rows", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000]
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    keep_freed_memory()
    speed = measure_speed(arguments.seconds, arguments.batches)
    memory = measure_memory(arguments.memory_rows)
    machine = describe_machine("lightning", "pyarrow", "pandas")
    page = write_page(machine, speed, memory, arguments.batches)
    print(page)
    arguments.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
