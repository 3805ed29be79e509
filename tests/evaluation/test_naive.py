"""Naive errors are those that validation would log of models that forecast so."""

import lightning
import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.evaluation import naive_errors, season_of
from transformertf.models import LSTM, EncoderDecoderLSTM

SEASON = 4


def make_frame(rows=90, holes=False):
    rng = np.random.default_rng(rows)
    level = 1e4 + np.cumsum(rng.normal(size=rows)) + 3 * (np.arange(rows) % SEASON)
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=rows, freq="6h"),
            "x": rng.normal(size=rows),
            "w": rng.integers(0, 3, size=rows).astype(float),
            "y": level,
        }
    )
    if holes:
        frame.loc[rng.uniform(size=rows) < 0.2, "y"] = np.nan
    return frame


def windows(folder, holes=False, **options):
    """Two series of unlike lengths, windows of unlike lengths too."""
    for name, rows in (("a", 90), ("b", 61)):
        make_frame(rows, holes).to_parquet(folder / f"{name}.parquet")
    data = EncoderDecoderDataModule(
        "y", "x", time_column="time", train_df_paths=str(folder / "*.parquet"),
        val_fraction=0.3, ctxt_seq_len=12, tgt_seq_len=5, min_ctxt_seq_len=SEASON,
        min_tgt_seq_len=3, batch_size=7, dtype="float64",
        missing="mask" if holes else "error", **options,
    )  # fmt: skip
    data.setup("fit")
    return data


def silent(data, **options):
    """A model whose network gives 0 for everything."""
    model = EncoderDecoderLSTM(
        num_past_features=data.num_past_known_covariates,
        num_future_features=data.num_future_known_covariates,
        d_encoder=2, d_decoder=2, criterion=torch.nn.MSELoss(), output_dim=1,
        logging_metrics=["MAE", "RMSE"], **options,
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


def validated(model, data):
    trainer = lightning.Trainer(
        accelerator="cpu", precision="64-true", logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    (found,) = trainer.validate(model, data, verbose=False)
    return {name: found[f"validation/{name}"] for name in ("MAE", "RMSE")}


@pytest.mark.parametrize(
    "options",
    [{}, {"weight_covariate": "w"}, {"washout": 2}, {"stride": 3}, {"normalize": "series"}],
    ids=str,
)
@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("naive", {"prediction_type": "delta"}),
        ("seasonal_naive", {"prediction_type": "seasonal", "season": SEASON}),
    ],
    ids=["naive", "seasonal"],
)
def test_errors_are_those_of_a_model_that_forecasts_so(tmp_path, name, meaning, options):
    data = windows(tmp_path, **options)
    wanted = validated(silent(data, **meaning), data)
    assert naive_errors(data)[name] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("loss_steps", [None, "last", [2, 3]], ids=str)
def test_context_means_are_those_of_a_window_that_is_centred(tmp_path, loss_steps):
    data = windows(tmp_path, normalize="window")
    wanted = validated(silent(data, loss_steps=loss_steps), data)
    found = naive_errors(data, loss_steps=loss_steps)
    assert found["context_mean"] == pytest.approx(wanted, rel=1e-9)


def by_definition(data, forecast):
    """Errors of windows one by one, of the rows that have a target and a forecast."""
    errors, series = [], data.stage_series("validation")
    for batch in data.val_dataloader():
        for index, origin, context, horizon in zip(
            *(batch[key].tolist() for key in ("series", "origin")),
            batch["encoder_lengths"].tolist(), batch["decoder_lengths"].tolist(), strict=True,
        ):  # fmt: skip
            target = series[index].values[:, -1]
            found = forecast(target[: origin + 1], context)
            errors += [target[origin + step] - found for step in range(1, horizon + 1)]
    known = np.array(errors)[~np.isnan(errors)]
    assert 0 < len(known) < len(errors)
    return {"MAE": np.abs(known).mean(), "RMSE": np.sqrt((known**2).mean())}


def test_missing_targets_take_no_part(tmp_path):
    data = windows(tmp_path, holes=True)
    found = naive_errors(data)
    naive = by_definition(data, lambda past, context: past[~np.isnan(past)][-1])
    mean = by_definition(data, lambda past, context: np.nanmean(past[-context:]))
    assert found["naive"] == pytest.approx(naive, rel=1e-12)
    assert found["context_mean"] == pytest.approx(mean, rel=1e-12)


def test_sequences_are_beside_the_mean_of_training(tmp_path):
    make_frame(80).to_parquet(tmp_path / "a.parquet")
    data = TimeSeriesDataModule(
        "y", "x", train_df_paths=str(tmp_path / "a.parquet"), val_fraction=0.25, seq_len=7,
        dtype="float64",
    )  # fmt: skip
    data.setup("fit")
    model = LSTM(
        num_features=1, d_model=2, logging_metrics=["MAE", "RMSE"], output_dim=1,
        criterion=torch.nn.MSELoss(),
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found = naive_errors(data)
    assert found["training_mean"] == pytest.approx(validated(model, data), rel=1e-9)
    assert set(found) == {"naive", "training_mean"}  # rows have no season
    target = data.stage_series("train")[0].values[:, -1]
    begins = range(60, 80, 7)  # what lies before leads in, in pieces of its own
    errors = [
        target[row] - target[max(begin for begin in begins if begin <= row) - 1]
        for row in range(60, 80)
    ]
    assert found["naive"]["MAE"] == pytest.approx(np.abs(errors).mean(), rel=1e-12)


def test_nothing_to_validate_on_and_seasons(tmp_path):
    data = windows(tmp_path)
    assert "seasonal_naive" not in naive_errors(data, season=1)
    # a season longer than the series has no forecast
    assert "seasonal_naive" not in naive_errors(data, season=500)
    with pytest.raises(InputError, match="season must be at least 1, found 0"):
        naive_errors(data, season=0)
    with pytest.raises(InputError, match="no test data"):
        naive_errors(data, "test")
    data = EncoderDecoderDataModule(
        "y", train_df_paths=str(tmp_path / "*.parquet"), ctxt_seq_len=12, tgt_seq_len=5
    )
    data.setup("fit")
    assert naive_errors(data) == {}


def test_random_state_is_left_alone(tmp_path):
    data = windows(tmp_path)
    before = torch.get_rng_state()
    first = naive_errors(data)
    assert torch.equal(torch.get_rng_state(), before)
    assert naive_errors(data) == first


@pytest.mark.parametrize(
    ("step", "season"),
    [
        ("10ms", 1), ("1s", 1), ("1min", 1440), ("15min", 96), ("30.2min", 48), ("1h", 24),
        ("5h", 1), ("7h", 1), ("12h", 2), ("23h", 1), ("1D", 7), ("2D", 1), ("7D", 52),
        ("28D", 12), ("31D", 12), ("91D", 4), ("366D", 1),
    ],
)  # fmt: skip
def test_the_season_follows_from_the_rate(step, season):
    assert season_of(pd.Timedelta(step)) == season
    assert season_of(None) == 1
