"""Gaps, missing values, sorting and storage, through a data module."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from tests.data.test_datamodule import assert_same_batches
from tests.data.units import OPTIONS, make_units
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.reading import cache, reader
from transformertf.data.reading.filling import fill_panel
from transformertf.errors import InputError

ROWS = 40


def make_frame(rows=ROWS):
    generator = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "t": pd.date_range("2024-03-30", periods=rows, freq="h"),
            "known": generator.normal(20.0, 3.0, rows),
            "past": generator.normal(-1.0, 0.2, rows),
            "y": 100.0 + generator.normal(0.0, 10.0, rows).cumsum(),
        }
    )


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return what makes a data module with files of frames."""
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    written: list[pd.DataFrame] = []

    def build(frame, kind=EncoderDecoderDataModule, predict=None, **options):
        path = tmp_path / "train.parquet"
        if not written or not frame.equals(written[-1]):
            frame.to_parquet(path)
            written.append(frame)
        lengths = {"ctxt_seq_len": 6, "tgt_seq_len": 3}
        base = {
            "target_covariate": "y",
            "known_covariates": "known",
            "known_past_covariates": "past",
            "time_column": "t",
            "train_df_paths": str(path),
            "batch_size": 1000,
            "shuffle": False,
            "dtype": "float64",
            **(lengths if kind is EncoderDecoderDataModule else {"seq_len": 9}),
        }
        if predict is not None:
            predict.to_parquet(tmp_path / "predict.parquet")
            base["predict_df_paths"] = str(tmp_path / "predict.parquet")
        return kind(**{**base, **options})

    return build


def fitted(data):
    data.setup("fit")
    return data


def only(loader):
    (batch,) = loader
    return batch


# missing values


def test_missing_values_are_refused_with_the_remedy_or_masked(make, caplog):
    frame = make_frame()
    frame.loc[[5, 6], "known"] = np.nan
    with pytest.raises(
        InputError, match=r"column 'known' has 2 missing .* row 5, 6 .*missing: mask"
    ):
        fitted(make(frame))
    with caplog.at_level(logging.WARNING):
        fitted(make(frame, missing="mask"))
    assert any("2 values of 'known' are missing and masked" in text for text in caplog.messages)


def test_all_that_is_masked_is_told_by_column(make, caplog):
    """Categories and statics, too, and what is known of the future beyond the last target."""
    frame = make_frame().assign(mode="on", place="north", size=1.0)
    frame.loc[[0, 1], "mode"] = None
    later = frame.copy()
    later["place"] = pd.Series([None] * ROWS, dtype="str")
    later["size"] = np.nan
    later.loc[ROWS - 3 :, "y"] = np.nan
    later.loc[[4, ROWS - 1], "known"] = np.nan
    later.loc[[4, ROWS - 1], "past"] = np.nan
    options = {
        "missing": "mask",
        "known_covariates": ["known", "mode"],
        "static_covariates": ["place", "size"],
        "categorical_covariates": ["mode", "place"],
    }
    data = make(frame, predict=later, **options)
    with caplog.at_level(logging.WARNING):
        fitted(data)
        data.setup("predict")
    told = [text for text in caplog.messages if "are missing and masked" in text]
    expected = {
        ("train_df_paths", 2, "mode", "train"),
        ("predict_df_paths", 2, "known", "predict"),
        ("predict_df_paths", 1, "past", "predict"),
        ("predict_df_paths", 2, "mode", "predict"),
        ("predict_df_paths", 1, "place", "predict"),
        ("predict_df_paths", 1, "size", "predict"),
    }
    assert set(told) == {
        f"{argument}: {count} values of {name!r} are missing and masked, in 1 series: {series!r}"
        for argument, count, name, series in expected
    }


@pytest.mark.parametrize("name", ["known", "past", "mode"])
@pytest.mark.parametrize("where", ["train", "predict"])
def test_a_column_without_any_value_is_no_missing_value(make, name, where):
    frame = make_frame().assign(mode="on")
    later = frame.copy()
    lost = frame if where == "train" else later
    lost[name] = pd.Series([None] * ROWS, dtype=lost[name].dtype)
    options = {"known_covariates": ["known", "mode"], "categorical_covariates": "mode"}
    data = make(frame, predict=later, missing="mask", **options)
    message = f"{where}_df_paths: column {name!r} has no value in any of {ROWS} rows, .* leave it "
    with pytest.raises(InputError, match=message):
        fitted(data).setup("predict")


@pytest.mark.parametrize("kind", [EncoderDecoderDataModule, TimeSeriesDataModule])
def test_the_loss_leaves_missing_targets_out_and_sees_numbers_only(make, kind):
    frame, lost = make_frame(), [0, 9, 10, 11, 25]
    frame.loc[lost, "y"] = np.nan
    lengths = {"min_ctxt_seq_len": 3, "min_tgt_seq_len": 1}
    if kind is TimeSeriesDataModule:
        lengths = {"min_seq_len": 3}
    data = fitted(make(frame, kind, missing="mask", randomize_seq_len=True, **lengths))
    batch = only(data.train_dataloader())
    side = "decoder_mask" if "decoder_mask" in batch else "mask"
    steps = batch["origin"][:, None] + 1 + torch.arange(batch[side].size(1))
    expected = batch[side] & ~torch.isin(steps, torch.tensor(lost))
    assert torch.equal(batch["target_mask"], expected)
    assert (batch[side] & ~expected).any()
    assert (~batch[side]).any()
    assert torch.isfinite(batch["target"]).all()
    back = data.inverse_transform_target(batch["target"], batch)[..., 0]
    actual = torch.from_numpy(frame["y"].to_numpy(copy=True))[steps.clamp(max=ROWS - 1)]
    torch.testing.assert_close(back[expected], actual[expected])


def test_training_batches_without_an_observed_target_have_one_all_the_same(make):
    frame = make_frame()
    frame.loc[10:25, "y"] = np.nan
    data = fitted(make(frame, missing="mask", val_fraction=0.3, batch_size=1))
    empty = 0
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            assert torch.isfinite(batch["target"]).all()
            empty += not batch["target_mask"].any()
    assert empty > 5


@pytest.mark.parametrize("impute", ["last", "interpolate"])
def test_what_is_filled_in(make, impute):
    frame = make_frame()
    frame.loc[[20, 21, 22], ["known", "past"]] = np.nan
    data = fitted(make(frame, missing="mask", impute=impute, normalize=False))
    batch = only(data.train_dataloader())
    row = batch["origin"].tolist().index(22)
    known, past = (
        batch["encoder_input"][row, :, data.columns.encoder_features(True).index(name)].numpy()
        for name in ("known", "past")
    )
    line = frame["known"].interpolate() if impute == "interpolate" else frame["known"].ffill()
    np.testing.assert_allclose(known, line[17:23])
    np.testing.assert_allclose(past, frame["past"].ffill()[17:23])


def test_the_rows_without_a_target_at_the_end_are_the_horizon_under_a_mask(make):
    frame = make_frame()
    future = frame.copy()
    future.loc[ROWS - 3 :, ["y", "past"]] = np.nan
    future.loc[20, "known"] = np.nan
    data = fitted(make(frame, predict=future, missing="mask"))
    data.setup("predict")
    batch = only(data.predict_dataloader())
    assert batch["origin"].tolist() == [ROWS - 4]
    assert "target" not in batch
    assert not batch["target_mask"].any()
    assert torch.isfinite(batch["encoder_input"]).all()


# time


def test_rows_that_are_missing_are_refused_or_put_in_and_told(make, caplog):
    frame = make_frame().drop(index=[7, 8, 30])
    with pytest.raises(
        InputError,
        match=r"'train': 3 rows are missing at freq 1h, the first at t 2024-03-30 07:00:00; set "
        "missing: mask to fill them in, or max_gap",
    ):
        fitted(make(frame, freq="1h"))
    with caplog.at_level(logging.WARNING):
        data = fitted(make(frame, freq="1h", missing="mask"))
    assert any("3 rows put in that were missing" in text for text in caplog.messages)
    batch = only(data.train_dataloader())
    assert len(batch["origin"]) == ROWS - 8
    steps = batch["origin"][:, None] + 1 + torch.arange(3)
    assert torch.equal(batch["target_mask"], ~torch.isin(steps, torch.tensor([7, 8, 30])))


def test_short_gaps_are_filled_and_long_ones_break(make, caplog):
    frame = make_frame(60).drop(index=[7, *range(25, 31), 45])
    with caplog.at_level(logging.WARNING):
        data = fitted(make(frame, freq="1h", max_gap="3h", missing="mask"))
    assert any("1 gaps break 1 series" in text for text in caplog.messages)
    (item,) = data.stages.series("train")
    assert len(item) == 54
    assert item.breaks == (25,)
    stamps = pd.Series(item.time)
    assert stamps.diff().value_counts().to_dict() == {
        pd.Timedelta("1h"): 52, pd.Timedelta("7h"): 1
    }  # fmt: skip
    assert np.flatnonzero(np.isnan(item.values[:, -1])).tolist() == [7, 39]
    assert only(data.train_dataloader())["origin"].tolist() == [*range(5, 22), *range(30, 51)]


def test_a_series_of_one_row_is_left_out_like_any_short_one(make):
    frame = make_frame().assign(unit="a")
    both = pd.concat([frame, frame[:1].assign(unit="b")])
    options = {"series_id": "unit", "freq": "1h", "max_gap": "2h", "missing": "mask"}
    with pytest.raises(InputError, match="series 'b' is too short: 1 rows"):
        fitted(make(both, **options))
    data = fitted(make(both, **options, drop_short_series=True))
    alone = fitted(make(frame, **options))
    assert data.short_in_training == ["b"]
    assert_same_batches(data.train_dataloader(), alone.train_dataloader())


def test_rows_are_sorted_on_request(make):
    frame = make_frame()
    mixed = frame.sample(frac=1.0, random_state=1)
    with pytest.raises(InputError, match=r"time column 't' does not rise .* set sort: true"):
        fitted(make(mixed))
    expected = [only(fitted(make(frame)).train_dataloader())]
    assert_same_batches(fitted(make(mixed, sort=True)).train_dataloader(), expected)


def test_thinning_keeps_to_stretches_and_takes_the_last_category_of_a_block(make):
    frame = make_frame(41).assign(mode=[f"m{row:02}" for row in range(41)])
    frame.loc[21:, "t"] += pd.Timedelta("1D")
    data = fitted(
        make(
            frame,
            max_gap="2h",
            downsample=2,
            downsample_method="average",
            known_covariates=["known", "mode"],
            categorical_covariates="mode",
            normalize=False,
        )
    )
    blocks = [*range(0, 20, 2), *range(21, 41, 2)]  # row 20 is half a block
    (item,) = data.stages.series("train")
    assert item.breaks == (10,)
    batch = only(data.train_dataloader())
    assert batch["origin"].tolist() == [5, 6, 15, 16]
    for row, origin in enumerate(batch["origin"].tolist()):
        for step in range(3):
            first = blocks[origin + 1 + step]
            mean = frame["y"][first : first + 2].mean()
            assert float(batch["target"][row, step, 0]) == pytest.approx(mean)
            code = int(batch["decoder_categories"][row, step, 0])
            assert data.vocabularies.texts["mode"][code - 1] == f"m{first + 1:02}"


# storage and state


def everything(make, storage, **options):
    own = {**OPTIONS, "missing": "mask", "normalize": "series", "val_fraction": 0.3}
    base = {"storage": storage, "noise_std": 0.1, "shuffle": True, "batch_size": 16}
    return make(make_units(holes=True), **{**own, **base, **options})


@pytest.fixture
def reads(monkeypatch):
    """Return a list that grows with each time files are read."""
    calls, read = [], fill_panel

    def counted(*args, **kwargs):
        calls.append(args)
        return read(*args, **kwargs)

    for module in (cache, reader):
        monkeypatch.setattr(module, "fill_panel", counted)
    return calls


def batches(data):
    return [*data.train_dataloader(), *data.val_dataloader()]


def test_mapped_files_give_the_batches_of_memory_and_are_read_once(make, reads):
    torch.manual_seed(3)
    expected = batches(fitted(everything(make, "memory")))
    assert not all(batch["target_mask"].all() for batch in expected)
    reads.clear()
    for _ in range(2):
        torch.manual_seed(3)
        assert_same_batches(batches(fitted(everything(make, "mmap"))), expected)
        assert len(reads) == 1


def test_another_scaling_is_another_entry(make, tmp_path):
    def names():
        return {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}

    batches(fitted(everything(make, "mmap")))
    before = names()
    data = fitted(everything(make, "mmap", normalize=False))
    batch = next(iter(data.val_dataloader()))
    assert before < names()
    assert batch["target"].mean() > 50


def test_another_covariate_of_the_target_is_another_entry(make):
    points = {
        "class_path": "DiscreteFunctionTransform",
        "init_args": {"x": [-9, 99], "y": [-9, 99]},
    }
    options = {
        "known_covariates": ["known", "past"],
        "known_past_covariates": None,
        "normalize": False,
        "extra_transforms": {"y": points},
        "storage": "mmap",
    }
    frame = make_frame()
    for name in ("known", "past"):
        batch = only(fitted(make(frame, **options, target_depends_on=name)).train_dataloader())
        expected = (frame["y"] - frame[name]).to_numpy()
        np.testing.assert_allclose(batch["target"][0, :, 0], expected[6:9])


def test_a_fresh_module_with_the_state_gives_the_same_batches(make, monkeypatch):
    torch.manual_seed(3)
    data = fitted(everything(make, "memory", extra_transforms={"y": ["LogTransform"]}))
    fresh = everything(make, "memory", extra_transforms={"y": ["LogTransform"]})
    for part in (fresh.scaling, fresh.vocabularies):
        monkeypatch.setattr(part, "fit", None)  # fitting again would fail
    torch.manual_seed(99)
    fresh.load_state_dict(data.state_dict())
    fresh.setup("validate")
    assert_same_batches(batches(fresh), batches(data))


def test_a_fit_reads_once_until_its_end(make, reads, monkeypatch):
    data = everything(make, "memory")
    fits, fit = [], data.scaling.fit
    monkeypatch.setattr(data.scaling, "fit", lambda *args: fits.append(fit(*args)))
    for count in (1, 2):
        data.setup("fit")
        data.setup("fit")
        batches(data)
        assert (len(reads), len(fits)) == (count, count)
        data.teardown("fit")
