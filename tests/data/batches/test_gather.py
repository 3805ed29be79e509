"""Rows of windows and their gather, against rows taken one by one."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.batches.gather import Gather, Rows
from transformertf.data.reading.memory import resident_device

VALUES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


@settings(max_examples=200, deadline=None)
@given(
    windows=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), min_size=1, max_size=6),
    equal=st.booleans(),
    alignment=st.sampled_from(["left", "right"]),
)
def test_rows_are_those_of_each_window(windows, equal, alignment):
    first = np.array([start for start, _ in windows])
    lengths = np.array([windows[0][1] if equal else length for _, length in windows])
    rows = Rows(first, lengths, alignment)
    gather = Gather(VALUES)
    found, before = gather(rows), gather.before(rows, first)
    assert rows.full == (len(set(lengths.tolist())) == 1)
    assert found.shape == (len(windows), lengths.max(), 3)
    for window, (start, length) in enumerate(zip(first, lengths, strict=True)):
        mask = rows.mask[window]
        steps = np.arange(start, start + length)
        place = slice(0, length) if alignment == "left" else slice(lengths.max() - length, None)
        assert mask.nonzero()[:, 0].tolist() == list(range(lengths.max())[place])
        np.testing.assert_array_equal(found[window, mask], VALUES[steps])
        np.testing.assert_array_equal(before[window, mask], VALUES[np.maximum(steps - 1, start)])
        assert rows.position[window, mask, 0].tolist() == list(range(1, length + 1))
    np.testing.assert_array_equal(gather.first(first, rows.device)[:, 0], VALUES[first])


def test_a_block_may_end_with_the_array():
    rows = Rows(np.array([35, 0]), np.array([5, 5]), "left")
    np.testing.assert_array_equal(Gather(VALUES)(rows)[0], VALUES[35:])


def test_columns_beside_others_and_read_only_ones_are_taken(recwarn):
    column = VALUES[:, 1]
    column.setflags(write=False)
    rows = Rows(np.array([3, 7]), np.array([4, 4]), "left")
    found = Gather(np.ascontiguousarray(column)[:, None])(rows)
    np.testing.assert_array_equal(found[..., 0], [column[3:7], column[7:11]])
    assert not recwarn


def test_what_is_taken_is_a_copy():
    values = VALUES.copy()
    for lengths in ([4, 4], [4, 2]):
        Gather(values)(Rows(np.array([3, 7]), np.array(lengths), "left")).zero_()
    np.testing.assert_array_equal(values, VALUES)


def test_pickled_it_holds_no_blocks():
    gather = Gather(VALUES)
    gather(Rows(np.array([0]), np.array([30]), "left"))
    again = pickle.loads(pickle.dumps(gather))
    assert len(pickle.dumps(gather)) < 5 * VALUES.nbytes  # the blocks are 27 times as large
    rows = Rows(np.array([2]), np.array([30]), "left")
    np.testing.assert_array_equal(again(rows), gather(rows))


def test_columns_stay_on_the_host_unless_it_trains_elsewhere():
    host, cuda = torch.device("cpu"), torch.device("cuda")
    for wanted in (True, False, "auto"):
        assert resident_device(wanted, host, 0, 10) == host
    assert resident_device(True, cuda, 0, 10**15) == cuda
    assert resident_device(False, cuda, 0, 10) == host
    with pytest.raises(
        ValueError, match=r"device_resident is true and num_workers 2: .* set num_w"
    ):
        resident_device(True, cuda, 2, 10)


@pytest.mark.parametrize(
    ("size", "workers", "expected"), [(25, 0, "cuda"), (26, 0, "cpu"), (1, 1, "cpu")]
)
def test_a_quarter_of_a_devices_free_memory_may_be_taken(monkeypatch, size, workers, expected):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    cuda = torch.device("cuda")
    assert resident_device("auto", cuda, workers, size) == torch.device(expected)
