"""Dates written as numbers, held against what pandas makes of their text."""

import numpy as np
import pandas as pd
import pytest

from tests.data.tabular import series_of, time_of
from transformertf.data import EncoderDecoderDataModule
from transformertf.data.columns import Columns
from transformertf.data.reading.compact_dates import COMPACT, read_compact
from transformertf.data.reading.filling import read_series
from transformertf.data.reading.panel import Rules
from transformertf.errors import InputError

HOURS = pd.date_range("2024-01-30 21:00", periods=60, freq="h")
DAYS = pd.date_range("2023-12-20", periods=80)
WRITTEN = {
    "%Y%m": pd.date_range("2019-11-01", periods=40, freq="MS"),
    "%Y%m%d": DAYS,
    "%Y%m%d%H": HOURS,
    "%Y%m%d%H%M": HOURS + pd.Timedelta(minutes=50),
    "%Y%m%d%H%M%S": HOURS + pd.Timedelta(seconds=59),
}
COLUMNS = Columns((), (), "y", "t")


def times(column, **rules):
    frame = pd.DataFrame({"t": column})
    return time_of(series_of(frame.assign(y=1.0), columns=COLUMNS, **rules)[0])


def test_digits_are_read_as_pandas_reads_their_text():
    generator = np.random.default_rng(0)
    for digits, written in COMPACT.items():
        numbers = np.concatenate(
            [
                generator.integers(10 ** (digits - 1), 10**digits, 300),
                pd.date_range("1995-01-01", periods=2000, freq="31h").strftime(written).astype(int),
            ]
        )
        expected = pd.to_datetime(pd.Series(numbers).astype(str), format=written, errors="coerce")
        expected = expected.where(expected.dt.year.between(1700, 2199))
        found = read_compact(numbers, digits)
        np.testing.assert_array_equal(found, expected.to_numpy().astype(found.dtype))


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        *((written, kind) for written in WRITTEN for kind in ("int64", "uint64", "object")),
        *((written, kind) for written in WRITTEN for kind in ("float64", "Int64")),
        *((written, "str") for written in WRITTEN if written != "%Y%m"),
        ("%Y%m", "int32"),
        ("%Y%m%d", "int32"),
    ],
)
def test_numbers_that_are_dates_are_read_as_such(written, kind):
    stamps = WRITTEN[written]
    column = pd.Series(stamps.strftime(written).astype("int64")).astype(kind)
    assert times(column).tolist() == stamps.tolist()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_of_the_weather_service_just_work(tmp_path, ending):
    frame = pd.DataFrame({"t": HOURS.strftime("%Y%m%d%H").astype(int), "y": np.arange(60.0)})
    path = tmp_path / f"a.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    (series,) = read_series(str(path), "train_df_paths", COLUMNS)
    assert time_of(series).tolist() == HOURS.tolist()


@pytest.mark.parametrize(
    "numbers",
    [
        np.arange(20240101, 20240161),  # counts on
        np.arange(1706659200, 1706659200 + 60 * 3600, 3600),  # seconds since 1970
        np.arange(1706659200000, 1706659200000 + 60),
        np.arange(2000, 2060),  # years
        np.arange(45322, 45382),  # days of a spreadsheet
        np.arange(202401, 202407),  # months of one year are even as they are
        np.array([202301, 202302, 202303, 202304, 202401, 202402]),  # may be quarters
        np.arange(60) + 0.5,
        np.arange(60) - 30,
        np.array([20240101.5, 20240102.5, 20240103.5]),
    ],
)
def test_other_numbers_stay_numbers(numbers):
    assert times(numbers).tolist() == numbers.tolist()


@pytest.mark.parametrize(
    "numbers",
    [
        [20231, 20232, 20233, 20234, 20241],
        [202351, 202352, 202401],
        [2023364, 2023365, 2024001],
        [231230, 231231, 240101],
        [20231231.25, 20231231.75, 20240101.5],
        [202303, 202304, 202401],
    ],
)
def test_what_looks_like_dates_of_another_kind_is_told(numbers, caplog):
    assert times(np.array(numbers)).tolist() == numbers
    assert "if they are dates" in caplog.text


def test_uneven_numbers_are_not_told(caplog):
    times(np.array([1.0, 5.5, 6.0, 99.0]))
    times(np.array([20231, 20235, 20241]))
    assert not caplog.text


@pytest.mark.parametrize("bad", [20240230, 2024010, 99999999])
def test_one_that_is_none_among_dates_is_named(bad):
    column = DAYS.strftime("%Y%m%d").astype("int64").to_numpy().copy()
    column[17] = bad
    with pytest.raises(InputError, match=f"{bad} in row 17 .* is none"):
        times(column)


def test_tables_are_read_alike():
    compact = pd.DataFrame({"t": DAYS.strftime("%Y%m%d").astype(int), "y": 1.0})
    written = pd.DataFrame({"t": (DAYS + pd.Timedelta(days=80)).astype(str), "y": 1.0})
    one, other = series_of(compact, written, columns=COLUMNS)
    assert time_of(one).append(time_of(other)).tolist() == [
        *DAYS.tolist(), *(DAYS + pd.Timedelta(days=80)).tolist()
    ]  # fmt: skip
    # numbers beside them are none in both
    plain = pd.DataFrame({"t": np.arange(80), "y": 1.0})
    one, other = series_of(plain, compact, columns=COLUMNS)
    assert time_of(one).dtype == time_of(other).dtype == np.int64


def test_text_of_another_length_is_no_date():
    with pytest.raises(InputError, match="'2024013' in row 1"):
        times(pd.Series(["20240130", "2024013", "20240201"]))


def test_what_the_column_held_in_training_says_what_it_holds():
    numbers = DAYS.strftime("%Y%m%d").astype(int).to_numpy()
    assert times(numbers, time_kind="number").tolist() == numbers.tolist()
    assert times(numbers[:1], time_kind="date").tolist() == DAYS[:1].tolist()
    assert times(np.array([202402]), time_kind="date") == [pd.Timestamp("2024-02-01")]
    assert Rules().time_kind is None


def test_a_checkpoint_that_was_fitted_to_such_numbers_goes_on(tmp_path):
    """The state of training says that they are numbers, whatever they look like."""
    frame = pd.DataFrame({"t": DAYS.strftime("%Y%m%d").astype(int), "y": np.arange(80.0)})
    frame.to_parquet(tmp_path / "a.parquet")

    path = str(tmp_path / "a.parquet")

    def make():
        return EncoderDecoderDataModule(
            "y", time_column="t", ctxt_seq_len=8, tgt_seq_len=4, val_fraction=0.2,
            train_df_paths=path, predict_df_paths=path,
        )  # fmt: skip

    fitted = make()
    fitted.setup("fit")
    assert fitted.scaling.time_kind == "date"
    state = fitted.state_dict()
    state["scaling"]["time"] |= {"kind": "number", "scale": 40.0}
    for was_read in (False, True):
        other = make()
        if was_read:
            other.setup("fit")
        other.load_state_dict(state)
        other.setup("predict")
        assert time_of(other.predict_series[0]).tolist() == frame["t"].tolist()
        assert other.stage_series("validation")[0].time_kind == "number"
