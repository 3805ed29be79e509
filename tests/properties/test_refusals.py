"""What every model says of batches and sequences made by hand: whole, or refused by name."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from tests.properties.family import MODELS, make_batch, make_module, sides_of
from transformertf.errors import InputError

every_model = pytest.mark.parametrize("name", MODELS)
# of every model each side: its place among the inputs, and how its keys begin
EVERY_SIDE = [
    pytest.param(name, place, prefix, id=f"{name}, {prefix or 'sequence'}")
    for name in MODELS
    for place, (prefix, _) in enumerate(sides_of(name))
]
every_side = pytest.mark.parametrize(("name", "place", "prefix"), EVERY_SIDE)


def left(name):
    return make_batch(name, ["left"] * len(sides_of(name)))


def arguments(name, batch):
    """Return inputs and lengths of each side, as a network takes them."""
    sides = [prefix for prefix, _ in sides_of(name)]
    inputs = [torch.nan_to_num(batch[f"{prefix}input"]) for prefix in sides]
    return inputs, [batch[f"{prefix}lengths"] for prefix in sides]


BAD_LENGTHS = {
    "above the padding": (lambda good: good + 100, "must not exceed the . padded steps, found 10"),
    "none": (lambda good: good * 0, "at least 1, found 0"),
    "too few": (lambda good: good[:2], "count 3 rows, found 2"),
    "a column": (lambda good: good.unsqueeze(1), r"one dimension, found shape \(3, 1\)"),
    "float": (lambda good: good.double(), "must be int64, found torch.float64"),
    "a list": (lambda good: good.tolist(), "int64 tensor .* found list"),
}


@every_side
@pytest.mark.parametrize(("spoil", "message"), BAD_LENGTHS.values(), ids=BAD_LENGTHS)
def test_a_network_refuses_lengths(name, place, prefix, spoil, message):
    network = make_module(name).model
    inputs, lengths = arguments(name, left(name))
    network(*inputs, *lengths)
    lengths[place] = spoil(lengths[place])
    with pytest.raises(InputError, match=f"{prefix}lengths .*{message}"):
        network(*inputs, *lengths)


@every_side
def test_a_network_refuses_what_is_packed(name, place, prefix):
    network = make_module(name).model
    inputs, lengths = arguments(name, left(name))
    packed = pack_padded_sequence(inputs[place], lengths[place], True, enforce_sorted=False)
    for found, message in (
        (packed, "PackedSequence; unpack it .* and give"),
        (packed.data, r"three dimensions|one dimension|found shape|count \d+ rows"),
    ):
        with pytest.raises(InputError, match=message):
            network(*inputs[:place], found, *inputs[place + 1 :], *lengths)


@every_side
def test_a_network_refuses_no_steps(name, place, prefix):
    network = make_module(name).model
    inputs, _ = arguments(name, left(name))
    inputs[place] = inputs[place][:, :0]
    with pytest.raises(InputError, match="at least one step, found shape"):
        network(*inputs)


@every_model
@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_masks_are_made_from_lengths_and_lengths_from_masks(name):
    batch, prefixes = left(name), [prefix for prefix, _ in sides_of(name)]
    # all that is forecast is observed, as it is taken to be where no mask says otherwise
    batch["target_mask"] = batch[f"{prefixes[-1]}mask"]
    batch["target"] = torch.nan_to_num(batch["target"])
    module = make_module(name)
    expected = module(batch)["output"]
    loss = module.calc_loss(expected, batch)
    masks = {"target_mask", *(f"{prefix}mask" for prefix in prefixes)}
    for missing in (masks, {f"{prefix}lengths" for prefix in prefixes}):
        part = {key: value for key, value in batch.items() if key not in missing}
        fresh = make_module(name)
        assert torch.equal(fresh(part)["output"], expected)
        assert torch.equal(make_module(name).calc_loss(expected, part), loss)
        assert torch.equal(make_module(name).training_step(part, 0), loss)
        assert set(part) == set(batch) - missing, "a batch of the caller's was changed"


@every_side
def test_a_side_without_lengths_and_mask_is_refused(name, place, prefix):
    batch = left(name)
    for key in ("lengths", "mask"):
        del batch[f"{prefix}{key}"]
    with pytest.raises(InputError, match=f"'{prefix}(lengths|input)' is missing"):
        make_module(name)(batch)


@every_side
@pytest.mark.parametrize("use", ["forward", "calc_loss", "training_step"])
def test_lengths_that_contradict_the_mask_are_refused(name, place, prefix, use):
    batch = left(name)
    module = make_module(name)
    output = make_module(name)(batch)
    lengths = batch[f"{prefix}lengths"].clone()
    lengths[int(lengths.argmax())] -= 1
    batch[f"{prefix}lengths"] = lengths
    calls = {
        "forward": lambda: module(batch),
        "calc_loss": lambda: module.calc_loss(output, batch),
        "training_step": lambda: module.training_step(batch, 0),
    }
    with pytest.raises(InputError, match=f"{prefix}lengths differ from the steps of {prefix}mask"):
        calls[use]()


@every_side
def test_other_features_are_refused(name, place, prefix):
    batch = left(name)
    inputs = batch[f"{prefix}input"]
    batch[f"{prefix}input"] = torch.cat([inputs, inputs[..., :1]], dim=-1)
    with pytest.raises(InputError, match=rf"{prefix}input must have \d features, as num_.* says"):
        make_module(name)(batch)
