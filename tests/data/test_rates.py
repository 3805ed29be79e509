"""How far rows are apart, against plain arithmetic."""

import numpy as np
import pandas as pd
import pytest

from transformertf.data import rates
from transformertf.data.rates import Rate, length_text, usual_step


def at(*steps: float) -> pd.Index:
    time: pd.Index = pd.Index(np.cumsum([0.0, *steps]))
    return time


@pytest.mark.parametrize("rows", [2**18, 7])
def test_a_rate_is_that_of_all_distances_however_they_are_looked_at(monkeypatch, rows):
    monkeypatch.setattr(rates, "_ROWS", rows)
    steps = np.random.default_rng(0).uniform(0.95, 1.05, 999)
    steps[[100, 600]] = 40.0, 70.0
    found = Rate.of(at(*steps))
    assert found is not None
    assert found.step == pytest.approx(np.median(steps), rel=0.02)
    assert (found.count, found.gaps) == (999, 2)
    assert found.longest == pytest.approx(70.0)
    assert found.alike == pytest.approx(997 / 999)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_are_counted_in_seconds_whatever_their_unit(unit):
    time = pd.date_range("2024-01-01", periods=20, freq="15min").as_unit(unit)
    found = Rate.of(time)
    assert found is not None
    assert found.step == found.longest == pytest.approx(900)


@pytest.mark.parametrize("kind", ["int8", "uint8", "float32", "int64"])
def test_small_types_hold_all_distances(kind):
    found = Rate.of(pd.Index(np.array([0, 100, 120], dtype=kind)))
    assert found is not None
    assert found.longest == 100
    if kind == "int8":
        found = Rate.of(pd.Index(np.array([-100, 100], dtype=kind)))
        assert found is not None
        assert found.step == 200


def test_one_row_has_no_rate():
    assert Rate.of(pd.RangeIndex(1)) is None


@pytest.mark.parametrize(
    ("time", "gaps"),
    [
        (pd.bdate_range("2024-01-01", periods=300), 0),  # weekends are no gaps
        (pd.date_range("2024-01-01", periods=40, freq="MS"), 0),
        (at(*np.random.default_rng(0).exponential(1.0, 5000)), 0),  # events at any time
        (at(*[0.01] * 50, 7.0, *[0.01] * 50), 1),
        (pd.RangeIndex(3), 0),
    ],
)
def test_a_gap_is_far_longer_than_nearly_all_distances(time, gaps):
    found = Rate.of(time)
    assert found is not None
    assert found.gaps == gaps


def test_rows_at_a_rate_are_told_from_those_at_another():
    quick, slow, any_time = at(*[0.01] * 20), at(*[0.04] * 20), at(*np.geomspace(0.01, 10, 20))
    found = [Rate.of(time) for time in (quick, quick, slow, any_time)]
    known = [rate for rate in found if rate is not None]
    assert usual_step(known) == pytest.approx(0.01)
    assert [rate.is_unlike(0.01) for rate in known] == [False, False, True, False]
    assert usual_step([]) is None


@pytest.mark.parametrize(
    ("length", "text"),
    [(0.04, "40 ms"), (7.01, "7.01 s"), (900, "15 min"), (3600, "1 h"), (86400, "1 day"),
     (2.5 * 86400, "2.5 days"), (1e-6, "1 µs"), (1e-10, "0.1 ns")],
)  # fmt: skip
def test_lengths_of_dates_have_a_unit(length, text):
    assert length_text(length, is_date=True) == text
    assert length_text(length, is_date=False) == f"{length:.4g}"
