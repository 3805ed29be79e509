"""Whole training epochs over series of very different length, by two ways of padding.

"padded" pads every context to the longest of all series and runs over the padding, as fixed
windows do. "ours" is what the data module and the model do unless asked otherwise: batches of
windows of like lengths, trimmed to their longest, padding left out by the recurrence. "trimmed"
leaves bucketing out.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule
from transformertf.models import EncoderDecoderLSTM

SERIES, SHORTEST, LONGEST, HORIZON = 1280, 50, 500, 24
BATCH_SIZE, WIDTH = 64, 64
DESCRIPTION = (
    f"An `EncoderDecoderLSTM` of width {WIDTH} over {SERIES} series with contexts uniform in "
    f"[{SHORTEST}, {LONGEST}] and {HORIZON} steps of horizon, batches of {BATCH_SIZE}, Adam. "
    "`padded` pads every context to the longest of all and runs over the padding; `trimmed` cuts "
    "batches to their longest row; `ours`, the default, puts like lengths into a batch as well. "
    "The two last leave padding out exactly. Subnormal numbers are flushed, as the commands do."
)
MODES = ("padded", "trimmed", "ours")


def write_series(folder: Path, count: int = SERIES) -> None:
    """Write one file a series: context uniform from `SHORTEST` to `LONGEST`, and a horizon."""
    draw = np.random.default_rng(0)
    for number in range(count):
        rows = int(draw.integers(SHORTEST, LONGEST, endpoint=True)) + HORIZON
        drive = draw.normal(size=rows)
        frame = pd.DataFrame({"drive": drive, "response": drive.cumsum()})
        frame.to_parquet(folder / f"{number:05}.parquet")


def data_module(folder: Path, mode: str) -> EncoderDecoderDataModule:
    """Return the fitted data module of a mode, one window a series."""
    torch.manual_seed(0)
    data = EncoderDecoderDataModule(
        "response",
        known_covariates="drive",
        train_df_paths=str(folder / "*.parquet"),
        ctxt_seq_len=LONGEST,
        min_ctxt_seq_len=SHORTEST,
        tgt_seq_len=HORIZON,
        batch_size=BATCH_SIZE,
        bucket_by_length=mode == "ours",
    )
    data.setup("fit")
    return data


def batches(data: EncoderDecoderDataModule, mode: str) -> Iterator[Batch]:
    """Yield the batches of an epoch."""
    for batch in data.train_dataloader():
        yield pad_to_longest(batch) if mode == "padded" else batch


def pad_to_longest(batch: Batch) -> Batch:
    """Return the batch with every context `LONGEST` steps long and its padding taken for data."""
    rows, steps, _ = batch["encoder_input"].shape
    more = LONGEST - steps
    batch["encoder_input"] = torch.nn.functional.pad(batch["encoder_input"], (0, 0, 0, more))
    batch["encoder_mask"] = torch.ones(rows, LONGEST, dtype=torch.bool)
    batch["encoder_lengths"] = torch.full((rows,), LONGEST)
    return batch


def prepare_epoch(folder: Path, mode: str) -> Callable[[], None]:
    """Return a whole training epoch of an encoder-decoder LSTM."""
    torch.set_flush_denormal(True)  # as the commands do
    data = data_module(folder, mode)
    features = data.num_past_known_covariates, data.num_future_known_covariates
    module = EncoderDecoderLSTM(*features, d_encoder=WIDTH, d_decoder=WIDTH)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)

    def run() -> None:
        for batch in batches(data, mode):
            optimizer.zero_grad()
            torch.autograd.backward(module.calc_loss(module(batch), batch))
            optimizer.step()

    return run


def padded_steps(folder: Path, mode: str) -> int:
    """Return the context steps that all rows of an epoch's batches have, padding included."""
    return sum(
        batch["encoder_input"][..., 0].numel() for batch in batches(data_module(folder, mode), mode)
    )


def in_temporary_folder(count: int = SERIES) -> tempfile.TemporaryDirectory[str]:
    """Return a folder with the series, to be closed after use."""
    folder = tempfile.TemporaryDirectory()
    write_series(Path(folder.name), count)
    return folder
