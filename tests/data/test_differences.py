"""Differences of covariates: as columns of the files that hold them, and as NumPy takes them."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.data.units import CONTEXT, HORIZON, make_units, stretches_of
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.columns import Columns
from transformertf.data.reading.panel import open_future
from transformertf.data.scaling import features
from transformertf.errors import InputError
from transformertf.evaluation.importance import _places

ROLES: dict[str, Any] = {
    "target_covariate": "y",
    "known_covariates": ["set", "load"],
    "known_past_covariates": ["current"],
    "time_column": "time",
    "series_id": "unit",
}
WINDOWS = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON, "target_lags": [4]}
KINDS: dict[type[Any], dict[str, Any]] = {
    EncoderDecoderDataModule: WINDOWS,
    TimeSeriesDataModule: {"seq_len": 7},
}
# the columns in the order of the features, and two of them as a user may name them
DIFFERENCES = ["load", "current"]


def make_frame(**options):
    frame = make_units(**options)[["unit", "time", "set", "current", "y"]]
    return frame.assign(load=1e3 + frame["set"].cumsum())


def with_columns(frame):
    """Return the frame with the differences of each stretch in columns of its own."""
    stretch = [frame["unit"], pd.concat(map(stretches_of, units_of(frame)))]
    given = {f"{name}_difference": frame.groupby(stretch)[name].diff() for name in DIFFERENCES}
    return frame.assign(**given).fillna(0.0)


def units_of(frame):
    return [rows for _, rows in frame.groupby("unit")]


def fit(kind, frame, tmp_path, **options):
    """Return a data module that is fitted to the first two thirds of a frame."""
    path = tmp_path / f"{len(frame.columns)}.parquet"
    frame.to_parquet(path)
    given = {"max_gap": "4h", "drop_short_series": True, "dtype": "float64", **options}
    files = {"train_df_paths": str(path), "predict_df_paths": str(path), "test_fraction": 0.33}
    data = kind(**{**ROLES, **KINDS[kind], **files, **given})
    data.setup("fit")
    return data


def batches_of(data):
    loaders = [data.predict_dataloader(), data.evaluation_dataloader("test")]
    return [batch for loader in loaders for batch in loader]


@pytest.mark.parametrize(
    ("kind", "normalize", "storage"),
    [
        (EncoderDecoderDataModule, "global", "mmap"),
        (EncoderDecoderDataModule, "window", "memory"),
        (TimeSeriesDataModule, "series", "memory"),
        (TimeSeriesDataModule, False, "mmap"),
    ],
)
def test_the_argument_does_what_a_column_of_the_file_does(
    kind, normalize, storage, tmp_path, monkeypatch
):
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    frame, options = make_frame(), {"normalize": normalize, "storage": storage}
    data = fit(kind, frame, tmp_path, difference_covariates=DIFFERENCES[::-1], **options)
    by_column = {
        "known_covariates": ["set", "load", "load_difference"],
        "known_past_covariates": ["current", "current_difference"],
    }
    other = fit(kind, with_columns(frame), tmp_path, **options, **by_column)
    assert data.columns.features == other.columns.features
    found, expected = batches_of(data), batches_of(other)
    assert len(found) == len(expected) > 1
    for one, wanted in zip(found, expected, strict=True):
        assert one.keys() == wanted.keys()
        for key, values in one.items():
            torch.testing.assert_close(values, wanted[key], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("impute", ["last", "interpolate"])
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_missing_values_are_filled_in_before_the_difference(impute, chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_CHUNK", chunk)
    frame = make_frame(holes=True)
    frame.loc[[3, 4, 20], "load"] = np.nan
    assert np.isnan(frame["load"][0])  # and before the first value nothing has changed
    options = {"missing": "mask", "max_gap": None, "impute": impute, "test_fraction": None}
    data = fit(TimeSeriesDataModule, frame, tmp_path, difference_covariates="load", **options)
    names = ["set", "load", "load_difference", "set_observed", "load_observed"]
    assert list(data.columns.features[:5]) == names
    rows = units_of(frame)
    # training learns from what was observed, as the scaling of all columns does
    known = np.concatenate([np.diff(one["load"], prepend=one["load"][:1]) for one in rows])
    known = known[~np.isnan(known)]
    for one, unit in zip(data.predict_series, rows, strict=True):
        out = np.empty((len(unit), len(data.columns.features)))
        data.scaling.write_features(one, out)
        filled = unit["load"].interpolate() if impute == "interpolate" else unit["load"].ffill()
        filled = filled.bfill().to_numpy()
        expected = (np.diff(filled, prepend=filled[0]) - known.mean()) / known.std()
        np.testing.assert_allclose(out[:, 2], expected, rtol=1e-9, atol=1e-9)
        assert (out[:, 4] == unit["load"].notna()).all()


@pytest.mark.parametrize(("method", "summary"), [("interval", "first"), ("average", "mean")])
def test_rows_are_thinned_before_the_difference(method, summary, tmp_path):
    frame = make_frame()
    options = {"downsample": 2, "downsample_method": method, "max_gap": None}
    given = {"test_fraction": None, "normalize": False, "time_column": None, **options}
    data = fit(TimeSeriesDataModule, frame, tmp_path, difference_covariates="load", **given)
    (one, *_), (unit, *_) = data.predict_series, units_of(frame)
    out = np.empty((len(one), len(data.columns.features)))
    data.scaling.write_features(one, out)
    blocks = unit["load"].groupby(np.arange(len(unit)) // 2).agg(summary).to_numpy()[: len(one)]
    np.testing.assert_allclose(out[:, 2], np.diff(blocks, prepend=blocks[0]), atol=1e-9)


def test_transforms_of_a_difference_come_after_it(tmp_path):
    frame = make_frame()
    options = {"extra_transforms": {"load_difference": "SigmoidTransform"}, "normalize": False}
    data = fit(
        TimeSeriesDataModule, frame, tmp_path, difference_covariates="load", max_gap=None, **options
    )
    one, load = data.predict_series[0], units_of(frame)[0]["load"].to_numpy()
    out = np.empty((len(one), len(data.columns.features)))
    data.scaling.write_features(one, out)
    np.testing.assert_allclose(out[:, 2], 1 / (1 + np.exp(-np.diff(load, prepend=load[0]))))
    with pytest.raises(InputError, match=r"'load_difference': .*at most one DeltaTransform"):
        TimeSeriesDataModule(
            **ROLES,
            **KINDS[TimeSeriesDataModule],
            difference_covariates="load",
            extra_transforms={"load_difference": "DeltaTransform"},
        )


def test_nobody_gives_a_difference():
    columns = Columns.of({**ROLES, "difference_covariates": DIFFERENCES})
    assert columns.known == ("set", "load", "load_difference")
    assert columns.past == ("current", "current_difference")
    assert columns.stored == ("set", "load", "current", "y", "time", "unit")
    assert columns.known_ahead == ("set", "load")
    assert columns.unknown_ahead == ("current", "y")
    frame = pd.DataFrame({"unit": ["a"], "time": [1], "set": [1.0], "load": [2.0]})
    tables, _ = open_future(frame, columns, [])
    assert list(tables[0].headers) == ["set", "load", "time", "unit"]


def test_messages_tell_of_columns_that_are_read_alone(tmp_path, caplog):
    options = {"difference_covariates": "load", "missing": "mask", "max_gap": None}
    with caplog.at_level(logging.WARNING):
        fit(TimeSeriesDataModule, make_frame(holes=True), tmp_path, **options)
    assert "of 'set' are missing and masked" in caplog.text
    assert "difference" not in caplog.text


def test_a_column_and_its_difference_are_shuffled_together():
    columns = Columns.of({**ROLES, "difference_covariates": DIFFERENCES})
    places = _places(columns, True, False)
    assert [place.column for place in places["future", "load"]] == [2, 3, 2, 3]
    assert [place.column for place in places["past", "current"]] == [4, 5]
    assert not any("difference" in name for _, name in places)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"difference_covariates": "laod"}, "'laod' is no real one .*did you mean 'load'"),
        ({"difference_covariates": "time"}, "'time' is no real one of known_covariates"),
        ({"difference_covariates": "y"}, "'y' is the target; .*prediction_type: delta"),
        (
            {"difference_covariates": "load", "categorical_covariates": "load"},
            "difference_covariates: 'load' is categorical",
        ),
        (
            {"difference_covariates": "area", "static_covariates": "area"},
            "difference_covariates: 'area' is constant within a series",
        ),
        ({"difference_covariates": ["load", "set", "load"]}, "'load' is there twice; give it once"),
        (
            {"difference_covariates": "load", "static_covariates": "load_difference"},
            "column 'load_difference' has the name that difference_covariates gives",
        ),
        (
            {
                "difference_covariates": "load",
                "target_depends_on": "load_difference",
                "extra_transforms": {"y": "DivideByXTransform"},
            },
            "target_depends_on: 'load_difference' is no real known covariate",
        ),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_difference_is_refused_by_name(kind, options, message):
    given = {**KINDS[kind], "train_df_paths": "nowhere.parquet"}
    with pytest.raises(InputError, match=message):
        kind(**ROLES, **given, **options)
