"""Data module and model in a trainer of one's own: sizes, frames, and a checkpoint that loads."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from tests.forecaster.conftest import CONTEXT, HORIZON, make_frame
from tests.runs import quiet_trainer
from transformertf import Forecaster
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.models import GRU, TFT, EncoderDecoderLSTM

ROLES: dict[str, Any] = {
    "target_covariate": "y",
    "known_covariates": ["x", "kind"],
    "known_past_covariates": "p",
    "categorical_covariates": "kind",
    "series_id": "unit",
    "time_column": "t",
}
LENGTHS: dict[str, Any] = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON}


@pytest.mark.parametrize("kind", ["pandas", "arrow"])
def test_a_frame_is_trained_on_and_is_in_no_checkpoint(kind, tmp_path):
    frame = make_frame() if kind == "pandas" else pa.Table.from_pandas(make_frame())
    data = EncoderDecoderDataModule(train_df_paths=frame, val_df_paths=frame, **ROLES, **LENGTHS)
    model = EncoderDecoderLSTM.for_data(data, d_encoder=4, d_decoder=4)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    loaded = Forecaster.load(tmp_path / "own.ckpt", "cpu")
    assert loaded.checkpoint.data["init_args"]["train_df_paths"] == "frame"
    make_frame().to_parquet(tmp_path / "frame.parquet")
    pd.testing.assert_frame_equal(
        loaded.predict(make_frame()), loaded.predict(tmp_path / "frame.parquet")
    )
    with pytest.raises(InputError, match="val_df_paths"):
        loaded.evaluate(stage="validation")


def test_sizes_are_those_that_the_command_links():
    data = EncoderDecoderDataModule(train_df_paths=make_frame(), **ROLES, **LENGTHS)
    model = TFT.for_data(data, d_model=8)
    told = dict(model.hparams)
    assert (told["num_past_features"], told["num_future_features"]) == (4, 2)
    assert (told["ctxt_seq_len"], told["tgt_seq_len"]) == (CONTEXT, HORIZON)
    assert told["future_category_sizes"] == [3]
    sequences = TimeSeriesDataModule(train_df_paths=make_frame(), seq_len=8, **ROLES)
    assert GRU.for_data(sequences, d_model=4).hparams["num_features"] == 3


def test_what_does_not_fit_is_refused():
    data = EncoderDecoderDataModule(train_df_paths="none.csv", target_covariate="y")
    with pytest.raises(InputError, match="EncoderDecoderDataModule; give the other data module"):
        GRU.for_data(data)
    with pytest.raises(InputError, match="the data tells num_past_features; leave it out"):
        TFT.for_data(data, num_past_features=3)
