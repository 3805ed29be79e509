"""The batch checker: what it lets through, and one line for each thing it does not."""

import pytest
import torch

from transformertf.batch import check_batch, validate_lengths
from transformertf.errors import InputError


def good_batch():
    """Two windows, the first padded on both sides of the forecast origin."""
    return {
        "encoder_input": torch.zeros(2, 3, 4),
        "encoder_lengths": torch.tensor([2, 3]),
        "encoder_mask": torch.tensor([[False, True, True], [True, True, True]]),
        "decoder_input": torch.zeros(2, 2, 1),
        "decoder_lengths": torch.tensor([1, 2]),
        "decoder_mask": torch.tensor([[True, False], [True, True]]),
    }


def test_good_batch_passes():
    batch = good_batch()
    assert 0 < int(batch["encoder_mask"].sum()) < batch["encoder_mask"].numel()
    check_batch(batch)


def good_sequences():
    """Two sequences, the second one padded."""
    return {
        "input": torch.zeros(2, 3, 4),
        "lengths": torch.tensor([3, 2]),
        "mask": torch.tensor([[True, True, True], [True, True, False]]),
    }


def test_good_sequences_pass():
    batch = good_sequences()
    assert not batch["mask"].all()
    check_batch(batch)
    check_batch(batch | {"target": torch.zeros(2, 3, 1), "target_mask": batch["mask"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": torch.zeros(2, 3)}, r"input must be .* mask .*found \(2, 3\)"),
        ({"lengths": torch.tensor([3, 1])}, "lengths differ from the steps of mask"),
        (
            {"mask": torch.tensor([[True, True, True], [True, False, True]])},
            "a row of mask has padding between data",
        ),
        (
            {"target_mask": torch.ones(2, 3, dtype=torch.bool)},
            "target_mask must have the shape of mask and lie within it",
        ),
        ({"target": torch.zeros(2, 3)}, r"target must be \(2, 3, 1\), found \(2, 3\)"),
    ],
)
def test_sequences_that_contradict_themselves(change, message):
    with pytest.raises(InputError, match=message):
        check_batch(good_sequences() | change)


EVERY_KEY = [(make, key) for make in (good_batch, good_sequences) for key in make()]


@pytest.mark.parametrize(("make", "key"), EVERY_KEY)
def test_every_key_is_required(make, key):
    batch = make()
    del batch[key]
    with pytest.raises(InputError, match=f"key '{key}' is missing"):
        check_batch(batch)


BAD_BATCHES = {
    "two dimensions": ("encoder_input", torch.zeros(2, 3), r"encoder_input must be .* \(2, 3\)"),
    "mask of other steps": (
        "decoder_mask",
        torch.ones(2, 3, dtype=torch.bool),
        r"decoder_input must be .*found \(2, 2, 1\) and \(2, 3\)",
    ),
    "mask of other rows": (
        "encoder_mask",
        torch.ones(3, 3, dtype=torch.bool),
        r"encoder_input must be .*found \(2, 3, 4\) and \(3, 3\)",
    ),
    "mask of floats": ("encoder_mask", torch.ones(2, 3), "boolean encoder_mask.*torch.float32"),
    "lengths of floats": ("encoder_lengths", torch.tensor([2.0, 3.0]), "int64.*torch.float32"),
    "too few lengths": ("decoder_lengths", torch.tensor([2]), "count 2 rows, found 1"),
    "length above": ("decoder_lengths", torch.tensor([1, 3]), "exceed the 2 padded steps, found 3"),
    "length below": ("decoder_lengths", torch.tensor([0, 2]), "at least 1, found 0"),
    "mask of other lengths": (
        "encoder_lengths",
        torch.tensor([3, 3]),
        "encoder_lengths differ from the steps of encoder_mask",
    ),
    "lengths of other rows": (
        "decoder_lengths",
        torch.tensor([2, 1]),
        "decoder_lengths differ from the steps of decoder_mask",
    ),
}


@pytest.mark.parametrize(("key", "value", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_bad_batch_is_refused(key, value, message):
    with pytest.raises(InputError, match=message):
        check_batch(good_batch() | {key: value})


@pytest.mark.parametrize("lengths", [[1], [5], [1, 5, 3], []])
def test_good_lengths_pass(lengths):
    validate_lengths(torch.tensor(lengths, dtype=torch.int64), len(lengths), 5)


BAD_LENGTHS = {
    "two dimensions": (torch.ones(2, 1, dtype=torch.int64), r"one dimension, found shape \(2, 1\)"),
    "scalar": (torch.tensor(2), r"one dimension, found shape \(\)"),
    "float": (torch.ones(2), "must be int64, found torch.float32"),
    "int32": (torch.ones(2, dtype=torch.int32), "must be int64, found torch.int32"),
    "too few": (torch.tensor([1]), "must count 2 rows, found 1"),
    "too many": (torch.tensor([1, 1, 1]), "must count 2 rows, found 3"),
    "zero": (torch.tensor([5, 0]), "at least 1, found 0"),
    "negative": (torch.tensor([-2, 5]), "at least 1, found -2"),
    "too long": (torch.tensor([5, 6]), "must not exceed the 5 padded steps, found 6"),
}


@pytest.mark.parametrize(("lengths", "message"), BAD_LENGTHS.values(), ids=BAD_LENGTHS)
def test_bad_lengths_are_refused(lengths, message):
    with pytest.raises(InputError, match=message):
        validate_lengths(lengths, 2, 5)
