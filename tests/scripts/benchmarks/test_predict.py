"""The benchmark of predict: its candidates forecast the same rows, its page says what was found."""

import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from scripts.benchmarks import predict
from transformertf.models import EncoderDecoderLSTM


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    frame = predict.make_frame(predict.CONTEXT + predict.HORIZON + 300)
    return predict.make_data(frame, tmp_path_factory.mktemp("predict"))


def test_predict_writes_what_the_forward_pass_gives(data, tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = EncoderDecoderLSTM(8, 4, d_encoder=4, d_decoder=4).eval()
    batches = list(data.predict_dataloader())[:2]
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(model, "predict_step", partial(_kept, model.predict_step, seen))
    predict.forward(model, batches)  # without a trainer, in scaled units
    scaled = list(seen)
    predict.predict(model, data, 2, tmp_path)
    table = pd.read_parquet(tmp_path / "forecasts.parquet")
    assert len(table) == 2 * predict.BATCH * predict.HORIZON
    pairs = zip(scaled, batches, strict=True)
    expected = torch.cat(
        [data.inverse_transform_target(one, batch).flatten() for one, batch in pairs]
    )
    np.testing.assert_array_equal(table["prediction"], expected)


def _kept(step, seen, batch, batch_idx):
    output = step(batch, batch_idx)
    seen.append(output)
    return output


def test_the_page_compares():
    page = predict.write_page(
        "A machine.",
        {"small": (15_360.0, 12_288.0)},
        {1000: {"every row, VmRSS": 400.4}, 2000: {"every row, VmRSS": 402.0}},
        batches=10,
    )
    assert "| small | 15,360 | 12,288 | 0.80 |" in page
    assert "| 1,000 | 400 |" in page
    assert not re.search(r"[{}]", page)
