"""Forecasts to tables and files."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data.series import Series
from transformertf.forecasts.rows import ForecastRows, forecast_frame
from transformertf.forecasts.sinks import ForecastFile
from transformertf.utils.sequence import create_padding_mask

LEVELS = (0.02, 0.5, 0.9)


def make_series(name, rows=20, observed=None, time=None, start=0.0):
    values = np.stack([np.zeros(rows), start + np.arange(rows)], axis=1)
    observed = rows if observed is None else observed
    values[observed:, -1] = np.nan
    return Series(name, values, None if time is None else time[:rows], observed)


DATES = pd.date_range("2024-01-01", periods=20, freq="h")
FLOATS = pd.Index(np.arange(20) * 0.25 + 3)


def make_batch(series, origin, lengths, alignment="left"):
    lengths = torch.tensor(lengths)
    return {
        "decoder_mask": create_padding_mask(lengths, alignment=alignment),
        "decoder_lengths": lengths,
        "series": torch.tensor(series),
        "origin": torch.tensor(origin),
    }


def place(rows, alignment="left"):
    """Pad rows of numbers to (B, T), with NaN as padding that must not be read."""
    longest = max(map(len, rows))
    padded = [
        row + [np.nan] * (longest - len(row))
        if alignment == "left"
        else [np.nan] * (longest - len(row)) + row
        for row in rows
    ]
    return torch.tensor(padded).unsqueeze(-1)


@pytest.mark.parametrize("alignment", ["left", "right"])
def test_one_row_for_each_window_and_step(alignment):
    batch = make_batch([0, 0], [4, 9], [3, 2], alignment)
    point = place([[1.0, 2.0, 3.0], [4.0, 5.0]], alignment)
    frame = forecast_frame(batch, point, point, [make_series("run", time=DATES)], None)
    expected = pd.DataFrame(
        {
            "series": ["run"] * 5,
            "origin": DATES[[4, 4, 4, 9, 9]],
            "step": [1, 2, 3, 1, 2],
            "time": DATES[[5, 6, 7, 10, 11]],
            "prediction": [1.0, 2.0, 3.0, 4.0, 5.0],
            "actual": [5.0, 6.0, 7.0, 10.0, 11.0],
        }
    )
    pd.testing.assert_frame_equal(frame, expected)
    assert not batch["decoder_mask"].all()


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        (None, "int64"),
        (FLOATS, "float64"),
        (pd.Index(np.arange(20) + 2**60), "Int64"),
        (DATES, str(DATES.dtype)),
        (DATES.tz_localize("Europe/Zurich"), str(DATES.tz_localize("Europe/Zurich").dtype)),
    ],
)
def test_a_sequence_at_the_start_has_no_origin(time, kind, tmp_path):
    lengths = torch.tensor([3, 2, 3])
    batch: Any = {
        "mask": create_padding_mask(lengths),
        "series": torch.tensor([0, 0, 1]),
        "origin": torch.tensor([-1, 2, 4]),
    }
    point = torch.zeros(3, 3, 1)
    series = [make_series("a", time=time), make_series("b", time=time)]
    frame = forecast_frame(batch, point, point, series, None)
    stamps = pd.RangeIndex(20) if time is None else time
    assert frame["step"].tolist() == [1, 2, 3, 1, 2, 1, 2, 3]
    assert frame["time"].tolist() == stamps[[0, 1, 2, 3, 4, 5, 6, 7]].tolist()
    assert str(frame["origin"].dtype) == kind
    if time is None:
        assert frame["origin"].tolist() == [-1] * 3 + [2] * 2 + [4] * 3
    else:
        assert frame["origin"].isna().tolist() == [True] * 3 + [False] * 5
        assert frame["origin"].iloc[3:].tolist() == stamps[[2, 2, 4, 4, 4]].tolist()
    # one file of many pieces, as of one
    with ForecastFile(tmp_path / "pieces.parquet") as file:
        for rows in (slice(0, 1), slice(1, 3)):
            part: Any = {key: value[rows] for key, value in batch.items()}
            file.write(forecast_frame(part, point[rows], point[rows], series, None))
    with ForecastFile(tmp_path / "whole.parquet") as file:
        file.write(frame)
    pieces, whole = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("pieces", "whole"))
    pd.testing.assert_frame_equal(pieces, whole)
    pd.testing.assert_frame_equal(whole, frame)


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        (None, "int64"),
        (FLOATS, "float64"),
        (pd.Index(np.arange(20) * 10), "int64"),
        (DATES, str(DATES.dtype)),
        (DATES.tz_localize("Europe/Zurich"), str(DATES.tz_localize("Europe/Zurich").dtype)),
    ],
)
def test_origin_and_time_are_stamps_or_row_numbers(time, kind):
    batch = make_batch([0], [4], [2])
    point = place([[1.0, 2.0]])
    frame = forecast_frame(batch, point, point, [make_series("run", time=time)], None)
    stamps = pd.RangeIndex(20) if time is None else time
    assert frame["origin"].tolist() == [stamps[4], stamps[4]]
    assert frame["time"].tolist() == [stamps[5], stamps[6]]
    types = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert types["origin"] == types["time"] == kind
    assert types["prediction"] == types["actual"] == "float64"
    assert types["step"] == "int64"
    assert frame["series"].tolist() == ["run", "run"]


@pytest.mark.parametrize("alignment", ["left", "right"])
def test_each_quantile_has_its_column(alignment):
    batch = make_batch([0, 0], [4, 9], [2, 1], alignment)
    middle = place([[1.0, 2.0], [3.0]], alignment)
    outputs = torch.cat([middle - 10, middle, middle + 10], dim=-1)
    frame = forecast_frame(batch, middle, outputs, [make_series("run")], LEVELS)
    names = ["series", "origin", "step", "time", "prediction", "q0.02", "q0.5", "q0.9", "actual"]
    assert list(frame.columns) == names
    assert frame["q0.02"].tolist() == [-9.0, -8.0, -7.0]
    assert frame["q0.5"].tolist() == frame["prediction"].tolist() == [1.0, 2.0, 3.0]
    assert frame["q0.9"].tolist() == [11.0, 12.0, 13.0]


def test_crossed_quantiles_are_put_in_order():
    batch = make_batch([0], [4], [2])
    outputs = torch.tensor([[[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]]])
    before = outputs.clone()
    frame = forecast_frame(batch, outputs[..., 1:2], outputs, [make_series("run")], LEVELS)
    assert frame[["q0.02", "q0.5", "q0.9"]].to_numpy().tolist() == [[1, 2, 3], [1, 2, 3]]
    assert torch.equal(outputs, before)


def test_windows_of_several_series_stay_with_their_own():
    series = [
        make_series("a", time=DATES),
        make_series("b", rows=12, time=DATES + pd.Timedelta("1D"), start=100.0),
    ]
    batch = make_batch([0, 1, 1], [4, 2, 6], [2, 2, 1])
    point = place([[1.0, 2.0], [3.0, 4.0], [5.0]])
    frame = forecast_frame(batch, point, point, series, None)
    assert frame["series"].tolist() == ["a", "a", "b", "b", "b"]
    assert frame["prediction"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert frame["actual"].tolist() == [5.0, 6.0, 103.0, 104.0, 107.0]
    later = DATES + pd.Timedelta("1D")
    assert frame["time"].tolist() == [DATES[5], DATES[6], later[3], later[4], later[7]]
    assert frame.index.tolist() == list(range(5))


def test_an_unknown_target_is_missing():
    batch = make_batch([0], [4], [3])
    point = place([[1.0, 2.0, 3.0]])
    frame = forecast_frame(batch, point, point, [make_series("run", observed=6)], None)
    np.testing.assert_array_equal(frame["actual"], [5.0, np.nan, np.nan])
    assert frame["prediction"].notna().all()


def test_low_precision_outputs_become_float64():
    point = torch.tensor([[[1.5], [2.5]]], dtype=torch.bfloat16)
    frame = forecast_frame(make_batch([0], [4], [2]), point, point, [make_series("run")], None)
    assert frame["prediction"].dtype == np.float64
    assert frame["prediction"].tolist() == [1.5, 2.5]


# rows


@pytest.mark.parametrize("time", [None, FLOATS, DATES.tz_localize("Europe/Zurich")])
def test_rows_of_many_batches_make_the_table_of_each_after_the_other(time):
    series = [make_series("b", time=time), make_series("a", time=time, start=50.0)]
    batches = [make_batch([1, 1], [4, 9], [3, 2]), make_batch([1, 0], [12, 3], [2, 3], "right")]
    rows, frames = [], []
    for number, batch in enumerate(batches):
        outputs = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(number))
        rows.append(ForecastRows.of(batch, outputs[..., 1:2], outputs))
        frames.append(forecast_frame(batch, outputs[..., 1:2], outputs, series, LEVELS))
    joined = ForecastRows.join(rows)
    assert len(joined) == 10
    assert [(index, len(range(*part.indices(10)))) for index, part in joined.runs] == [
        (1, 7),
        (0, 3),
    ]
    expected = pd.concat(frames, ignore_index=True)
    pd.testing.assert_frame_equal(joined.frame(series, LEVELS), expected)
    late = joined.take(joined.step > 1)
    pd.testing.assert_frame_equal(
        late.frame(series, LEVELS), expected[expected["step"] > 1].reset_index(drop=True)
    )


def test_a_mask_says_which_steps_are_forecast():
    batch = make_batch([0], [4], [2])
    point = place([[1.0, 2.0, 3.0, 4.0]])
    rows = ForecastRows.of(batch, point, None, torch.tensor([[True, True, True, False]]))
    frame = rows.frame([make_series("run")], None)
    assert frame["step"].tolist() == [1, 2, 3]
    assert frame["actual"].tolist() == [5.0, 6.0, 7.0]
