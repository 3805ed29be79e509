"""Measures a session from a new row to its forecast; writes `docs/benchmarks/streaming.md`."""

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.base import WindowDataModule
from transformertf.models import LSTM, EncoderDecoderLSTM, ForecastModule, TemporalFusionTransformer
from transformertf.streaming import Stream

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks" / "streaming.md"
HORIZON, CONTEXTS, TURN = 24, (168, 1000), 50
KNOWN, PAST = ["k0", "k1"], ["p0"]
COLUMNS = ["t", *KNOWN, *PAST, "y"]
TRAINING_ROWS = 3000
PAGE = """# Streaming: from a new row to its forecast

Written by `scripts/benchmarks/streaming.py`. {machine}

An update of one row and its forecast: two known covariates, one past covariate, time stamps and the
target; a horizon of {horizon} steps, of LSTM the new row itself. Models have their default sizes,
TFT a width of {width}. Each session begins with one whole context. Sessions take turns of {turn}
updates, in random order, {rounds} turns each after one to warm up.

{table}
"""
HEADER = ["", "context", "median, ms", "99th percentile, ms"]
WIDTH = 64


@dataclass(frozen=True)
class Candidate:
    """A session to time.

    Attributes:
        model: its class.
        carry: whether it carries its state.
        options: of the model.
    """

    model: type[ForecastModule]
    carry: bool
    options: Mapping[str, Any]


CANDIDATES = {
    "EncoderDecoderLSTM, carried": Candidate(EncoderDecoderLSTM, True, {}),
    "EncoderDecoderLSTM, windowed": Candidate(EncoderDecoderLSTM, False, {}),
    "LSTM, carried": Candidate(LSTM, True, {}),
    "TFT, windowed": Candidate(TemporalFusionTransformer, False, {"d_model": WIDTH}),
}


def make_rows(rows: int) -> pd.DataFrame:
    """Return rows of noise, one an hour."""
    generator = np.random.default_rng(0)
    noise = {name: generator.standard_normal(rows) for name in (*KNOWN, *PAST, "y")}
    return pd.DataFrame({"t": pd.date_range("2024-01-01", periods=rows, freq="h"), **noise})


def make_data(kind: type[ForecastModule], context: int) -> WindowDataModule:
    """Return a data module that is fitted to noise."""
    roles: dict[str, Any] = {
        "target_covariate": "y",
        "known_covariates": KNOWN,
        "known_past_covariates": PAST,
        "time_column": "t",
        "train_df_paths": "noise",
    }
    data: WindowDataModule
    if kind.takes == "sequences":
        data = TimeSeriesDataModule(**roles, seq_len=context)
    else:
        data = EncoderDecoderDataModule(**roles, ctxt_seq_len=context, tgt_seq_len=HORIZON)
    data.stages.give("train_df_paths", make_rows(TRAINING_ROWS))
    data.setup("fit")
    return data


class Session:
    """A session that takes the next row at each call.

    Args:
        candidate: what to time.
        context: rows of a context.
        rows: rows to give, the first context among them.
    """

    def __init__(self, candidate: Candidate, context: int, rows: pd.DataFrame) -> None:
        data = make_data(candidate.model, context)
        if isinstance(data, EncoderDecoderDataModule):
            sizes: dict[str, Any] = {
                "num_past_features": data.num_past_known_covariates,
                "num_future_features": data.num_future_known_covariates,
            }
            if candidate.model is TemporalFusionTransformer:
                sizes |= {"ctxt_seq_len": context, "tgt_seq_len": HORIZON}
        else:
            assert isinstance(data, TimeSeriesDataModule)
            sizes = {"num_features": data.num_features}
        self.stream = Stream(
            candidate.model(**sizes, **candidate.options), data, carry=candidate.carry
        )
        self.rows = rows
        self.future = isinstance(data, EncoderDecoderDataModule)
        self._give(context)

    def __call__(self) -> float:
        """Return the seconds of an update."""
        return self._give(1)

    def _give(self, count: int) -> float:
        first = self.stream.rows
        end = first + count
        # cut before the clock starts: rows come as frames of their own
        new = self.rows[first:end].copy()
        future = self.rows[[*KNOWN, "t"]][end : end + HORIZON].copy() if self.future else None
        start = time.perf_counter()
        self.stream.update(new, future)
        return time.perf_counter() - start


def measure(contexts: Sequence[int], rounds: int) -> list[list[str]]:
    """Return name, context, median and 99th percentile in milliseconds of each session."""
    rows = make_rows(max(contexts) + (rounds + 1) * TURN + HORIZON)
    sessions = {
        (name, context): Session(candidate, context, rows)
        for name, candidate in CANDIDATES.items()
        for context in contexts
    }
    times: dict[tuple[str, int], list[float]] = {key: [] for key in sessions}
    shuffle, order = random.Random(0), list(sessions)
    for number in range(rounds + 1):
        shuffle.shuffle(order)
        for key in order:
            spent = [sessions[key]() for _ in range(TURN)]
            if number > 0:  # the first round warms up
                times[key] += spent
    return [
        [name, str(context), *(f"{1e3 * np.quantile(found, at):.2f}" for at in (0.5, 0.99))]
        for (name, context), found in times.items()
    ]


def write_page(machine: str, found: Sequence[Sequence[str]], rounds: int) -> str:
    """Return the page.

    Args:
        machine: it, in words.
        found: rows of the table.
        rounds: turns of each session that were timed.
    """
    return PAGE.format(
        machine=machine,
        horizon=HORIZON,
        width=WIDTH,
        turn=TURN,
        rounds=rounds,
        table=markdown_table(HEADER, found),
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="turns of each session to time")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # what the page says of them
    found = measure(CONTEXTS, arguments.rounds)
    page = write_page(describe_machine("numpy", "pandas"), found, arguments.rounds)
    print(page)
    arguments.output.write_text(page)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
