"""Forecasts of several forecasters on the same windows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from transformertf.errors import InputError
from transformertf.evaluation import compare_tables, read_forecasts
from transformertf.evaluation.comparison import _origins
from transformertf.evaluation.significance import diebold_mariano

HORIZON, ORIGINS = 4, 12


def make_table(error: float, seed: int = 0, origins: int = ORIGINS) -> pd.DataFrame:
    """Forecasts of two series that are off by normal errors of a size."""
    rng = np.random.default_rng(7)
    grid = [(name, origin, step) for name in ("x", "y") for origin in range(origins)
            for step in range(1, HORIZON + 1)]  # fmt: skip
    frame = pd.DataFrame(grid, columns=["series", "origin", "step"])
    hour = pd.Timedelta("1h")
    start = pd.Timestamp("2024-03-30")
    time = start + (HORIZON * frame["origin"] + frame["step"]) * hour
    truth = rng.normal(10, 3, len(frame))
    noise = np.random.default_rng(seed).normal(0, error, len(frame))
    return frame.assign(
        origin=start + HORIZON * frame["origin"] * hour,
        time=time,
        prediction=truth + noise,
        actual=truth,
    )


def test_metrics_and_differences_are_those_of_the_common_rows(tmp_path: Path) -> None:
    good, bad = make_table(1.0), make_table(2.0, 1)
    good = good.assign(naive=9.0)
    bad = bad[bad["origin"] > bad["origin"].min()].assign(series=bad["series"])
    found = compare_tables({"good": good, "bad": bad}, {"x": 2.0, "y": 4.0})
    assert found.windows == 2 * (ORIGINS - 1)
    assert found.left_out == {"good": 2, "bad": 0}
    own = good[good["origin"] > good["origin"].min()]
    error = (own["prediction"] - own["actual"]).abs()
    assert found.scores.index.tolist() == ["good", "bad", "naive"]
    assert found.scores.loc["good", "MAE"] == pytest.approx(error.mean())
    assert found.scores.loc["good", "RMSE"] == pytest.approx((error**2).mean() ** 0.5)
    scale = own["series"].map({"x": 2.0, "y": 4.0})
    assert found.scores.loc["good", "MASE"] == pytest.approx((error / scale).mean())
    naive = (9.0 - own["actual"]).abs()
    assert found.scores.loc["naive", "MAE"] == pytest.approx(naive.mean())
    other = (bad["prediction"] - bad["actual"]).abs()
    by_origin = (other - error).groupby(own["origin"]).mean().to_numpy()
    pair = found.pairs.loc["bad"]
    assert pair["difference"] == pytest.approx(other.mean() - error.mean())
    assert (pair["statistic"], pair["p"]) == pytest.approx(diebold_mariano(by_origin))
    assert pair["low"] < pair["difference"] < pair["high"]
    assert pair["p"] < 0.01
    steps = error.groupby(own["step"]).mean()
    np.testing.assert_allclose(found.by_step["good"], steps)
    assert found.overlap == 1
    assert found.partial == []
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["windows"] == found.windows


def test_a_csv_of_another_tool_in_another_zone_is_the_same(tmp_path: Path) -> None:
    table = make_table(1.0)
    zoned = {
        name: table[name].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
        for name in ("origin", "time")
    }
    table.assign(**zoned).drop(columns="actual").to_csv(tmp_path / "theirs.csv", index=False)
    found = compare_tables({"ours": table, "theirs": read_forecasts(tmp_path / "theirs.csv")})
    assert found.windows == 2 * ORIGINS
    assert found.scores.loc["ours"].to_dict() == found.scores.loc["theirs"].to_dict()
    assert found.pairs.loc["theirs", "p"] == 1
    table.assign(series="007").to_csv(tmp_path / "ids.csv", index=False)
    assert set(read_forecasts(tmp_path / "ids.csv")["series"]) == {"007"}


def test_quantiles_are_scored_at_the_levels_that_all_have() -> None:
    one, other = make_table(1.0), make_table(1.0, 1)
    for level, table in ((0.1, one), (0.5, one), (0.9, one), (0.1, other), (0.9, other)):
        table[f"q{level:g}"] = table["prediction"] + 3 * (level - 0.5)
    found = compare_tables({"one": one, "other": other, "point": make_table(1.0, 2)}).scores
    inside = (one["actual"] >= one["q0.1"]) & (one["actual"] <= one["q0.9"])
    assert found.loc["one", "coverage_0.8"] == pytest.approx(inside.mean())
    losses = [np.maximum(level * (one["actual"] - one[f"q{level:g}"]),
                         (level - 1) * (one["actual"] - one[f"q{level:g}"]))
              for level in (0.1, 0.9)]  # fmt: skip
    assert found.loc["one", "CRPS"] == pytest.approx(2 * np.mean(losses))
    assert found["CRPS"].isna().to_dict()["point"]


def test_rows_without_an_actual_are_left_out_whichever_table_says_it() -> None:
    first, other = make_table(1.0), make_table(2.0, 1)
    first["actual"] = np.nan
    unknown = other["step"] == 2
    other.loc[unknown, "actual"] = np.nan
    found = compare_tables({"first": first, "other": other})
    assert found.by_step.index.tolist() == [1, 3, 4]
    truth = make_table(1.0).assign(known=~unknown).query("known")
    error = (first["prediction"][truth.index] - truth["actual"]).abs().mean()
    assert found.scores["MAE"].to_dict()["first"] == pytest.approx(error)
    assert found.pairs["p"].notna().all()


def test_a_baseline_without_some_rows_is_told() -> None:
    table = make_table(1.0)
    table["seasonal_naive"] = np.where(table["step"] > 1, 9.0, np.nan)
    found = compare_tables({"one": table, "other": make_table(1.0, 1)})
    assert found.partial == ["seasonal_naive"]
    assert found.scores.index.tolist() == ["one", "other"]


def test_overlapping_windows_are_counted() -> None:
    origin = pd.Series(np.repeat(np.arange(20.0), 4))
    time = origin + np.tile(np.arange(1.0, 5.0), 20)
    codes, overlap = _origins(origin, time)
    assert overlap == 4
    assert codes.tolist() == origin.tolist()
    # every second origin: as rows 1, 2, 3, 4 and 3, 4, 5, 6, two in a row
    assert _origins(2 * origin, 2 * origin + np.tile(np.arange(1.0, 5.0), 20))[1] == 2
    assert _origins(origin * np.nan, time)[1] == 1


def test_mistakes_are_told(tmp_path: Path) -> None:
    table = make_table(1.0)
    others = {
        "no window in common with a": table.assign(series=table["series"] + "z"),
        "is there twice": pd.concat([table, table]),
        "origins are numbers, those of a time stamps": table.assign(
            origin=pd.factorize(table["origin"])[0]
        ),
        "actual of series 'x', .* is .*, in a .* in the same units": table.assign(
            actual=table["actual"] * 1000
        ),
        "column 'time' holds 'noon'": table.assign(time="noon"),
    }
    for told, other in others.items():
        with pytest.raises(InputError, match=told):
            compare_tables({"a": table, "b": other})
    with pytest.raises(InputError, match="no table has a column 'actual'"):
        compare_tables({"a": table.drop(columns="actual")})
    table.drop(columns="step").to_parquet(tmp_path / "f.parquet")
    with pytest.raises(InputError, match="no column 'step' among series, origin"):
        read_forecasts(tmp_path / "f.parquet")
    (tmp_path / "g.parquet").write_bytes(b"no parquet")
    for name, told in (("g.parquet", "cannot be read as forecasts"), ("h.csv", "no such file")):
        with pytest.raises(InputError, match=told):
            read_forecasts(tmp_path / name)
