"""The data module: files to batches, and back from a checkpoint."""

import functools
import json
import logging

import lightning
import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.forecasts.rows import forecast_frame
from transformertf.models import EncoderDecoderLSTM

ROWS = 80
CONTEXT, HORIZON = 8, 4


def make_frame(rows=ROWS, seed=0, missing=0):
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=rows, freq="min"),
            "known": generator.normal(20.0, 3.0, rows),
            "past": generator.normal(-1.0, 0.2, rows),
            "target": 100.0 + generator.normal(0.0, 10.0, rows).cumsum(),
        }
    )
    frame.loc[rows - missing :, "target"] = np.nan
    return frame


@pytest.fixture
def folder(tmp_path):
    """Two series to train on, one each to validate, test and predict."""
    for seed, name in enumerate(("train_a", "train_b", "validate", "test", "future")):
        frame = make_frame(ROWS - 10 * seed, seed, HORIZON if name == "future" else 0)
        frame.to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def make(folder, *stages, **options):
    """Return a data module with the files of the named stages."""
    names = {"train": "train_*", "val": "validate", "test": "test", "predict": "future"}
    base = {
        "target_covariate": "target",
        "known_covariates": "known",
        "known_past_covariates": ["past"],
        "time_column": "time",
        "ctxt_seq_len": CONTEXT,
        "tgt_seq_len": HORIZON,
        "batch_size": 16,
    }
    files = {f"{stage}_df_paths": str(folder / f"{names[stage]}.parquet") for stage in stages}
    return EncoderDecoderDataModule(**{**base, **files, **options})


def fitted(*arguments, **options):
    data = make(*arguments, **options)
    data.setup("fit")
    return data


def assert_same_batches(first, second):
    first, second = list(first), list(second)
    assert first
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert torch.equal(value, other[key]), key


def windows_of(loader):
    """Return (series, origin) of every window of a loader, in order."""
    pairs = [(batch["series"].tolist(), batch["origin"].tolist()) for batch in loader]
    return [pair for series, origin in pairs for pair in zip(series, origin, strict=True)]


# batches


def test_training_batches_hold_scaled_windows_of_every_file(folder):
    data = fitted(folder, "train", dtype="float64", batch_size=1000)
    (batch,) = data.train_dataloader()
    files = [pd.read_parquet(folder / f"train_{name}.parquet") for name in "ab"]
    columns = ["known", "past", "target"]
    rows = pd.concat(files)[columns].to_numpy()
    scaled = [(file[columns].to_numpy() - rows.mean(0)) / rows.std(0) for file in files]
    expected = {(0, row) for row in range(7, 76)} | {(1, row) for row in range(7, 66)}
    found = list(zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True))
    assert len(found) == len(expected)
    assert set(found) == expected
    for place, (series, origin) in enumerate(found):
        values = scaled[series]
        context, horizon = values[origin - 7 : origin + 1], values[origin + 1 : origin + 5]
        np.testing.assert_allclose(batch["encoder_input"][place, :, 1:], context, atol=1e-12)
        np.testing.assert_allclose(batch["decoder_input"][place, :, 1:], horizon[:, :1], atol=1e-12)
        np.testing.assert_allclose(batch["target"][place], horizon[:, 2:], atol=1e-12)
    # one minute a step, from the start of the window on
    time = torch.cat([batch["encoder_input"][0, :, 0], batch["decoder_input"][0, :, 0]])
    np.testing.assert_allclose(time / time[1], np.arange(12), atol=1e-9)


@pytest.mark.parametrize(
    ("options", "past", "future"),
    [
        ({}, 4, 2),
        ({"time_column": None}, 3, 1),
        ({"known_covariates": None}, 3, 1),
        ({"known_covariates": None, "time_column": None}, 2, 1),
        ({"known_past_covariates": None, "add_target_to_past": False}, 2, 2),
    ],
)
def test_linked_properties_agree_with_the_batches(folder, options, past, future):
    data = fitted(folder, "train", **options)
    batch = next(iter(data.train_dataloader()))
    assert data.num_past_known_covariates == batch["encoder_input"].size(-1) == past
    assert data.num_future_known_covariates == batch["decoder_input"].size(-1) == future
    assert (data.ctxt_seq_len, data.tgt_seq_len) == (CONTEXT, HORIZON)
    assert data.num_static_features == 0


@pytest.mark.parametrize(
    ("dtype", "kind"), [("float32", torch.float32), ("float64", torch.float64)]
)
def test_batches_have_the_asked_type(folder, dtype, kind):
    batch = next(iter(fitted(folder, "train", dtype=dtype).train_dataloader()))
    for key in ("encoder_input", "decoder_input", "target"):
        assert batch[key].dtype == getattr(torch, dtype)


@pytest.mark.parametrize("stride", [1, 3])
def test_stride_and_downsample_thin_windows_and_rows(folder, stride):
    data = fitted(
        folder, "train", stride=stride, downsample=2, downsample_method="average", shuffle=False
    )
    origins = [origin for series, origin in windows_of(data.train_dataloader()) if series == 0]
    assert origins == list(range(7, 36, stride))  # 40 rows are left of 80
    batch = next(iter(data.train_dataloader()))
    back = data.inverse_transform_target(batch["target"], batch)
    thin = pd.read_parquet(folder / "train_a.parquet")["target"].to_numpy().reshape(40, 2).mean(1)
    np.testing.assert_allclose(back[0, :, 0], thin[8:12], rtol=1e-6)


def test_shuffle_is_for_training_only(folder):
    data = fitted(folder, "train", "val", "test", "predict", origin="all")
    assert windows_of(data.train_dataloader()) != sorted(windows_of(data.train_dataloader()))
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert len(windows_of(loader)) > 16
        assert windows_of(loader) == sorted(windows_of(loader))
    ordered = fitted(folder, "train", shuffle=False)
    assert windows_of(ordered.train_dataloader()) == sorted(windows_of(data.train_dataloader()))


def test_random_lengths_are_for_training_only(folder):
    data = fitted(
        folder,
        *("train", "val", "test", "predict"),
        randomize_seq_len=True,
        min_ctxt_seq_len=2,
        min_tgt_seq_len=1,
    )
    lengths: dict[str, set[int]] = {"encoder": set(), "decoder": set()}
    for batch in data.train_dataloader():
        for side, seen in lengths.items():
            seen.update(batch[f"{side}_lengths"].tolist())
            assert batch[f"{side}_mask"].size(1) == batch[f"{side}_lengths"].max()
    assert lengths == {"encoder": set(range(2, 9)), "decoder": set(range(1, 5))}
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        for batch in loader:
            assert set(batch["encoder_lengths"].tolist()) == {CONTEXT}
            assert set(batch["decoder_lengths"].tolist()) == {HORIZON}


def test_one_random_length_for_each_batch_on_request(folder):
    limits = {"min_ctxt_seq_len": 2, "min_tgt_seq_len": 1}
    data = fitted(folder, "train", randomize_seq_len="batch", **limits)
    batches = list(data.train_dataloader())
    for batch in batches:
        assert batch["encoder_mask"].all()
        assert batch["decoder_mask"].all()
    assert len({batch["encoder_mask"].shape[1] for batch in batches}) > 1


def test_windows_of_like_lengths_share_a_batch_unless_asked_otherwise(folder):
    limits = {"min_ctxt_seq_len": 2, "randomize_seq_len": True, "batch_size": 8}

    def padding(**options):
        data = fitted(folder, "train", **limits, **options)
        return sum(int((~batch["encoder_mask"]).sum()) for batch in data.train_dataloader())

    assert padding() < 0.25 * padding(bucket_by_length=False)


def test_short_series_train_beside_long_ones(folder):
    make_frame(7, seed=9).to_parquet(folder / "train_short.parquet")
    data = fitted(folder, "train", min_ctxt_seq_len=2, min_tgt_seq_len=2, batch_size=1000)
    (batch,) = data.train_dataloader()
    short = batch["series"] == 2
    assert batch["encoder_lengths"][short].tolist() == [3]
    assert batch["decoder_lengths"][short].tolist() == [4]
    assert not batch["encoder_mask"].all()


def test_a_series_below_the_minima_is_refused_by_name(folder):
    make_frame(7, seed=9).to_parquet(folder / "train_short.parquet")
    with pytest.raises(InputError, match="series 'train_short' is too short: 7 rows, expected at"):
        fitted(folder, "train")


def test_workers_give_the_same_batches(folder):
    options = {"randomize_seq_len": True, "min_ctxt_seq_len": 2, "min_tgt_seq_len": 1}
    alone, helped = (fitted(folder, "train", num_workers=count, **options) for count in (0, 2))
    helped.load_state_dict(alone.state_dict())
    assert_same_batches(alone.train_dataloader(), helped.train_dataloader())


def test_the_seed_is_the_global_one(folder):
    batches = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        batches.append(windows_of(fitted(folder, "train").train_dataloader()))
    assert batches[0] == batches[1]
    assert batches[0] != batches[2]


def test_reading_leaves_the_global_generator_as_it_was(folder):
    state = torch.get_rng_state()
    list(fitted(folder, "train").train_dataloader())
    assert torch.equal(state, torch.get_rng_state())


# what is fitted


def test_normalize_false_keeps_original_units(folder):
    data = fitted(folder, "train", normalize=False, shuffle=False)
    batch = next(iter(data.train_dataloader()))
    frame = pd.read_parquet(folder / "train_a.parquet")
    expected = frame[["known", "past", "target"]].to_numpy(dtype=np.float32)[:CONTEXT]
    np.testing.assert_allclose(batch["encoder_input"][0, :, 1:], expected)
    assert batch["encoder_input"][0, 1, 0] < 1  # time is scaled all the same


@pytest.mark.parametrize("normalize", [True, "global"])
def test_true_means_global(folder, normalize):
    batch = next(iter(fitted(folder, "train", normalize=normalize).train_dataloader()))
    assert "window_loc" not in batch
    assert batch["target"].abs().mean() < 2


def test_window_normalisation_leaves_the_target_in_units_of_series_or_window(folder):
    whole = {"batch_size": 1000, "shuffle": False}
    (window,) = fitted(folder, "train", normalize="window", **whole).train_dataloader()
    (plain,) = fitted(folder, "train", normalize="series", **whole).train_dataloader()
    unit = plain["encoder_input"][..., -1].std(dim=1, correction=0).clamp(min=1)
    assert (unit > 1).any()
    assert (unit == 1).any()
    torch.testing.assert_close(window["window_unit"], unit)
    torch.testing.assert_close(window["target"] * unit.view(-1, 1, 1), plain["target"])
    past = window["encoder_input"][..., -1]
    torch.testing.assert_close(past.mean(dim=1), torch.zeros(len(past)), rtol=0, atol=1e-5)
    undone = past * window["window_scale"][:, None] + window["window_loc"][:, None]
    expected = plain["encoder_input"][..., -1] / unit[:, None]
    torch.testing.assert_close(undone, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False, "window"])
def test_targets_come_back_in_original_units(folder, normalize):
    data = fitted(folder, "train", normalize=normalize, shuffle=False)
    target = pd.read_parquet(folder / "train_a.parquet")["target"].to_numpy()
    batch = next(iter(data.train_dataloader()))
    back = data.inverse_transform_target(batch["target"], batch)
    for place, origin in enumerate(batch["origin"].tolist()):
        expected = target[origin + 1 : origin + 1 + HORIZON]
        np.testing.assert_allclose(back[place, :, 0], expected, rtol=1e-5)


def test_scaling_sees_training_rows_only(folder):
    options = {"val_fraction": 0.2, "test_fraction": 0.1}
    before = fitted(folder, "train", **options).state_dict()
    for name in "ab":
        path = folder / f"train_{name}.parquet"
        frame = pd.read_parquet(path)
        rows = len(frame) - int(0.2 * len(frame)) - int(0.1 * len(frame))
        frame.loc[rows:, ["known", "past", "target"]] *= 1e3
        frame.to_parquet(path)
    assert fitted(folder, "train", **options).state_dict() == before
    frame.loc[[0], "past"] += 1.0  # a training row does matter
    frame.to_parquet(path)
    assert fitted(folder, "train", **options).state_dict() != before


def test_own_validation_files_do_not_touch_the_scaling(folder):
    assert fitted(folder, "train", "val").state_dict() == fitted(folder, "train").state_dict()


def test_fractions_share_the_rows_of_each_series(folder):
    data = fitted(folder, "train", val_fraction=0.25, test_fraction=0.1, shuffle=False)
    assert data.has_validation
    loaders = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    found = [[origin for series, origin in windows_of(loader) if not series] for loader in loaders]
    assert found == [  # 52 rows to train, 20 to validate, 8 to test
        list(range(7, 48)),
        list(range(51, 68)),
        list(range(71, 76)),
    ]


def test_own_files_and_a_fraction_for_the_other_stage_go_together(folder):
    data = fitted(folder, "train", "val", test_fraction=0.25)
    assert max(origin for _, origin in windows_of(data.train_dataloader())) == 55
    assert [origin for series, origin in windows_of(data.val_dataloader())] == list(range(7, 56))
    assert min(origin for _, origin in windows_of(data.test_dataloader())) == 52


def test_without_validation_data_there_is_no_validation_loader(folder):
    data = fitted(folder, "train")
    assert not data.has_validation
    assert data.val_dataloader() == []


def test_a_constant_training_column_is_told_of(folder, caplog):
    for name in "ab":
        path = folder / f"train_{name}.parquet"
        pd.read_parquet(path).assign(past=3.0).to_parquet(path)
    with caplog.at_level(logging.WARNING):
        fitted(folder, "train")
    assert "column 'past' is constant in the training data" in caplog.text


# state


def test_state_is_primitives(folder):
    state = fitted(folder, "train").state_dict()
    assert json.loads(json.dumps(state)) == state
    assert set(state["scaling"]["columns"]) == {"known", "past", "target"}


@pytest.mark.parametrize("normalize", [True, "window", False])
@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_a_fresh_module_with_the_state_gives_the_same_batches(
    folder, monkeypatch, normalize, stage
):
    own = {"validate": "val"}.get(stage, stage)
    options = {"normalize": normalize, "time_format": "relative", "origin": "last"}
    old, fresh = fitted(folder, "train", own, **options), make(folder, own, **options)
    monkeypatch.setattr(fresh.scaling, "fit", None)  # fitting again would fail
    fresh.load_state_dict(old.state_dict())
    fresh.setup(stage)
    assert_same_batches(*(getattr(data, f"{own}_dataloader")() for data in (old, fresh)))
    assert fresh.state_dict() == old.state_dict()


def test_a_fresh_module_without_files_says_what_is_missing(folder):
    data = make(folder)
    data.load_state_dict(fitted(folder, "train").state_dict())
    for stage, message in (
        ("fit", "no train data: give train_df_paths"),
        ("validate", "no validation data: give val_df_paths, val_fraction or val_start"),
        ("test", "no test data: give test_df_paths, test_fraction or test_start"),
        ("predict", "no data: give predict_df_paths"),
    ):
        with pytest.raises(InputError, match=message):
            data.setup(stage)


def test_an_unfitted_module_asks_for_a_checkpoint_or_training_files(folder):
    data = make(folder, "val", "test", "predict")
    for name, stage in (("val", "validate"), ("test", "test"), ("predict", "predict")):
        data.setup(stage)
        with pytest.raises(InputError, match="not fitted: give a checkpoint, or train_df_paths"):
            getattr(data, f"{name}_dataloader")()


def test_with_training_files_any_stage_fits_itself(folder):
    data = make(folder, "train", "test")
    data.setup("test")
    assert_same_batches(data.test_dataloader(), fitted(folder, "train", "test").test_dataloader())


def test_setup_twice_reads_and_fits_again(folder):
    data = make(folder, "train", "val")
    for _ in range(2):
        data.setup("fit")
        assert_same_batches(data.val_dataloader(), fitted(folder, "train", "val").val_dataloader())
        assert len(windows_of(data.train_dataloader())) == 128
    state = data.state_dict()
    pd.read_parquet(folder / "test.parquet").to_parquet(folder / "train_a.parquet")
    data.setup("fit")
    assert data.state_dict() == state  # one read for each stage, until its end
    data.teardown("fit")
    data.setup("fit")
    assert data.state_dict() != state  # the file was read anew


def test_predict_series_are_sorted_by_name_and_keep_their_index(folder):
    for name in ("z", "a"):
        make_frame(30, missing=2).to_parquet(folder / f"{name}.parquet")
    paths = [str(folder / f"{name}.parquet") for name in ("z", "future", "a")]
    data = fitted(folder, "train", predict_df_paths=paths)
    assert [item.name for item in data.predict_series] == ["a", "future", "z"]
    assert windows_of(data.predict_dataloader()) == [(0, 27), (1, 35), (2, 27)]


# refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_df_paths": "v.csv", "val_fraction": 0.1}, "val_df_paths and val_fraction are both"),
        ({"test_df_paths": "t.csv", "test_fraction": 0.1}, "test_df_paths and test_fraction are b"),
        ({"val_fraction": 1.0}, "val_fraction must be at least 0 and below 1, found 1.0"),
        ({"test_fraction": -0.1}, "test_fraction must be at least 0 and below 1"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "leave no rows for training"),
        ({"ctxt_seq_len": 0}, "ctxt_seq_len is 0"),
        ({"tgt_seq_len": -1}, "tgt_seq_len is -1"),
        ({"min_ctxt_seq_len": CONTEXT + 1}, "min_ctxt_seq_len 9"),
        ({"min_tgt_seq_len": 0}, "min_tgt_seq_len 0"),
        ({"stride": 0}, "stride must be at least 1, found 0"),
        ({"downsample": 0}, "downsample must be at least 1, found 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"known_past_covariates": ["known"]}, "column 'known' has two roles"),
        ({"known_covariates": ["known", "target"]}, "column 'target' has two roles"),
        ({"time_column": "past"}, "column 'past' has two roles"),
        ({"origin": "every:0"}, "every:N wants a whole number above 0"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(folder, options, message):
    with pytest.raises(InputError, match=message):
        make(folder, **options)


def test_an_encoder_without_any_input_is_refused(folder):
    bare = {"known_covariates": None, "known_past_covariates": None, "time_column": None}
    with pytest.raises(InputError, match="add_target_to_past"):
        fitted(folder, "train", **bare, add_target_to_past=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"known_covariates": "knwon"},
            "no column 'knwon'; did you mean 'known'",
        ),
        ({"train_df_paths": "nowhere/*.csv"}, r"train_df_paths: no file nowhere/\*\.csv"),
        ({"val_fraction": 0.01}, "series 'train_a' is too short: 0 rows in this split"),
        (
            {"downsample": 200, "downsample_method": "median"},
            "80 rows, fewer than downsample=200; lower",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused_at_setup(folder, options, message):
    with pytest.raises(InputError, match=message):
        fitted(folder, "train", **options)


# with a trainer


def make_trainer(folder, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    own = {"enable_checkpointing": False, "max_epochs": 1, "accelerator": "cpu", **quiet}
    return lightning.Trainer(default_root_dir=folder, **{**own, **options})


def make_model(data):
    torch.manual_seed(0)
    return EncoderDecoderLSTM(
        num_past_features=data.num_past_known_covariates,
        num_future_features=data.num_future_known_covariates,
        d_encoder=4,
        d_decoder=4,
        num_encoder_layers=1,
        num_decoder_layers=1,
        dropout=0.0,
    )


def train(folder, **options):
    """Fit for an epoch and return data, model and the checkpoint's path."""
    data = make(folder, "train", "val", "test", "predict", **options)
    model, trainer = make_model(data), make_trainer(folder)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(folder / "model.ckpt")
    return data, model, folder / "model.ckpt"


class Recorder(lightning.Callback):
    """Keeps the windows of every training batch, by epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append([])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        series, origin, lengths = batch["series"], batch["origin"], batch["encoder_lengths"]
        rows = zip(series.tolist(), origin.tolist(), lengths.tolist(), strict=True)
        self.epochs[-1] += list(rows)


def test_two_fits_with_one_data_module(folder):
    data = make(folder, "train", "val")
    losses = []
    for _ in range(2):
        trainer = make_trainer(folder)
        trainer.fit(make_model(data), datamodule=data)
        losses.append(float(trainer.callback_metrics["validation/loss"]))
    assert losses[0] == losses[1]


def test_a_fit_without_validation_data_goes_through_without_a_warning(folder):
    trainer = make_trainer(folder)
    data = make(folder, "train")
    trainer.fit(make_model(data), datamodule=data)
    assert trainer.global_step == 8  # 128 windows in batches of 16
    assert "train/loss" in trainer.callback_metrics


def test_epochs_of_a_fit_draw_new_orders_and_lengths(folder):
    data = make(folder, "train", "val", randomize_seq_len=True, min_ctxt_seq_len=2)
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        recorder = Recorder()
        trainer = make_trainer(folder, max_epochs=3, callbacks=[recorder])
        trainer.fit(make_model(data), datamodule=data)
        runs.append(recorder.epochs)
    first, second, third = runs[0]
    windows = [[row[:2] for row in epoch] for epoch in (first, second, third)]
    assert sorted(windows[0]) == sorted(windows[1]) == sorted(windows[2])
    assert windows[0] != windows[1] != windows[2]
    assert sorted(first) != sorted(second)  # lengths of the same windows differ
    assert runs[0] == runs[1]


def test_a_checkpoint_holds_all_that_validate_test_and_predict_need(folder, monkeypatch):
    data, model, path = train(folder)
    trainer = make_trainer(folder)
    expected = {
        "validation/loss": trainer.validate(model, datamodule=data, verbose=False)[0],
        "test/loss": trainer.test(model, datamodule=data, verbose=False)[0],
    }
    forecasts = torch.cat(trainer.predict(model, datamodule=data))

    def fresh(stage):
        alone = make(folder, stage)
        monkeypatch.setattr(alone.scaling, "fit", None)  # fitting again would fail
        return {"model": make_model(alone), "datamodule": alone, "ckpt_path": path}

    load = functools.partial(make_trainer, folder)
    found = {
        "validation/loss": load().validate(**fresh("val"), verbose=False)[0],
        "test/loss": load().test(**fresh("test"), verbose=False)[0],
    }
    assert found == expected
    again = torch.cat(load().predict(**fresh("predict")))
    assert again.shape == (1, HORIZON, 1)
    assert torch.equal(again, forecasts)
    frame = pd.read_parquet(folder / "train_a.parquet")
    spread = frame["target"].std()
    assert (again - frame["target"].mean()).abs().max() < 10 * spread  # original units


@pytest.mark.parametrize("options", [{}, {"normalize": "window", "encoder_alignment": "right"}])
def test_forecasts_do_not_depend_on_the_batch_size(folder, options):
    make_frame(11, seed=7, missing=HORIZON).to_parquet(folder / "short.parquet")
    paths = [str(folder / f"{name}.parquet") for name in ("short", "test", "future")]
    _, model, path = train(folder, **options)
    frames = []
    for size in (1, 7, 1000):
        data = make(folder, predict_df_paths=paths, min_ctxt_seq_len=4, batch_size=size, **options)
        outputs = make_trainer(folder).predict(model, datamodule=data, ckpt_path=path)
        pieces = [
            forecast_frame(batch, output, output, data.predict_series, None)
            for batch, output in zip(data.predict_dataloader(), outputs, strict=True)
        ]
        frames.append(pd.concat(pieces, ignore_index=True))
    assert len(frames[0]) == 4 * (1 + 1 + len(range(7, 46, 4)))
    for other in frames[1:]:
        pd.testing.assert_frame_equal(frames[0], other, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("normalize", "windows", "window"),
        ("encoder_alignment", "lefty", "left"),
        ("time_format", "absolut", "absolute"),
        ("downsample_method", "avrage", "average"),
        ("dtype", "float16", "float"),
    ],
)
def test_misspelt_choices_are_refused_in_python_too(name, value, hint):
    with pytest.raises(InputError, match=rf"{name} must not be '{value}'; .*{hint}"):
        EncoderDecoderDataModule("y", **{name: value})
