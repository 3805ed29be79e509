"""Sequences: inputs and target on the same steps, against plain slicing of the files."""

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import TimeSeriesDataModule
from transformertf.errors import InputError

ROWS, STEPS = 40, 8


def make_frame(rows=ROWS, seed=0):
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=rows, freq="min"),
            "known": generator.normal(20.0, 3.0, rows),
            "past": generator.normal(-1.0, 0.2, rows),
            "target": 100.0 + generator.normal(0.0, 10.0, rows).cumsum(),
        }
    )


@pytest.fixture
def folder(tmp_path):
    """Two series to train on, one each to validate and predict."""
    for seed, name in enumerate(("train_a", "train_b", "validate", "new")):
        make_frame(ROWS - 5 * seed, seed).to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def make(folder, **options):
    base = {
        "target_covariate": "target",
        "known_covariates": "known",
        "known_past_covariates": ["past"],
        "time_column": "time",
        "train_df_paths": str(folder / "train_*.parquet"),
        "seq_len": STEPS,
        "batch_size": 1000,
        "dtype": "float64",
    }
    return TimeSeriesDataModule(**{**base, **options})


def fitted(folder, **options):
    data = make(folder, **options)
    data.setup("fit")
    return data


def expected_inputs(folder, name, values=("known", "past")):
    """Return the scaled columns of a file, standardised over both training files."""
    files = [pd.read_parquet(folder / f"train_{letter}.parquet") for letter in "ab"]
    rows = pd.concat(files)[[*values, "target"]].to_numpy()
    own = pd.read_parquet(folder / f"{name}.parquet")[[*values, "target"]].to_numpy()
    return (own - rows.mean(0)) / rows.std(0)


def test_training_batches_are_slices_of_the_scaled_files(folder):
    (batch,) = fitted(folder).train_dataloader()
    scaled = [expected_inputs(folder, f"train_{letter}") for letter in "ab"]
    windows = list(zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True))
    # the first sequence starts at row 0, the last one ends with the file
    assert sorted(windows) == [(0, row) for row in range(-1, 32)] + [
        (1, row) for row in range(-1, 27)
    ]
    for place, (series, origin) in enumerate(windows):
        rows = scaled[series][origin + 1 : origin + 1 + STEPS]
        np.testing.assert_allclose(batch["input"][place, :, 1:], rows[:, :2], atol=1e-12)
        np.testing.assert_allclose(batch["target"][place], rows[:, 2:], atol=1e-12)
        time = batch["input"][place, :, 0]
        np.testing.assert_allclose(time / time[1], np.arange(STEPS), atol=1e-9)
    assert batch["mask"].all()
    assert batch["target_mask"].all()
    assert set(batch) == {
        *("input", "target", "lengths", "mask", "target_mask", "series", "origin")
    }  # fmt: skip


def test_the_target_is_no_input(folder):
    batch = next(iter(fitted(folder, shuffle=False).train_dataloader()))
    frame = pd.read_parquet(folder / "train_a.parquet")
    frame.assign(target=frame["target"].to_numpy()[::-1]).to_parquet(folder / "train_a.parquet")
    moved = next(iter(fitted(folder, shuffle=False).train_dataloader()))
    assert torch.equal(batch["input"], moved["input"])
    assert not torch.equal(batch["target"], moved["target"])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 3),
        ({"time_column": None}, 2),
        ({"known_covariates": None}, 2),
        ({"known_covariates": None, "known_past_covariates": None}, 1),
        ({"known_past_covariates": None, "time_column": None}, 1),
    ],
)
def test_num_features_agrees_with_the_batches(folder, options, count):
    data = fitted(folder, **options)
    batch = next(iter(data.train_dataloader()))
    assert batch["input"].size(2) == data.num_features == count


@pytest.mark.parametrize("time_format", ["absolute", "relative"])
def test_time_counts_from_the_first_step(folder, time_format):
    frame = make_frame()
    frame["time"] += pd.to_timedelta(np.arange(ROWS) ** 2, unit="s")
    frame.to_parquet(folder / "train_a.parquet")
    data = fitted(folder, time_format=time_format, shuffle=False)
    batch = next(iter(data.train_dataloader()))
    origin = batch["origin"][5]
    seconds = (frame["time"] - frame["time"][0]).dt.total_seconds().to_numpy()
    own = seconds[origin + 1 : origin + 1 + STEPS]
    wanted = own - own[0] if time_format == "absolute" else np.diff(own, prepend=own[0])
    np.testing.assert_allclose(batch["input"][5, :, 0] * data.scaling.time_scale, wanted)


@pytest.mark.parametrize("alignment", ["left", "right"])
def test_random_lengths_reach_both_ends_and_cut_at_the_end(folder, alignment):
    data = fitted(
        folder, randomize_seq_len=True, min_seq_len=3, alignment=alignment, time_column=None
    )
    (batch,) = data.train_dataloader()
    lengths = batch["lengths"]
    assert set(lengths.tolist()) == set(range(3, STEPS + 1))
    assert not batch["mask"].all()
    first = torch.zeros_like(lengths) if alignment == "left" else STEPS - lengths
    scaled = [expected_inputs(folder, f"train_{letter}") for letter in "ab"]
    for row, (start, length) in enumerate(zip(first.tolist(), lengths.tolist(), strict=True)):
        places = slice(start, start + length)
        assert batch["mask"][row, places].all()
        assert batch["mask"][row].sum() == length
        origin = batch["origin"][row] + 1
        rows = scaled[batch["series"][row]][origin : origin + length]
        np.testing.assert_allclose(batch["input"][row, places], rows[:, :2], atol=1e-12)
        np.testing.assert_allclose(batch["target"][row, places], rows[:, 2:], atol=1e-12)
        assert (batch["input"][row][~batch["mask"][row]] == 0).all()
    again = fitted(folder, randomize_seq_len=True, min_seq_len=3, time_column=None)
    again.load_state_dict(data.state_dict())
    assert torch.equal(next(iter(again.train_dataloader()))["lengths"], lengths)


def test_validation_is_whole_and_in_order(folder):
    data = fitted(
        folder, randomize_seq_len=True, min_seq_len=2, stride=5,
        val_df_paths=str(folder / "validate.parquet"),
    )  # fmt: skip
    batches = list(data.val_dataloader())
    assert [batch["origin"].tolist() for batch in batches] == [[-1], [7], [15], [23]]
    assert [batch["lengths"].tolist() for batch in batches] == [[8], [8], [8], [6]]
    assert [batch["begins"].tolist() for batch in batches] == [[True], [False], [False], [False]]


def test_fractions_share_the_rows(folder):
    data = fitted(folder, train_df_paths=str(folder / "train_a.parquet"), val_fraction=0.25)
    (train,), validation = data.train_dataloader(), list(data.val_dataloader())
    assert int(train["origin"].max()) + STEPS == 29
    # the state comes from the rows before, which do not count
    assert [batch["origin"].item() for batch in validation] == [-1, 7, 15, 23, 29, 37]
    assert [batch["leads"].item() for batch in validation] == [True] * 4 + [False] * 2
    assert [int(batch["target_mask"].sum()) for batch in validation] == [0, 0, 0, 0, 8, 2]


def test_a_short_series_is_one_short_sequence_or_refused_by_name(folder):
    make_frame(5).to_parquet(folder / "train_b.parquet")
    (batch,) = fitted(folder, min_seq_len=5).train_dataloader()
    short = batch["series"] == 1
    assert batch["lengths"][short].tolist() == [5]
    assert batch["origin"][short].tolist() == [-1]
    with pytest.raises(
        InputError,
        match="series 'train_b' is too short: 5 rows, expected at least 6; lower seq_len or "
        "min_seq_len, or leave the series out",
    ):
        fitted(folder, min_seq_len=6)


@pytest.mark.parametrize("rows", [1, 7, 8, 16, 27])
def test_predict_holds_each_row_once(folder, rows):
    make_frame(rows, 9).to_parquet(folder / "new.parquet")
    data = fitted(folder, predict_df_paths=str(folder / "new.parquet"), batch_size=2)
    data.setup("predict")
    found = [
        (origin + 1 + step, float(value))
        for batch in data.predict_dataloader()
        for origin, length, inputs in zip(
            batch["origin"].tolist(), batch["lengths"].tolist(), batch["input"], strict=True
        )
        for step, value in enumerate(inputs[:length, 1])
    ]
    assert [row for row, _ in found] == list(range(rows))
    wanted = expected_inputs(folder, "new")[:, 0]
    np.testing.assert_allclose([value for _, value in found], wanted, atol=1e-12)


@pytest.mark.parametrize("method", ["interval", "average", "median"])
@pytest.mark.parametrize("missing", ["tail", "gap", "all", "column"])
def test_predict_needs_no_target(folder, missing, method, caplog):
    frame = make_frame(27, 9)
    rows = {"tail": slice(20, None), "gap": slice(3, 9), "all": slice(None)}
    if missing == "column":
        frame = frame.drop(columns="target")
    else:
        frame.loc[frame.index[rows[missing]], "target"] = np.nan
    frame.to_parquet(folder / "new.parquet")
    data = fitted(
        folder, predict_df_paths=str(folder / "new.parquet"), downsample=3, downsample_method=method
    )
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert [int(batch["lengths"].sum()) for batch in batches] == [8, 1]
    unknown = {"tail": 3 if method != "interval" else 2, "gap": 2, "all": 9, "column": 9}[missing]
    assert sum(int(batch["target_mask"].sum()) for batch in batches) == 9 - unknown
    for batch in batches:
        assert ("target" in batch) == bool(batch["target_mask"].any())
        assert batch["input"].isfinite().all()
    told = [record.getMessage() for record in caplog.records]
    assert told == (
        [f"{folder / 'new.parquet'}: no column 'target': forecasts come without actuals"]
        if missing == "column"
        else []
    )


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("known", np.nan, "column 'known' has 1 missing"),
        ("past", np.nan, "column 'past' has 1 missing"),
        ("target", np.inf, "column 'target' has 1 infinite value, first in row 34"),
    ],
)
def test_predict_needs_every_input(folder, column, value, message):
    frame = make_frame()
    frame.loc[34, column] = value
    frame.to_parquet(folder / "new.parquet")
    data = fitted(folder, predict_df_paths=str(folder / "new.parquet"))
    with pytest.raises(InputError, match=message):
        data.setup("predict")


def test_training_needs_the_target(folder):
    frame = make_frame()
    frame.loc[4, "target"] = np.nan
    frame.to_parquet(folder / "train_a.parquet")
    with pytest.raises(InputError, match="column 'target' has 1 missing"):
        fitted(folder)
    frame.drop(columns="target").to_parquet(folder / "train_a.parquet")
    with pytest.raises(InputError, match="no column 'target'"):
        fitted(folder)


def test_a_fresh_module_with_the_state_predicts_the_same(folder):
    options = {"predict_df_paths": str(folder / "new.parquet")}
    first = fitted(folder, **options)
    second = make(folder, **options, train_df_paths=None)
    second.load_state_dict(first.state_dict())
    second.setup("predict")
    values = []
    for one, other in zip(first.predict_dataloader(), second.predict_dataloader(), strict=True):
        for key, value in one.items():
            assert torch.equal(value, other[key]), key
        back = first.inverse_transform_target(one["target"], one)
        values += back[..., 0][one["target_mask"]].tolist()
    frame = pd.read_parquet(folder / "new.parquet")
    np.testing.assert_allclose(values, frame["target"], rtol=1e-12)


def test_a_training_window_is_named_by_its_first_row(folder):
    data = fitted(folder)
    assert data.describe_training_window(1, -1) == (
        "series 'train_b', first row 0 (time 2024-01-01 00:00:00)"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"known_covariates": None, "known_past_covariates": None, "time_column": None},
            "a sequence has no real input: give known_covariates, known_past_covariates or time",
        ),
        ({"normalize": "window"}, "normalize must not be 'window'; known: False, True, global"),
        ({"alignment": "lefty"}, "alignment must not be 'lefty'; did you mean 'left'"),
        ({"seq_len": 0}, "seq_len is 0 and min_seq_len 0: expected 1 <= min_seq_len <= seq_len"),
        ({"min_seq_len": 9}, "seq_len is 8 and min_seq_len 9"),
        ({"min_seq_len": 0}, "seq_len is 8 and min_seq_len 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"known_covariates": ["known", "target"]}, "column 'target' has two roles"),
        ({"val_fraction": 1.5}, "val_fraction must be at least 0 and below 1"),
    ],
)
def test_mistakes(folder, options, message):
    with pytest.raises(InputError, match=message):
        make(folder, **options)
