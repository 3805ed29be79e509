"""Time columns to time stamps of one type."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from tests.data.tabular import make_rows, piece_of, read, series_of, time_of, write
from transformertf.data.columns import Columns
from transformertf.data.reading.tables import Table
from transformertf.data.reading.times import Clock, as_index
from transformertf.errors import InputError

COLUMNS = Columns((), (), "y", "t")
DATES = pd.date_range("2024-01-30", periods=6, freq="D")


def clock_of(*columns):
    tables = [Table.of_frame(f"{n}.csv", pd.DataFrame({"t": c})) for n, c in enumerate(columns)]
    clock = Clock(tables, "t")
    stamps = [clock.stamps(n, pd.DataFrame({"t": c}), 0) for n, c in enumerate(columns)]
    return clock, stamps


KINDS = {
    "integers": (np.arange(6), "int64"),
    "small integers": (np.array([-128, -1, 0, 1, 2, 127], dtype=np.int8), "int64"),
    "half floats": (np.arange(6, dtype=np.float16) / 4, "float64"),
    "single floats": (np.arange(6, dtype=np.float32) / 4, "float32"),
    "integers among objects": (pd.Series(range(6), dtype=object), "int64"),
    "decimals": ([Decimal(n) / 4 for n in range(6)], "float64"),
    "numbers that are categories": (pd.Categorical(np.arange(6) / 4), "float64"),
    "sparse numbers": (pd.arrays.SparseArray(np.arange(6.0)), "float64"),
    "floats": (np.arange(6) / 4, "float64"),
    "nullable integers": (pd.array(range(6), dtype="Int64"), "int64"),
    "dates": (DATES.as_unit("us"), "datetime64[us]"),
    "nanoseconds": (DATES.as_unit("ns"), "datetime64[ns]"),
    "a zone": (DATES.as_unit("us").tz_localize("Europe/Paris"), "datetime64[us, Europe/Paris]"),
}


@pytest.mark.parametrize(("column", "kind"), KINDS.values(), ids=KINDS)
def test_time_stamps_come_back_from_their_numbers(column, kind):
    clock, (stamps,) = clock_of(column)
    assert str(clock.dtype) == kind
    assert stamps.dtype == clock.number_type
    kept = np.empty(6, clock.number_type)
    kept[:] = stamps
    index = clock.index(kept)
    assert index.tolist() == list(column)
    kept.flags.writeable = False
    assert as_index(kept, clock.dtype).tolist() == list(column)


def test_integers_beside_floats_are_floats():
    clock, (one, two) = clock_of(np.arange(3), np.arange(3) + 0.5)
    assert clock.dtype == np.float64
    assert [*one, *two] == [0, 1, 2, 0.5, 1.5, 2.5]


NS = 1706659200000000001


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([NS, NS + 100], dtype="int64"),
        pd.Series([NS, NS + 100], dtype="uint64"),
        pd.Series([NS, NS + 100], dtype="Int64"),
        pd.Series([NS, NS + 100], dtype=object),
        pd.Series([Decimal(NS), Decimal(NS + 100)], dtype=object),
        pd.Series([2**63 + 1, 2**63 + 101], dtype="uint64"),
        pd.Series([2**63 + 1, 2**63 + 101], dtype=object),
    ],
)
def test_whole_numbers_are_kept_to_the_digit(column):
    clock, (stamps,) = clock_of(column)
    assert clock.index(stamps).tolist() == [int(value) for value in column]


def test_signed_and_unsigned_numbers_are_no_floats():
    one, other = pd.Series([NS], dtype="int64"), pd.Series([NS + 1], dtype="uint64")
    _, stamps = clock_of(one, other)
    assert [own.tolist() for own in stamps] == [[NS], [NS + 1]]
    with pytest.raises(InputError, match="beyond int64"):
        clock_of(one, pd.Series([2**63 + 1], dtype="uint64"))


def test_units_are_brought_together():
    clock, (one, two) = clock_of(DATES.as_unit("s"), DATES.as_unit("ns"))
    assert str(clock.dtype) == "datetime64[ns]"
    assert one.tolist() == two.tolist()


@pytest.mark.parametrize(
    "other", [np.arange(6), DATES.tz_localize("UTC"), DATES.tz_localize("UTC").astype(str)]
)
def test_kinds_that_differ_are_refused(other):
    with pytest.raises(InputError, match=r"time columns of the files are of different kinds \("):
        clock_of(DATES, other)


DAYS = ["2024-02-01", "2024-02-02", "2024-02-03", "2024-02-13", "2024-02-14"]


@pytest.mark.parametrize("piece", [1, 2, 100])
def test_text_is_read_as_a_whole(tmp_path, piece):
    rows = pd.DataFrame({"y": np.arange(5.0), "t": DAYS})
    with piece_of(piece):
        (series,) = read(write([rows], tmp_path, "parquet"), COLUMNS)
    assert time_of(series).tolist() == [pd.Timestamp(text) for text in DAYS]


@pytest.mark.parametrize("piece", [1, 2, 100])
def test_how_text_is_written_does_not_hang_on_the_pieces(tmp_path, piece):
    stamps = ["2024-02-01 00:00", "2024-02-01 01:00:00+00:00", "2024-02-01 02:00"]
    paths = write([pd.DataFrame({"y": np.arange(3.0), "t": stamps})], tmp_path, "parquet")
    messages = []
    for rows in (piece, 100):
        with piece_of(rows), pytest.raises(InputError) as caught:
            read(paths, COLUMNS)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_text_whose_offset_changes_is_in_utc(tmp_path):
    stamps = ["2024-03-31 01:00+01:00", "2024-03-31 03:00+02:00", "2024-03-31 04:00+02:00"]
    paths = write([pd.DataFrame({"y": np.arange(3.0), "t": stamps})], tmp_path, "parquet")
    with piece_of(1):
        (series,) = read(paths, COLUMNS)
    assert [stamp.isoformat() for stamp in time_of(series)] == [
        "2024-03-31T00:00:00+00:00",
        "2024-03-31T01:00:00+00:00",
        "2024-03-31T02:00:00+00:00",
    ]


def test_days_of_a_parquet_file_are_dates(tmp_path):
    days = [datetime.date(2024, 2, day) for day in range(1, 6)]
    paths = write([pd.DataFrame({"y": np.arange(5.0), "t": days})], tmp_path, "parquet")
    with piece_of(2):
        (series,) = read(paths, COLUMNS)
    assert [stamp.date() for stamp in time_of(series)] == days


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("stamps", "found"),
    [
        ([1.0, 2.0, 3.0, np.nan], "nan"),
        ([1.0, 2.0, 3.0, np.inf], "inf"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "noon"], "'noon'"),
    ],
)
def test_a_bad_time_stamp_is_named_by_its_row_in_the_file(tmp_path, ending, stamps, found):
    paths = write([pd.DataFrame({"y": np.arange(4.0), "t": stamps})], tmp_path, ending)
    message = rf"0\.{ending}: time column 't' holds {found} in row 3 \(counted from 0\)"
    with piece_of(2), pytest.raises(InputError, match=message):
        read(paths, COLUMNS)


def test_truth_values_are_shown_as_such():
    with pytest.raises(InputError, match=r"time column 't' holds True in row 0 "):
        series_of(pd.DataFrame({"y": [0.0, 1.0], "t": [True, False]}), columns=COLUMNS)


def test_pieces_of_a_series_are_joined_by_text_time():
    late, early = make_rows("s", 3), make_rows("s", 3)
    late["t"] = ["2024-02-04", "2024-02-05", "2024-02-06"]
    early["t"] = ["2024-02-01", "2024-02-02", "2024-02-03"]
    (series,) = series_of(late, early)
    assert time_of(series).day.tolist() == [1, 2, 3, 4, 5, 6]


def text(*stamps):
    return pd.DataFrame({"y": np.arange(float(len(stamps))), "t": stamps})


def times_of(*frames):
    return [series.time for series in series_of(*frames, columns=COLUMNS)]


WRITTEN = {
    "%d.%m.%y %H:%M": "two digits of the year",
    "%d.%m.%Y %H:%M:%S,%f": "a comma before the fraction",
    "%d/%m/%Y %I:%M %p": "halves of the day",
    "%m/%d/%Y %I:%M:%S%p": "halves of the day, month first",
    "%d %b %Y %H:%M": "a month in words",
    "%Y/%m/%d %H:%M": "year first",
    "%Y-%m-%dT%H:%M:%S": "ISO",
}


@pytest.mark.parametrize("written", WRITTEN, ids=WRITTEN.get)
@pytest.mark.parametrize("begin", ["2023-12-30 11:00", "2024-01-03 00:00", "2024-02-12 23:00"])
def test_dates_are_read_in_one_way_from_the_first_row_to_the_last(written, begin):
    stamps = pd.date_range(begin, periods=400, freq="h")
    (found,) = times_of(text(*stamps.strftime(written)))
    assert found.tolist() == stamps.tolist()


def test_day_and_month_that_may_change_places_are_told():
    days = ["03/02/2024", "04/02/2024", "05/02/2024"]
    message = "time column 't' may mean 2024-02-03 or 2024-03-02 in row 0 .*; write dates with the"
    with pytest.raises(InputError, match=message):
        times_of(text(*days))
    # in another file of the command the day is beyond 12
    told, found = times_of(text("31/01/2024", "01/02/2024"), text(*days))
    assert told.tolist() == [pd.Timestamp("2024-01-31"), pd.Timestamp("2024-02-01")]
    assert found.tolist() == [pd.Timestamp(f"2024-02-0{day}") for day in (3, 4, 5)]
    (found,) = times_of(text("01/01/2024", "02/02/2024"))
    assert found.tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-02")]


def test_rows_that_follow_each_other_tell_day_and_month():
    stamps = pd.date_range("2024-02-03 08:00", periods=500, freq="10min")
    for written in ("%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M"):
        (found,) = times_of(text(*stamps.strftime(written)))
        assert found.tolist() == stamps.tolist()
    # rows of one day are as steady either way, and so are days
    for few in (stamps[:50], stamps[::144]):
        with pytest.raises(InputError, match="may mean 2024-02-03 or 2024-03-02 in row 0"):
            times_of(text(*few.strftime("%d.%m.%Y %H:%M")))


def test_iso_dates_may_leave_out_what_is_zero():
    stamps = ("2024-01-01", "2024-01-01 01:00", "2024-01-01T01:00:00.5", "2024-01-01 02:00:00")
    (found,) = times_of(text(*stamps))
    assert found.tolist() == [pd.Timestamp(stamp) for stamp in stamps]


@pytest.mark.parametrize(
    "stamps",
    [
        ("10:00", "11:00"), ("00:04.0", "00:05.0"), ("10:00+01:00", "11:00+01:00"), ("10h", "11h"),
        ("10 AM", "11 AM"), ("01.02 13:00", "01.02 14:00"), ("now", "today"), ("Jan 1", "Jan 2"),
        ("2024-03-30 20:00 UTC+1", "2024-03-30 21:00 UTC+1"), ("24-05-21", "24-05-22"),
    ],
)  # fmt: skip
def test_what_is_no_whole_date_is_refused(stamps):
    with pytest.raises(InputError, match=f"holds '{stamps[0]}' in row 0 ".replace("+", r"\+")):
        times_of(text(*stamps))


def test_an_offset_is_there_in_all_rows_or_in_none():
    with pytest.raises(InputError, match=r"holds '2024-02-01 01:00' in row 1 .* without an offset"):
        times_of(text("2024-02-01 00:00+00:00", "2024-02-01 01:00"))


def test_offsets_that_differ_between_files_are_brought_together():
    winter = text("2024-03-31 00:00+01:00", "2024-03-31 01:00+01:00")
    summer = text("2024-03-31 03:00+02:00", "2024-03-31 04:00+02:00")
    found = times_of(winter, summer)
    assert [str(index.dtype) for index in found] == ["datetime64[us, UTC]"] * 2
    assert [stamp.hour for index in found for stamp in index] == [23, 0, 1, 2]
    zone = pd.date_range("2024-03-31 01:00", periods=2, freq="h", tz="Europe/Paris")
    found = times_of(pd.DataFrame({"y": [0.0, 1.0], "t": zone.as_unit("us")}), summer)
    assert [str(index.dtype) for index in found] == ["datetime64[us, Europe/Paris]"] * 2


def test_a_time_beyond_nanoseconds_beside_them_is_told():
    near = pd.DataFrame({"y": [0.0, 1.0], "t": DATES[:2].as_unit("ns")})
    far = pd.DataFrame(
        {"y": [0.0, 1.0], "t": pd.to_datetime(["2999-01-01", "2999-01-02"]).as_unit("s")}
    )
    with pytest.raises(InputError, match=r"time column 't' holds a time .*nanoseconds.*2999-01-01"):
        times_of(near, far)


@pytest.mark.parametrize("piece", [1, 3, 10_000])
@pytest.mark.parametrize("written", WRITTEN, ids=WRITTEN.get)
def test_dates_of_a_csv_file_do_not_hang_on_the_pieces(tmp_path, written, piece):
    # the first days may be months as well
    stamps = pd.date_range("2024-02-12 20:00", periods=12, freq="h")
    (path,) = write([text(*stamps.strftime(written))], tmp_path, "csv")
    with piece_of(piece):
        (series,) = read(path, COLUMNS)
    assert time_of(series).tolist() == stamps.tolist()
    assert str(time_of(series).dtype) == "datetime64[us]"


@pytest.mark.parametrize("piece", [1, 3, 10_000])
@pytest.mark.parametrize(
    ("stamps", "kind"),
    [
        (["1", "2", "3", "3.5"], "float64"),
        (["1", "2", "3", "40"], "int64"),
        (["2024-02-01", "2024-02-02", "2024-02-03 01:00", "2024-02-04 00:00:00.5"], "us"),
        (["2024-02-01", "2024-02-02", "2024-02-03", "2024-02-04 00:00:00.000000001"], "ns"),
        (["01.02.2024", "02.02.2024", "03.02.2024", "13.02.2024"], "us"),
        (["2024-03-31 01:00+01:00", "2024-03-31 03:00+02:00", "2024-03-31 04:00+02:00"], "us, UTC"),
        (["2024-02-01", "2024-02-01 01:00Z", "2024-02-02"], "us, UTC"),
    ],
)
def test_the_type_of_time_is_that_of_the_whole_csv_file(tmp_path, stamps, kind, piece):
    path = tmp_path / "run.csv"
    path.write_text("\n".join(["t,y", *(f"{stamp},1" for stamp in stamps)]))
    with piece_of(piece):
        (series,) = read(str(path), COLUMNS)
    if kind.endswith("64"):
        assert (str(time_of(series).dtype), time_of(series).tolist()) == (
            kind,
            list(map(float, stamps)),
        )
    else:
        day_first = stamps[0][2] == "."
        expected = [
            pd.to_datetime(stamp, dayfirst=day_first, utc="UTC" in kind) for stamp in stamps
        ]
        assert (str(time_of(series).dtype), time_of(series).tolist()) == (
            f"datetime64[{kind}]",
            expected,
        )


@pytest.mark.parametrize("piece", [1, 3, 10_000])
@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (["1", "2", "3", "noon", "5"], "holds 'noon' in row 3 "),
        (["1", "2", "2024-02-01", "4", "5"], "holds '2024-02-01' in row 2 "),
        (["1", "2", "3", "", "5"], "holds nan in row 3 "),
        (["2024-02-01", "2024-02-02", "", "2024-02-04"], "holds (nan|NaT) in row 2 "),
        (["2024-02-01 00:00", "2024-02-01 01:00Z", "2024-02-01 02:00Z"], "row 0 .* without an off"),
        (["1/2/2024", "2/2/2024", "3/2/2024"], "may mean 2024-02-01 or 2024-01-02 in row 0 "),
        (["now", "2024-02-02"], "holds 'now' in row 0 "),
    ],
)
def test_what_is_no_time_in_a_csv_file_does_not_hang_on_the_pieces(
    tmp_path, stamps, message, piece
):
    path = tmp_path / "run.csv"
    path.write_text("\n".join(["t,y", *(f"{stamp},1" for stamp in stamps)]))
    with piece_of(piece), pytest.raises(InputError, match=message):
        read(str(path), COLUMNS)
