"""What rows tell: cycles, levels, sizes and leaks, against arithmetic of their own."""

import numpy as np
import pytest

from transformertf.proposal.leaks import find_leak
from transformertf.proposal.rhythm import autocorrelation, cycle, level_moves, sizes_differ

RNG = np.random.default_rng(0)


def test_autocorrelation_is_that_of_sums_over_rows():
    parts = [RNG.normal(size=50).cumsum(), RNG.normal(size=31)]
    centred = [part - part.mean() for part in parts]
    own = sum((part**2).sum() for part in centred)
    for lag in (0, 1, 7, 30):
        both = sum((part[lag:] * part[: len(part) - lag]).sum() for part in centred)
        assert autocorrelation(parts, 30)[lag] == pytest.approx(both / own)


def test_the_cycle_is_the_period_of_a_wave_and_none_of_noise():
    wave = np.sin(np.arange(700) * 2 * np.pi / 35) + 0.2 * RNG.normal(size=700)
    wave[40:50] = np.nan
    assert cycle([wave, wave[100:300]], 200) == 35
    assert cycle([RNG.normal(size=700)], 200) is None
    assert cycle([np.full(100, 3.0)], 20) is None


def test_a_level_moves_where_means_lie_apart_and_not_in_a_wave():
    wave = np.sin(np.arange(1000) * 2 * np.pi / 20)
    jumps = np.repeat(RNG.normal(scale=5, size=10), 100)
    assert level_moves([wave]) < 0.1
    assert level_moves([wave + jumps]) > 2
    assert level_moves([wave + 0.1 * np.arange(1000)]) > 2
    assert level_moves([np.full(10, 2.0)]) == 0.0


def test_sizes_differ_as_the_spreads_of_series():
    parts = [scale * RNG.normal(size=2000) for scale in (1.0, 1.0, 1.0, 100.0, 100.0)]
    assert sizes_differ(parts) == pytest.approx(100, rel=0.1)
    assert sizes_differ(parts[:1]) == 1.0


@pytest.mark.parametrize("shift", [-9, -1, 0, 1, 10])
def test_a_shifted_copy_is_found_at_its_shift(shift):
    parts = [RNG.normal(size=80).cumsum() for _ in range(3)]
    moved = [np.full(80, np.nan) for _ in parts]
    for part, own in zip(parts, moved, strict=True):
        rows = np.arange(80) + shift
        inside = (rows >= 0) & (rows < 80)
        own[inside] = 4 - 0.5 * part[rows[inside]]
    leak = find_leak(parts, moved, 10)
    assert leak is not None
    assert leak.ahead == shift
    assert leak.likeness == pytest.approx(-1.0)


@pytest.mark.parametrize("shift", [-10, 11])
def test_what_lies_a_horizon_ago_or_beyond_it_is_none(shift):
    part = RNG.normal(size=300).cumsum()
    assert find_leak([part[20:-20]], [part[20 + shift : 280 + shift]], 10) is None


def test_what_only_goes_along_is_none():
    part = RNG.normal(size=300).cumsum()
    assert find_leak([part], [part + RNG.normal(size=300)], 10) is None
    assert find_leak([part], [np.zeros(300)], 10) is None
