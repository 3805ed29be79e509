"""From files to losses and metrics: what has weight counts, and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.runs import quiet_trainer
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.models import LSTM, EncoderDecoderLSTM

UNITS = {"a": 30, "b": 17, "c": 24}
OPTIONS = {
    "series_id": "id",
    "weight_covariate": "w",
    "normalize": False,
    "dtype": "float64",
    "batch_size": 4,
}


@pytest.fixture
def path(tmp_path):
    """Units whose target is what is left of their life, some of whose rows weigh nothing."""
    generator = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "id": name,
                "x": generator.normal(size=rows),
                "y": np.arange(rows)[::-1] + generator.normal(size=rows),
                "w": generator.integers(0, 3, rows).astype(float),
            }
        )
        for name, rows in UNITS.items()
    ]
    pd.concat(parts).to_parquet(tmp_path / "units.parquet")
    return str(tmp_path / "units.parquet")


def make_data(cls, path, **options):
    torch.manual_seed(0)
    return cls("y", "x", train_df_paths=path, test_df_paths=path, **{**OPTIONS, **options})


def test_a_sequence_model_is_judged_at_the_last_row_of_each_unit(path):
    data = make_data(TimeSeriesDataModule, path, seq_len=8, weight_covariate=None)
    module = LSTM(1, d_model=4, num_layers=1, loss_steps="last").double()
    (found,) = quiet_trainer().test(module, datamodule=data, verbose=False)
    frame, errors = pd.read_parquet(path), []
    with torch.inference_mode():
        for _, unit in frame.groupby("id"):
            inputs = torch.tensor(unit[["x"]].to_numpy()).unsqueeze(0)
            output = module.model.eval()(inputs)["output"][0, -1, 0]
            errors.append(float(output) - unit["y"].iloc[-1])
    assert found["test/MAE"] == pytest.approx(np.abs(errors).mean(), rel=1e-9)
    assert found["test/loss"] == pytest.approx(np.square(errors).mean(), rel=1e-6)


def test_losses_are_weighted_and_metrics_leave_out_what_weighs_nothing(path):
    data = make_data(EncoderDecoderDataModule, path, ctxt_seq_len=5, tgt_seq_len=3)
    sizes = {"d_encoder": 4, "d_decoder": 4, "num_encoder_layers": 1, "num_decoder_layers": 1}
    module = EncoderDecoderLSTM(2, 1, **sizes).double()
    (found,) = quiet_trainer().test(module, datamodule=data, verbose=False)
    units = [unit for _, unit in pd.read_parquet(path).groupby("id")]
    errors, weights = [], []
    data.setup("test")
    with torch.inference_mode():
        for batch in data.test_dataloader():
            output = module.eval()(batch)["output"][..., 0].numpy()
            for row, (series, origin) in enumerate(
                zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True)
            ):
                rows = units[series].iloc[origin + 1 : origin + 4]
                errors.extend(output[row] - rows["y"])
                weights.extend(rows["w"])
    error, weight = np.array(errors), np.array(weights)
    assert 0 < (weight == 0).sum() < len(weight)
    assert found["test/loss"] == pytest.approx((weight * error**2).sum() / weight.sum(), rel=1e-6)
    assert found["test/MAE"] == pytest.approx(np.abs(error)[weight > 0].mean(), rel=1e-9)


@pytest.mark.parametrize(
    ("steps", "message"), [([1, 4], "loss_steps: 4 is beyond the 3 steps of data.tgt_seq_len")]
)
def test_steps_beyond_the_horizon_are_refused(path, steps, message):
    data = make_data(EncoderDecoderDataModule, path, ctxt_seq_len=5, tgt_seq_len=3)
    module = EncoderDecoderLSTM(2, 1, d_encoder=4, d_decoder=4, loss_steps=steps)
    with pytest.raises(InputError, match=message):
        quiet_trainer().fit(module, datamodule=data)


def test_a_fit_takes_weights_balance_and_steps(path):
    options = {"balance": "series", "ctxt_seq_len": 5, "tgt_seq_len": 3, "dtype": "float32"}
    data = make_data(EncoderDecoderDataModule, path, **options)
    module = EncoderDecoderLSTM(2, 1, d_encoder=4, d_decoder=4, loss_steps=[1, 3])
    trainer = quiet_trainer()
    trainer.fit(module, datamodule=data)
    assert torch.isfinite(trainer.callback_metrics["train/loss"])
