"""Calibration against the theory of split-conformal prediction, on freshly simulated forecasts."""

import io
import logging
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, kstest, norm

from transformertf.errors import InputError
from transformertf.evaluation.scores import Scores
from transformertf.forecasts.calibration import LEVELS, Calibration
from transformertf.forecasts.rows import table_levels
from transformertf.nn.losses import QuantileLoss

NAME = "transformertf.forecasts.calibration"
Z = norm.ppf(LEVELS)


def make_table(errors, quantiles=None, series="a"):
    """Return windows whose actuals are errors (N, T) about forecasts that wander.

    `quantiles` (T, Q) or (N, T, Q) are those of the errors, as the model believes.
    """
    windows, steps = errors.shape
    generator = np.random.default_rng(windows)
    center = np.repeat(generator.normal(0, 50, windows), steps)
    table = pd.DataFrame(
        {
            "series": np.repeat(np.broadcast_to(series, windows), steps),
            "origin": np.repeat(np.arange(windows), steps),
            "step": np.tile(np.arange(1, steps + 1), windows),
            "prediction": center,
        }
    )
    if quantiles is not None:
        believed = np.broadcast_to(quantiles, (windows, steps, len(LEVELS))).reshape(
            -1, len(LEVELS)
        )
        for number, level in enumerate(LEVELS):
            table[f"q{level:g}"] = center + believed[:, number]
    return table.assign(actual=center + errors.ravel())


def spread(steps):
    """Return the standard deviation (T,) of errors that grow with the step."""
    return np.sqrt(np.arange(1.0, steps + 1))


def shifts_of(calibration, series=None):
    """Return the shifts (T, Q) themselves."""
    steps = np.arange(1, calibration.steps + 1)
    names = None if series is None else np.full(len(steps), series)
    return calibration.shift(steps, names, np.zeros((len(steps), len(calibration.levels))))


# theory


@pytest.mark.parametrize("windows", [49, 60])
def test_coverage_of_each_level_is_what_exchangeability_promises(windows):
    # 4,000 steps are as many calibrations, each of its own draws; the k-th smallest of n uniform
    # errors is Beta(k, n + 1 - k)
    steps = 4000
    errors = np.random.default_rng(0).uniform(-1, 1, (windows, steps))
    calibration = Calibration.fit([make_table(errors)])
    coverage = (shifts_of(calibration) + 1) / 2
    for number, level in enumerate(LEVELS):
        if level == 0.5:
            continue
        exact = (windows + 1) * Fraction(str(level))
        rank = -(-exact // 1) if level > 0.5 else exact // 1
        law = beta(rank, windows + 1 - rank)
        assert kstest(coverage[:, number], law.cdf).pvalue > 1e-4
        slack = 4 * law.std() / np.sqrt(steps)
        below, above = (0, 1 / (windows + 1)) if level > 0.5 else (-1 / (windows + 1), 0)
        assert below - slack <= coverage[:, number].mean() - level <= above + slack
    median = coverage[:, LEVELS.index(0.5)]
    assert abs(median.mean() - 0.5) < 4 * median.std() / np.sqrt(steps)


@pytest.mark.parametrize(
    ("windows", "level", "rank"),
    [
        (99, 0.29, 29),  # in floats 100 * 0.29 is just below 29
        (99, 0.07, 7),  # and 100 * 0.07 just above 7
        (99, 0.93, 93),
        (99, 0.55, 55),  # just above 55
        (9, 0.9, 9),
        (10, 0.9, 10),
        (10, 0.1, 1),
        (30, 0.25, 7),
        (30, 0.75, 24),
    ],
)
def test_ranks(windows, level, rank):
    errors = np.arange(1.0, windows + 1)[:, None]
    table = make_table(np.random.default_rng(1).permutation(errors))
    calibration = Calibration.fit([table], levels=[level])
    np.testing.assert_allclose(shifts_of(calibration), [[rank]], atol=1e-9)


@pytest.mark.parametrize(("windows", "median"), [(7, 4), (8, 4.5)])
def test_the_middle_level_is_the_median(windows, median):
    table = make_table(np.arange(1.0, windows + 1)[:, None])
    found = shifts_of(Calibration.fit([table], levels=[0.5]))
    np.testing.assert_allclose(found, [[median]], atol=1e-9)


# coverage of fresh forecasts


def check_coverage(table, windows):
    """Assert that intervals cover what they should: all by two points, each step by its noise.

    At each step the calibration's own error, with as many windows, doubles the variance of the
    count; 1e-5 for each of the checks leaves one failure in thousands of seeds.
    """
    scores = Scores(LEVELS)
    scores.update(table)
    intervals = scores.intervals()
    assert len(intervals) == 3
    assert (intervals["coverage"] - intervals["nominal"]).abs().max() < 0.02
    by_step = scores.by_step()
    for nominal in (0.5, 0.8, 0.96):
        low, high = (
            np.sqrt(2) * (end - windows * nominal)
            for end in binom.interval(1 - 1e-5, windows, nominal)
        )
        excess = by_step["rows"] * (by_step[f"coverage_{nominal}"] - nominal)
        assert excess.between(low, high).all(), nominal


@pytest.mark.parametrize("of_points", [True, False])
def test_too_narrow_and_biased_forecasts_cover_as_they_should(of_points):
    steps, windows = 6, 5000
    generator = np.random.default_rng(2)
    believed = None if of_points else 0.3 * spread(steps)[:, None] * Z + 0.7

    def simulate():
        # skewed, so that no symmetric widening would do
        errors = spread(steps) * (generator.exponential(1, (windows, steps)) - 1)
        return make_table(errors, believed)

    calibration = Calibration.fit([simulate()])
    assert calibration.of_points == of_points
    fresh = simulate()
    check_coverage(calibration.apply(fresh), windows)
    if not of_points:
        before = Scores(LEVELS)
        before.update(fresh)
        assert before.overall()["coverage_0.8"] < 0.6


def test_series_of_unlike_spread_have_their_own_widths():
    windows, steps = 5000, 3
    generator = np.random.default_rng(3)
    scale = {"calm": 0.1, "mild": 1.0, "wild": 20.0}

    def simulate(name):
        errors = scale[name] * spread(steps) * generator.normal(size=(windows, steps))
        return make_table(errors, series=name)

    tables = [simulate(name) for name in scale]
    own = Calibration.fit(tables, by_series=True)
    together = Calibration.fit(tables)
    for name in scale:
        fresh = simulate(name)
        check_coverage(own.apply(fresh), windows)
        pooled = Scores(LEVELS)
        pooled.update(together.apply(fresh))
        assert abs(pooled.overall()["coverage_0.8"] - 0.8) > 0.05
    stranger = make_table(np.zeros((1, steps)), series="stranger")
    pd.testing.assert_frame_equal(own.apply(stranger), together.apply(stranger))


# invariants


def ragged_table(seed=0):
    generator = np.random.default_rng(seed)
    table = make_table(generator.normal(size=(30, 4)), spread(4)[:, None] * Z)
    table["series"] = np.array(["a", "b", "c"])[table["origin"] % 3]
    table["actual"] = table["actual"].where(generator.random(len(table)) < 0.8)
    return table.drop(table.index[(table["origin"] > 20) & (table["step"] > 2)])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    cuts=st.sets(st.integers(1, 90), max_size=6),
    by_series=st.booleans(),
)
def test_order_and_pieces_do_not_matter(seed, cuts, by_series):
    table = ragged_table()
    expected = Calibration.fit([table], by_series=by_series)
    mixed = table.iloc[np.random.default_rng(seed).permutation(len(table))]
    pieces = [mixed.iloc[a:b] for a, b in pairwise([0, *sorted(cuts), len(mixed)])]
    found = Calibration.fit(iter(pieces), by_series=by_series)
    assert found.steps == expected.steps == 4
    pd.testing.assert_frame_equal(found.apply(table), expected.apply(table))


@settings(max_examples=30, deadline=None)
@given(constant=st.floats(-1e3, 1e3))
def test_a_constant_error_is_taken_away(constant):
    table = ragged_table()
    moved = table.assign(actual=table["actual"] + constant)
    columns = [f"q{level:g}" for level in LEVELS]
    found = Calibration.fit([moved]).apply(table)[columns]
    expected = Calibration.fit([table]).apply(table)[columns] + constant
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_each_step_and_level_has_the_quantile_of_its_own_errors():
    table = ragged_table()
    far_apart = 1e4 * np.arange(len(LEVELS))  # so that nothing is put in order
    steps = np.arange(1, 5)
    shifts = Calibration.fit([table]).shift(steps, None, np.tile(far_apart, (4, 1))) - far_apart
    for step, own in table.dropna(subset="actual").groupby("step"):
        for number, level in enumerate(LEVELS):
            errors = np.sort(own["actual"] - own[f"q{level:g}"])
            share = (len(errors) + 1) * Fraction(str(level))
            rank = min(max(-(-share // 1) if level > 0.5 else share // 1, 1), len(errors))
            expected = np.median(errors) if level == 0.5 else errors[rank - 1]
            assert shifts[step - 1, number] == pytest.approx(expected, abs=1e-9)


# use


def test_the_last_step_stands_for_those_beyond():
    calibration = Calibration.fit([make_table(np.random.default_rng(4).normal(size=(60, 3)))])
    zeros = np.zeros((3, len(LEVELS)))
    found = calibration.shift(np.array([3, 4, 100]), None, zeros)
    assert (found == shifts_of(calibration)[2]).all()
    assert not np.allclose(found[0], shifts_of(calibration)[1])


def test_a_step_without_errors_takes_those_of_the_one_before():
    table = make_table(np.random.default_rng(5).normal(size=(60, 4)))
    table["actual"] = table["actual"].where(table["step"].isin([2, 4]))
    found = shifts_of(Calibration.fit([table]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[1])
    assert not np.allclose(found[3], found[1])


def test_a_step_that_a_series_has_no_errors_of_takes_those_of_all(caplog):
    generator = np.random.default_rng(6)
    short = make_table(generator.normal(size=(60, 2)), series="short")
    long = make_table(9 * generator.normal(size=(60, 3)), series="long")
    own = Calibration.fit([short, long], by_series=True)
    assert not caplog.records
    together = Calibration.fit([short, long])
    np.testing.assert_array_equal(shifts_of(own, "short")[2], shifts_of(together)[2])
    assert not np.allclose(shifts_of(own, "short")[1], shifts_of(together)[1])
    np.testing.assert_array_equal(
        shifts_of(own, "short")[:2], shifts_of(Calibration.fit([short]))
    )  # fmt: skip


def test_quantiles_stay_in_order():
    table = make_table(np.zeros((60, 1)), Z[None])
    calibration = Calibration.fit([table])  # its shifts undo the quantiles
    found = calibration.shift(np.array([1]), None, np.zeros((1, len(LEVELS))))
    assert (np.diff(found) > 0).all()
    assert (np.diff(calibration.state_dict()["shifts"][0, 0]) < 0).all()


def test_points_get_columns_before_the_actual_and_quantiles_keep_theirs():
    errors = np.random.default_rng(7).normal(size=(60, 2))
    columns = ["series", "origin", "step", "prediction", *(f"q{level:g}" for level in LEVELS)]
    for believed in (None, Z):
        table = make_table(errors, believed)
        before = table.copy()
        found = Calibration.fit([table]).apply(table)
        assert list(found.columns) == [*columns, "actual"]
        kept = ["series", "origin", "step", "prediction", "actual"]
        pd.testing.assert_frame_equal(found[kept], before[kept])
        pd.testing.assert_frame_equal(table, before)
        unknown = Calibration.fit([table]).apply(table.drop(columns="actual"))
        pd.testing.assert_frame_equal(unknown, found.drop(columns="actual"))


def test_the_default_levels_are_those_of_the_loss():
    assert list(LEVELS) == QuantileLoss().quantiles
    assert Calibration.fit([make_table(np.ones((60, 1)))]).levels == LEVELS
    third = Calibration.fit([make_table(np.ones((60, 1)))], levels=[1 / 3, 2 / 3])
    assert table_levels(third.apply(make_table(np.ones((1, 1)))).columns) == (0.333333, 0.666667)


@pytest.mark.parametrize("by_series", [True, False])
def test_a_state_passes_through_a_checkpoint(by_series):
    table = ragged_table()
    calibration = Calibration.fit([table], by_series=by_series)
    file = io.BytesIO()
    torch.save(calibration.state_dict(), file)
    file.seek(0)
    loaded = Calibration.from_state_dict(torch.load(file, weights_only=True))
    pd.testing.assert_frame_equal(loaded.apply(table), calibration.apply(table))
    assert (loaded.by_series, loaded.of_points, loaded.steps) == (by_series, False, 4)
    assert loaded.levels == LEVELS


def test_integers_may_name_series():
    table = ragged_table().assign(series=lambda rows: rows["origin"] % 3)
    calibration = Calibration.fit([table], by_series=True)
    loaded = Calibration.from_state_dict(calibration.state_dict())
    named = table.assign(series=table["series"].map(dict(enumerate("abc"))))
    found = loaded.apply(table).drop(columns="series")
    expected = Calibration.fit([named], by_series=True).apply(named).drop(columns="series")
    pd.testing.assert_frame_equal(found, expected)


# warnings and mistakes


def test_too_few_windows_are_told_once(caplog):
    calm = make_table(np.arange(60.0)[:, None] * np.ones(2), series="calm")
    few = make_table(np.arange(8.0)[:, None] * np.ones(2), series="few")
    few.loc[1, "actual"] = np.nan
    with caplog.at_level(logging.WARNING, NAME):
        Calibration.fit([calm])
        assert not caplog.records
        alone = Calibration.fit([few])
        Calibration.fit([calm, few], by_series=True)
    expected = (
        "calibration: level 0.02 wants 49, 0.1 wants 9, 0.9 wants 9, 0.98 wants 49 windows, found "
        "7 at step 2{}: the most extreme error stands in; calibrate on more windows"
    )
    assert caplog.messages == [expected.format(""), expected.format(" of series 'few'")]
    np.testing.assert_allclose(shifts_of(alone)[0, [0, 1, 5, 6]], [0, 0, 7, 7], atol=1e-9)


def test_just_enough_windows_are_enough(caplog):
    with caplog.at_level(logging.WARNING, NAME):
        Calibration.fit([make_table(np.zeros((49, 1)))])
        assert not caplog.records
        Calibration.fit([make_table(np.zeros((48, 1)))])
    assert "level 0.02 wants 49, 0.98 wants 49 windows, found 48 at step 1:" in caplog.text


POINTS, QUANTILES = make_table(np.ones((60, 1))), make_table(np.ones((60, 1)), Z)


@pytest.mark.parametrize(
    ("tables", "levels", "message"),
    [
        ([], None, "calibration: found no forecast with an actual; calibrate on rows"),
        ([POINTS.assign(actual=np.nan)], None, "calibration: found no forecast with an actual"),
        ([QUANTILES], [0.1, 0.9], r"calibration: levels \[0\.1, 0\.9\] are wanted, the forecasts "),
        ([POINTS, QUANTILES], None, "calibration: tables with the columns prediction and q0.02,"),
        ([POINTS], [0.9, 0.1], "levels must rise and lie between 0 and 1, found "),
        ([POINTS.drop(columns="step")], None, "forecasts: no column 'step' among series, origin"),
        ([POINTS.assign(prediction=np.inf)], None, "forecasts: prediction of series 'a' at step 1"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(tables, levels, message):
    with pytest.raises(InputError, match=f"^{message}"):
        Calibration.fit(tables, levels)


def test_levels_that_are_the_tables_own_may_be_given():
    Calibration.fit([QUANTILES], LEVELS)


def test_forecasts_of_another_kind_are_refused():
    of_points, of_quantiles = Calibration.fit([POINTS]), Calibration.fit([QUANTILES])
    of_points.check(None)
    of_quantiles.check(LEVELS)
    with pytest.raises(
        InputError, match=r"^calibration: made for point forecasts, found quantiles"
    ):
        of_points.apply(QUANTILES)
    with pytest.raises(
        InputError, match=r"made for quantiles at 0\.02, .*, found point forecasts;"
    ):
        of_quantiles.apply(POINTS)
    with pytest.raises(InputError, match=r"found quantiles at 0\.1, 0\.9; calibrate this"):
        of_quantiles.check((0.1, 0.9))
    with pytest.raises(InputError, match=r"^forecasts: no column 'series'"):
        of_points.apply(POINTS.drop(columns="series"))
