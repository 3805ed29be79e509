"""The ragged LSTM on each of its routes, against torch's LSTM on packed sequences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from transformertf.nn import LSTM, recurrent
from transformertf.utils.sequence import create_padding_mask

STEPS, FEATURES, WIDTH = 6, 3, 4
ROUTES = ["auto", "always", "never"]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# at least one row is padded, at least one step of each row is data
ragged_lengths = st.lists(st.integers(1, STEPS), min_size=1, max_size=4).filter(
    lambda lengths: min(lengths) < STEPS
)


def make_pair(layers, packing, dtype=torch.float32, dropout=0.0):
    """Return our LSTM and torch's with the same weights."""
    torch.manual_seed(layers)
    ours = LSTM(FEATURES, WIDTH, layers, dropout, packing).to(dtype)
    theirs = torch.nn.LSTM(FEATURES, WIDTH, layers, batch_first=True, dropout=dropout).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def make_inputs(lengths, layers, with_state, dtype=torch.float32, padding=0.0):
    """Return inputs (B, STEPS, FEATURES) with partial padding, lengths and initial state."""
    mask = create_padding_mask(torch.tensor(lengths), STEPS)
    assert mask.any()
    assert not mask.all()
    inputs = torch.randn(len(lengths), STEPS, FEATURES, dtype=dtype)
    inputs = torch.where(mask.unsqueeze(-1), inputs, padding).requires_grad_()
    shape = layers, len(lengths), WIDTH
    state = None
    if with_state:
        state = tuple(torch.randn(*shape, dtype=dtype, requires_grad=True) for _ in range(2))
    return inputs, torch.tensor(lengths), state


def run_packed(lstm, inputs, lengths, state):
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    packed, final = lstm(packed, state)
    outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.size(1))
    return outputs, *final


def gradients(results, leaves):
    """Gradients of a random projection of all results."""
    generator = torch.Generator().manual_seed(1)
    total = sum(
        (result * torch.randn(result.shape, generator=generator, dtype=result.dtype)).sum()
        for result in results
    )
    return torch.autograd.grad(total, leaves)


@pytest.mark.parametrize("packing", ROUTES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@settings(max_examples=25, deadline=None)
@given(
    lengths=ragged_lengths,
    layers=st.integers(1, 3),
    with_state=st.booleans(),
    padding=st.sampled_from([0.0, -3.0, 1e3]),
)
def test_routes_agree_with_torch(packing, dtype, lengths, layers, with_state, padding):
    ours, theirs = make_pair(layers, packing, dtype)
    inputs, counts, state = make_inputs(lengths, layers, with_state, dtype, padding)
    outputs, (hidden, cell) = ours(inputs, counts, state)
    found = [outputs, hidden, cell]
    expected = run_packed(theirs, inputs, counts, state)

    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    for name, one, other in zip(["outputs", "h_n", "c_n"], found, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance, msg=lambda m, n=name: f"{n}: {m}")
    leaves = [inputs, *(state or ())]
    names = [*("input", "h_0", "c_0")[: len(leaves)], *dict(theirs.named_parameters())]
    pairs = zip(
        names,
        gradients(found, [*leaves, *ours.parameters()]),
        gradients(expected, [*leaves, *theirs.parameters()]),
        strict=True,
    )
    for name, one, other in pairs:
        torch.testing.assert_close(one, other, **tolerance, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("packing", ROUTES)
def test_finite_padding_of_any_size_changes_nothing(packing):
    ours, _ = make_pair(2, packing)
    inputs, lengths, state = make_inputs([1, 4, STEPS], 2, with_state=True)
    mask = create_padding_mask(lengths, STEPS).unsqueeze(-1)
    expected, (hidden, cell) = ours(inputs, lengths, state)
    for padding in (1e6, -1e6):
        found, final = ours(torch.where(mask, inputs, padding), lengths, state)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(final, (hidden, cell))


@pytest.mark.parametrize("packing", ROUTES)
def test_output_and_input_gradient_are_zero_on_padding(packing):
    ours, _ = make_pair(2, packing)
    inputs, lengths, _ = make_inputs([2, 5, STEPS], 2, with_state=False)
    mask = create_padding_mask(lengths, STEPS)
    outputs, final = ours(inputs, lengths)
    (gradient,) = gradients([outputs, *final], [inputs])
    for values in (outputs, gradient):
        assert torch.equal((values != 0).any(-1), mask)


@pytest.mark.parametrize("packing", ROUTES)
def test_equal_lengths_take_the_plain_route(packing, monkeypatch):
    def refuse(*_):
        raise AssertionError("full rows need no route for ragged ones")

    ours, theirs = make_pair(2, packing)
    inputs = torch.randn(3, STEPS, FEATURES)
    lengths = torch.full((3,), STEPS)
    monkeypatch.setattr(LSTM, "_gated", refuse)
    monkeypatch.setattr(recurrent, "pack_encoder_sequences", refuse)
    outputs, final = ours(inputs, lengths)
    expected, expected_final = theirs(inputs)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(final, expected_final)
    torch.testing.assert_close(ours(inputs)[0], expected)


@pytest.mark.parametrize("packing", ROUTES)
@pytest.mark.parametrize("training", [True, False])
def test_dropout_acts_between_layers_while_training(packing, training):
    # probability 1 needs no luck: the second layer sees zeros
    ours, theirs = make_pair(2, packing, dropout=1.0)
    ours.train(training)
    theirs.train(training)
    inputs, lengths, _ = make_inputs([2, 5], 2, with_state=False)
    outputs, final = ours(inputs, lengths)
    expected, *expected_final = run_packed(theirs, inputs, lengths, None)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(final, tuple(expected_final))
    undropped = LSTM(FEATURES, WIDTH, 2, packing=packing)
    undropped.load_state_dict(ours.state_dict())
    assert torch.allclose(outputs, undropped(inputs, lengths)[0]) is not training


def test_one_layer_takes_a_dropout_without_effect():
    ours, theirs = make_pair(1, "auto")
    dropped = LSTM(FEATURES, WIDTH, 1, dropout=0.9)
    dropped.load_state_dict(ours.state_dict())
    inputs, lengths, _ = make_inputs([2, 5], 1, with_state=False)
    torch.testing.assert_close(
        dropped(inputs, lengths)[0], run_packed(theirs, inputs, lengths, None)[0]
    )


@pytest.mark.parametrize("layers", [1, 3])
def test_weights_interchange_with_torch(layers):
    theirs = torch.nn.LSTM(FEATURES, WIDTH, layers, batch_first=True)
    ours = LSTM(FEATURES, WIDTH, layers)
    ours.load_state_dict(theirs.state_dict())
    inputs, lengths, _ = make_inputs([3, 5], layers, with_state=False)
    torch.testing.assert_close(
        ours(inputs, lengths)[0], run_packed(theirs, inputs, lengths, None)[0]
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
