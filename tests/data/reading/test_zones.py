"""Dates by the clocks of a time zone, held against the instants that they were made of."""

import numpy as np
import pandas as pd
import pytest

from tests.data.tabular import series_of, time_of
from transformertf.data import EncoderDecoderDataModule
from transformertf.data.columns import Columns
from transformertf.data.reading import zones
from transformertf.data.reading.filling import read_series
from transformertf.data.reading.panel import Rules
from transformertf.errors import InputError

BERLIN = "Europe/Berlin"
COLUMNS = Columns((), (), "y", "t")


def local(first, rows, freq, zone=BERLIN):
    """Return instants, and what a file in local time says of them."""
    time = pd.date_range(first, periods=rows, freq=freq, tz=zone)
    return time, pd.DataFrame({"t": time.tz_localize(None), "y": np.arange(float(rows))})


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("freq", ["h", "15min", "30min", "D"])
def test_the_hour_that_comes_twice_is_told_by_the_order_of_rows(freq, zone):
    rows = 9000 if freq == "h" else 40_000
    time, frame = local("2022-09-01", 900 if freq == "D" else rows, freq, zone)
    (series,) = series_of(frame, columns=COLUMNS, zone=zone)
    assert time_of(series).equals(time.as_unit(time_of(series).unit))


@pytest.mark.parametrize("first", ["2023-10-29 00:30", "2023-10-29 02:00"])
@pytest.mark.parametrize("rows", [3, 9, 40])
def test_files_may_begin_and_end_there(first, rows):
    begin = pd.Timestamp(first).tz_localize(BERLIN, ambiguous=True)
    time, frame = local(begin, rows, "20min")
    (series,) = series_of(frame, columns=COLUMNS, zone=BERLIN)
    assert time_of(series).tolist() == time.tolist()


def test_each_series_of_a_table_has_its_own_order(tmp_path):
    time, frame = local("2023-10-28 20:00", 20, "h")
    mixed = pd.concat([frame.assign(s="a"), frame.assign(s="b")]).sort_values("y", kind="stable")
    mixed["t"] = mixed["t"].dt.strftime("%d.%m.%Y %H:%M")
    mixed.to_csv(tmp_path / "a.csv", index=False)
    columns = Columns((), (), "y", "t", ("s",))
    found = read_series(str(tmp_path / "a.csv"), "train_df_paths", columns, Rules(zone=BERLIN))
    assert [time_of(one).tolist() for one in found] == [time.tolist()] * 2


def test_dates_with_a_zone_are_moved_to_it():
    time, frame = local("2023-10-28 20:00", 20, "h")
    for other in ("UTC", "Asia/Tokyo"):
        (series,) = series_of(frame.assign(t=time.tz_convert(other)), columns=COLUMNS, zone=BERLIN)
        assert time_of(series).tolist() == time.tolist()
        assert time_of(series).hour.tolist() == time.hour.tolist()


@pytest.mark.parametrize(
    ("stamps", "options", "told"),
    [
        (["2024-03-31 01:00", "2024-03-31 02:30"], {}, "02:30:00 in row 1 .* clocks of Europe/Be"),
        (["2024-10-27 02:00"] * 3, {}, "does not rise in row 2"),
        (["2024-10-27 03:00", "2024-10-27 02:00"], {"sort": True}, "rows in no order do not tell"),
    ],
)
def test_what_the_clocks_cannot_have_shown_is_refused(stamps, options, told):
    frame = pd.DataFrame({"t": pd.to_datetime(stamps), "y": 1.0})
    with pytest.raises(InputError, match=told):
        series_of(frame, columns=COLUMNS, zone=BERLIN, **options)


def test_numbers_have_no_zone():
    with pytest.raises(InputError, match="expected a time_column of dates"):
        series_of(pd.DataFrame({"t": [1, 2], "y": 1.0}), columns=COLUMNS, zone=BERLIN)


def test_without_a_zone_it_is_offered_in_place_of_the_loss_of_an_hour():
    _, frame = local("2023-10-28 20:00", 20, "h")
    with pytest.raises(InputError, match="name their zone in time_zone instead"):
        series_of(frame, columns=COLUMNS)


@pytest.mark.parametrize("storage", ["memory", "mmap"])
def test_a_data_module_reads_local_time(tmp_path, monkeypatch, storage):
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    time, frame = local("2023-10-27", 100, "h")
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = EncoderDecoderDataModule(
        "y", time_column="t", time_zone=BERLIN, ctxt_seq_len=8, tgt_seq_len=4, storage=storage,
        train_df_paths=str(tmp_path / "a.csv"), calendar_features="hour",
    )  # fmt: skip
    data.setup("fit")
    assert time_of(data.stage_series("train")[0]).tolist() == time.tolist()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"time_zone": "Europe/Bärlin", "time_column": "t"}, "is no time zone"),
        ({"time_zone": BERLIN}, "time_zone wants time stamps"),
    ],
)
def test_a_zone_that_is_none_is_refused(given, told):
    with pytest.raises(InputError, match=told):
        EncoderDecoderDataModule("y", **given)


@pytest.mark.parametrize("piece", [1, 10**6])
def test_series_are_read_together_where_no_hour_comes_twice(monkeypatch, piece):
    monkeypatch.setattr(zones, "PIECE", piece)
    read, readings = [], zones._readings

    def read_dates(wall, zone):
        read.append(len(wall))
        return readings(wall, zone)

    monkeypatch.setattr(zones, "_readings", read_dates)
    times = [local(f"2023-10-{day}", 20, "h") for day in (27, 28, 26, 29, 24)]
    series = series_of(*(frame for _, frame in times), columns=COLUMNS, zone=BERLIN)
    assert [time_of(one).tolist() for one in series] == [time.tolist() for time, _ in times]
    # one has the hour that comes twice
    assert read == ([20, 20, 20, 20, 20, 20] if piece == 1 else [100, 20])
