"""The one way from series to batches: as the loaders of both data modules give them."""

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule

MODULES = {
    "windows": (EncoderDecoderDataModule, {"ctxt_seq_len": 6, "tgt_seq_len": 3, "stride": 2}),
    "sequences": (TimeSeriesDataModule, {"seq_len": 9, "stride": 2}),
}


@pytest.fixture(params=MODULES)
def make(request, tmp_path):
    """Return what makes a data module on three series, in double precision where asked."""
    generator = np.random.default_rng(0)
    for number, rows in enumerate((20, 31, 25)):
        frame = pd.DataFrame(
            {"k": generator.normal(size=rows), "c": generator.choice(["a", "b"], rows)}
        )
        frame["y"] = generator.normal(size=rows)
        frame.to_parquet(tmp_path / f"u{number}.parquet")
    kind, lengths = MODULES[request.param]

    def build(dtype="float32"):
        return kind(
            "y",
            ["k", "c"],
            categorical_covariates="c",
            train_df_paths=str(tmp_path / "*.parquet"),
            batch_size=4,
            shuffle=False,
            dtype=dtype,
            **lengths,
        )

    return build


def assert_equal(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for name, values in batch.items():
            torch.testing.assert_close(values, other[name], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_are_those_of_the_loader(make, dtype):
    data = make(dtype)
    data.setup("fit")
    expected = list(data.train_dataloader())
    windows = data.train_dataloader().dataset.windows
    fitted = data.fitted
    rows = fitted.store(data.stage_series("train"))
    found = list(fitted.batches(rows, windows.runs, size=4))
    assert rows.values.dtype == dtype
    assert len(windows) % 4 > 0, "the last batch is a smaller one"
    assert_equal(found, expected)


def test_a_loaded_state_makes_the_same_batches(make):
    torch.manual_seed(1)
    data, fresh = make(), make()
    data.setup("fit")
    series, windows = data.stage_series("train"), data.train_dataloader().dataset.windows
    assert fresh.fitted.state_dict() != data.fitted.state_dict()
    fresh.fitted.load_state_dict(data.fitted.state_dict())
    assert fresh.fitted.parts(series) == data.fitted.parts(series)
    assert_equal(
        *(
            list(fitted.batches(fitted.store(series), windows.runs, 3))
            for fitted in (data.fitted, fresh.fitted)
        )
    )
