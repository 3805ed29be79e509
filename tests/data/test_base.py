"""What both data modules do with panels: ids, short series, splits by series."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError

MODULES = {
    "windows": (EncoderDecoderDataModule, {"ctxt_seq_len": 6, "tgt_seq_len": 3}),
    "sequences": (TimeSeriesDataModule, {"seq_len": 9}),
}


def make_frame(store, rows=30, seed=0):
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "store": store,
            "t": np.arange(rows),
            "known": generator.normal(size=rows),
            "y": 5 + seed + generator.normal(size=rows),
        }
    )


@pytest.fixture
def folder(tmp_path):
    """A table of ten series."""
    frames = [make_frame(f"s{seed}", 30 + seed, seed) for seed in range(10)]
    pd.concat(frames).sort_values("t").to_parquet(tmp_path / "long.parquet")
    return tmp_path


@pytest.fixture(params=[*MODULES], ids=[*MODULES])
def make(request, folder):
    kind, lengths = MODULES[request.param]

    def build(**options):
        base = {
            "target_covariate": "y",
            "known_covariates": "known",
            "time_column": "t",
            "series_id": "store",
            "train_df_paths": str(folder / "long.parquet"),
            "batch_size": 1000,
        }
        return kind(**{**base, **lengths, **options})

    return build


def fitted(make, seed=1, **options):
    torch.manual_seed(seed)
    data = make(**options)
    data.setup("fit")
    return data


def origins(loader):
    """Return the number of windows of each series."""
    found = [number for batch in loader for number in batch["series"].tolist()]
    return {number: found.count(number) for number in set(found)}


def actuals(data, loader):
    """Return the target values of a loader, in original units."""
    return {
        round(value, 4)
        for batch in loader
        for value in data.inverse_transform_target(batch["target"], batch)[..., 0][
            batch["target_mask"]
        ].tolist()
    }


def test_each_series_has_its_windows(make):
    data = fitted(make)
    # all windows are of 9 rows; sequences count from row 0 as windows do
    assert origins(data.train_dataloader()) == {n: 30 + n - 8 for n in range(10)}
    text = data.describe_training_window(3, 5)
    assert text.startswith("series 's3', ")


def test_arguments_stay_as_given(make):
    for series_id in (None, "store", ["store"], ["store", "item"]):
        data = make(series_id=series_id, split_by="series", drop_short_series=True)
        assert data.hparams["series_id"] == series_id
        assert (data.hparams["split_by"], data.hparams["drop_short_series"]) == ("series", True)
    with pytest.raises(InputError, match="split_by must not be 'serie'; did you mean 'series'"):
        make(split_by="serie")


# short series


def shorten(folder, *rows):
    """Add series of so few rows to the table, far from the others in value."""
    path = folder / "long.parquet"
    short = [make_frame(f"x{n}", count, 1000 + n) for n, count in enumerate(rows)]
    pd.concat([pd.read_parquet(path), *short]).to_parquet(path)


def test_short_series_are_refused_with_their_count(make, folder):
    shorten(folder, 4, 5, 3)
    with pytest.raises(
        InputError, match=r"series 'x0' is too short: 4 rows.*series \(and 2 more\)$"
    ):
        fitted(make)


def test_short_series_are_left_out_of_windows_and_scaling(make, folder, caplog):
    whole = fitted(make)
    shorten(folder, 4, 5, 3, 8)
    with caplog.at_level(logging.WARNING):
        data = fitted(make, drop_short_series=True)
        data.train_dataloader()
    assert caplog.messages == ["train: 4 series too short, left out: 'x0', 'x1', 'x2', ..."]
    assert origins(data.train_dataloader()) == origins(whole.train_dataloader())
    assert data.scaling.state_dict() == whole.scaling.state_dict()
    state = data.state_dict()
    assert state["short_series"] == ["x0", "x1", "x2", "x3"]
    assert json.loads(json.dumps(state)) == state
    fresh = make(drop_short_series=True)
    fresh.load_state_dict(state)
    assert fresh.state_dict() == state


def test_parts_of_a_split_are_left_out_one_by_one(make, folder, caplog):
    shorten(folder, 12)  # 9 rows train, 3 validate: with a context of 6 that is a horizon of 3
    data = fitted(make, drop_short_series=True, val_fraction=0.25)
    assert 10 in origins(data.train_dataloader())
    assert data.state_dict()["short_series"] == []
    # a window has the rows before as its context, and a sequence its state from them
    assert 10 in origins(data.val_dataloader())


def test_short_series_are_left_out_at_predict(make, folder, caplog):
    data = fitted(make, drop_short_series=True, predict_df_paths=str(folder / "new.parquet"))
    pd.concat([make_frame("a", 3), make_frame("b", 20)]).to_parquet(folder / "new.parquet")
    data.setup("predict")
    found = origins(data.predict_dataloader())
    # a window has a row of context and a horizon of 3, a sequence may be as short as need be
    assert set(found) == ({1} if isinstance(data, EncoderDecoderDataModule) else {0, 1})


def test_too_few_rows_to_thin_are_left_out(make, folder):
    shorten(folder, 1)
    thin = {"downsample": 2, "downsample_method": "average"}
    with pytest.raises(
        InputError, match="series 'x0' is too short: 1 rows, fewer than downsample=2"
    ):
        fitted(make, **thin)
    data = fitted(make, **thin, drop_short_series=True)
    assert len(origins(data.train_dataloader())) == 10
    assert data.state_dict()["short_series"] == ["x0"]


def test_with_all_too_short_nothing_is_left(make, folder):
    make_frame("a", 4).to_parquet(folder / "long.parquet")
    with pytest.raises(InputError, match="series 'a' is too short: 4 rows"):
        fitted(make, drop_short_series=True)


# splits by series

SPLIT = {"split_by": "series", "val_fraction": 0.2, "test_fraction": 0.3}


def test_whole_series_are_held_out(make):
    data = fitted(make, **SPLIT)
    values = [
        actuals(data, loader)
        for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ]
    assert [len(origins(data.train_dataloader())), len(origins(data.val_dataloader()))] == [5, 2]
    assert len(origins(data.test_dataloader())) == 3
    assert not values[0] & values[1]
    assert not values[0] & values[2]
    assert not values[1] & values[2]
    # whole ones: none of their rows is kept back but the context of the first window
    windows = isinstance(data, EncoderDecoderDataModule)
    rows = [30 + int(name[1:]) for name in data.stages.held_out["test"]]
    found = sum(origins(data.test_dataloader()).values())
    assert found == sum(count - 8 if windows else -(-count // 9) for count in rows)


def test_held_out_series_do_not_touch_the_scaling(make, folder):
    data = fitted(make, **SPLIT)
    path = folder / "long.parquet"
    frame = pd.read_parquet(path)
    held = frame["store"].isin([*data.stages.held_out["test"], *data.stages.held_out["validation"]])
    frame.loc[held, "y"] *= 100
    frame.to_parquet(path)
    assert fitted(make, **SPLIT).state_dict() == data.state_dict()


def test_the_split_follows_the_seed_of_the_run(make):
    draws = [fitted(make, seed, **SPLIT).stages.held_out for seed in (1, 1, 2, 3, 4)]
    assert draws[0] == draws[1]
    assert len({json.dumps(draw) for draw in draws}) > 2


def test_a_checkpoint_brings_its_split(make):
    data = fitted(make, **SPLIT)
    state = data.state_dict()
    assert json.loads(json.dumps(state)) == state
    torch.manual_seed(99)
    for stage, loader in (("validate", "val_dataloader"), ("test", "test_dataloader")):
        fresh = make(**SPLIT)
        fresh.setup(stage)  # as in a trainer, before the state is there
        fresh.load_state_dict(state)
        for one, other in zip(getattr(fresh, loader)(), getattr(data, loader)(), strict=True):
            assert torch.equal(one["target"], other["target"])
        assert fresh.state_dict() == state


def test_a_resumed_fit_keeps_its_split(make):
    data = fitted(make, **SPLIT)
    other = fitted(make, seed=2, **SPLIT)
    assert other.stages.held_out != data.stages.held_out
    other.load_state_dict(data.state_dict())
    (one,), (two,) = data.train_dataloader(), other.train_dataloader()
    assert torch.equal(one["target"], two["target"])


def test_another_split_than_the_checkpoints_is_refused(make, folder):
    by_time, by_series = fitted(make, val_fraction=0.3), fitted(make, **SPLIT)
    by_series.load_state_dict(by_time.state_dict())
    with pytest.raises(
        InputError, match=r"split_by is series, but the checkpoint was .* with time"
    ):
        by_series.setup("validate")
    by_time.load_state_dict(fitted(make, **SPLIT).state_dict())
    with pytest.raises(
        InputError, match=r"split_by is time, but the checkpoint was .* with series"
    ):
        by_time.setup("validate")


def test_series_that_are_gone_are_named(make, folder):
    data = fitted(make, **SPLIT)
    state, path = data.state_dict(), folder / "long.parquet"
    gone = state["held_out"]["test"][0]
    frame = pd.read_parquet(path)
    frame[frame["store"] != gone].to_parquet(path)
    fresh = make(**SPLIT)
    fresh.load_state_dict(state)
    with pytest.raises(InputError, match=f"series that the fit kept for test, but '{gone}' is not"):
        fresh.setup("test")
    fresh.setup("validate")


def test_a_stage_without_series_of_its_own_is_refused(make):
    state = fitted(make, split_by="series", val_fraction=0.2).state_dict()
    fresh = make(**SPLIT)
    fresh.load_state_dict(state)
    with pytest.raises(InputError, match="kept for test, but it kept none"):
        fresh.setup("test")


def test_own_files_and_a_share_of_the_series_go_together(make, folder):
    make_frame("v").to_parquet(folder / "v.parquet")
    own = {"val_df_paths": str(folder / "v.parquet")}
    data = fitted(make, split_by="series", test_fraction=0.3, **own)
    assert len(origins(data.train_dataloader())) == 7
    assert len(origins(data.val_dataloader())) == 1
    assert len(origins(data.test_dataloader())) == 3


def test_too_few_series_to_split_are_refused(make):
    with pytest.raises(InputError, match=r"val_fraction 0\.05 of 10 series is less than one"):
        fitted(make, split_by="series", val_fraction=0.05)
