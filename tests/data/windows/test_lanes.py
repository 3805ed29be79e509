"""Lanes go along runs without a gap, as a plain loop over each of them would."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformertf.data.windows import LaneSampler, WindowLimits, Windows
from transformertf.data.windows.windows import Part, whole_run

LIMITS = WindowLimits.of_sequences(10, 4)
ROWS = (35, 7, 60, 1, 22)


def make(rows=ROWS, lanes=4, **options):
    runs = Windows([whole_run(Part(i, str(i), 0, end)) for i, end in enumerate(rows)])
    return LaneSampler(runs, lanes, LIMITS, **{"seed": 7, **options})


def pieces(sampler, epochs=1, first=0):
    """Return (steps, lanes, 4): run, step at which the lane began, steps before, and of a piece."""
    found = []
    for epoch in range(first, epochs):
        sampler.set_epoch(epoch)
        sampler.follow(len(sampler) * epoch)
        found += [
            np.stack([request.index, *request.lanes, request.horizon], axis=1)
            for request in sampler
        ]
    return np.array(found)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(1, 5),
    st.sampled_from([False, "batch"]),
    st.sampled_from([0.0, 0.3]),
)
def test_a_lane_goes_on_where_it_was(rows, lanes, lengths, fresh):
    sampler = make(rows, lanes, random_lengths=lengths, fresh_starts=fresh)
    found = pieces(sampler, epochs=3)
    left = 0
    for before, after in itertools.pairwise(found):
        for (run, began, done, steps), (run_after, began_after, done_after, _) in zip(
            before, after, strict=True
        ):
            assert done + steps <= rows[run]
            if (began_after, run_after, done_after) == (began, run, done + steps):
                continue
            assert done_after == began_after  # a lane that begins
            if done_after == 0 and done + steps == rows[run]:
                continue
            left += 1
    assert (left > 0) <= (fresh > 0)
    # all pieces of a batch are of one length, but at the ends of runs
    for step in found:
        whole = {steps for run, _, done, steps in step if done + steps < rows[run]}
        assert len(whole) <= 1
        assert all(4 if lengths else 10 <= steps <= 10 for steps in whole)


def test_runs_have_a_turn_in_random_order_before_one_has_another():
    for shuffle in (True, False):
        taken = []
        for step in pieces(make(lanes=1, shuffle=shuffle), epochs=30)[:, 0]:
            if step[2] == 0 and step[1] == 0:
                taken.append(int(step[0]))
        # a lane that was drawn to begin with a run's first row would be one more
        turns = [taken[first : first + 5] for first in range(0, len(taken) - 4, 5)]
        assert len(turns) > 5
        assert all(sorted(turn) == [0, 1, 2, 3, 4] for turn in turns)
        assert (len({*map(tuple, turns)}) > 1) == shuffle


def test_lanes_begin_at_rows_that_are_as_likely_as_each_other():
    began = np.concatenate([pieces(make(lanes=500, seed=seed))[0] for seed in range(4)])
    share = np.bincount(began[:, 0], minlength=5) / len(began)
    np.testing.assert_allclose(share, np.array(ROWS) / sum(ROWS), atol=0.03)
    within = began[began[:, 0] == 2, 1]
    assert abs(within.mean() - 29.5) < 3
    assert within.min() == 0
    assert within.max() == 59


@pytest.mark.parametrize("lengths", [False, "batch"])
def test_an_epoch_has_as_many_rows_as_there_are(lengths):
    rows = (1000, 800)
    sampler = make(rows, 3, random_lengths=lengths)
    found = pieces(sampler, epochs=20)
    assert abs(found[..., 3].sum() / 20 / 1800 - 1) < 0.1


@pytest.mark.parametrize("before", [0, 3, 11])
def test_goes_on_after_any_number_of_batches(before):
    options = {"random_lengths": "batch", "fresh_starts": 0.1, "noise": True}
    whole = make(**options)
    whole.set_epoch(0)
    expected = [request for epoch in range(4) for request in _epoch(whole, epoch)]
    count = len(whole)
    epoch, skipped = divmod(before, count)
    resumed = make(**options)
    resumed.skip(epoch, skipped)
    found = [request for number in range(epoch, 4) for request in _epoch(resumed, number)]
    assert len(found) == len(expected) - before
    for one, other in zip(found, expected[before:], strict=True):
        assert one.noise == other.noise
        np.testing.assert_array_equal(one.index, other.index)
        np.testing.assert_array_equal(one.lanes, other.lanes)


def _epoch(sampler, number):
    sampler.set_epoch(number)
    sampler.follow(len(sampler) * number)
    return list(sampler)


def test_goes_on_after_an_epoch_that_was_cut_short():
    sampler = make(fresh_starts=0.2)
    expected = pieces(sampler, epochs=3)
    sampler.set_epoch(0)
    sampler.follow(0)
    first = list(itertools.islice(sampler, 2))  # a worker may have drawn ahead
    sampler.set_epoch(1)
    sampler.follow(2)
    second = list(sampler)
    assert len(first) == 2
    for place, request in enumerate(second[:3]):
        np.testing.assert_array_equal(request.lanes.done, expected[2 + place][:, 2])


def test_ranks_share_the_lanes_of_one():
    one = pieces(make(lanes=6, fresh_starts=0.1), epochs=3)
    for rank in range(2):
        share = pieces(make(lanes=3, fresh_starts=0.1, rank=rank, world_size=2), epochs=3)
        np.testing.assert_array_equal(share, one[:, rank::2])


def test_noise_of_ranks_and_steps_differs():
    seeds = {
        request.noise
        for rank in range(2)
        for request in make(lanes=2, noise=True, rank=rank, world_size=2)
    }
    assert len(seeds) == 2 * len(make(lanes=2, world_size=2))
