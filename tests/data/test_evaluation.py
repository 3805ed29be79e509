"""Rolling origins over validation and test data, against all windows there can be."""

import logging
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.windows.origins import Origin
from transformertf.errors import InputError

CONTEXT, HORIZON = 5, 3
START = pd.Timestamp("2024-01-01")


def make_rows(name, *stretches, seed=0):
    """Return a unit of hourly stretches that are a day apart."""
    rows = sum(stretches)
    jumps = np.zeros(rows, dtype=int)
    jumps[np.cumsum(stretches)[:-1]] = 23
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "unit": name,
            "t": START + pd.to_timedelta(np.arange(rows) + jumps.cumsum(), unit="h"),
            "known": generator.normal(size=rows),
            "y": generator.normal(size=rows).cumsum(),
        }
    )


def make(frames, kind=EncoderDecoderDataModule, **options):
    lengths = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON}
    base = {
        "target_covariate": "y",
        "known_covariates": "known",
        "time_column": "t",
        "series_id": "unit",
        "max_gap": "2h",
        "train_df_paths": "given",
        "batch_size": 1000,
        **(lengths if kind is EncoderDecoderDataModule else {"seq_len": CONTEXT}),
    }
    data = kind(**{**base, **options})
    for argument, frame in frames.items():
        data.stages.give(argument, frame)
        data.hparams[argument] = "given"
    data.setup("fit")
    return data


def origins_of(data, stage, origin):
    """Return name of series, origin, context and horizon of all windows, in order."""
    windows = data.origin_windows(stage, Origin.parse(origin))
    series, *others = windows.locate(np.arange(len(windows)))
    names = [data.stage_series(stage)[number].name for number in series.tolist()]
    return list(zip(names, *(column.tolist() for column in others), strict=True))


def whole_windows(stretches, first, end):
    """Return by stretch the origins of all whole windows whose targets are rows first to end."""
    found, begin = [], 0
    for rows in stretches:
        found.append(
            [
                row for row in range(begin + CONTEXT - 1, begin + rows - HORIZON)
                if row + 1 >= first and row + HORIZON < end
            ]
        )  # fmt: skip
        begin += rows
    return [origins for origins in found if origins]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    units=st.lists(
        st.lists(st.integers(1, 25), min_size=1, max_size=3), min_size=1, max_size=3
    ),
    origin=st.sampled_from(["auto", "every:2", "every:5", "all", "last"]),
    own_files=st.booleans(),
)  # fmt: skip
def test_origins_are_those_of_the_definition(units, origin, own_files):
    names = [f"u{len(units) - number}" for number in range(len(units))]
    frame = pd.concat(
        [make_rows(name, *rows, seed=n) for n, (name, rows) in enumerate(zip(names, units))]  # noqa: B905
    )
    train, options = make_rows("z", 40), {"drop_short_series": True}
    if own_files:
        data = make({"train_df_paths": train, "test_df_paths": frame}, **options)
        firsts = [0] * len(units)
    else:
        data = make({"train_df_paths": pd.concat([train, frame])}, test_fraction=0.4, **options)
        firsts = [sum(rows) - int(sum(rows) * 0.4 + 1e-9) for rows in units]
    expected = []
    for name, rows, first in sorted(zip(names, units, firsts, strict=True)):
        every = whole_windows(rows, first, sum(rows))
        step = {"auto": HORIZON, "every:2": 2, "every:5": 5}.get(origin, 1)
        chosen = [row for stretch in every for row in stretch[::step]]
        if origin == "last":
            chosen = [row for stretch in every for row in stretch][-1:]
        expected += [(name, row, CONTEXT, HORIZON) for row in chosen]
    if not expected and own_files:
        with pytest.raises(InputError, match="too short"):
            origins_of(data, "test", origin)
        return
    assert [found for found in origins_of(data, "test", origin) if found[0] != "z"] == expected


def test_short_parts_have_one_window_down_to_the_minima():
    frame = pd.concat([make_rows("a", 6), make_rows("b", 20), make_rows("c", 9, 4)])
    frames = {"train_df_paths": make_rows("z", 40), "test_df_paths": frame}
    data = make(frames, min_ctxt_seq_len=2, min_tgt_seq_len=2)
    assert origins_of(data, "test", "last") == [("a", 2, 3, 3), ("b", 16, 5, 3), ("c", 5, 5, 3)]
    assert origins_of(data, "test", "every:9") == [
        ("a", 2, 3, 3), ("b", 4, 5, 3), ("b", 13, 5, 3), ("c", 4, 5, 3), ("c", 10, 2, 2),
    ]  # fmt: skip
    with pytest.raises(InputError, match="series 'a' is too short: 6 rows, expected at least 5"):
        origins_of(make(frames), "test", "auto")


@pytest.mark.parametrize(
    ("at", "row"), [("2024-01-02 08:00", 32), ("2024-01-02 09:59", 33), ("2024-01-02 12:00", 36)]
)
def test_a_time_is_the_last_row_at_or_before_it(at, row):
    data = make({"train_df_paths": make_rows("a", 40)}, test_fraction=0.2)
    assert origins_of(data, "test", at) == [("a", row, CONTEXT, HORIZON)]
    # the horizon of the row before the part is its first one
    assert origins_of(data, "test", "2024-01-02 07:00") == [("a", 31, CONTEXT, HORIZON)]


@pytest.mark.parametrize(
    ("at", "rows"), [("2024-01-02 06:00", "31 to 33"), ("2024-01-02 13:00", "38 to 40")]
)
def test_a_horizon_outside_the_part_is_refused(at, rows):
    data = make({"train_df_paths": make_rows("a", 40)}, test_fraction=0.2)
    with pytest.raises(InputError) as error:
        origins_of(data, "test", at)
    assert str(error.value) == (
        f"series 'a': rows {rows}, the horizon after origin {at}, are not all among rows 32 to 39, "
        "or a gap lies between them; give another origin"
    )


def test_neither_context_nor_horizon_of_a_time_crosses_a_gap():
    data = make({"train_df_paths": make_rows("z", 40), "val_df_paths": make_rows("a", 10, 10)})
    with pytest.raises(InputError, match=r"rows 9 to 11, .* or a gap lies between"):
        origins_of(data, "validation", "2024-01-01 08:00")
    with pytest.raises(InputError, match=r"'a': 3 rows of context .* row 10 on, .* at least 5; lo"):
        origins_of(data, "validation", str(START + pd.Timedelta(hours=12 + 23)))
    short = make(
        {"train_df_paths": make_rows("z", 40), "val_df_paths": make_rows("a", 10, 10)},
        min_ctxt_seq_len=3,
    )
    at = str(START + pd.Timedelta(hours=12 + 23))
    assert origins_of(short, "validation", at) == [("a", 12, 3, HORIZON)]


@pytest.mark.parametrize("origin", ["auto", "last", "all"])
def test_targets_after_the_last_known_one_are_no_horizon(origin):
    frame = make_rows("a", 12, 12)
    frame.loc[frame.index[10:], "y"] = np.nan
    frames = {"train_df_paths": make_rows("z", 40), "test_df_paths": frame}
    found = origins_of(make(frames, missing="mask"), "test", origin)
    assert [row for _, row, _, _ in found] == {"auto": [4], "last": [6], "all": [4, 5, 6]}[origin]


def test_batches_are_in_order_with_their_targets_even_where_none_is_observed():
    frame = pd.concat([make_rows("b", 30, seed=1), make_rows("a", 25, seed=2)])
    lost = frame["unit"].eq("a") & frame["t"].between(START, START + pd.Timedelta(hours=20))
    frame.loc[lost, "y"] = np.nan
    frames = {"train_df_paths": make_rows("z", 60), "test_df_paths": frame}
    data = make(frames, missing="mask", batch_size=2, randomize_seq_len=True, min_ctxt_seq_len=2)
    batches = list(data.evaluation_dataloader("test", "every:4"))
    pairs = [
        pair for batch in batches
        for pair in zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True)
    ]  # fmt: skip
    expected = [(0, row) for row in range(4, 22, 4)] + [(1, row) for row in range(4, 27, 4)]
    assert pairs == expected
    assert [item.name for item in data.stage_series("test")] == ["a", "b"]
    assert not batches[0]["target_mask"].any()
    for batch in batches:
        assert batch["encoder_mask"].all()
        assert torch.isfinite(batch["target"]).all()
        back = data.inverse_transform_target(batch["target"], batch)
        for place, (series, row) in enumerate(
            zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True)
        ):
            actual = data.stage_series("test")[series].values[row + 1 : row + 4, -1]
            seen = np.isfinite(actual)
            np.testing.assert_array_equal(batch["target_mask"][place].numpy(), seen)
            np.testing.assert_allclose(back[place, :, 0].numpy()[seen], actual[seen], rtol=1e-5)


def test_windows_are_by_name_whatever_the_order_of_the_files(tmp_path):
    paths = [str(tmp_path / f"{name}.parquet") for name in "zab"]
    for number, path in enumerate(paths):
        make_rows("", 12, seed=number).to_parquet(path)
    data = make({"train_df_paths": make_rows("z", 40)}, series_id=None, test_df_paths=paths)
    assert [item.name for item in data.stage_series("test")] == ["z", "a", "b"]
    assert [name for name, *_ in origins_of(data, "test", "last")] == ["a", "b", "z"]
    batches = list(data.evaluation_dataloader("test", "last"))
    assert batches[0]["series"].tolist() == [1, 2, 0]


def test_the_series_of_a_stage_are_chosen_once_and_anew_when_they_are_read_again():
    frame = pd.concat([make_rows(f"u{number}", 20, seed=number) for number in range(6)])
    data = make({"train_df_paths": frame}, split_by="series", test_fraction=0.4)
    first = data.stage_series("test")
    assert len(first) == 2
    assert data.stage_series("test") is first
    data.teardown("test")
    data.stages.give("train_df_paths", frame.assign(y=0.0))
    again = data.stage_series("test")
    assert [item.name for item in again] == [item.name for item in first]
    assert not any(item.values[:, -1].any() for item in again)


def test_sequences_are_those_of_the_test_and_have_no_origins():
    frames = {"train_df_paths": make_rows("z", 60), "test_df_paths": make_rows("a", 30)}
    data = make(frames, TimeSeriesDataModule, batch_size=7, stride=2)
    batches = list(data.evaluation_dataloader("test", "auto"))
    # each row once, whatever the stride, and one after the other
    assert [batch["origin"].tolist() for batch in batches] == [[-1], [4], [9], [14], [19], [24]]
    assert all(batch["lengths"].tolist() == [5] for batch in batches)
    assert all(batch["target_mask"].all() for batch in batches)
    with pytest.raises(InputError, match=r"origin 'last': sequences have no origins, each row is"):
        data.evaluation_dataloader("test", "last")


def test_without_data_of_the_stage_there_is_nothing_to_evaluate():
    data = make({"train_df_paths": make_rows("z", 60)})
    with pytest.raises(InputError, match="give test_df_paths, test_fraction or test_start"):
        data.evaluation_dataloader("test")
    with pytest.raises(InputError, match="every:N wants a whole number above 0"):
        data.evaluation_dataloader("test", "every:x")


# processes


def batches_of(loader):
    return [list(zip(batch["series"].tolist(), batch["origin"].tolist())) for batch in loader]  # noqa: B905


@pytest.mark.parametrize("kind", [EncoderDecoderDataModule, TimeSeriesDataModule])
@pytest.mark.parametrize("world_size", [1, 2, 3, 9])
@pytest.mark.parametrize("distributed", ["auto", False])
def test_ranks_share_what_one_process_forecasts(kind, world_size, distributed):
    frame = pd.concat([make_rows("b", 30), make_rows("a", 22)])
    frames = {
        "train_df_paths": make_rows("z", 60),
        "test_df_paths": frame,
        "predict_df_paths": frame,
    }
    data = make(frames, kind, batch_size=4, distributed=distributed)
    loaders = (data.predict_dataloader, lambda: data.evaluation_dataloader("test"))
    whole = [batches_of(loader()) for loader in loaders]
    assert all(len(batches) > 2 for batches in whole)
    device = SimpleNamespace(root_device=torch.device("cpu"))
    found: list[list[Any]] = [[], []]
    for rank in range(world_size):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, strategy=device)
        data.setup("predict")
        for batches, loader in zip(found, loaders, strict=True):
            batches += batches_of(loader())
    times = 1 if distributed == "auto" else world_size
    expected = [batches * times for batches in whole]
    if kind is TimeSeriesDataModule:  # whole series, beside others or alone
        found, expected = ([sorted(chain(*own)) for own in each] for each in (found, expected))
    assert found == expected


def test_other_ways_to_share_are_refused():
    with pytest.raises(InputError, match="distributed must not be True; known: False, auto"):
        EncoderDecoderDataModule("y", distributed=True)


# contexts that are shorter than in training


def test_short_contexts_are_told_once_for_all_series(caplog):
    frame = pd.concat([make_rows(name, rows) for name, rows in zip("dabc", (5, 4, 20, 6))])  # noqa: B905
    frames = {"train_df_paths": make_rows("z", 60), "predict_df_paths": frame}
    data = make(frames)
    with caplog.at_level(logging.WARNING):
        data.setup("predict")
        (batch,) = data.predict_dataloader()
    assert caplog.messages == [
        "predict: 1 to 3 rows of context, fewer than the 5 of training, in 3 series: 'a', 'c', 'd'"
    ]
    assert batch["encoder_lengths"].tolist()[:2] == [1, 5]
    assert not batch["encoder_mask"][0, 1:].any()
    caplog.clear()
    data = make(frames | {"predict_df_paths": make_rows("a", 20)})
    with caplog.at_level(logging.WARNING):
        data.setup("predict")
    assert caplog.messages == []


def test_series_are_checked_and_sorted_once(monkeypatch):
    frames = {
        "train_df_paths": make_rows("z", 60),
        "predict_df_paths": pd.concat([make_rows("b", 20), make_rows("a", 20)]),
    }
    data = make(frames)
    checked: list[Any] = []
    monkeypatch.setattr(data.scaling, "check_time", checked.append)
    first = data.predict_series
    assert [item.name for item in first] == ["a", "b"]
    data.setup("predict")
    list(data.predict_dataloader())
    assert data.predict_series is first
    assert checked == [first]
    data.teardown("predict")
    assert data.predict_series is not first
    assert len(checked) == 2


def test_time_is_checked_against_a_state_that_comes_after_the_series():
    state = make({"train_df_paths": make_rows("z", 60)}, max_gap=None).state_dict()
    numbered = make_rows("a", 20).assign(t=np.arange(20))
    data = make({"train_df_paths": numbered, "predict_df_paths": numbered}, max_gap=None)
    assert len(data.predict_series) == 1
    data.load_state_dict(state)
    with pytest.raises(InputError, match="time column"):
        data.setup("predict")
