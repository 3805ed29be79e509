"""What columns, time and missing values let users get wrong: one line each, with the remedy."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.columns import Columns
from transformertf.errors import InputError

ROWS = 30


def make_frame():
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
            "n": np.arange(ROWS),
            "known": generator.normal(5, 1, ROWS),
            "past": generator.normal(size=ROWS),
            "mode": generator.choice(["on", "off"], ROWS),
            "half": np.arange(ROWS) + 0.5,
            "power": 2.0,
            "empty": np.nan,
            "unit": "u",
            "y": generator.normal(10, 1, ROWS),
        }
    )


RATIO = {"extra_transforms": {"y": "DivideByXTransform"}}
DATES, NUMBERS = {"time_column": "t"}, {"time_column": "n"}
# arguments, and what the message says, in this order
ARGUMENTS = {
    "a category that is no column": (
        {"known_covariates": "mode", "categorical_covariates": "mod"},
        ["categorical_covariates: 'mod' is none of", "did you mean 'mode'?"],
    ),
    "a category without a role": (
        {"categorical_covariates": ["mode"]},
        ["categorical_covariates: 'mode' is none of", "name it in one of them"],
    ),
    "a target as category": (
        {"known_covariates": "known", "categorical_covariates": "y"},
        ["categorical_covariates: 'y' is none of", "known: known"],
    ),
    "a masked feature that is none": (
        {"known_covariates": "known", "mask_encoder_features": "knwn"},
        ["mask_encoder_features: the encoder has no feature 'knwn'", "did you mean 'known'?"],
    ),
    "a masked category": (
        {
            "known_covariates": "mode",
            "categorical_covariates": "mode",
            "mask_encoder_features": ["mode"],
        },
        ["mask_encoder_features: the encoder has no feature 'mode'", "known: y"],
    ),
    "a masked target that is no feature": (
        {"known_covariates": "known", "add_target_to_past": False, "mask_encoder_features": "y"},
        ["mask_encoder_features: the encoder has no feature 'y'"],
    ),
    "a calendar feature without time": (
        {"calendar_features": "hour"},
        ["calendar_features: expected a time_column of dates, found no time_column", "give one"],
    ),
    "a calendar feature twice": (
        {**DATES, "calendar_features": ["hour", "month", "hour"]},
        ["calendar_features: 'hour' is there twice", "give it once"],
    ),
    "a lag within the horizon": (
        {"target_lags": [2]},
        ["target_lags: 2 is less than tgt_seq_len 3", "raise it, or leave it out"],
    ),
    "a lag twice": ({"target_lags": [4, 4]}, ["target_lags: 4 is there twice", "give it once"]),
    "a lag that is no number": (
        {"target_lags": True},
        ["target_lags must be a list of whole numbers of steps, found True", "as [24, 168]"],
    ),
    "a lag of part of a step": (
        {"target_lags": [4.5]},
        ["target_lags must be a list of whole numbers of steps, found [4.5]"],
    ),
    "a ratio to what is no covariate": (
        {"known_covariates": "known", "target_depends_on": "knwn", **RATIO},
        ["target_depends_on: 'knwn' is no real known covariate", "did you mean 'known'?"],
    ),
    "a ratio to a past covariate": (
        {"known_past_covariates": "past", "target_depends_on": "past", **RATIO},
        ["target_depends_on: 'past' is known only in the past", "one of known_covariates"],
    ),
    "a ratio to a category": (
        {
            "known_covariates": "mode",
            "categorical_covariates": "mode",
            "target_depends_on": "mode",
            **RATIO,
        },
        ["target_depends_on: 'mode' is no real known covariate", "known_covariates has none"],
    ),
    "a ratio to nothing": (
        {"known_covariates": "known", **RATIO},
        ["DivideByXTransform of the target 'y' takes a covariate", "target_depends_on"],
    ),
    "an id with another role": (
        {"series_id": "known", "known_covariates": "known"},
        ["column 'known' has two roles", "series_id and static_covariates may share one"],
    ),
    "a static covariate with another role": (
        {"static_covariates": "known", "known_covariates": "known"},
        ["column 'known' has two roles", "give it one"],
    ),
    "freq without time": ({"freq": "1h"}, ["freq wants time stamps", "time_column", "leave it"]),
    "max_gap without time": ({"max_gap": 3}, ["max_gap wants time stamps", "time_column"]),
    "sort without time": ({"sort": True}, ["sort wants time stamps", "time_column", "leave it"]),
    "a gap shorter than a step": (
        {**DATES, "freq": "1h", "max_gap": "30min"},
        ["max_gap 30min is shorter than freq 1h", "raise max_gap, or leave one of them out"],
    ),
    "a gap shorter than a day": (
        {**DATES, "freq": "D", "max_gap": "23h"},
        ["max_gap 23h is shorter than freq D"],
    ),
    "a gap shorter than any month": (
        {**DATES, "freq": "MS", "max_gap": "27D"},
        ["max_gap 27D is shorter than freq MS"],
    ),
    "a gap shorter than a number": (
        {**NUMBERS, "freq": 2, "max_gap": 1.5},
        ["max_gap 1.5 is shorter than freq 2"],
    ),
}
# the same, where only the files tell
FILES = {
    "a calendar feature that is none": (
        {**DATES, "calendar_features": "hours"},
        ["calendar_features: expected fields of time stamps, found 'hours'", "did you mean 'hour'"],
    ),
    "a calendar feature of numbers": (
        {**NUMBERS, "calendar_features": "hour"},
        ["calendar_features: expected a time_column of dates, found a time_column of int64"],
    ),
    "a category of fractions": (
        {"known_covariates": "half", "categorical_covariates": "half"},
        ["train.parquet: categorical column 'half' holds 0.5", "whole numbers", "convert it"],
    ),
    "text in a real column": (
        {"known_covariates": "mode"},
        ["train.parquet: column 'mode' must be numeric, found 'o", "categorical_covariates"],
    ),
    "a static covariate that changes": (
        {"static_covariates": "known"},
        ["train.parquet: static column 'known' must be constant", "in row 1", "known_covariates"],
    ),
    "a column without a value": (
        {"known_past_covariates": "empty", "missing": "mask"},
        ["column 'empty' has no value in any of ", "leave it out"],
    ),
    "a static column without a value": (
        {"static_covariates": "empty", "missing": "mask"},
        ["column 'empty' has no value in the training data", "leave it out"],
    ),
    "a column that is not there": (
        {"static_covariates": "pwer"},
        ["train.parquet: no column 'pwer'", "did you mean 'power'?"],
    ),
    "a length of time for numbers": (
        {**NUMBERS, "max_gap": "2h"},
        ["max_gap: expected a number above 0", "found '2h'", "leave max_gap out"],
    ),
    "a number for dates": (
        {**DATES, "freq": 3600},
        ["freq: expected a length of time with its unit", "found 3600", "leave freq out"],
    ),
}


def make(tmp_path, options):
    path = tmp_path / "train.parquet"
    make_frame().to_parquet(path)
    lengths: dict[str, Any] = {"ctxt_seq_len": 6, "tgt_seq_len": 3}
    return EncoderDecoderDataModule("y", train_df_paths=str(path), **lengths, **options)


def assert_says(error, words):
    text = str(error.value)
    assert re.search(".*".join(map(re.escape, words)), text), text
    assert "\n" not in text


@pytest.mark.parametrize(("options", "words"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_mistake_in_the_arguments_is_told_at_once(tmp_path, options, words):
    with pytest.raises(InputError) as error:
        make(tmp_path, options)
    assert_says(error, words)


@pytest.mark.parametrize(("options", "words"), FILES.values(), ids=FILES)
def test_a_mistake_that_files_tell_is_told_when_they_are_read(tmp_path, options, words):
    data = make(tmp_path, options)
    with pytest.raises(InputError) as error:
        data.setup("fit")
    assert_says(error, words)


@pytest.mark.parametrize(
    "options",
    [
        {**DATES, "freq": "1h", "max_gap": "1h"},
        {**DATES, "freq": "1h", "max_gap": "60min"},
        {**NUMBERS, "freq": 1, "max_gap": "1"},
        {**DATES, "freq": "1h", "max_gap": "1D"},
        {"known_covariates": [], "static_covariates": [], "series_id": [], "target_lags": []},
        {"known_covariates": ("known",), "known_past_covariates": "past", "target_lags": (4,)},
        {"static_covariates": "unit", "series_id": "unit", "categorical_covariates": "unit"},
    ],
)
def test_what_is_no_mistake_fits(tmp_path, options):
    data = make(tmp_path, options)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert data.num_past_known_covariates == batch["encoder_input"].size(-1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hour_sin", {"calendar": ("hour",)}),
        ("y_lag_4", {"lags": (4,)}),
        ("known_observed", {"indicators": True}),
        ("y_observed", {"indicators": True}),
    ],
)
def test_a_column_may_not_have_the_name_of_a_feature_that_is_made(name, options):
    Columns(("known", name), (), "y", "t")
    for known, past in ((("known", name), ()), (("known",), (name,))):
        with pytest.raises(InputError, match=f"column '{name}' has the name of a feature"):
            Columns(known, past, "y", "t", **options)


def test_sequences_refuse_what_windows_do(tmp_path):
    with pytest.raises(InputError, match="calendar_features: 'hour' is there twice"):
        TimeSeriesDataModule("y", time_column="t", calendar_features=["hour", "hour"])
    with pytest.raises(InputError, match="max_gap 1 is shorter than freq 2"):
        TimeSeriesDataModule("y", time_column="n", freq=2, max_gap=1)
