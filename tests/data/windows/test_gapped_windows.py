"""Which windows there are in series with gaps, against a search over all rows."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError

STAGES = ("train", "validation", "test")


def make_frame(*stretches, observed=None):
    """Return a series of stretches of so many rows, with a day between them."""
    days = np.repeat(np.arange(len(stretches)), stretches)
    rows = len(days)
    generator = np.random.default_rng(rows)
    return pd.DataFrame(
        {
            "t": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows) + 24 * days, "h"),
            "known": generator.normal(size=rows),
            "y": np.where(
                np.arange(rows) < (observed or rows), generator.normal(size=rows), np.nan
            ),
        }
    )


def make(folder, frames, *, fit=None, **options):
    """Return a data module, fitted to `fit` or to the frames of several series."""
    table = pd.concat([frame.assign(unit=f"s{place}") for place, frame in enumerate(frames)])
    table.to_parquet(folder / "table.parquet")
    own = {"train_df_paths": str(folder / "table.parquet")}
    if fit is not None:
        fit.assign(unit="s0").to_parquet(folder / "fit.parquet")
        own = {
            "train_df_paths": str(folder / "fit.parquet"),
            "predict_df_paths": str(folder / "table.parquet"),
        }
    base = {
        "target_covariate": "y",
        "known_covariates": "known",
        "time_column": "t",
        "series_id": "unit",
        "max_gap": "2h",
        "ctxt_seq_len": 4,
        "tgt_seq_len": 2,
        "batch_size": 10_000,
    }
    return EncoderDecoderDataModule(**{**base, **own, **options})


def windows_of(loader):
    """Return (series, origin, context, horizon) of every window of a loader."""
    keys = ("series", "origin", "encoder_lengths", "decoder_lengths")
    return [
        row for batch in loader for row in zip(*(batch[key].tolist() for key in keys), strict=True)
    ]


def stretch_of(frame):
    """Return for each row the first row of its stretch."""
    breaks = frame["t"].diff() > pd.Timedelta("2h")
    return np.maximum.accumulate(np.where(breaks, np.arange(len(frame)), 0))


def admissible(frame, first, end, lag, context, horizon):
    """Return the origins whose targets are rows `first` to before `end`, context in reach."""
    start = stretch_of(frame)
    return [
        origin
        for origin in range(context - 1, end - horizon)
        if origin + 1 >= first
        and start[origin + 1 - context] == start[origin + horizon]
        and origin + 1 - context >= start[origin] + lag
    ]


def edges_of(rows, fractions):
    """Return the first row of each stage, and the end."""
    test = rows - int(rows * fractions["test_fraction"] + 1e-9)
    return 0, test - int(rows * fractions["val_fraction"] + 1e-9), test, rows


@st.composite
def cases(draw):
    frames = [
        make_frame(*draw(st.lists(st.integers(8, 24), min_size=1, max_size=3)))
        for _ in range(draw(st.integers(1, 2)))
    ]
    options = {
        "val_fraction": draw(st.sampled_from([0.2, 0.34])),
        "test_fraction": draw(st.sampled_from([0.2, 0.25])),
        "ctxt_seq_len": draw(st.integers(1, 4)),
        "tgt_seq_len": draw(st.integers(1, 2)),
        "stride": draw(st.integers(1, 3)),
        "target_lags": draw(st.sampled_from([None, [2], [2, 3]])),
    }
    return frames, options


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=cases())
def test_every_admissible_window_occurs_once_in_its_stage(case, tmp_path):
    frames, options = case
    context, horizon = options["ctxt_seq_len"], options["tgt_seq_len"]
    lag = max(options["target_lags"] or [0])
    data = make(tmp_path, frames, drop_short_series=True, shuffle=False, **options)
    expected = {stage: _expected(frames, stage, options, lag) for stage in STAGES}
    if not all(expected.values()):
        with pytest.raises(InputError, match="too short"):
            fetch(data)
        return
    found = fetch(data)
    targets = []
    for stage in STAGES:
        assert {row[2:] for row in found[stage]} == {(context, horizon)}  # maxima are minima
        whole = [row[:2] for row in found[stage]]
        assert sorted(whole) == sorted(expected[stage])
        targets.append({(n, origin + 1 + k) for n, origin in whole for k in range(horizon)})
    assert sum(map(len, targets)) == len(set.union(*targets))


def fetch(data):
    """Return the windows of each stage."""
    data.setup("fit")
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    return {stage: windows_of(loader) for stage, loader in zip(STAGES, loaders, strict=True)}


def _expected(frames, stage, options, lag):
    """Return (series, origin) of a stage's windows; every n-th of each stretch."""
    context, horizon = options["ctxt_seq_len"], options["tgt_seq_len"]
    place = STAGES.index(stage)
    expected = []
    for number, frame in enumerate(frames):
        first, end = edges_of(len(frame), options)[place : place + 2]
        origins = admissible(frame, first, end, lag, context, horizon)
        stretches = stretch_of(frame)[origins]
        for start in sorted(set(stretches.tolist())):
            mine = [row for row, own in zip(origins, stretches, strict=True) if own == start]
            expected += [(number, row) for row in mine[:: options["stride"]]]
    return expected


def test_contexts_reach_back_into_the_part_before_but_not_over_a_gap(tmp_path):
    frame = make_frame(20, 20)
    data = make(tmp_path, [frame], val_fraction=0.5)
    data.setup("fit")
    begins = [origin + 1 - context for _, origin, context, _ in windows_of(data.val_dataloader())]
    assert min(begins) == 20
    data = make(tmp_path, [frame], val_fraction=0.25)  # 30 rows train
    data.setup("fit")
    begins = [origin + 1 - context for _, origin, context, _ in windows_of(data.val_dataloader())]
    assert min(begins) == 26


def test_short_stretches_are_refused_by_name_and_rows_or_left_out_and_told(tmp_path, caplog):
    frames = [make_frame(12, 5, 12), make_frame(12)]
    with pytest.raises(
        InputError,
        match=r"series 's0', rows 12 to 16, is too short: 5 rows, expected at least 4 of context",
    ):
        make(tmp_path, frames).setup("fit")
    data = make(tmp_path, frames, drop_short_series=True)
    with caplog.at_level(logging.WARNING):
        data.setup("fit")
    assert any("too short, left out: 's0'" in text for text in caplog.messages)
    origins = [row[1] for row in windows_of(data.train_dataloader()) if row[0] == 0]
    assert sorted(origins) == [*range(3, 10), *range(20, 27)]


# predict


def predicted(folder, frame, origin, **options):
    data = make(folder, [frame], fit=make_frame(30), origin=origin, **options)
    data.setup("fit")
    data.setup("predict")
    return [row[1:] for row in windows_of(data.predict_dataloader())]


@pytest.mark.parametrize(
    ("stretches", "observed", "origin", "expected"),
    [
        # a known target: every horizon of each stretch
        ((9, 8), None, "auto", [3, 5, 12, 14]),
        ((9, 8), None, "all", [3, 4, 5, 6, 12, 13, 14]),
        ((9, 8), None, "every:3", [3, 6, 12]),
        ((9, 8), None, "last", [14]),
        # a horizon at the end
        ((9, 8), 15, "auto", [14]),
        ((9, 8), 15, "all", [3, 4, 5, 6, 12, 13, 14]),
        ((9, 8), 15, "last", [14]),
        ((9, 8), 13, "every:1", [3, 4, 5, 6, 12]),
        # a time, and the last row before one
        ((9, 8), None, "2024-01-02 13:00", [13]),
        ((9, 8), None, "2024-01-01 05:30", [5]),
    ],
)
def test_origins_of_a_series_with_a_gap(tmp_path, stretches, observed, origin, expected):
    frame = make_frame(*stretches, observed=observed)
    assert predicted(tmp_path, frame, origin) == [(row, 4, 2) for row in expected]


@pytest.mark.parametrize("origin", ["auto", "all", "last", "2024-01-02 11:00"])
def test_a_context_is_short_rather_than_over_a_gap(tmp_path, origin):
    found = predicted(tmp_path, make_frame(9, 5, observed=12), origin, min_ctxt_seq_len=2)
    assert (11, 3, 2) in found
    for row, context, horizon in found:
        assert row + 1 - context >= 9 or row + horizon < 9


def test_the_last_whole_horizon_is_before_a_gap_where_there_is_none_behind_it(tmp_path):
    frame = make_frame(9, 2)
    assert predicted(tmp_path, frame, "last", min_ctxt_seq_len=1, min_tgt_seq_len=1) == [(6, 4, 2)]


@pytest.mark.parametrize("origin", ["auto", "2024-01-01 08:00"])
def test_a_gap_right_behind_the_origin_is_refused_in_one_line(tmp_path, origin):
    frame = make_frame(9, 3, observed=9)
    with pytest.raises(InputError) as error:
        predicted(tmp_path, frame, origin)
    assert str(error.value) == (
        "series 's0': a gap longer than max_gap follows row 8, the origin; raise max_gap, or "
        "leave the series out with drop_short_series"
    )


def test_lags_do_not_come_from_before_a_gap(tmp_path):
    assert predicted(tmp_path, make_frame(9, 9), "all", target_lags=[2]) == [
        (row, 4, 2) for row in (5, 6, 14, 15)
    ]
