"""Differences of covariates: the same numbers wherever rows are scaled, against NumPy."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.models import LSTM, EncoderDecoderLSTM
from transformertf.streaming import Stream

CONTEXT, HORIZON = 6, 4
ROWS = {"a": 40, "b": 33}


def make_frame(gap: bool = False, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frames = []
    for name, rows in ROWS.items():
        hours = np.arange(rows) + (np.arange(rows) >= 20) * 50 * gap
        frames.append(
            pd.DataFrame(
                {
                    "id": name,
                    "t": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h"),
                    "u": generator.normal(0.0, 2.0, rows).cumsum(),
                    "v": generator.normal(3.0, 0.1, rows).cumsum(),
                    "y": generator.normal(0.0, 1.0, rows),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def differences(frame: pd.DataFrame, name: str, gap: bool = False) -> dict[Any, np.ndarray]:
    """Return the standardised differences of each series; 0 is that of a first row."""
    found: dict[Any, np.ndarray] = {}
    for series, rows in frame.groupby("id"):
        found[series] = np.diff(rows[name], prepend=rows[name].iloc[0])
        if gap:
            found[series][20] = 0.0
    every = np.concatenate(list(found.values()))
    return {name: (values - every.mean()) / every.std() for name, values in found.items()}


def windows(frame: pd.DataFrame, **options: Any) -> EncoderDecoderDataModule:
    data = EncoderDecoderDataModule(
        **{
            "target_covariate": "y", "known_covariates": ["u"], "known_past_covariates": ["v"],
            "difference_covariates": ["u", "v"], "series_id": "id", "train_df_paths": "a.csv",
            "ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON, "batch_size": 1000, "dtype": "float64",
            **options,
        }
    )  # fmt: skip
    data.stages.give("train_df_paths", frame)
    data.setup("fit")
    return data


@pytest.mark.parametrize("gap", [False, True])
def test_they_stand_behind_the_covariates_of_their_role(gap: bool) -> None:
    frame = make_frame(gap)
    options: dict[str, Any] = {"time_column": "t", "max_gap": "2h"} if gap else {}
    data = windows(frame, **options)
    expected = {name: differences(frame, name, gap) for name in ("u", "v")}
    time = int(gap)
    assert data.columns.known == ("u", "u_difference")
    assert data.num_past_known_covariates == 5 + time
    assert data.num_future_known_covariates == 2 + time
    (batch,) = data.train_dataloader()
    names = list(ROWS)
    for row, (series, origin) in enumerate(
        zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True)
    ):
        context = slice(origin - CONTEXT + 1, origin + 1)
        horizon = slice(origin + 1, origin + 1 + HORIZON)
        for name, column in (("u", 1), ("v", 3)):
            found = batch["encoder_input"][row, :, column + time]
            np.testing.assert_allclose(found, expected[name][names[series]][context], atol=1e-12)
        found = batch["decoder_input"][row, :, 1 + time]
        np.testing.assert_allclose(found, expected["u"][names[series]][horizon], atol=1e-12)


def test_a_file_needs_the_source_alone_and_masks_it() -> None:
    frame = make_frame()
    frame.loc[[5, 6], "u"] = np.nan
    data = windows(frame, missing="mask")
    filled = frame.assign(u=frame.groupby("id")["u"].ffill())
    expected = differences(filled, "u")["a"][3:9]
    (batch,) = data.train_dataloader()
    names = data.columns.encoder_features(add_target=True)
    place = names.index("u_difference")
    row = next(
        row for row in range(len(batch["series"]))
        if batch["series"][row] == 0 and batch["origin"][row] == 8
    )  # fmt: skip
    found = batch["encoder_input"][row, :, place].numpy()
    # standardised by the differences that are known
    slope, offset = np.polyfit(expected, found, 1)
    np.testing.assert_allclose(found, slope * expected + offset, atol=1e-9)
    assert 0.9 < slope < 1.1


def test_forecasts_streams_and_what_follows_agree() -> None:
    frame = make_frame()[["id", "t", "u", "y"]]
    data = windows(frame, known_past_covariates=None, difference_covariates="u", time_column="t")
    torch.manual_seed(0)
    model = EncoderDecoderLSTM(
        data.num_past_known_covariates, data.num_future_known_covariates, d_encoder=4, d_decoder=4
    ).double().eval()  # fmt: skip
    rows = frame[frame["id"] == "a"].reset_index(drop=True)
    stream = Stream(model, data, carry=False)  # as predict, from the context alone
    ahead = [rows[end : end + HORIZON].drop(columns="y") for end in (20, 26)]
    stream.update(rows[:20], ahead[0])
    found = stream.update(rows[20:26], ahead[1])
    data.stages.give("predict_df_paths", rows[: 26 + HORIZON].assign(
        y=rows["y"].where(rows.index < 26)))  # fmt: skip
    (batch,) = data.predict_dataloader()
    output = model(batch)["output"].detach()
    expected = data.inverse_transform_target(output, batch).flatten()
    np.testing.assert_allclose(found["prediction"], expected, atol=1e-9)


def test_a_sequence_goes_on_with_its_rate() -> None:
    frame = make_frame()[["id", "u", "y"]]
    data = TimeSeriesDataModule(
        target_covariate="y", known_covariates=["u"], difference_covariates="u", series_id="id",
        train_df_paths="a.csv", seq_len=7, dtype="float64",
    )  # fmt: skip
    data.stages.give("train_df_paths", frame)
    data.setup("fit")
    torch.manual_seed(0)
    model = LSTM(data.num_features, num_layers=1, d_model=4).double().eval()
    rows = frame[frame["id"] == "b"].reset_index(drop=True)
    stream = Stream(model, data)
    found = [stream.update(rows[first : first + 5]) for first in range(0, len(rows), 5)]
    u = (rows["u"] - frame["u"].mean()) / frame["u"].std(ddof=0)
    inputs = torch.from_numpy(np.stack([u, differences(frame, "u")["b"]], axis=1))[None]
    scaled = model.model(inputs)["output"].detach().flatten().numpy()
    expected = scaled * frame["y"].std(ddof=0) + frame["y"].mean()
    streamed = pd.concat(part for part in found if part is not None)["prediction"]
    np.testing.assert_allclose(streamed, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"difference_covariates": ["y"]}, "'y' is no real column of known_covariates"),
        ({"difference_covariates": ["w"]}, "'w' is no real column"),
        ({"difference_covariates": ["u", "u"]}, "'u' is there twice"),
        (
            {"difference_covariates": "u", "known_covariates": ["u", "u_difference"]},
            "as another covariate is",
        ),
        ({"difference_covariates": "u", "categorical_covariates": ["u"]}, "no real column"),
    ],
)
def test_mistakes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        windows(make_frame(), **options)
