"""Scores against their definitions, theory, and however the table was cut into pieces."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from transformertf.errors import InputError
from transformertf.evaluation import scores as scores_module
from transformertf.evaluation.scores import Scores
from transformertf.forecasts.rows import table_levels

LEVELS = (0.1, 0.5, 0.9)
ORDER = ["windows", "rows", "MAE", "RMSE", "MAPE", "sMAPE", "MASE", "WQL", "CRPS"]
ORDER += ["coverage_0.8", "width_0.8"]
ORDER += ["skill_naive", "MAE_naive", "RMSE_naive"]
ORDER += ["skill_seasonal_naive", "MAE_seasonal_naive", "RMSE_seasonal_naive"]


def make_table(windows=40, seed=0, series=5, horizon=4):
    """Return ragged forecasts with everything in them that may be missing."""
    generator = np.random.default_rng(seed)
    pieces = []
    for window in range(windows):
        steps = int(generator.integers(1, horizon + 1))
        quantiles = np.sort(generator.normal(2, 3, (steps, 3)), axis=1)
        frame = pd.DataFrame(quantiles, columns=["q0.1", "q0.5", "q0.9"])
        frame.insert(0, "series", f"s{window * series // windows}")
        frame.insert(1, "origin", window)
        frame.insert(2, "step", 1 + np.arange(steps))
        frame["prediction"] = frame["q0.5"] + 0.25
        for name, missing in [("actual", 0.1), ("naive", 0.2), ("seasonal_naive", 0.3)]:
            values = generator.normal(2, 3, steps).round(1)
            frame[name] = np.where(generator.random(steps) < missing, np.nan, values)
        pieces.append(frame)
    table = pd.concat(pieces, ignore_index=True)
    table.loc[::9, "actual"] *= 0
    table["scale"] = table["series"].map({"s0": 0.5, "s1": 2.0, "s2": 1.5, "s4": 4.0})
    return table


def scored(*tables, levels=LEVELS):
    scores = Scores(levels)
    for table in tables:
        scores.update(table)
    return scores


def by_definition(table):
    """Return the metrics of a table, each as its formula has it."""
    rows = table.dropna(subset="actual")
    y, f = rows["actual"], rows["prediction"]
    error = (y - f).abs()
    pinball = {
        level: np.where(y < q, (1 - level) * (q - y), level * (y - q))
        for level, q in ((level, rows[f"q{level}"]) for level in LEVELS)
    }
    beside = {}
    for name in ("naive", "seasonal_naive"):
        known = rows[name].notna()
        baseline = (rows[name] - y)[known]
        beside[f"skill_{name}"] = 1 - error[known].mean() / baseline.abs().mean()
        beside[f"MAE_{name}"] = baseline.abs().mean()
        beside[f"RMSE_{name}"] = math.sqrt((baseline**2).mean())
    return {
        "windows": rows.groupby(["series", "origin"]).ngroups,
        "rows": len(rows),
        "MAE": error.mean(),
        "RMSE": math.sqrt((error**2).mean()),
        "MAPE": (error / y.abs())[y != 0].mean(),
        "sMAPE": (2 * error / (y.abs() + f.abs())).mean(),
        "MASE": (error / rows["scale"]).mean(),
        "WQL": np.mean([2 * loss.sum() / y.abs().sum() for loss in pinball.values()]),
        "CRPS": 2 * np.mean([*pinball.values()]),
        "coverage_0.8": y.between(rows["q0.1"], rows["q0.9"]).mean(),
        "width_0.8": (rows["q0.9"] - rows["q0.1"]).mean(),
        **beside,
    }


def test_overall_is_what_the_formulas_say():
    table = make_table()
    found = scored(table).overall()
    assert list(found) == ORDER
    assert found == pytest.approx(by_definition(table), rel=1e-12)
    assert isinstance(found["windows"], int)


def test_by_step_and_by_series_are_the_formulas_of_their_rows():
    table = make_table()
    scores = scored(table)
    for name, found in [("step", scores.by_step()), ("series", scores.by_series())]:
        groups = dict(iter(table.groupby(name)))
        assert list(found.index) == list(groups)
        assert found.index.name == name
        assert list(found.columns) == ORDER
        for key, row in found.iterrows():
            expected = by_definition(groups[key])
            assert row.to_dict() == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert math.isnan(scores.by_series()["MASE"]["s3"])  # it has no scale
    assert scores.by_step()["windows"].equals(scores.by_step()["rows"])
    assert scores.by_series()["windows"].sum() == scores.overall()["windows"]


@pytest.mark.parametrize("report", ["by_step", "by_series", "intervals", "reliability", "state"])
def test_each_report_counts_the_rows_that_came_last(report):
    whole, once = Scores(LEVELS), scored(make_table())
    whole.update(make_table())
    once.overall()
    found, expected = getattr(whole, report)(), getattr(once, report)()
    if report == "state":
        found, expected = pd.DataFrame(found["by_step"]), pd.DataFrame(expected["by_step"])
    pd.testing.assert_frame_equal(found, expected)


def test_how_a_table_is_cut_into_pieces_does_not_matter(monkeypatch):
    table = make_table(seed=3)
    expected = scored(table)

    @settings(max_examples=25, deadline=None)
    @given(cuts=st.sets(st.integers(1, len(table) - 1)), block=st.integers(1, 60))
    def check(cuts, block):
        monkeypatch.setattr(scores_module, "_BLOCK", block)
        ends = [0, *sorted(cuts), len(table)]
        pieces = [table.iloc[a:b] for a, b in pairwise(ends)]
        found = scored(*pieces)
        assert found.overall() == pytest.approx(expected.overall(), rel=1e-12)
        pd.testing.assert_frame_equal(found.by_step(), expected.by_step(), rtol=1e-12)
        pd.testing.assert_frame_equal(found.by_series(), expected.by_series(), rtol=1e-12)
        assert found.skipped == expected.skipped

    check()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99))
def test_the_order_of_forecasts_does_not_matter(seed):
    table = make_table(seed=4)
    windows = [rows for _, rows in table.groupby("origin")]
    order = np.random.default_rng(seed).permutation(len(windows))
    found = scored(pd.concat([windows[i] for i in order]))
    assert found.overall() == pytest.approx(scored(table).overall(), rel=1e-12)


@pytest.mark.parametrize("through_a_state", [True, False])
def test_scores_of_several_processes_add_up(through_a_state):
    table = make_table()
    expected = scored(table)
    # series s1 is known to both, at other places
    parts = table[table["origin"] >= 12], table[table["origin"] < 12]
    first, second = (scored(part) for part in parts)
    first.merge(Scores.from_state(second.state()) if through_a_state else second)
    assert first.overall() == pytest.approx(expected.overall(), rel=1e-12)
    pd.testing.assert_frame_equal(first.by_step(), expected.by_step(), rtol=1e-12)
    found = first.by_series().sort_index()
    pd.testing.assert_frame_equal(found, expected.by_series(), rtol=1e-12)
    first.update(table)
    assert first.overall()["rows"] == 2 * expected.overall()["rows"]


def test_a_state_is_arrays_that_stay_as_they_are():
    scores = scored(make_table())
    state = scores.state()
    assert all(isinstance(value, np.ndarray) for value in state.values())
    copy = Scores.from_state(state)
    scores.update(make_table(seed=1))
    copy.update(make_table(seed=1))
    assert copy.overall() == scores.overall()
    assert Scores.from_state(state).overall() == scored(make_table()).overall()
    state = scores.state()
    for name in ("by_step", "by_series"):
        state[name] *= 2
    pd.testing.assert_frame_equal(copy.by_step(), scores.by_step())
    pd.testing.assert_frame_equal(copy.by_series(), scores.by_series())


def test_scores_of_other_levels_are_not_added():
    message = r"^scores of the levels \[0\.1, 0\.5, 0\.9\] and \[\] cannot be added"
    with pytest.raises(InputError, match=message):
        Scores(LEVELS).merge(Scores())


# what is left out


def point_table(**columns):
    rows = len(columns["actual"])
    return pd.DataFrame({"series": "a", "origin": 7, "step": 1 + np.arange(rows), **columns})


def test_rows_left_out_of_a_metric_are_counted():
    table = make_table()
    rows = table.dropna(subset="actual")
    assert scored(table).skipped == {
        "MAPE": (rows["actual"] == 0).sum(),
        "MASE": rows["scale"].isna().sum(),
        "skill_naive": rows["naive"].isna().sum(),
        "skill_seasonal_naive": rows["seasonal_naive"].isna().sum(),
    }
    assert min(scored(table).skipped.values()) > 0


def test_what_cannot_be_computed_is_absent():
    zeros = np.zeros(3)
    found = scored(
        point_table(actual=zeros, prediction=zeros + 1, scale=zeros), levels=()
    ).overall()
    assert found == {"windows": 1, "rows": 3, "MAE": 1, "RMSE": 1, "sMAPE": 2, "CRPS": 1}
    scores = scored(point_table(actual=zeros, prediction=zeros), levels=())
    assert scores.overall()["sMAPE"] == 0
    assert list(scores.by_step().columns) == list(scores.overall())


def test_a_quotient_beyond_all_numbers_is_absent():
    found = scored(point_table(actual=[5e-324], prediction=[1.0]), levels=()).overall()
    assert "MAPE" not in found
    assert found["MAE"] == 1


def test_nothing_to_score():
    for scores in (Scores(LEVELS), scored(make_table().assign(actual=np.nan))):
        assert scores.overall() == {"windows": 0, "rows": 0}
        assert len(scores.by_step()) == len(scores.by_series()) == 0
        assert set(scores.skipped.values()) == {0}
        assert scores.reliability()["observed"].isna().all()


def test_steps_without_an_actual_have_no_row():
    table = point_table(actual=[1.0, np.nan, 3.0], prediction=[1.0, 1.0, 1.0])
    assert scored(table, levels=()).by_step()["MAE"].to_dict() == {1: 0, 3: 2}


def test_skill_is_relative_to_the_baseline():
    actual, signs = np.array([1.0, 2.0, 3.0]), np.array([2, -2, 2])
    for prediction, skill in [(actual, 1), (actual + 2, 0), (actual - 3, -0.5)]:
        table = point_table(actual=actual, prediction=prediction, naive=actual + signs)
        assert scored(table, levels=()).overall()["skill_naive"] == skill


def test_a_point_forecast_has_the_mae_as_crps():
    found = scored(make_table(), levels=()).overall()
    rows = make_table().dropna(subset="actual")
    assert found["CRPS"] == found["MAE"]
    weighted = (rows["prediction"] - rows["actual"]).abs().sum() / rows["actual"].abs().sum()
    assert found["WQL"] == pytest.approx(weighted, rel=1e-12)
    assert not [name for name in found if name.startswith(("coverage", "width"))]


# numbers


def test_errors_tiny_beside_the_level_keep_their_digits():
    level, errors = 2.0**33, 2.0**-19 * np.arange(1, 1001)
    table = point_table(actual=np.full(1000, level), prediction=level + errors)
    found = scored(*[table] * 40, levels=()).overall()
    assert found["MAE"] == pytest.approx(errors.mean(), rel=1e-13)
    assert found["RMSE"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-13)


def test_low_precision_columns_are_subtracted_as_doubles():
    table = point_table(actual=[1.0 + 1e-9], prediction=np.array([1.0], dtype=np.float32))
    assert scored(table, levels=()).overall()["MAE"] == pytest.approx(1e-9, rel=1e-6)
    level = np.full(3, 60000.0, dtype=np.float16)
    half = point_table(actual=level, prediction=-level)
    assert scored(half, levels=()).overall()["RMSE"] == pytest.approx(120000, rel=1e-3)


def test_crps_of_a_normal_forecast_is_the_closed_form():
    # Gneiting and Raftery 2007, eq. 5 for the standard normal, with its sign turned
    levels = np.arange(1, 500) / 500
    for value in (-1.7, 0.0, 0.4, 3.0):
        quantiles = {f"q{level:g}": [q] for level, q in zip(levels, norm.ppf(levels), strict=True)}
        table = pd.concat(
            [point_table(actual=[value], prediction=[0.0]), pd.DataFrame(quantiles)], axis=1
        )
        exact = value * (2 * norm.cdf(value) - 1) + 2 * norm.pdf(value) - 1 / math.sqrt(math.pi)
        assert scored(table, levels=levels).overall()["CRPS"] == pytest.approx(exact, abs=8e-3)


def test_true_quantiles_are_reliable():
    generator = np.random.default_rng(5)
    levels, rows = (0.05, 0.25, 0.75, 0.95), 20000
    center = generator.normal(0, 5, rows)
    table = point_table(actual=center + generator.normal(size=rows), prediction=center)
    for level in levels:
        table[f"q{level}"] = center + norm.ppf(level)
    scores = scored(table, levels=levels)
    reliability, intervals = scores.reliability(), scores.intervals()
    assert reliability["level"].tolist() == list(levels)
    assert (reliability["rows"] == rows).all()
    bound = 4 * 0.5 / math.sqrt(rows)
    np.testing.assert_allclose(reliability["observed"], levels, atol=bound)
    assert intervals["nominal"].tolist() == [0.5, 0.9]
    np.testing.assert_allclose(intervals["coverage"], [0.5, 0.9], atol=bound)
    widths = [2 * norm.ppf(0.75), 2 * norm.ppf(0.95)]
    np.testing.assert_allclose(intervals["width"], widths, rtol=1e-12)


def test_the_ends_of_an_interval_are_inside():
    actual = [1.0, 2.0, 3.0]
    quantiles = {"q0.1": [1.0, 0.0, 0.0], "q0.5": 1.0, "q0.9": [2.0, 2.0, 2.9]}
    table = point_table(actual=actual, prediction=actual, **quantiles)
    assert scored(table).overall()["coverage_0.8"] == pytest.approx(2 / 3)
    assert scored(table).reliability()["observed"].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3])


# forecasts counted, and frames


@pytest.mark.parametrize(
    "origin",
    [
        pd.Series([3, 3, 4, 4]),
        pd.Series([np.nan, np.nan, 0.5, 0.5]),
        pd.Series([pd.NA, pd.NA, 2**60, 2**60], dtype="Int64"),
        pd.to_datetime(pd.Series(["2024-01-01", "2024-01-01", None, None])),
        pd.Series(pd.to_datetime(["2024-01-01"] * 2 + ["2024-01-02"] * 2, utc=True)),
    ],
)
@pytest.mark.parametrize("block", [1, 100])
def test_forecasts_are_counted_by_series_and_origin(origin, block, monkeypatch):
    table = point_table(actual=np.ones(4), prediction=np.ones(4)).assign(
        origin=origin, step=[1, 2, 1, 2]
    )
    other = table.iloc[::-1].assign(series="b")  # from an origin of the other series on
    monkeypatch.setattr(scores_module, "_BLOCK", block)
    scores = scored(table.iloc[:3], table.iloc[3:], other, levels=())
    assert scores.overall()["windows"] == 4
    assert scores.by_series()["windows"].to_dict() == {"a": 2, "b": 2}


def test_a_frame_changed_afterwards_changes_nothing():
    table = make_table()
    scores = scored(table)
    table.loc[:, "actual"] = 1e9
    table["prediction"] = 0.0
    assert scores.overall() == scored(make_table()).overall()


def test_levels_are_read_off_the_columns():
    columns: list[Any] = [
        "series",
        "q0.9",
        "quality",
        "q1",
        "q0.02",
        "prediction",
        "q1e-05",
        "q",
        "q0.5x",
        3,
    ]
    assert table_levels(columns) == (1e-5, 0.02, 0.9)


# mistakes


@pytest.mark.parametrize("levels", [(0.9, 0.1), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (math.nan,)])
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(InputError, match=r"^levels must rise and lie between 0 and 1, found \["):
        Scores(levels)


@pytest.mark.parametrize("column", ["series", "origin", "step", "prediction", "q0.9", "actual"])
def test_a_missing_column_is_named(column):
    with pytest.raises(InputError, match=rf"^forecasts: no column '{column}' among .*scale$"):
        Scores(LEVELS).update(make_table().drop(columns=column))


@pytest.mark.parametrize("column", ["prediction", "q0.1", "actual"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_forecast_that_is_no_number_is_refused(column, value):
    table = make_table(series=2)
    row = table[(table["series"] == "s1") & (table["step"] == 3) & table["actual"].notna()].index[0]
    table.loc[row, column] = value
    if column == "actual" and np.isnan(value):
        assert scored(table).overall()["rows"] == table["actual"].notna().sum()
        return
    message = rf"^forecasts: {column} of series 's1' at step 3 is {value}: expected a finite"
    with pytest.raises(InputError, match=message):
        scored(table).overall()
