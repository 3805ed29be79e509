"""Order and random lengths of an epoch."""

import numpy as np
import pytest

from transformertf.data.sampler import BatchSampler
from transformertf.data.windows import WindowLimits

LIMITS = WindowLimits(context=9, horizon=6, min_context=4, min_horizon=2)


def make(size=103, batch_size=10, **options):
    return BatchSampler(size, batch_size, LIMITS, **{"seed": 7, "shuffle": True, **options})


def epoch(sampler, number):
    sampler.set_epoch(number)
    requests = list(sampler)
    return [
        np.concatenate([getattr(request, name) for request in requests])
        for name in ("index", "context", "horizon")
    ]


@pytest.mark.parametrize(("size", "batch_size"), [(103, 10), (100, 10), (3, 10), (1, 1)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_window_comes_once_in_batches_of_the_asked_size(size, batch_size, shuffle):
    sampler = make(size, batch_size, shuffle=shuffle, random_lengths=True)
    sizes = [len(request.index) for request in sampler]
    assert len(sampler) == len(sizes) == -(-size // batch_size)
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    for number in range(3):
        assert sorted(epoch(sampler, number)[0]) == list(range(size))


def test_without_shuffle_the_order_is_that_of_the_windows():
    for number in range(2):
        assert epoch(make(shuffle=False), number)[0].tolist() == list(range(103))


def test_an_epoch_is_a_function_of_seed_and_epoch_alone():
    one, other = make(random_lengths=True), make(random_lengths=True)
    for number in (0, 1, 2):
        epoch(one, number)
    np.random.default_rng(0).random(5)
    for again, first in zip(epoch(one, 1), epoch(other, 1), strict=True):
        np.testing.assert_array_equal(again, first)


def test_iterating_twice_gives_the_same_epoch():
    sampler = make(random_lengths=True)
    first, second = list(sampler), list(sampler)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.index, other.index)
        np.testing.assert_array_equal(one.context, other.context)


def test_the_global_generators_neither_matter_nor_move():
    state = np.random.get_state()[1].copy()  # noqa: NPY002 -- the global one is the point
    first = epoch(make(random_lengths=True), 0)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    np.random.seed(99)  # noqa: NPY002
    np.testing.assert_array_equal(first[0], epoch(make(random_lengths=True), 0)[0])


@pytest.mark.parametrize("part", [0, 1, 2], ids=["order", "context", "horizon"])
def test_epochs_and_seeds_differ(part):
    sampler = make(random_lengths=True)
    first = epoch(sampler, 0)[part]
    assert (first != epoch(sampler, 1)[part]).any()
    other = make(random_lengths=True, seed=8)
    assert (first != epoch(other, 0)[part]).any()
    # neighbours in seed and epoch are not the same draw
    assert (epoch(sampler, 1)[part] != epoch(other, 0)[part]).any()


def test_the_lengths_of_a_window_change_from_epoch_to_epoch():
    sampler = make(random_lengths=True, shuffle=False)
    drawn = np.array([epoch(sampler, number)[1] for number in range(60)])
    assert (drawn.min(axis=0) == LIMITS.min_context).all()
    assert (drawn.max(axis=0) == LIMITS.context).all()


def test_random_lengths_are_uniform_with_both_ends():
    size = 6000
    _, context, horizon = epoch(make(size, 500, random_lengths=True), 0)
    for drawn, low, high in ((context, 4, 9), (horizon, 2, 6)):
        values, counts = np.unique(drawn, return_counts=True)
        assert values.tolist() == list(range(low, high + 1))
        expected = size / len(values)
        # chi-square with at most 5 degrees of freedom: beyond 25.7 once in 10^4
        assert (np.square(counts - expected) / expected).sum() < 25.7
    assert abs(np.corrcoef(context, horizon)[0, 1]) < 0.06


def test_random_lengths_are_not_tied_to_the_order():
    index, context, _ = epoch(make(6000, 500, random_lengths=True), 0)
    assert abs(np.corrcoef(index, context)[0, 1]) < 0.06


def test_lengths_are_full_unless_asked():
    _, context, horizon = epoch(make(), 0)
    assert set(context) == {9}
    assert set(horizon) == {6}
