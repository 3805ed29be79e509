"""A small table, its batches in every stage, and what comes of one that is spoilt."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from hypothesis import HealthCheck, settings

from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError

ROWS = 36
REALS = ("known", "past", "target")
OPTIONS: dict[str, Any] = {
    "target_covariate": "target",
    "known_covariates": ["known"],
    "known_past_covariates": ["past"],
    "time_column": "t",
    "ctxt_seq_len": 4,
    "tgt_seq_len": 2,
    "val_fraction": 0.3,
    "batch_size": 64,
    "shuffle": False,
}
Tried = Callable[[str], None]
Given = pd.DataFrame | Path


def examples(share: float) -> settings:
    """Return settings for a share of the examples that the profile asks for."""
    profile = settings.default
    assert profile is not None
    return settings(
        max_examples=max(1, int(share * profile.max_examples)),
        deadline=None,
        # a fixture that changes nothing is shared by all examples
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def make_frame(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Return a table without a fault."""
    generator = np.random.default_rng(seed)
    known = generator.normal(size=rows).cumsum()
    noise = generator.normal(size=(2, rows))
    return pd.DataFrame(
        {
            "t": np.arange(rows) * 0.5,
            "known": known,
            "past": noise[0],
            "target": 5 + 2 * known + 0.1 * noise[1],
        }
    )


def batches_of(given: Given, **options: Any) -> list[Batch]:
    """Return the first batch of training, validation and predict."""
    data = EncoderDecoderDataModule(
        train_df_paths=os.fspath(given) if isinstance(given, Path) else "frame",
        predict_df_paths=os.fspath(given) if isinstance(given, Path) else "frame",
        **{**OPTIONS, **options},
    )
    if isinstance(given, pd.DataFrame):
        data.stages.give("train_df_paths", given)
        data.stages.give("predict_df_paths", given)
    data.setup("fit")
    validation = data.val_dataloader()
    assert not isinstance(validation, list)
    data.setup("predict")
    return [
        next(iter(one)) for one in (data.train_dataloader(), validation, data.predict_dataloader())
    ]


def outcome(given: Given, tried: Tried, **options: Any) -> str | list[Batch]:
    """Return the one line that refuses a table, or its batches, all finite; anything else fails."""
    logging.disable(logging.WARNING)
    try:
        found = batches_of(given, **options)
    except InputError as error:
        line = str(error)
        assert "\n" not in line
        # what is wrong, and what to do
        assert len(line.split("; ")) > 1 or "no rows" in line or "needs past values" in line, line
        tried("refused")
        return line
    finally:
        logging.disable(logging.NOTSET)
    for batch in found:
        for name, values in batch.items():
            assert isinstance(values, torch.Tensor)
            assert torch.isfinite(values).all(), name
    tried("works")
    return found


def assert_same(found: str | list[Batch], expected: list[Batch]) -> None:
    """Check that batches are those of another table, but for rounding."""
    assert not isinstance(found, str), found
    pairs = zip(map(dict, found), map(dict, expected), strict=True)
    for one, other in pairs:
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)
