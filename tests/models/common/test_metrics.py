"""Logged metrics are those of the target as it was read, by their formulas in docs/metrics.md."""

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from tests.runs import quiet_trainer
from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule
from transformertf.models import EncoderDecoderLSTM

CONTEXT, HORIZON, ROWS = 4, 3, 40
COUNTS = np.random.default_rng(0).poisson(1.0, ROWS).astype(float)
GAPS = np.where(np.arange(ROWS) % 7 == 5, np.nan, COUNTS)
DELTA = {"extra_transforms": {"y": {"class_path": "DeltaTransform"}}}
CASES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "global": (COUNTS, {}),
    "series": (COUNTS, {"normalize": "series"}),
    "window": (COUNTS, {"normalize": "window"}),
    "not scaled": (COUNTS, {"normalize": False}),
    "negative": (-COUNTS, {}),
    "tiny": (1e-12 * COUNTS, {}),
    "on a level": (COUNTS - 1e7, {}),
    "differences": (COUNTS, DELTA),
    "missing": (GAPS, {"missing": "mask"}),
    # the row after a gap has no difference, and yet a value
    "missing differences": (GAPS, {"missing": "mask", **DELTA}),
    "logarithm": (COUNTS, {"extra_transforms": {"y": {"class_path": "Log1pTransform"}}}),
    "drawn lengths": (COUNTS, {"min_tgt_seq_len": 1, "decoder_alignment": "right"}),
    "zeros": (np.where(np.arange(ROWS) < 20, COUNTS, 0.0), {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("values", "arguments"), CASES.values(), ids=CASES)
def test_logged_metrics_are_of_the_target_as_it_was_read(values, arguments, tmp_path):
    pd.DataFrame({"x": np.arange(ROWS) % 5, "y": values}).to_csv(tmp_path / "y.csv", index=False)
    data = EncoderDecoderDataModule(
        "y", "x", train_df_paths=str(tmp_path / "y.csv"), val_fraction=0.5, batch_size=4,
        ctxt_seq_len=CONTEXT, tgt_seq_len=HORIZON, **arguments,
    )  # fmt: skip
    data.setup("fit")
    columns = data.columns.encoder_features(True), data.columns.decoder_features
    sizes = {"d_encoder": 2, "d_decoder": 2, "dropout": 0.0, "criterion": torch.nn.L1Loss()}
    torch.manual_seed(0)
    names = ["MAE", "MAPE", "MSE", "RMSE", "sMAPE"]
    module = EncoderDecoderLSTM(*map(len, columns), logging_metrics=names, **sizes)
    (found,) = quiet_trainer().validate(module, datamodule=data, verbose=False)

    data.setup("fit")
    forecast, actual = [], []
    for batch in cast("DataLoader[Batch]", data.val_dataloader()):
        with torch.no_grad():
            output = module.eval()(batch)["output"]
        shown = data.inverse_transform_target(output, batch)[..., 0]
        for row, mask in enumerate(batch["decoder_mask"]):
            begin = int(batch["origin"][row]) + 1
            actual.append(values[begin : begin + int(mask.sum())])
            forecast.append(shown[row][mask].numpy())
    f, y = np.concatenate(forecast), np.concatenate(actual)
    f, y = f[~np.isnan(y)], y[~np.isnan(y)]
    error, size = np.abs(f - y), np.abs(f) + np.abs(y)
    expected = {
        "MAE": error.mean(),
        "MSE": (error**2).mean(),
        "RMSE": np.sqrt((error**2).mean()),
        "MAPE": (error[y != 0] / np.abs(y[y != 0])).sum() / (y != 0).sum(),
        "sMAPE": (2 * error / np.where(size == 0, 1, size)).mean(),
    }
    for name in names:
        assert found[f"validation/{name}"] == pytest.approx(expected[name], rel=1e-5, nan_ok=True)


def test_metrics_whose_first_batch_is_alike_stay_apart():
    module = EncoderDecoderLSTM(2, 1, d_encoder=2, d_decoder=2, logging_metrics=["MAPE", "sMAPE"])
    same, other = torch.ones(3), torch.full((3,), 2.0)
    module.validation_metrics.update(same, same)
    module.validation_metrics.update(other, same)
    found = module.validation_metrics.compute()
    assert found["validation/MAPE"] == pytest.approx(0.5)
    assert found["validation/sMAPE"] == pytest.approx(1 / 3)


def test_forecasts_that_are_not_finite_leave_no_good_metric():
    module = EncoderDecoderLSTM(2, 1, d_encoder=2, d_decoder=2, logging_metrics=["MAPE", "sMAPE"])
    forecast = torch.tensor([1.0, torch.nan])
    module.validation_metrics.update(forecast, torch.ones(2))
    assert all(torch.isnan(value) for value in module.validation_metrics.compute().values())
