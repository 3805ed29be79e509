"""Order, random lengths and batches of an epoch."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformertf.data.windows.sampler import BatchSampler, RankShare
from transformertf.data.windows.windows import Run, WindowLimits, Windows

LIMITS = WindowLimits(context=9, horizon=6, min_context=4, min_horizon=2)


def make(size=103, batch_size=10, **options):
    windows = Windows([Run(0, LIMITS.context - 1, 1, size, LIMITS.context, LIMITS.horizon)])
    return BatchSampler(windows, batch_size, LIMITS, **{"seed": 7, "shuffle": True, **options})


def ragged_windows(contexts, horizons):
    """Return one window for each pair of lengths, each of a series of its own."""
    pairs = enumerate(zip(contexts, horizons, strict=True))
    return Windows([Run(i, context - 1, 1, 1, context, horizon) for i, (context, horizon) in pairs])


def padded_share(sampler):
    """Return the padding of an epoch's batches as a share of their steps."""
    data, padded = 0, 0
    for request in sampler:
        *_, context, horizon = sampler.windows.locate(request.index)
        for longest, asked in ((context, request.context), (horizon, request.horizon)):
            lengths = np.minimum(longest, asked)
            data, padded = data + lengths.sum(), padded + lengths.max() * len(lengths)
    return 1 - data / padded


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
    state = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002 -- the global one is the point
    first = epoch(make(random_lengths=True), 0)
    np.testing.assert_array_equal(state, np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002
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


@pytest.mark.parametrize("bucketing", [True, False])
def test_one_length_for_each_batch_leaves_no_padding(bucketing):
    sampler = make(3000, 10, random_lengths="batch", bucketing=bucketing)
    requests = list(sampler)
    assert padded_share(sampler) == 0
    for name, low, high in (("context", 4, 9), ("horizon", 2, 6)):
        drawn = [set(getattr(request, name)) for request in requests]
        assert {len(lengths) for lengths in drawn} == {1}
        values, counts = np.unique([lengths.pop() for lengths in drawn], return_counts=True)
        assert values.tolist() == list(range(low, high + 1))
        expected = len(drawn) / len(values)
        assert (np.square(counts - expected) / expected).sum() < 25.7


@pytest.mark.parametrize(
    ("contexts", "horizons", "most"),
    [((50, 500), (20, 20), 0.02), ((30, 30), (10, 300), 0.02), ((50, 500), (10, 300), 0.12)],
    ids=["contexts vary", "horizons vary", "both vary"],
)
def test_bucketing_leaves_little_padding(contexts, horizons, most):
    draw = np.random.default_rng(0)
    lengths = [draw.integers(low, high, 6400, endpoint=True) for low, high in (contexts, horizons)]
    limits = WindowLimits(contexts[1], horizons[1], contexts[0], horizons[0])

    def share(bucketing):
        windows = ragged_windows(*lengths)
        return padded_share(BatchSampler(windows, 64, limits, 0, shuffle=True, bucketing=bucketing))

    assert share(False) > 0.3
    assert share(True) < most


def test_random_lengths_are_bucketed_as_well():
    limits = WindowLimits(500, 20, 50, 20)
    windows = Windows([Run(0, 499, 1, 6400, 500, 20)])

    def share(bucketing):
        return padded_share(
            BatchSampler(
                windows, 64, limits, 0, shuffle=True, random_lengths=True, bucketing=bucketing
            )
        )

    assert share(False) > 0.3
    assert share(True) < 0.02


def test_bucketed_batches_come_in_random_order_and_change_with_the_epoch():
    contexts = np.random.default_rng(0).integers(4, 10, 2000)
    windows = ragged_windows(contexts, np.full(2000, 6))
    sampler = BatchSampler(windows, 20, LIMITS, 7, shuffle=True, bucketing=True)

    def longest(number):
        sampler.set_epoch(number)
        return [contexts[request.index].max() for request in sampler]

    first = longest(0)
    assert abs(np.corrcoef(first, np.arange(len(first)))[0, 1]) < 0.3
    assert first != longest(1)
    members = [frozenset(request.index) for request in sampler]
    sampler.set_epoch(0)
    assert not set(members) & {frozenset(request.index) for request in sampler}


def test_bucketing_leaves_windows_of_one_length_and_an_asked_order_alone():
    for options in ({}, {"shuffle": False}):
        for one, other in zip(make(**options), make(bucketing=True, **options), strict=True):
            np.testing.assert_array_equal(one.index, other.index)
    windows = ragged_windows([9, 4, 8, 5], [6] * 4)
    sampler = BatchSampler(windows, 2, LIMITS, shuffle=False, bucketing=True)
    assert [request.index.tolist() for request in sampler] == [[0, 1], [2, 3]]


@given(
    size=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 4),
    shuffle=st.booleans(),
    random_lengths=st.sampled_from([True, False, "batch"]),
    bucketing=st.booleans(),
    epoch_number=st.integers(0, 3),
)
def test_ranks_share_the_batches_of_one_process(
    size, batch_size, world_size, shuffle, random_lengths, bucketing, epoch_number
):
    draw = np.random.default_rng(size)
    windows = ragged_windows(draw.integers(4, 10, size), draw.integers(2, 7, size))
    options = {
        "seed": 3,
        "shuffle": shuffle,
        "random_lengths": random_lengths,
        "bucketing": bucketing,
        "epoch": epoch_number,
    }
    ranks = [
        BatchSampler(windows, batch_size, LIMITS, **options, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    shares = [list(rank) for rank in ranks]
    assert {len(share) for share in shares} == {len(rank) for rank in ranks} == {len(ranks[0])}
    together = list(zip(*shares, strict=True))
    alone = list(BatchSampler(windows, batch_size * world_size, LIMITS, **options))
    for step, whole in zip(together, alone, strict=True):
        sizes = [len(part.index) for part in step if part.counts]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= batch_size
        seen = np.concatenate([part.index for part in step if part.counts])
        assert sorted(seen) == sorted(whole.index)
        if random_lengths == "batch":
            assert len({length for part in step for length in part.context}) == 1
        # what only keeps a rank in step is one window, as another rank has it
        for part in step:
            if not part.counts:
                assert part.index.tolist() == step[0].index[:1].tolist()
                assert max(sizes) == 1


@pytest.mark.parametrize("random_lengths", [True, False, "batch"])
@pytest.mark.parametrize("bucketing", [True, False])
def test_one_length_for_a_batch_goes_to_whole_batches(bucketing, random_lengths):
    # the last batch, a short one, may come anywhere
    draw = np.random.default_rng(1)
    windows = ragged_windows(draw.integers(4, 10, 43), draw.integers(2, 7, 43))
    options = {"shuffle": True, "bucketing": bucketing, "random_lengths": random_lengths}
    for seed in range(5):
        for request in BatchSampler(windows, 10, LIMITS, seed, **options):
            assert len(request.index) == len(request.context) == len(request.horizon)
            if random_lengths == "batch":
                assert len(set(request.context)) == len(set(request.horizon)) == 1


def test_windows_of_one_length_are_told_without_a_look_at_each(monkeypatch):
    sampler = make(bucketing=True)
    monkeypatch.setattr(Windows, "locate", None)
    assert len(list(sampler)) == len(sampler)


@pytest.mark.parametrize("bucketing", [True, False])
@pytest.mark.parametrize("random_lengths", [True, "batch"])
def test_an_epoch_of_very_many_windows_begins_at_once(bucketing, random_lengths):
    windows = Windows([Run(0, 8, 1, 10**10, 9, 6), Run(1, 7, 1, 10**9, 8, 6)])
    options = {"shuffle": True, "bucketing": bucketing, "random_lengths": random_lengths}
    tracemalloc.start()
    sampler = BatchSampler(windows, 64, LIMITS, **options, noise=True)
    first = list(itertools.islice(sampler, 250))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6  # the order alone would be 88 GB
    assert len(sampler) == 11 * 10**9 // 64
    index = np.concatenate([request.index for request in first])
    assert len(np.unique(index)) == 250 * 64
    assert index.max() > 10**10


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("random_lengths", [True, False, "batch"])
def test_seeds_for_noise_differ_by_batch_rank_epoch_and_seed(world_size, random_lengths):
    def seeds(seed, number, rank):
        options = {"random_lengths": random_lengths, "rank": rank, "world_size": world_size}
        sampler = make(1303, 4, seed=seed, epoch=number, noise=True, **options)
        found = [request.noise for request in sampler]
        assert found == [request.noise for request in sampler]
        assert len(found) == len(sampler) > 100  # more than are made at a time
        return found

    keys = list(itertools.product((0, 1), (0, 1), range(world_size)))
    every = [seed for key in keys for seed in seeds(*key)]
    assert all(type(seed) is int and 0 <= seed < 2**63 for seed in every)
    assert len(set(every)) == len(every)
    assert np.mean(np.array(every) / 2**63) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("random_lengths", [True, False, "batch"])
@pytest.mark.parametrize("bucketing", [True, False])
def test_noise_changes_nothing_else(random_lengths, bucketing):
    options = {"random_lengths": random_lengths, "bucketing": bucketing}
    for plain, noisy in zip(make(**options), make(**options, noise=True), strict=True):
        assert plain.noise is None
        for name in ("index", "context", "horizon"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(noisy, name))


def test_pools_draw_lengths_of_their_own():
    _, context, horizon = epoch(make(2000, 10, random_lengths=True, shuffle=False), 0)
    for drawn in (context, horizon):
        assert (drawn[:1000] != drawn[1000:]).mean() > 0.5


@given(size=st.integers(0, 400), batch_size=st.integers(1, 7), world_size=st.integers(1, 5))
def test_the_count_of_batches_is_that_of_a_list_of_edges(size, batch_size, world_size):
    step = batch_size * world_size
    edges = [*range(0, size, step), size]
    sampler = make(size, batch_size, world_size=world_size, shuffle=False)
    assert len(sampler) == len(edges) - 1
    shares = [len(request.index) for request in sampler]
    assert shares == [
        len(range(first, end, world_size)) for first, end in itertools.pairwise(edges)
    ]


@given(
    size=st.integers(1, 400),
    batch_size=st.integers(1, 60),
    world_size=st.integers(1, 12),
)
def test_shares_of_ranks_are_the_whole_one_after_the_other(size, batch_size, world_size):
    whole = make(size, batch_size, shuffle=False)
    shares = [RankShare(whole, rank, world_size) for rank in range(world_size)]
    batches = [[request.index.tolist() for request in share] for share in shares]
    assert [batch for own in batches for batch in own] == [
        request.index.tolist() for request in whole
    ]
    assert [len(own) for own in batches] == [len(share) for share in shares]
    # no rank has more to do than it must, and where some have nothing these are the last
    counts = [len(own) for own in batches]
    assert max(counts) - min(counts) <= 1
    assert counts[0] == max(counts)
