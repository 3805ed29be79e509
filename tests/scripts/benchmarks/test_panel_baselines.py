"""The baselines of the panel are what they say, and the physics is worth knowing."""

import numpy as np
import pandas as pd
import pytest

from scripts.benchmarks import panel_baselines as baselines
from scripts.data import panel

HORIZON = 24


def forecasts_of(table: pd.DataFrame) -> pd.DataFrame:
    """Series, origins and steps as `transformertf predict` has them, one a day for each unit."""
    parts = []
    for name, rows in baselines.prepared(table).items():
        whole = (rows["time"].diff() > baselines.MAX_GAP).cumsum().to_numpy()
        for origin in range(baselines.CONTEXT - 1, len(rows) - HORIZON, 48):
            if whole[origin - baselines.CONTEXT + 1] == whole[origin + HORIZON]:
                steps = np.arange(1, HORIZON + 1)
                parts.append(
                    pd.DataFrame({"series": name, "origin": rows["time"][origin], "step": steps})
                )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def test_table() -> pd.DataFrame:
    return pd.read_parquet(baselines.DATA / "panel_test.parquet")


def test_errors_are_in_their_order(test_table: pd.DataFrame) -> None:
    errors = baselines.panel_errors(forecasts_of(test_table))
    assert set(errors) == {*baselines.NAIVE, "physics"}
    assert errors["physics"] < 0.6 * errors["ridge regression"]
    assert errors["ridge regression"] < 0.4 * errors["repeat the last value"]
    assert errors["repeat the last value"] < 1.3 * errors["the day before"]


def test_the_last_value_is_the_last_one_known(test_table: pd.DataFrame) -> None:
    forecasts = forecasts_of(test_table[test_table["unit"] == "T03"])
    squares = []
    rows = test_table[test_table["unit"] == "T03"].reset_index(drop=True)
    oil = rows["oil_c"].astype(float)
    for origin in forecasts["origin"].unique():
        row = int(rows.index[rows["time"] == origin][0])
        squares.append((oil[row + 1 : row + HORIZON + 1] - oil[: row + 1].dropna().iloc[-1]) ** 2)
    expected = float(np.sqrt(np.nanmean(np.concatenate(squares))))
    found = baselines.panel_errors(forecasts)["repeat the last value"]
    assert found == pytest.approx(expected)


def test_physics_is_exact_where_nothing_is_left_to_chance() -> None:
    unit = panel.make_unit(3)
    rows = panel.make_readings(unit).iloc[:200].reset_index(drop=True)
    air = panel.climate(unit.site, pd.DatetimeIndex(rows["time"]))
    steps = pd.TimedeltaIndex(rows["time"].diff())
    minutes = (steps / pd.Timedelta(minutes=1)).fillna(0.0).to_numpy()
    mode = rows["mode"].to_numpy()
    goal = unit.settle(air, rows["load"].to_numpy(), mode)
    oil = unit.follow(30.0, minutes, goal, mode)
    rows = rows.assign(oil_c=oil, air_c=air, alarm="none")
    rows.loc[90:100, "oil_c"] = np.nan
    found = baselines.physics(unit.name, rows, 100, HORIZON)
    np.testing.assert_allclose(found, oil[101 : 101 + HORIZON], rtol=1e-9)


def test_features_see_no_later_oil_or_air(test_table: pd.DataFrame) -> None:
    rows = baselines.prepared(test_table)["T03"]
    later = rows.assign(
        last_oil=rows["last_oil"].mask(rows.index > 100, 0.0),
        last_air=rows["last_air"].mask(rows.index > 100, 0.0),
    )
    origins = np.array([60, 100])
    seen, cut = (baselines.features(one, origins, HORIZON) for one in (rows, later))
    np.testing.assert_array_equal(seen, cut)
