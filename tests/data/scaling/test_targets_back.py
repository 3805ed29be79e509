"""Batches back to the target of the files, through every kind of transform and scaling."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.models import EncoderDecoderLSTM
from transformertf.streaming import Stream

POINTS = {
    "class_path": "DiscreteFunctionTransform",
    "init_args": {"x": [1.0, 2.0, 4.0], "y": [5.0, 1.0, 3.0]},
}
# transforms of the target, and the covariate it depends on
TRANSFORMS = {
    "none": ([], None),
    "log": (["LogTransform"], None),
    "delta": (["DeltaTransform"], None),
    "log, delta": (["LogTransform", "DeltaTransform"], None),
    "delta, max": (["DeltaTransform", "MaxScaler"], None),
    "ratio": (["DivideByXTransform"], "known"),
    "log, delta, ratio": (["LogTransform", "DeltaTransform", "DivideByXTransform"], "known"),
    "points, log": ([POINTS, "LogTransform"], "known"),
}
ALIGNMENTS = ("left", "right")


def make_table():
    """Return two series of unequal length, each with a gap; some targets are missing."""
    parts = []
    for number, rows in enumerate((34, 29)):
        generator = np.random.default_rng(number)
        parts.append(
            pd.DataFrame(
                {
                    "unit": f"u{number}",
                    "t": np.arange(rows) + 50 * (np.arange(rows) > 16 + number),
                    "other": generator.normal(size=rows),
                    "known": generator.uniform(1.0, 4.0, rows),
                    "y": 100.0 * (number + 1) + generator.normal(0, 3, rows).cumsum(),
                }
            )
        )
    parts[1].loc[[0, 8, 9, 21], "y"] = np.nan
    return pd.concat(parts, ignore_index=True)


def fitted(tmp_path, kind, transforms, **options):
    make_table().to_parquet(tmp_path / "table.parquet")
    extra, covariate = TRANSFORMS[transforms]
    lengths = {"ctxt_seq_len": 5, "tgt_seq_len": 4, "min_ctxt_seq_len": 2, "min_tgt_seq_len": 1}
    if kind is TimeSeriesDataModule:
        lengths = {"seq_len": 6, "min_seq_len": 2}
    data = kind(
        target_covariate="y",
        known_covariates=["other", "known"],
        time_column="t",
        series_id="unit",
        max_gap=5,
        missing="mask",
        train_df_paths=str(tmp_path / "table.parquet"),
        extra_transforms={"y": extra},
        target_depends_on=covariate,
        randomize_seq_len=True,
        bucket_by_length=False,
        batch_size=16,
        **lengths,
        **options,
    )
    data.setup("fit")
    return data


def assert_back(data, loader, tolerance):
    """Compare the targets of a loader with the table; there must be some of every kind."""
    series = [rows["y"].to_numpy() for _, rows in make_table().groupby("unit")]
    seen, padded = set(), False
    for batch in loader:
        mask = batch["decoder_mask"] if "decoder_mask" in batch else batch["mask"]
        padded |= bool((~mask).any())
        back = data.inverse_transform_target(batch["target"], batch)
        assert torch.isfinite(back).all()
        for row, (number, origin) in enumerate(zip(batch["series"], batch["origin"], strict=True)):
            first = int(origin) + 1
            expected = series[number][first : first + int(mask[row].sum())]
            observed = np.isfinite(expected)
            np.testing.assert_array_equal(batch["target_mask"][row][mask[row]], observed)
            found = back[row, :, 0][mask[row]].double().numpy()
            np.testing.assert_allclose(found[observed], expected[observed], rtol=tolerance)
            seen |= {(int(number), first + place) for place in np.flatnonzero(observed)}
    assert padded
    return seen


@pytest.mark.parametrize("normalize", ["global", "series", "window", False])
@pytest.mark.parametrize("transforms", TRANSFORMS)
def test_the_targets_of_windows_come_back(tmp_path, transforms, normalize):
    for alignment, dtype in itertools.product(ALIGNMENTS, ("float64", "float32")):
        data = fitted(
            tmp_path,
            EncoderDecoderDataModule,
            transforms,
            normalize=normalize,
            decoder_alignment=alignment,
            dtype=dtype,
        )
        seen = assert_back(data, data.train_dataloader(), 1e-6 if dtype == "float64" else 1e-4)
        assert len(seen) > 30


@pytest.mark.parametrize("normalize", ["global", "series", False])
@pytest.mark.parametrize("transforms", TRANSFORMS)
def test_the_targets_of_sequences_come_back(tmp_path, transforms, normalize):
    for alignment, dtype in itertools.product(ALIGNMENTS, ("float64", "float32")):
        data = fitted(
            tmp_path,
            TimeSeriesDataModule,
            transforms,
            normalize=normalize,
            alignment=alignment,
            dtype=dtype,
        )
        seen = assert_back(data, data.train_dataloader(), 1e-6 if dtype == "float64" else 1e-4)
        # the first row of a series, and that of a stretch
        assert {(0, 0), (0, 17), (1, 18)} <= seen


def test_what_the_inverse_needs_is_in_original_units(tmp_path):
    rows = [rows.reset_index(drop=True) for _, rows in make_table().groupby("unit")]
    filled = [
        own["y"].groupby(own["t"] > 30).ffill().fillna(make_table()["y"].mean()) for own in rows
    ]
    for kind in (EncoderDecoderDataModule, TimeSeriesDataModule):
        data = fitted(tmp_path, kind, "log, delta, ratio", shuffle=False)
        for batch in data.train_dataloader():
            mask = batch["decoder_mask"] if "decoder_mask" in batch else batch["mask"]
            for row, origin in enumerate(batch["origin"].tolist()):
                number = int(batch["series"][row])
                begins = (0, 17 + number)
                start = origin + 1 if origin + 1 in begins else origin
                assert float(batch["target_start"][row]) == pytest.approx(filled[number][start])
                known = rows[number]["known"][origin + 1 : origin + 1 + int(mask[row].sum())]
                np.testing.assert_array_equal(batch["target_covariate"][row][mask[row]], known)


def test_differences_need_the_target_before_each_sequence_at_predict(tmp_path):
    table = make_table().assign(y=1.0)
    table.loc[[4, 12], "y"] = np.nan
    table[:17].to_parquet(tmp_path / "future.parquet")
    options: dict[str, Any] = {"predict_df_paths": str(tmp_path / "future.parquet")}
    data = fitted(tmp_path, TimeSeriesDataModule, "delta", **options)
    data.setup("predict")  # with missing: mask the last value stands in
    data = TimeSeriesDataModule(
        target_covariate="y",
        known_covariates="known",
        train_df_paths=str(tmp_path / "train.parquet"),
        extra_transforms={"y": "DeltaTransform"},
        seq_len=4,
        **options,
    )
    make_table()[:20].to_parquet(tmp_path / "train.parquet")
    data.setup("fit")
    data.setup("predict")  # sequences begin after rows 3, 7, 11 and 15
    table.loc[11, "y"] = np.nan
    table[:17].to_parquet(tmp_path / "future.parquet")
    data.teardown("predict")
    with pytest.raises(InputError, match=r"'future': .* DeltaTransform .* row 11") as error:
        data.setup("predict")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("impute", ["last", "interpolate"])
@pytest.mark.parametrize(
    "transforms", [["DivideByXTransform"], ["DivideByXTransform", "LogTransform"]]
)
def test_what_is_not_known_wants_no_ratio(tmp_path, transforms, impute):
    """A target that is filled in, in the past or as a plan's, is no known one beside its x."""
    x = 2 + np.sin(np.arange(60) / 5)
    y = 3 * x
    x[30], y[30] = 0, np.nan
    pd.DataFrame({"x": x, "y": y}).to_csv(tmp_path / "a.csv", index=False)
    plan = [1.0, 0.0, -2.0, np.nan, 2.0] if len(transforms) == 1 else [1.0, 0.0, 2.0, np.nan, 2.0]
    new = {"x": [*x, *plan], "y": [*y, *[np.nan] * 5]}
    pd.DataFrame(new).to_csv(tmp_path / "new.csv", index=False)
    data = EncoderDecoderDataModule(
        "y", "x", train_df_paths=str(tmp_path / "a.csv"), missing="mask", impute=impute,
        predict_df_paths=str(tmp_path / "new.csv"), extra_transforms={"y": transforms},
        target_depends_on="x", ctxt_seq_len=8, tgt_seq_len=5,
    )  # fmt: skip
    data.setup("fit")
    for batch in data.train_dataloader():
        assert torch.isfinite(batch["encoder_input"]).all()
    (batch,) = data.predict_dataloader()
    back = data.inverse_transform_target(torch.zeros(1, 5, 1), batch).ravel()
    filled = np.interp(range(5), [0, 1, 2, 4], [1, 0, plan[2], 2]) if impute != "last" else plan
    expected = 3 * np.where(np.isnan(filled), plan[2], filled)
    np.testing.assert_allclose(back, expected, atol=1e-5)
    if impute == "last":
        model = EncoderDecoderLSTM(4, 2, d_encoder=4, d_decoder=4)
        stream, rows = Stream(model, data), pd.DataFrame({"x": x, "y": y})
        # row 30 is the last, any and the first of those that a session keeps
        found = [stream.update(rows[row : row + 1], rows[:5]) for row in range(45)]
        assert all(np.isfinite(one["prediction"]).all() for one in found)
    x[30], y[30] = 0, 1
    pd.DataFrame({"x": x, "y": y}).to_csv(tmp_path / "a.csv", index=False)
    data.teardown("fit")
    with pytest.raises(InputError, match=r"DivideByXTransform takes abs\(x\) above .*, found 1 of"):
        data.setup("fit")
