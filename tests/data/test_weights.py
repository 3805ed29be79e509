"""What rows and windows weigh: batches against slices of the files, and sums over an epoch."""

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.batch import sides
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.windows import WindowLimits, Windows, balanced
from transformertf.data.windows.balance import _mean_length
from transformertf.data.windows.windows import Run
from transformertf.errors import InputError

ROWS = {"a": 40, "b": 10, "c": 23}
LENGTHS = {"ctxt_seq_len": 6, "tgt_seq_len": 4, "min_ctxt_seq_len": 2, "min_tgt_seq_len": 1}
SEQUENCES = {"seq_len": 12, "min_seq_len": 3}


def make_frame():
    generator = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "id": name,
                "x": generator.normal(size=rows),
                "y": generator.normal(size=rows),
                "w": generator.integers(0, 4, rows) / 2,
            }
        )
        for name, rows in ROWS.items()
    ]
    return pd.concat(parts, ignore_index=True)


def make(tmp_path, frame, kind="windows", **options):
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path)
    cls = {"windows": EncoderDecoderDataModule, "sequences": TimeSeriesDataModule}[kind]
    lengths = LENGTHS if kind == "windows" else SEQUENCES
    given = {
        **{"series_id": "id", "train_df_paths": str(path), "dtype": "float64", "batch_size": 16},
        **lengths,
        **options,
    }
    return cls("y", "x", **given)


def fitted(*args, **options):
    torch.manual_seed(5)
    data = make(*args, **options)
    data.setup("fit")
    return data


def rows_of(batch, name, frame):
    """Return a column at the steps that are forecast (B, T), NaN on padding."""
    mask = sides(batch)[-1].mask.numpy()
    found = np.full(mask.shape, np.nan)
    columns = [frame.loc[frame["id"] == series, name].to_numpy() for series in sorted(ROWS)]
    for row, (series, origin) in enumerate(zip(batch["series"], batch["origin"], strict=True)):
        first = int(origin) + 1
        found[row, mask[row]] = columns[int(series)][first : first + int(mask[row].sum())]
    return found


@pytest.mark.parametrize("storage", ["memory", "mmap"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("windows", {"decoder_alignment": "right"}),
        ("windows", {}),
        ("sequences", {"alignment": "right"}),
        ("sequences", {}),
    ],
)
def test_rows_weigh_what_their_column_says(tmp_path, monkeypatch, kind, options, storage):
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    frame = make_frame()
    options = {"weight_covariate": "w", "randomize_seq_len": True, "storage": storage, **options}
    data = fitted(tmp_path, frame, kind, **options)
    partial = False
    for batch in data.train_dataloader():
        expected = rows_of(batch, "w", frame)
        mask = ~np.isnan(expected)
        partial |= not mask.all()
        np.testing.assert_array_equal(batch["weight"].numpy()[mask], expected[mask])
        assert torch.isfinite(batch["weight"]).all()
        width = sides(batch)[0].inputs.shape[-1]
        assert width == (2 if kind == "windows" else 1), "the weight is no input"
    assert partial


def test_evaluated_pieces_weigh_too_and_say_which_of_them_end(tmp_path):
    frame = make_frame()
    data = fitted(tmp_path, frame, "sequences", weight_covariate="w", val_fraction=0.4)
    found = set()
    for batch in data.val_dataloader():
        expected = rows_of(batch, "w", frame)
        expected[batch["leads"].numpy()] = 0
        mask = ~np.isnan(expected)
        np.testing.assert_array_equal(batch["weight"].numpy()[mask], expected[mask])
        for row in torch.nonzero(batch["ends"]).flatten().tolist():
            last = int(batch["origin"][row] + batch["lengths"][row])
            found.add((int(batch["series"][row]), last))
    assert found == {(n, ROWS[name] - 1) for n, name in enumerate(sorted(ROWS))}


def test_rows_to_forecast_have_no_weight(tmp_path):
    frame = make_frame()
    data = fitted(tmp_path, frame, weight_covariate="w", predict_df_paths=str(tmp_path / "new.csv"))
    for new in (frame.drop(columns="w"), frame.assign(w="heavy")):
        new.to_csv(tmp_path / "new.csv")
        data.teardown("fit")
        data.setup("predict")
        assert all("weight" not in batch for batch in data.predict_dataloader())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            -1.5,
            r"series 'b': weight column 'w' must be at least 0, found -1.5 in row 42",
        ),
        (np.nan, r"series 'b': column 'w' has 1 missing \(NaN\) value, first in row 42"),
        (np.inf, r"series 'b': column 'w' has 1 infinite value, first in row 42"),
        (1e300, r"series 'b': a weight of 1e\+300 is too large for float32; divide all weights"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path, change, message):
    frame = make_frame()
    frame.loc[42, "w"] = change
    with pytest.raises(InputError, match=message):
        list(fitted(tmp_path, frame, weight_covariate="w", dtype="float32").train_dataloader())


def test_a_column_without_any_weight_is_refused(tmp_path):
    message = "train_df_paths: weight column 'w' is above 0 in no row"
    with pytest.raises(InputError, match=message):
        fitted(tmp_path, make_frame().assign(w=0.0), weight_covariate="w")


@pytest.mark.parametrize("name", ["y", "id", "k"])
def test_a_weight_has_no_other_role_that_it_cannot_have(name):
    with pytest.raises(InputError, match=f"weight_covariate: '{name}' is the target, the time, an"):
        EncoderDecoderDataModule(
            "y", ["x", "k"], series_id="id", categorical_covariates="k", weight_covariate=name
        )


def test_a_covariate_may_be_the_weight(tmp_path):
    frame = make_frame().assign(x=np.arange(sum(ROWS.values())) + 1.0)
    (batch, *_) = fitted(tmp_path, frame, weight_covariate="x").train_dataloader()
    expected = rows_of(batch, "x", frame)
    mask = ~np.isnan(expected)
    np.testing.assert_array_equal(batch["weight"].numpy()[mask], expected[mask])


def test_a_missing_weight_that_is_masked_is_none(tmp_path, caplog):
    frame = make_frame().assign(t=np.arange(sum(ROWS.values())))
    frame.loc[[3, 20, 41], "w"] = np.nan
    frame = frame.drop(index=[12, 13])
    options = {"missing": "mask", "time_column": "t", "freq": 1, "batch_size": 500}
    (batch,) = fitted(tmp_path, frame, weight_covariate="w", **options).train_dataloader()
    told = "train_df_paths: 5 values of 'w' are missing and masked, in 2 series: 'a', 'b'"
    assert told in caplog.text
    full = frame.set_index("t").reindex(range(sum(ROWS.values())))["w"].fillna(0).to_numpy()
    begin = np.array([0, 40, 50])[batch["series"]]
    rows = begin + batch["origin"].numpy() + 1
    steps = np.arange(batch["weight"].shape[1])
    mask = batch["decoder_mask"].numpy()
    np.testing.assert_array_equal(
        batch["weight"].numpy()[mask], full[(rows[:, None] + steps).clip(max=72)][mask]
    )


@pytest.mark.parametrize(
    ("method", "summary"), [("interval", "first"), ("average", "mean"), ("median", "median")]
)
def test_weights_are_thinned_as_other_columns(tmp_path, method, summary):
    frame = make_frame()[: ROWS["a"]]
    options = {"weight_covariate": "w", "downsample": 2, "downsample_method": method}
    data = fitted(tmp_path, frame, **options)
    (series,) = data.stage_series("train")
    expected = getattr(frame["w"].groupby(np.arange(ROWS["a"]) // 2), summary)()
    np.testing.assert_allclose(series.weights, expected)


@pytest.mark.parametrize("kind", ["windows", "sequences"])
def test_series_count_alike(tmp_path, kind):
    frame = make_frame()
    data = fitted(tmp_path, frame, kind, balance="series", val_fraction=0.1)
    sums, steps = np.zeros(len(ROWS)), 0
    for batch in data.train_dataloader():
        weight = batch["weight"].unsqueeze(1) * sides(batch)[-1].mask
        np.add.at(sums, batch["series"].numpy(), weight.sum(dim=1).numpy())
        steps += int(sides(batch)[-1].mask.sum())
    np.testing.assert_allclose(sums, steps / len(ROWS))
    assert all("weight" not in batch or kind == "sequences" for batch in data.val_dataloader())


def test_balance_multiplies_with_the_weight_of_rows(tmp_path):
    frame = make_frame()
    plain = fitted(tmp_path, frame, balance="series").train_dataloader()
    both = fitted(tmp_path, frame, balance="series", weight_covariate="w").train_dataloader()
    for one, other in zip(plain, both, strict=True):
        expected = one["weight"].numpy()[:, None] * rows_of(other, "w", frame)
        mask = ~np.isnan(expected)
        np.testing.assert_allclose(other["weight"].numpy()[mask], expected[mask])


def test_random_lengths_balance_on_average():
    limits = WindowLimits(4, 9, 2, 3)
    for longest in range(1, 12):
        drawn = [min(longest, n) for n in range(3, 10)]
        assert _mean_length(np.array([longest]), 3, 9)[0] == pytest.approx(np.mean(drawn))
    windows = Windows([Run(0, 3, 1, 50, 4, 9), Run(2, 3, 1, 1, 4, 5), Run(2, 9, 1, 1, 4, 9)])
    weights = balanced(windows, limits, True)
    steps = np.array([50 * 6.0, 0, np.mean([3, 4, 5, 5, 5, 5, 5]) + 6.0])
    np.testing.assert_allclose(weights * steps, [steps.sum() / 2, 0, steps.sum() / 2])
