"""The random order: a permutation, well mixed, the same however it is asked for."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.windows.sampler import Permutation


def whole(size, seed=0):
    return Permutation(size, np.random.default_rng(seed))(np.arange(size))


def excess(counts):
    """Return chi-square of (..., n) counts against uniform, in its standard deviations."""
    expected = counts.mean(axis=-1, keepdims=True)
    freedom = counts.shape[-1] - 1
    chi = (np.square(counts - expected) / expected).sum(axis=-1)
    return (chi - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("size", [*range(130), 999, 1000, 1024, 2**16 - 1, 2**16, 10**6 + 3])
def test_every_number_comes_once(size):
    numbers = whole(size, seed=size)
    assert numbers.dtype == np.int64
    np.testing.assert_array_equal(np.sort(numbers), np.arange(size))


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 5000), seed=st.integers(0, 2**40), cut=st.integers(0, 5000))
def test_a_stretch_of_the_order_is_that_of_the_whole(size, seed, cut):
    order = Permutation(size, np.random.default_rng(seed))
    places = np.arange(size)
    pieces = [order(places[:cut]), order(places[cut:])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole(size, seed))
    np.testing.assert_array_equal(places, np.arange(size))


def test_any_stretch_of_very_many_is_had_at_once():
    size = 10**11
    order = Permutation(size, np.random.default_rng(0))
    numbers = order(np.arange(size - 10**5, size))
    assert len(np.unique(numbers)) == 10**5
    assert 0 <= numbers.min() < numbers.max() < size
    assert excess(np.histogram(numbers, 50, (0, size))[0]) < 4


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_of_a_few_come_equally_often(size):
    orders = dict.fromkeys(itertools.permutations(range(size)), 0)
    generator = np.random.default_rng(1)
    for _ in range(50 * len(orders)):
        orders[tuple(Permutation(size, generator)(np.arange(size)).tolist())] += 1
    assert excess(np.array(list(orders.values()))) < 4


@pytest.mark.parametrize("size", [7, 16, 31, 100])
def test_every_number_and_every_pair_comes_everywhere(size):
    draws = 4000
    generator = np.random.default_rng(2)
    orders = np.array(
        [Permutation(size, generator)(np.arange(size)) for _ in range(draws)]
    )  # (draws, size)
    places = np.array([np.bincount(column, minlength=size) for column in orders.T])
    assert places.shape == (size, size)
    assert excess(places).max() < 6
    assert abs(excess(places).mean()) < 0.6
    # differences of neighbours, over all places: each but 0 is as likely
    differences = (np.diff(orders, axis=1) % size).ravel()
    assert excess(np.bincount(differences, minlength=size)[1:]) < 4
    # a number's place tells nothing of the next one's
    together = orders[:, 0] * size + orders[:, 1]
    assert excess(np.bincount(together, minlength=size**2)[np.arange(size**2) % (size + 1) > 0]) < 4


@pytest.mark.parametrize("size", [10**4, 10**5, 3 * 10**6 + 1])
def test_neighbours_have_nothing_in_common(size):
    numbers = whole(size)
    for lag in (1, 2, 64, math.isqrt(size), math.isqrt(size) + 1):
        assert abs(np.corrcoef(numbers[lag:], numbers[:-lag])[0, 1]) < 4 / math.sqrt(size)
    assert abs(np.corrcoef(numbers, np.arange(size))[0, 1]) < 4 / math.sqrt(size)
    # batches draw from all over: of 64 neighbours in the order, how many are in each tenth
    batches = numbers[: size // 64 * 64].reshape(-1, 64) * 10 // size
    share = np.stack([(batches == tenth).sum(axis=1) for tenth in range(10)])
    assert share.var(axis=1).mean() == pytest.approx(64 * 0.1 * 0.9, rel=0.15)


def test_two_seeds_have_nothing_in_common():
    one, other = whole(10**5, 0), whole(10**5, 1)
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(10**5)
    assert (one == other).sum() < 10
