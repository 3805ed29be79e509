"""Lengths, masks, alignment and packing, against loops over rows in plain Python."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.errors import InputError
from transformertf.utils.sequence import (
    Alignment,
    align_encoder_sequences,
    check_sequences,
    create_padding_mask,
    first_data_step,
    pack_decoder_sequences,
    pack_encoder_sequences,
    shift_rows,
    should_use_packing,
    unpack_to_fixed_length,
)

STEPS = 6
ALIGNMENTS: list[Alignment] = ["left", "right"]
PACKERS = [pack_encoder_sequences, pack_decoder_sequences]
lengths_lists = st.lists(st.integers(1, STEPS), min_size=1, max_size=5)
few = settings(max_examples=25, deadline=None)


def mask_by_rows(lengths, steps, alignment):
    rows = []
    for length in lengths:
        data, padding = [True] * length, [False] * (steps - length)
        rows.append(data + padding if alignment == "left" else padding + data)
    return torch.tensor(rows)


def random_sequences(rows, steps=STEPS, trailing=(2,), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    # away from 0, so that data is never mistaken for padding
    return (torch.rand(rows, steps, *trailing, generator=generator) + 1).to(dtype)


def align_by_rows(sequences, lengths, steps, source, target):
    result = torch.zeros(len(lengths), steps, *sequences.shape[2:], dtype=sequences.dtype)
    for row, length in enumerate(lengths):
        start = 0 if source == "left" else sequences.size(1) - length
        data = sequences[row, start : start + length]
        start = 0 if target == "left" else steps - length
        result[row, start : start + length] = data
    return result


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([5], False),
        ([5, 5], False),
        ([5] * 20, False),
        ([100, 91], False),
        ([100, 90], False),  # a spread of exactly 10 % is not above it
        ([100, 89], True),
        ([89, 100], True),
        ([1, 2], True),
        ([100] * 6 + [99], False),
        ([100] * 7 + [99], True),  # 8 rows
    ],
)
def test_should_use_packing(lengths, expected):
    assert should_use_packing(torch.tensor(lengths)) is expected


@pytest.mark.parametrize("lengths", [None, torch.tensor([], dtype=torch.int64)])
def test_full_rows_and_no_rows_are_not_packed(lengths):
    assert should_use_packing(lengths) is False


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@few
@given(lengths=lengths_lists, extra=st.none() | st.integers(0, 3))
def test_padding_mask_is_true_on_data(alignment, lengths, extra):
    max_length = None if extra is None else max(lengths) + extra
    mask = create_padding_mask(torch.tensor(lengths), max_length, alignment)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, mask_by_rows(lengths, max_length or max(lengths), alignment))


def test_padding_mask_is_left_aligned_by_default():
    assert create_padding_mask(torch.tensor([1, 2])).tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@few
@given(lengths=lengths_lists)
def test_first_data_step(alignment, lengths):
    first = first_data_step(mask_by_rows(lengths, STEPS, alignment))
    expected = [0 if alignment == "left" else STEPS - length for length in lengths]
    assert first.tolist() == expected


@pytest.mark.parametrize("trailing", [(), (1,), (3,), (2, 2)])
@few
@given(data=st.data(), steps=st.integers(1, STEPS + 3))
def test_shift_rows_moves_each_row_by_its_own(trailing, data, steps):
    first = data.draw(st.lists(st.integers(-3, STEPS), min_size=1, max_size=4))
    sequences = random_sequences(len(first), trailing=trailing)
    sources = torch.tensor([[start + step for step in range(steps)] for start in first])
    mask = (sources >= 0) & (sources < STEPS)
    expected = torch.zeros(len(first), steps, *trailing)
    for row in range(len(first)):
        for step in range(steps):
            if mask[row, step]:
                expected[row, step] = sequences[row, sources[row, step]]
    assert torch.equal(shift_rows(sequences, torch.tensor(first), mask), expected)


@pytest.mark.parametrize("source", ALIGNMENTS)
@pytest.mark.parametrize("target", ALIGNMENTS)
@few
@given(lengths=lengths_lists, extra=st.none() | st.integers(0, STEPS + 2))
def test_align_agrees_with_a_loop_over_rows(source, target, lengths, extra):
    max_length = None if extra is None else max(lengths) + extra
    sequences = random_sequences(len(lengths))
    sequences[~mask_by_rows(lengths, STEPS, source)] = torch.nan
    found = align_encoder_sequences(
        sequences, torch.tensor(lengths), max_length, source=source, target=target
    )
    steps = STEPS if max_length is None else max_length
    expected = align_by_rows(sequences, lengths, steps, source, target)
    assert not expected.isnan().any()
    assert torch.equal(found, expected)
    # zeros are where the mask says padding, and only there
    assert torch.equal((found != 0).all(-1), mask_by_rows(lengths, steps, target))


def test_align_goes_from_right_to_left_by_default():
    found = align_encoder_sequences(torch.tensor([[9, 1, 2.0], [3, 4, 5]]), torch.tensor([2, 3]))
    assert found.tolist() == [[1, 2, 0], [3, 4, 5]]


@pytest.mark.parametrize("source", ALIGNMENTS)
@few
@given(lengths=lengths_lists)
def test_align_there_and_back(source, lengths):
    target: Alignment = "left" if source == "right" else "right"
    sequences = random_sequences(len(lengths))
    sequences[~mask_by_rows(lengths, STEPS, source)] = 0
    counts = torch.tensor(lengths)
    there = align_encoder_sequences(sequences, counts, source=source, target=target)
    back = align_encoder_sequences(there, counts, source=target, target=source)
    assert torch.equal(back, sequences)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_align_keeps_the_dtype(dtype):
    lengths = [2, 4, 6]
    sequences = random_sequences(3, dtype=dtype)
    found = align_encoder_sequences(sequences, torch.tensor(lengths))
    assert found.dtype == dtype
    assert torch.equal(found, align_by_rows(sequences, lengths, STEPS, "right", "left"))


@pytest.mark.parametrize("source", ALIGNMENTS)
@pytest.mark.parametrize("target", ALIGNMENTS)
def test_align_passes_gradients_to_data_only(source, target):
    lengths = [1, 4, STEPS]
    mask = mask_by_rows(lengths, STEPS, source)
    assert not mask.all()
    sequences = random_sequences(3)
    sequences[~mask] = torch.nan
    sequences.requires_grad_()
    factors = random_sequences(3, STEPS + 2) + 1
    aligned = align_encoder_sequences(
        sequences, torch.tensor(lengths), STEPS + 2, source=source, target=target
    )
    (aligned * factors).sum().backward()
    # the gradient travels the way back that the data came
    assert torch.equal(sequences.grad, align_by_rows(factors, lengths, STEPS, target, source))


@pytest.mark.parametrize("pack", PACKERS)
@few
@given(lengths=lengths_lists, extra=st.integers(0, 3))
def test_pack_and_unpack_round_trip(pack, lengths, extra):
    sequences = random_sequences(len(lengths))
    sequences[~mask_by_rows(lengths, STEPS, "left")] = torch.nan
    counts = torch.tensor(lengths)
    packed = pack(sequences, counts)
    # data steps only, in any order of lengths
    assert packed.data.shape == (sum(lengths), 2)
    found = unpack_to_fixed_length(packed, counts, max(lengths) + extra)
    expected = align_by_rows(sequences, lengths, max(lengths) + extra, "left", "left")
    assert torch.equal(found, expected)


@pytest.mark.parametrize("pack", PACKERS)
def test_packing_keeps_the_batch_order(pack):
    lengths = torch.tensor([2, 6, 1, 4])
    sequences = random_sequences(4)
    # an RNN reads nothing but the packed sequence, and its state tells the rows apart
    rnn = torch.nn.RNN(2, 3, batch_first=True)
    state = rnn(pack(sequences, lengths))[1][0]
    alone = [rnn(sequences[row : row + 1, :length])[1][0] for row, length in enumerate(lengths)]
    torch.testing.assert_close(state, torch.cat(alone))


@pytest.mark.parametrize("wrong", [[3, 2], [2, 2], [2, 3, 1]])
def test_unpack_refuses_other_lengths(wrong):
    packed = pack_encoder_sequences(random_sequences(2), torch.tensor([2, 3]))
    with pytest.raises(InputError, match=r"differ from the packed ones \[2, 3\]"):
        unpack_to_fixed_length(packed, torch.tensor(wrong), STEPS)


def test_nothing_but_packing_waits_for_values_of_a_device():
    # a tensor on this device has a shape and no values: reading one on the host raises
    with torch.device("meta"):
        sequences, lengths = torch.empty(4, STEPS, 2), torch.ones(4, dtype=torch.int64)
        for alignment in ALIGNMENTS:
            mask = create_padding_mask(lengths, STEPS, alignment)
            moved = shift_rows(sequences, first_data_step(mask), mask)
            moved = align_encoder_sequences(moved, lengths, STEPS + 1, source=alignment)
            assert moved.shape == (4, STEPS + 1, 2)
        with pytest.raises(RuntimeError, match="meta tensors"):
            int(lengths.max())


@pytest.mark.parametrize("pack", PACKERS)
def test_packing_stays_out_of_compiled_graphs(pack):
    def through_packing(sequences, lengths):
        total = sequences.size(1)
        return unpack_to_fixed_length(pack(sequences * 2, lengths), lengths, total) + 1

    torch._dynamo.reset()
    sequences, lengths = random_sequences(3), torch.tensor([2, 6, 4])
    compiled = torch.compile(through_packing, backend="aot_eager", dynamic=True)
    torch.testing.assert_close(
        compiled(sequences, lengths), through_packing(sequences, lengths), rtol=0, atol=0
    )
    explained = torch._dynamo.explain(through_packing)(sequences, lengths)
    for reason in explained.break_reasons:
        assert "torch.compiler.disable" in str(reason.reason)
    called = {str(node.target) for graph in explained.graphs for node in graph.graph.nodes}
    assert not any("pack" in target for target in called)
    assert explained.graph_count == 2


BAD_LENGTHS = {
    "above the padding": ([2, STEPS + 1], f"exceed the {STEPS} padded steps, found {STEPS + 1}"),
    "no step": ([2, 0], "at least 1, found 0"),
    "too few": ([2], "count 2 rows, found 1"),
    "too many": ([2, 2, 2], "count 2 rows, found 3"),
    "a column": ([[2], [2]], r"one dimension, found shape \(2, 1\)"),
    "float": ([2.0, 2.0], "must be int64, found torch.float32"),
}
TAKE_LENGTHS = {
    "pack_encoder_sequences": pack_encoder_sequences,
    "pack_decoder_sequences": pack_decoder_sequences,
    "align_encoder_sequences": align_encoder_sequences,
    "check_sequences": check_sequences,
}


@pytest.mark.parametrize("take", TAKE_LENGTHS.values(), ids=TAKE_LENGTHS)
@pytest.mark.parametrize(("lengths", "message"), BAD_LENGTHS.values(), ids=BAD_LENGTHS)
def test_lengths_that_do_not_describe_the_rows_are_refused(take, lengths, message):
    with pytest.raises(InputError, match=message):
        take(random_sequences(2), torch.tensor(lengths))


@pytest.mark.parametrize("take", TAKE_LENGTHS.values(), ids=TAKE_LENGTHS)
def test_what_is_no_padded_batch_is_refused(take):
    lengths = torch.tensor([2, 3])
    packed = pack_encoder_sequences(random_sequences(2), lengths)
    with pytest.raises(InputError, match="found a PackedSequence; unpack it"):
        take(packed, lengths)
    with pytest.raises(InputError, match=r"one step, found shape \(2, 0, 2\)"):
        take(random_sequences(2, 0), lengths)
    with pytest.raises(InputError, match=r"found shape \(4,\)"):
        take(torch.zeros(4), lengths)


def test_rows_that_do_not_fit_are_refused():
    lengths = torch.tensor([2, 3])
    with pytest.raises(InputError, match="exceed the 2 padded steps, found 3"):
        create_padding_mask(lengths, 2)
    with pytest.raises(InputError, match="exceed the 2 padded steps, found 3"):
        align_encoder_sequences(random_sequences(2), lengths, 2)
    packed = pack_encoder_sequences(random_sequences(2), lengths)
    with pytest.raises(InputError, match="total_length must be at least 3, found 2"):
        unpack_to_fixed_length(packed, lengths, 2)
    with pytest.raises(InputError, match="must be a PackedSequence, found Tensor"):
        unpack_to_fixed_length(packed.data, lengths, 3)


def test_an_end_that_is_none_is_refused():
    lengths = torch.tensor([2, 3])
    with pytest.raises(InputError, match="'left' or 'right', found 'centre'"):
        create_padding_mask(lengths, 3, "centre")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'left' or 'right', found 'middle'"):
        align_encoder_sequences(random_sequences(2), lengths, source="middle")  # type: ignore[arg-type]
