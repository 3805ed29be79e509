"""What comes after the last row, against pandas' own ranges of dates."""

import numpy as np
import pandas as pd
import pytest

from transformertf.data.reading.following import follow, following
from transformertf.data.series import Codes, Series
from transformertf.errors import InputError

ZONE = "Europe/Zurich"


@pytest.mark.parametrize(
    "whole",
    [
        pd.date_range("2024-01-31 07:00", periods=9, freq="h"),
        pd.date_range("2024-03-30 20:00", periods=12, freq="h", tz=ZONE),
        pd.date_range("2024-10-26 20:00", periods=12, freq="h", tz=ZONE),
        pd.date_range("2024-01-01", periods=9, freq="15min", unit="s"),
        pd.date_range("2024-01-01", periods=9, freq="MS"),
        pd.date_range("2024-01-31", periods=9, freq="ME"),
        pd.date_range("2024-03-28", periods=9, freq="D", tz=ZONE),
        pd.date_range("2024-10-24", periods=9, freq="D", tz=ZONE),
        pd.Index(np.arange(9) * 10),
        pd.Index(np.arange(9) * 0.25),
    ],
    ids=str,
)
def test_time_goes_on_as_it_went(whole):
    series = Series("run", np.zeros((5, 1)), whole[:5], 5)
    found, none = following(series, len(whole) - 5), following(series, 0)
    assert found is not None
    assert none is not None
    assert found.dtype == whole.dtype
    assert found.tolist() == whole[5:].tolist()
    assert len(none) == 0


def test_one_row_has_no_distance():
    with pytest.raises(InputError, match="series 'run': one row has no distance in time"):
        following(Series("run", np.zeros((1, 1)), pd.Index([3.0]), 1), 2)


def test_rows_after_the_last_have_nothing_but_time():
    time = pd.date_range("2024-01-01", periods=4, freq="h")
    codes = Codes(np.zeros(4, dtype=np.int32), ["on"])
    series = Series("run", np.arange(8.0).reshape(4, 2), time, 3, (codes,), breaks=(2,))
    longer = follow(series, 3)
    np.testing.assert_array_equal(longer.values[:4], series.values)
    assert np.isnan(longer.values[4:]).all()
    assert longer.categories[0].codes.tolist() == [0, 0, 0, 0, -1, -1, -1]
    assert longer.time is not None
    assert longer.time.equals(pd.date_range("2024-01-01", periods=7, freq="h"))
    assert (longer.observed, longer.breaks, len(longer)) == (3, (2,), 7)
    assert follow(series, 0) is follow(series, -2) is series
