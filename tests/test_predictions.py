"""Forecasts to tables and files."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data.frames import Series
from transformertf.errors import InputError
from transformertf.predictions import ForecastFile, forecast_frame
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
    batch = {
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
            part = {key: value[rows] for key, value in batch.items()}
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


# files


def make_table(series=0, rows=3, time=DATES):
    batch = make_batch([series], [4], [rows])
    point = torch.full((1, rows, 1), float(series))
    names = [make_series(name, time=time) for name in "abc"]
    return forecast_frame(batch, point, point, names, None)


def test_pieces_are_appended(tmp_path):
    path = tmp_path / "forecasts.parquet"
    pieces = [make_table(0), make_table(1, rows=2), make_table(2)]
    with ForecastFile(path) as file:
        for piece in pieces:
            file.write(piece)
    assert file.rows == 8
    whole = pd.concat(pieces, ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(path), whole)


def test_the_file_is_there_only_once_it_is_whole(tmp_path):
    path = tmp_path / "forecasts.parquet"
    with ForecastFile(path) as file:
        file.write(make_table())
        assert not path.exists()
        file.write(make_table())
    assert os.listdir(tmp_path) == ["forecasts.parquet"]
    assert len(pd.read_parquet(path)) == 6


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_behind(tmp_path, error):
    def write_and_fail():
        with ForecastFile(tmp_path / "forecasts.parquet") as file:
            file.write(make_table())
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fails", [True, False])
def test_an_older_file_is_replaced_by_a_whole_one_only(tmp_path, fails):
    path = tmp_path / "forecasts.parquet"
    old, new = make_table(1), make_table(2)
    old.to_parquet(path)
    try:
        with ForecastFile(path) as file:
            file.write(new)
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    pd.testing.assert_frame_equal(pd.read_parquet(path), old if fails else new)
    assert os.listdir(tmp_path) == ["forecasts.parquet"]


@pytest.mark.parametrize("missing", ["first", "last"])
def test_missing_actuals_in_one_piece_only(tmp_path, missing):
    pieces = [make_table(0), make_table(1)]
    pieces[0 if missing == "first" else 1]["actual"] = np.nan
    with ForecastFile(tmp_path / "forecasts.parquet") as file:
        for piece in pieces:
            file.write(piece)
    read = pd.read_parquet(tmp_path / "forecasts.parquet")
    pd.testing.assert_frame_equal(read, pd.concat(pieces, ignore_index=True))


@pytest.mark.parametrize("name", ["forecasts.csv", "forecasts", "forecasts.parquet.gz"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"expected a name that ends in \.parquet"):
        ForecastFile(tmp_path / name)


def test_a_missing_folder_is_refused_before_anything_is_forecast(tmp_path):
    with pytest.raises(InputError, match=r"the folder .*missing must exist"):
        ForecastFile(tmp_path / "missing" / "forecasts.parquet")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "forecasts.parquet").mkdir()
    with pytest.raises(InputError, match=r"--output .*forecasts\.parquet"):
        ForecastFile(tmp_path / "forecasts.parquet")


def test_a_name_in_the_working_directory_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ForecastFile(Path("forecasts.parquet")) as file:
        file.write(make_table())
    assert (tmp_path / "forecasts.parquet").exists()
