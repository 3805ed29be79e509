"""The sample panel is what its script says: the physics, what was lost, and the same each time."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.data import panel

DATA = Path(__file__).parents[3] / "sample_configs" / "data"
NAMES = ("panel", "panel_test", "panel_predict")
END = panel.START + pd.Timedelta(days=panel.TRAIN_DAYS + panel.TEST_DAYS)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The committed tables."""
    return {name: pd.read_parquet(DATA / f"{name}.parquet") for name in NAMES}


class TestPhysics:
    unit = panel.make_unit(5)

    def test_many_short_steps_are_one_long_step(self) -> None:
        count = 400
        goal, cooling = np.full(count, 70.0), np.full(count, "ONAF")
        many = self.unit.follow(20.0, np.full(count, 0.5), goal, cooling)
        once = self.unit.follow(20.0, np.array([200.0]), goal[:1], cooling[:1])
        assert many[-1] == pytest.approx(once[0], rel=1e-12)

    def test_solves_its_differential_equation(self) -> None:
        goal, cooling = np.full(2, 70.0), np.full(2, "ONAF")
        oil = self.unit.follow(20.0, np.array([60.0, 1e-3]), goal, cooling)
        tau = self.unit.time_scale * panel.COOLING["ONAF"].minutes
        assert (oil[1] - oil[0]) / 1e-3 == pytest.approx((70.0 - oil[0]) / tau, rel=1e-4)

    def test_rests_at_the_rated_rise(self) -> None:
        goal = self.unit.settle(np.array([20.0]), np.array([1.0]), np.array(["OFAF"]))
        assert goal[0] == pytest.approx(20.0 + self.unit.rise_scale * 44.0)

    def test_readings_follow_it(self) -> None:
        unit = panel.make_unit(2)
        rows = panel.make_readings(unit)
        actual = np.where(rows["alarm"] == "cooling", "ONAN", rows["mode"])
        air, load = rows["air_c"].to_numpy(), rows["load"].to_numpy()
        steps = pd.TimedeltaIndex(rows["time"].diff())
        minutes = (steps / pd.Timedelta(minutes=1)).fillna(0.0).to_numpy()
        goal = unit.settle(air, load, actual)
        oil = unit.follow(rows["oil_c"][0], minutes, goal, actual)
        error = np.std(rows["oil_c"] - oil)
        assert error == pytest.approx(panel.OIL_ERROR_K, rel=0.1)


def test_weather_has_its_spread_and_memory() -> None:
    found = np.concatenate([panel.weather(site) for site in panel.SITES])
    assert found.std() == pytest.approx(panel.WEATHER_SPREAD_K, rel=0.25)
    kept = np.corrcoef(found[:-1], found[1:])[0, 1]
    assert kept == pytest.approx(np.exp(-1 / panel.WEATHER_MEMORY_H), abs=0.02)


def test_spells_take_their_share() -> None:
    hours = np.arange(0, 200_000.0, 0.5)
    within = panel.spells(hours, np.random.default_rng(0), 90.0, 10.0)
    assert within.mean() == pytest.approx(0.1, abs=0.01)


class TestCommittedTables:
    def test_are_those_of_the_script(self, tables: dict[str, pd.DataFrame]) -> None:
        made = panel.make_tables()
        assert set(made) == set(NAMES)
        for name, table in made.items():
            # a last digit may differ from machine to machine
            found = table.astype(tables[name].dtypes)
            pd.testing.assert_frame_equal(found, tables[name], rtol=0, atol=0.11)

    def test_are_small_enough_for_a_repository(self) -> None:
        assert 0 < sum((DATA / f"{name}.parquet").stat().st_size for name in NAMES) < 1_000_000

    @pytest.mark.parametrize("name", NAMES)
    def test_rise_in_time_within_a_unit(self, name: str, tables: dict[str, pd.DataFrame]) -> None:
        table = tables[name]
        assert table["time"].is_monotonic_increasing
        steps = table.groupby("unit")["time"].diff().dropna()
        assert steps.min() > pd.Timedelta(0)
        assert steps.nunique() > 30
        assert str(table["time"].dt.tz) == "Europe/Zurich"

    def test_have_gaps_and_missing_values(self, tables: dict[str, pd.DataFrame]) -> None:
        table = tables["panel"]
        outages = table.groupby("unit")["time"].diff() > pd.Timedelta(hours=3)
        assert 30 < outages.sum() < 120
        assert 0.05 < table["air_c"].isna().mean() < 0.15
        assert 0.01 < table["oil_c"].isna().mean() < 0.1
        known = ["mode", "load", "rated_mva", "kind", "site", "alarm"]
        assert table[known].notna().all(axis=None)
        static = ["rated_mva", "kind", "site"]
        assert len(table[["unit", *static]].drop_duplicates()) == table["unit"].nunique()

    def test_units_put_in_service_late_have_few_rows(self, tables: dict[str, pd.DataFrame]) -> None:
        rows = tables["panel"].groupby("unit").size()
        assert rows["T23"] == 24
        assert rows["T22"] < 150 < rows["T21"] < 300 < rows.drop(["T21", "T22", "T23"]).min()

    def test_hold_what_training_never_saw(self, tables: dict[str, pd.DataFrame]) -> None:
        seen = tables["panel"]
        for name in NAMES[1:]:
            table = tables[name]
            assert set(table["alarm"].dropna()) - set(seen["alarm"]) == {"gas"}
            assert set(table["site"]) - set(seen["site"]) == {"coast"}
            assert set(table["mode"]) == set(seen["mode"])

    def test_the_future_is_not_told(self, tables: dict[str, pd.DataFrame]) -> None:
        table = tables["panel_predict"]
        future = table["time"] >= END
        assert (table[future].groupby("unit").size() == 24).all()
        assert table[future]["unit"].nunique() == panel.UNITS
        assert table.loc[future, ["oil_c", "air_c", "alarm"]].isna().all(axis=None)
        assert table.loc[future, ["load", "mode"]].notna().all(axis=None)
        last = table[~future].groupby("unit")["oil_c"].last(skipna=False)
        assert last.notna().all()


def test_the_command_writes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["panel.py", "--output", str(tmp_path)])
    panel.main()
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(NAMES)
    assert "panel_predict.parquet: 2757 rows, 24 units" in capsys.readouterr().out
