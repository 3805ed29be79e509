"""The ragged LSTM and GRU on each of their routes, against torch's own on packed sequences."""

import random
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from transformertf.errors import InputError
from transformertf.nn import GRU, LSTM, recurrent
from transformertf.nn.recurrent import choose_route
from transformertf.utils.sequence import create_padding_mask

STEPS, FEATURES, WIDTH = 7, 3, 4
KINDS: dict[str, tuple[Any, Any]] = {"LSTM": (LSTM, torch.nn.LSTM), "GRU": (GRU, torch.nn.GRU)}
ROUTES = ["plain", "gated", "segmented", "packed"]
PACKINGS = ["auto", "always", "never"]
# a way is a forced route, or the packing that chooses one
WAYS = ROUTES + PACKINGS
# the plain route gives no final state of rows that are padded
WAYS_AND_NEEDS = [
    (way, need) for way in WAYS for need in (True, False) if (way, need) != ("plain", True)
]
# of values and of gradients, the latter relative to the largest one
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float64: (1e-10, 1e-10)}
# more distinct lengths than segments, some twice, in no order
MIXED = [3, 7, 1, 5, 3, 6, 2, 4, 7]

every_kind = pytest.mark.parametrize("kind", KINDS)
every_way_and_need = pytest.mark.parametrize(
    ("way", "need_state"),
    WAYS_AND_NEEDS,
    ids=[f"{way}-{'with' if need else 'without'} state" for way, need in WAYS_AND_NEEDS],
)


@contextmanager
def taking(way):
    """Force a route; a packing keeps its own choice."""
    if way in PACKINGS:
        yield
        return
    with mock.patch.object(recurrent, "choose_route", return_value=way) as choice:
        yield
    choice.assert_called()


def make_ours(kind, layers=2, way="auto", dtype=torch.float32, dropout=0.0):
    torch.manual_seed(layers)
    packing = way if way in PACKINGS else "auto"
    return KINDS[kind][0](FEATURES, WIDTH, layers, dropout, packing).to(dtype)


def make_theirs(kind, ours):
    """Return torch's recurrence with the weights of ours."""
    theirs = KINDS[kind][1](
        FEATURES,
        WIDTH,
        ours.num_layers,
        batch_first=True,
        dropout=ours.dropout,
        dtype=ours.weight_ih_l0.dtype,
    )
    theirs.load_state_dict(ours.state_dict())
    return theirs


def make_inputs(lengths, extra=0, filling=float("nan"), dtype=torch.float32, seed=0):
    """Return inputs (B, longest + extra, FEATURES), some of them padding, lengths and mask."""
    counts = torch.tensor(lengths)
    mask = create_padding_mask(counts, max(lengths) + extra)
    assert mask.any(dim=1).all()
    assert not mask.all(), "nothing is padded"
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(*mask.shape, FEATURES, generator=generator, dtype=dtype)
    inputs = torch.where(mask.unsqueeze(-1), inputs, filling).requires_grad_()
    return inputs, counts, mask


def make_state(kind, layers, rows, dtype=torch.float32):
    """Return an initial state as the recurrence takes it: (h, c) or h."""
    generator = torch.Generator().manual_seed(7)
    hidden, cell = (
        torch.randn(layers, rows, WIDTH, generator=generator, dtype=dtype).requires_grad_()
        for _ in range(2)
    )
    return (hidden, cell) if kind == "LSTM" else hidden


def parts(state):
    """Return the tensors of a state."""
    if state is None:
        return ()
    return state if isinstance(state, tuple) else (state,)


def run_packed(theirs, inputs, lengths, state=None):
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    packed, final = theirs(packed, state)
    outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.size(1))
    return outputs, final


def gradients(results, leaves):
    """Return the gradients of a random projection of all results."""
    generator = torch.Generator().manual_seed(1)
    total = sum(
        (result * torch.randn(result.shape, generator=generator, dtype=result.dtype)).sum()
        for result in results
    )
    return torch.autograd.grad(total, leaves)


def assert_same(names, found, expected, atol):
    for name, one, other in zip(names, found, expected, strict=True):
        torch.testing.assert_close(
            one, other, rtol=0, atol=atol, msg=partial("{}: {}".format, name)
        )


def assert_like_torch(kind, ours, inputs, lengths, state=None, need_state=True):
    """Compare outputs, final state and every gradient with torch's on packed sequences."""
    theirs = make_theirs(kind, ours)
    values, relative = TOLERANCES[inputs.dtype]
    outputs, final = ours(inputs, lengths, state, need_state=need_state)
    assert (final is not None) is need_state
    expected_outputs, expected_final = run_packed(theirs, inputs, lengths, state)
    found = [outputs, *parts(final)]
    expected = [expected_outputs, *(parts(expected_final) if need_state else ())]
    assert_same(["outputs", "h_n", "c_n"][: len(found)], found, expected, values)

    leaves = [inputs, *parts(state)]
    names = [*["inputs", "h_0", "c_0"][: len(leaves)], *dict(theirs.named_parameters())]
    expected = gradients(expected, [*leaves, *theirs.parameters()])
    largest = max(float(gradient.abs().max()) for gradient in expected)
    assert largest > 0
    found = gradients(found, [*leaves, *ours.parameters()])
    assert_same(names, found, expected, relative * largest)


@st.composite
def cases(draw):
    """Draw rows of any lengths, in any order; something is always padded."""
    lengths = draw(st.lists(st.integers(1, STEPS), min_size=1, max_size=9))
    return {
        "lengths": lengths,
        "extra": draw(st.integers(1 if len(set(lengths)) == 1 else 0, 2)),
        "layers": draw(st.integers(1, 3)),
        "with_state": draw(st.booleans()),
        "filling": draw(st.sampled_from([0.0, -3.0, 1e6, float("nan"), float("inf")])),
    }


def case(lengths, extra, layers=2, with_state=True, filling=float("nan")):
    return locals()


@every_kind
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@every_way_and_need
@settings(max_examples=8, deadline=None)
@example(case=case([2, 6, 2, 6], extra=1))  # fewer distinct lengths than segments
@example(case=case([5, 1, 7, 3], extra=0))  # as many
@example(case=case(MIXED, extra=2, layers=3))  # more
@example(case=case([4, 4, 4], extra=2))  # padded beyond the longest row only
@example(case=case([1], extra=1, layers=1, with_state=False, filling=float("inf")))
@given(case=cases())
def test_every_way_is_torch_on_packed_sequences(kind, dtype, way, need_state, case):
    ours = make_ours(kind, case["layers"], way, dtype)
    inputs, lengths, _ = make_inputs(case["lengths"], case["extra"], case["filling"], dtype)
    state = make_state(kind, case["layers"], len(lengths), dtype) if case["with_state"] else None
    with taking(way):
        assert_like_torch(kind, ours, inputs, lengths, state, need_state)


@every_kind
@every_way_and_need
def test_output_and_input_gradient_are_zero_on_padding(kind, way, need_state):
    ours = make_ours(kind, way=way)
    inputs, lengths, mask = make_inputs(MIXED, extra=2)
    given_inputs = inputs.detach().clone()
    with taking(way):
        outputs, final = ours(inputs, lengths, need_state=need_state)
    (gradient,) = gradients([outputs, *parts(final)], [inputs])
    for values in (outputs, gradient):
        assert torch.equal((values != 0).any(-1), mask)
        assert torch.equal((values != 0).all(-1), mask)
    torch.testing.assert_close(inputs.detach(), given_inputs, rtol=0, atol=0, equal_nan=True)


@every_kind
@every_way_and_need
def test_row_is_the_same_alone_and_in_any_order(kind, way, need_state):
    ours = make_ours(kind, way=way, dtype=torch.float64)
    inputs, lengths, _ = make_inputs(MIXED, extra=1, dtype=torch.float64)
    state = make_state(kind, 2, len(MIXED), torch.float64)

    def run(rows, steps):
        chosen = [part[:, rows].contiguous() for part in parts(state)]
        start = tuple(chosen) if kind == "LSTM" else chosen[0]
        with taking(way):
            outputs, final = ours(inputs[rows, :steps], lengths[rows], start, need_state=need_state)
        return outputs, *parts(final)

    outputs, *final = run(range(len(MIXED)), inputs.size(1))
    for row, length in enumerate(MIXED):
        alone, *final_alone = run([row], length)
        assert_same(["outputs"], [alone[0]], [outputs[row, :length]], 1e-10)
        assert_same(["h_n", "c_n"][: len(final)], final_alone, [p[:, [row]] for p in final], 1e-10)
    order = random.Random(0).sample(range(len(MIXED)), len(MIXED))
    moved, *final_moved = run(order, inputs.size(1))
    assert_same(["outputs"], [moved], [outputs[order]], 1e-10)
    assert_same(["h_n", "c_n"][: len(final)], final_moved, [p[:, order] for p in final], 1e-10)


@every_kind
@every_way_and_need
def test_no_gradient_no_difference(kind, way, need_state):
    # without gradients torch takes other kernels
    ours = make_ours(kind, way=way)
    inputs, lengths, _ = make_inputs(MIXED)
    with taking(way):
        outputs, final = ours(inputs, lengths, need_state=need_state)
    with taking(way), torch.inference_mode():
        found, final_found = ours(inputs, lengths, need_state=need_state)
    names = ["outputs", "h_n", "c_n"][: 1 + len(parts(final))]
    assert_same(names, [found, *parts(final_found)], [outputs, *parts(final)], 1e-5)


# (padding, width) below and from where it pays to cut
WORTH = recurrent._WORTH_CUTTING
BELOW = [(1, 1), (1, WORTH - 1), ((WORTH - 1) // 4, 4)]
FROM = [(1, WORTH), (-(-WORTH // 4), 4), (10**6, 512)]
CHOICES = {
    "none": ([(device, 0, 512) for device in ("cpu", "cuda", "mps")], "plain", "plain"),
    "cpu, below": ([("cpu", *sizes) for sizes in BELOW], "gated", "plain"),
    "cpu, from": ([("cpu", *sizes) for sizes in FROM], "segmented", "segmented"),
    "other": (
        [(device, *sizes) for device in ("cuda", "mps", "xpu") for sizes in BELOW + FROM],
        "gated",
        "plain",
    ),
}


@pytest.mark.parametrize(("cases", "read", "not_read"), CHOICES.values(), ids=CHOICES)
def test_choice_follows_its_table(cases, read, not_read):
    for device, padding, width in cases:
        sizes = device, padding, width
        assert choose_route(*sizes) == read
        for need_state, route in ((True, read), (False, not_read)):
            for packing in ("auto", "never"):
                assert choose_route(*sizes, need_state, packing) == route
            always = "packed" if padding else "plain"
            assert choose_route(*sizes, need_state, "always") == always


def test_table_names_the_threshold():
    assert choose_route.__doc__ is not None
    number = f"{WORTH:,}".replace(",", " ")
    assert f"| cpu    | below {number} " in choose_route.__doc__
    assert f"| cpu    | from {number} on " in choose_route.__doc__


TAKEN = [
    ("auto", True, False, "_gated"),
    ("auto", False, False, "_plain"),
    ("never", True, False, "_gated"),
    ("never", False, False, "_plain"),
    ("auto", True, True, "_segmented"),
    ("auto", False, True, "_segmented"),
    ("never", True, True, "_segmented"),
    ("always", True, True, "_packed"),
    ("always", False, False, "_packed"),
]


@every_kind
@pytest.mark.parametrize(("packing", "need_state", "large", "first"), TAKEN)
def test_call_takes_the_route_chosen(kind, packing, need_state, large, first, monkeypatch):
    ours = make_ours(kind, way=packing)
    inputs, lengths, _ = make_inputs(MIXED, extra=5)
    # what lies beyond the longest row is cut off, not worked around
    padded = len(MIXED) * max(MIXED) - sum(MIXED)
    monkeypatch.setattr(recurrent, "_WORTH_CUTTING", padded * WIDTH + (0 if large else 1))
    called = []

    def noting(name):
        method = getattr(ours, name)

        def note(*args):
            called.append(name)
            return method(*args)

        return note

    for name in ("_plain", "_gated", "_segmented", "_packed"):
        monkeypatch.setattr(ours, name, noting(name))
    _, final = ours(inputs, lengths, need_state=need_state)
    assert called[0] == first
    assert (final is not None) is need_state
    if not need_state:
        assert "_gated" not in called, "holds a state that nobody reads"
    if first != "_segmented":
        assert called == [first]


# lengths -> (rows, steps) of each fused call: rows leave where they end
SEGMENTS = {
    (6, 2): [(2, 2), (1, 4)],
    (2, 6, 6, 2, 6): [(5, 2), (3, 4)],
    (5, 1, 7, 3): [(4, 1), (3, 2), (2, 2), (1, 2)],
    (3, 7, 1, 5, 3, 6, 2, 4, 8): [(9, 3), (5, 1), (4, 2), (2, 2)],
}


@every_kind
@pytest.mark.parametrize("lengths", SEGMENTS, ids=str)
@pytest.mark.parametrize("need_state", [True, False])
def test_finished_rows_leave_the_segmented_route(kind, lengths, need_state, monkeypatch):
    ours = make_ours(kind, layers=1)
    inputs, counts, _ = make_inputs(lengths)
    calls, call = [], ours._call

    def note(inputs, *args):
        calls.append(tuple(inputs.shape[:2]))
        return call(inputs, *args)

    monkeypatch.setattr(ours, "_call", note)
    with taking("segmented"):
        ours(inputs, counts, need_state=need_state)
    assert calls == SEGMENTS[lengths]


def refuse(*_):
    raise AssertionError("rows of one length need no route for ragged ones")


@every_kind
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("need_state", [True, False])
@pytest.mark.parametrize("length", [None, STEPS, STEPS - 3])
def test_rows_of_one_length_take_the_plain_route(kind, packing, need_state, length, monkeypatch):
    ours = make_ours(kind, way=packing)
    steps = length or STEPS
    inputs = torch.randn(3, STEPS, FEATURES)
    inputs[:, steps:] = float("nan")
    inputs.requires_grad_()
    for name in ("_gated", "_segmented", "_packed"):
        monkeypatch.setattr(ours, name, refuse)
    # nothing is masked either: no copies of inputs and outputs
    monkeypatch.setattr(recurrent, "create_padding_mask", refuse)
    lengths = None if length is None else torch.full((3,), length)
    outputs, final = ours(inputs, lengths, need_state=need_state)
    expected, expected_final = make_theirs(kind, ours)(inputs[:, :steps])
    assert outputs.shape == (3, STEPS, WIDTH)
    assert (outputs[:, steps:] == 0).all()
    torch.testing.assert_close(outputs[:, :steps], expected)
    assert (final is not None) is need_state
    if need_state:
        torch.testing.assert_close(final, expected_final)
    (gradient,) = gradients([outputs], [inputs])
    assert (gradient[:, :steps] != 0).all()
    assert (gradient[:, steps:] == 0).all()


@every_kind
@every_way_and_need
@pytest.mark.parametrize("training", [True, False])
def test_dropout_acts_between_layers_while_training(kind, way, need_state, training):
    # probability 1 needs no luck: the second layer sees zeros
    ours = make_ours(kind, way=way, dropout=1.0).train(training)
    theirs = make_theirs(kind, ours).train(training)
    inputs, lengths, _ = make_inputs(MIXED, extra=1)
    with taking(way):
        outputs, final = ours(inputs, lengths, need_state=need_state)
    expected, expected_final = run_packed(theirs, inputs, lengths)
    torch.testing.assert_close(outputs, expected)
    if need_state:
        torch.testing.assert_close(final, expected_final)
    undropped, _ = run_packed(make_theirs(kind, make_ours(kind)), inputs, lengths)
    assert torch.allclose(outputs, undropped) is not training


@every_kind
@every_way_and_need
def test_dropout_is_drawn_anew_while_training_only(kind, way, need_state):
    ours = make_ours(kind, layers=3, way=way, dropout=0.5)
    inputs, lengths, mask = make_inputs(MIXED, extra=1)

    def run():
        with taking(way):
            return ours(inputs, lengths, need_state=need_state)[0]

    one, other = run(), run()
    assert not torch.equal(one, other)
    for outputs in (one, other):
        # the last layer's outputs are not dropped
        assert torch.equal((outputs != 0).all(-1), mask)
    ours.eval()
    torch.testing.assert_close(run(), run(), rtol=0, atol=0)


@every_kind
@every_way_and_need
def test_one_layer_takes_a_dropout_without_effect(kind, way, need_state):
    # nor does torch warn of it: a warning is an error here
    ours = make_ours(kind, layers=1, way=way, dropout=1.0)
    assert ours.training
    inputs, lengths, _ = make_inputs(MIXED, extra=1)
    with taking(way):
        assert_like_torch(kind, ours, inputs, lengths, need_state=need_state)


@every_kind
@pytest.mark.parametrize("layers", [1, 3])
def test_weights_interchange_with_torch(kind, layers):
    def shapes(module):
        return [(name, value.shape) for name, value in module.state_dict().items()]

    own, their = KINDS[kind]
    torch.manual_seed(0)
    # by keyword, as in torch
    ours = own(input_size=FEATURES, hidden_size=WIDTH, num_layers=layers)
    theirs = their(FEATURES, WIDTH, layers, batch_first=True)
    assert shapes(ours) == shapes(theirs)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    inputs = torch.randn(3, STEPS, FEATURES)
    for target, source in ((ours, theirs), (theirs, ours)):
        torch.nn.init.uniform_(source.weight_ih_l0)
        assert not torch.equal(target(inputs)[0], source(inputs)[0])
        target.load_state_dict(source.state_dict(), strict=True)
        torch.testing.assert_close(target(inputs)[0], source(inputs)[0])


# tolerances of a few roundings; these kernels of torch take both types on the CPU
HALVES = {torch.float16: 4e-3, torch.bfloat16: 3e-2}


@every_kind
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("route", ["gated", "segmented"])
def test_gates_hold_in_half_precision(kind, dtype, route):
    ours = make_ours(kind, dtype=dtype)
    # many steps to hold a state over
    inputs, lengths, _ = make_inputs([2, 60, 30], dtype=dtype)
    with taking(route):
        outputs, final = ours(inputs, lengths)
    values = [outputs, *parts(final)]
    found = gradients(values, [inputs, *ours.parameters()])
    assert all(value.dtype == dtype and value.isfinite().all() for value in (*values, *found))
    for row, length in enumerate(lengths.tolist()):
        alone, final_alone = ours(inputs[row : row + 1, :length])
        tolerance: dict[str, Any] = {"rtol": 0, "atol": HALVES[dtype]}
        torch.testing.assert_close(outputs[row, :length], alone[0], **tolerance)
        for one, other in zip(parts(final), parts(final_alone), strict=True):
            torch.testing.assert_close(one[:, row], other[:, 0], **tolerance)


@every_kind
@pytest.mark.parametrize("route", ["gated", "segmented"])
def test_gates_hold_against_gates_trained_shut_or_open(kind, route):
    ours = make_ours(kind, dtype=torch.float64)
    for name, parameter in ours.named_parameters():
        if name.startswith("bias"):
            torch.nn.init.uniform_(parameter, -500.0, 500.0)
    inputs, lengths, _ = make_inputs(MIXED, dtype=torch.float64)
    state = make_state(kind, 2, len(MIXED), torch.float64)
    expected, expected_final = run_packed(make_theirs(kind, ours), inputs, lengths, state)
    with taking(route):
        outputs, final = ours(inputs, lengths, state)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(final, expected_final)


@every_kind
@pytest.mark.parametrize("packing", ["auto", "never"])
@pytest.mark.parametrize("need_state", [True, False])
def test_lengths_on_a_device_are_not_waited_for(kind, packing, need_state):
    # nothing on the meta device has a value that the host could read
    with torch.device("meta"):
        ours = KINDS[kind][0](FEATURES, WIDTH, 2, packing=packing)
        outputs, final = ours(
            torch.empty(3, STEPS, FEATURES), torch.tensor([2, 5, 3]), need_state=need_state
        )
    assert outputs.shape == (3, STEPS, WIDTH)
    assert [part.shape for part in parts(final)] == [(2, 3, WIDTH)] * len(parts(final))
    assert (final is not None) is need_state


@every_kind
@pytest.mark.parametrize(
    ("packing", "hint"),
    [
        ("allways", "did you mean 'always'?"),
        ("nevr", "did you mean 'never'?"),
        ("sometimes", "known: always, auto, never"),
    ],
)
def test_unknown_packing_is_refused(kind, packing, hint):
    with pytest.raises(InputError) as refusal:
        KINDS[kind][0](FEATURES, WIDTH, packing=packing)
    assert repr(packing) in str(refusal.value)
    assert hint in str(refusal.value)


# (rows, features) of the inputs, rows of the lengths, (layers, rows, width) of the state
MISFITS = {
    "features": ((3, FEATURES - 1), 3, (2, 3, WIDTH)),
    "lengths": ((3, FEATURES), 2, (2, 3, WIDTH)),
    "layers of the state": ((3, FEATURES), 3, (1, 3, WIDTH)),
    "rows of the state": ((3, FEATURES), 3, (2, 5, WIDTH)),
    "width of the state": ((3, FEATURES), 3, (2, 3, WIDTH - 2)),
}


# torch's kernel alone checks nothing: it reads beyond its inputs, or ends the process
@every_kind
@pytest.mark.parametrize(("inputs", "lengths", "state"), MISFITS.values(), ids=MISFITS)
def test_shapes_that_do_not_fit_are_refused(kind, inputs, lengths, state):
    start = torch.zeros(state)
    for way in WAYS:
        with pytest.raises((ValueError, RuntimeError)), taking(way):
            make_ours(kind, way=way)(
                torch.zeros(inputs[0], STEPS, inputs[1]),
                torch.tensor([2, STEPS, 5][:lengths]),
                (start, start) if kind == "LSTM" else start,
            )


@every_kind
@pytest.mark.parametrize("route", ["gated", "segmented"])
def test_gradients_are_those_of_finite_differences(kind, route):
    torch.manual_seed(0)
    ours = KINDS[kind][0](2, 2, 2).double()
    lengths = torch.tensor([2, 1, 4, 3])
    mask = create_padding_mask(lengths, 5).unsqueeze(-1)
    assert mask.any()
    assert not mask.all()
    inputs = torch.where(mask, torch.randn(4, 5, 2).double(), 0.0).requires_grad_()
    start = [torch.randn(2, 4, 2).double().requires_grad_() for _ in range(ours.num_states)]

    def run(inputs, *others):
        state = others[: ours.num_states]
        outputs, final = ours(inputs, lengths, state if kind == "LSTM" else state[0])
        return outputs, *parts(final)

    with taking(route):
        # the parameters are moved in place, where the recurrence finds them
        assert torch.autograd.gradcheck(run, (inputs, *start, *ours.parameters()))
