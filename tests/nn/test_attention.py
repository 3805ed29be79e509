"""Attention masks and both attentions, against loops over rows, heads, queries and keys."""

from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

from transformertf.errors import InputError
from transformertf.nn import (
    InterpretableMultiHeadAttention,
    MultiHeadAttention,
    horizon_attention_mask,
    self_attention_mask,
)
from transformertf.nn.attention import attend
from transformertf.utils.sequence import create_padding_mask

WIDTH, HEADS = 6, 3
KINDS = {"plain": MultiHeadAttention, "interpretable": InterpretableMultiHeadAttention}
ALIGNMENTS = [(encoder, decoder) for encoder in ("left", "right") for decoder in ("left", "right")]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_alignment = pytest.mark.parametrize("alignments", ALIGNMENTS, ids="-".join)
both_paths = pytest.mark.parametrize("need_weights", [False, True], ids=["fused", "weights"])


def make(kind, dtype=torch.float32, dropout=0.0):
    torch.manual_seed(0)
    return KINDS[kind](WIDTH, HEADS, dropout).to(dtype)


def random(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def make_ragged(contexts, horizons, steps, alignments, dtype=torch.float32, causal=True):
    """Return queries (B, Td, D), keys and values (B, Tc + Td, D), and their partial mask."""
    tc, td = steps
    mask = horizon_attention_mask(
        torch.tensor(contexts),
        torch.tensor(horizons),
        *steps,
        encoder_alignment=alignments[0],
        decoder_alignment=alignments[1],
        causal=causal,
    )
    assert mask is not None
    assert mask.any()
    assert not mask.all()
    rows = len(contexts)
    return [
        *(
            random(rows, count, WIDTH, dtype=dtype, seed=seed).requires_grad_()
            for seed, count in enumerate([td, tc + td, tc + td])
        ),
        mask,
    ]


def gradients(output, leaves):
    """Gradients of a random projection of the output."""
    total = (output * random(*output.shape, dtype=output.dtype, seed=9)).sum()
    return torch.autograd.grad(total, leaves)


def assert_close(found, expected, tolerance, names):
    for name, one, other in zip(names, found, expected, strict=True):
        torch.testing.assert_close(
            one, other, rtol=tolerance, atol=tolerance, msg=partial("{}: {}".format, name)
        )


# masks ------------------------------------------------------------------------------------------


def is_data(step, length, steps, alignment):
    return step < length if alignment == "left" else step >= steps - length


def expected_horizon_mask(contexts, horizons, steps, alignments, causal):
    tc, td = steps
    expected = torch.zeros(len(contexts), 1, td, tc + td, dtype=torch.bool)
    for row, (context, horizon) in enumerate(zip(contexts, horizons, strict=True)):
        for query in range(td):
            if not is_data(query, horizon, td, alignments[1]):
                continue
            for step in range(tc):
                if is_data(step, context, tc, alignments[0]):
                    expected[row, 0, query, step] = True
            for step in range(td):
                later = step > query
                if is_data(step, horizon, td, alignments[1]) and not (causal and later):
                    expected[row, 0, query, tc + step] = True
    return expected


@st.composite
def ragged_sides(draw):
    """Draw contexts and horizons, with rows of padding alone, and padded steps of both sides."""
    rows = draw(st.integers(1, 4))
    contexts = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
    horizons = draw(st.lists(st.integers(0, 3), min_size=rows - 1, max_size=rows - 1))
    horizons.insert(draw(st.integers(0, rows - 1)), draw(st.integers(1, 3)))
    steps = [
        max(lengths) + draw(st.integers(1 if len(set(lengths)) == 1 else 0, 2))
        for lengths in (contexts, horizons)
    ]
    return contexts, horizons, steps


@every_alignment
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
@settings(max_examples=40, deadline=None)
@given(sides=ragged_sides())
def test_horizon_mask_is_that_of_a_loop(alignments, causal, sides):
    contexts, horizons, steps = sides
    found = horizon_attention_mask(
        torch.tensor(contexts),
        torch.tensor(horizons),
        *steps,
        encoder_alignment=alignments[0],
        decoder_alignment=alignments[1],
        causal=causal,
    )
    assert found is not None
    assert found.any()
    assert not found.all()
    assert found.dtype == torch.bool
    assert torch.equal(found, expected_horizon_mask(contexts, horizons, steps, alignments, causal))


@pytest.mark.parametrize("alignment", ["left", "right"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
@settings(max_examples=40, deadline=None)
@given(sides=ragged_sides())
def test_self_mask_is_that_of_a_loop(alignment, causal, sides):
    _, lengths, (_, steps) = sides
    found = self_attention_mask(torch.tensor(lengths), steps, alignment=alignment, causal=causal)
    expected = torch.zeros(len(lengths), 1, steps, steps, dtype=torch.bool)
    for row, length in enumerate(lengths):
        data = [step for step in range(steps) if is_data(step, length, steps, alignment)]
        for query in data:
            for key in data:
                expected[row, 0, query, key] = key <= query or not causal
    assert found is not None
    assert found.any()
    assert not found.all()
    assert found.dtype == torch.bool
    assert torch.equal(found, expected)


@every_alignment
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
def test_a_side_without_lengths_is_full(alignments, causal):
    steps, ragged = (4, 3), {"context": [2, 4], "horizon": [3, 1]}
    options = dict(zip(("encoder_alignment", "decoder_alignment"), alignments, strict=True))
    contexts, horizons = torch.tensor(ragged["context"]), torch.tensor(ragged["horizon"])
    found = horizon_attention_mask(contexts, None, *steps, causal=causal, **options)
    expected = expected_horizon_mask(ragged["context"], [3, 3], steps, alignments, causal)
    assert found is not None
    assert torch.equal(found, expected)
    found = horizon_attention_mask(None, horizons, *steps, causal=causal, **options)
    expected = expected_horizon_mask([4, 4], ragged["horizon"], steps, alignments, causal)
    assert found is not None
    assert torch.equal(found, expected)


def test_without_lengths_all_rows_share_the_causal_mask():
    found = horizon_attention_mask(None, None, 4, 3)
    assert found is not None
    assert torch.equal(found, expected_horizon_mask([4], [3], (4, 3), ("left", "left"), True))
    own = self_attention_mask(None, 3, causal=True)
    assert own is not None
    assert torch.equal(own, found[..., 4:])


def test_nothing_masked_is_no_mask():
    assert horizon_attention_mask(None, None, 4, 3, causal=False) is None
    assert self_attention_mask(None, 3) is None


def test_masks_lie_with_the_lengths_and_read_no_value():
    # a meta tensor has no values: whoever asks for one fails
    lengths = torch.empty(2, dtype=torch.int64, device="meta")
    for mask in (
        horizon_attention_mask(lengths, lengths, 4, 3, encoder_alignment="right"),
        horizon_attention_mask(None, lengths, 4, 3, decoder_alignment="right"),
        horizon_attention_mask(lengths, None, 4, 3),
        horizon_attention_mask(None, None, 4, 3, device="meta"),
    ):
        assert mask is not None
        assert mask.device.type == "meta"
        assert mask.shape[1:] == (1, 3, 7)


# equations --------------------------------------------------------------------------------------


def expected_attention(kind, module, query, key, value, mask):
    """Return output and mean weights of the papers' equations, one head, row and query at a time.

    Vaswani et al. 2017, section 3.2.2: concat_h(softmax(q_h K_h' / sqrt(E)) V_h) W_O.
    Lim et al. 2021, eq. 14 to 16: mean_h(softmax(q_h K_h' / sqrt(E))) V W_H.
    """
    d_head = WIDTH // HEADS
    rows, queries, keys = query.size(0), query.size(1), key.size(1)
    weights = query.new_zeros(HEADS, rows, queries, keys)
    merged = query.new_zeros(rows, queries, WIDTH if kind == "plain" else d_head)
    for head in range(HEADS):
        part = slice(head * d_head, (head + 1) * d_head)
        of_values = part if kind == "plain" else slice(None)
        for row in range(rows):
            for step in range(queries):
                q = module.query.weight[part] @ query[row, step] + module.query.bias[part]
                seen = [t for t in range(keys) if mask is None or mask[row, 0, step, t]]
                if not seen:
                    continue
                scores = [
                    q @ (module.key.weight[part] @ key[row, t] + module.key.bias[part])
                    for t in seen
                ]
                exponentials = (torch.stack(scores) / d_head**0.5).exp()
                shares = exponentials / exponentials.sum()
                found = sum(
                    share
                    * (
                        module.value.weight[of_values] @ value[row, t]
                        + module.value.bias[of_values]
                    )
                    for share, t in zip(shares, seen, strict=True)
                )
                weights[head, row, step, seen] = shares
                if kind == "plain":
                    merged[row, step, part] = found
                else:
                    merged[row, step] = merged[row, step] + found / HEADS
    output = merged @ module.output.weight.T
    if kind == "plain":
        output = output + module.output.bias
    return output, weights.mean(dim=0)


@every_kind
@both_paths
@pytest.mark.parametrize("masked", [True, False], ids=["ragged", "full"])
def test_attention_is_that_of_the_paper(kind, need_weights, masked):
    module = make(kind, torch.float64)
    *inputs, mask = make_ragged([2, 4], [3, 1], (4, 3), ("left", "right"), torch.float64)
    query, key, value = inputs
    mask = mask if masked else None
    output, weights = module(*inputs, mask, need_weights=need_weights)
    expected_output, expected_weights = expected_attention(kind, module, query, key, value, mask)
    assert output.shape == (2, 3, WIDTH)
    torch.testing.assert_close(output, expected_output, rtol=1e-10, atol=1e-10)
    if need_weights:
        torch.testing.assert_close(weights, expected_weights, rtol=1e-10, atol=1e-10)
    else:
        assert weights is None
    leaves = [*inputs, *module.parameters()]
    names = ["query", "key", "value", *dict(module.named_parameters())]
    assert_close(gradients(output, leaves), gradients(expected_output, leaves), 1e-10, names)


def test_the_interpretable_kind_has_one_value_projection_and_no_output_bias():
    shapes = {name: tuple(p.shape) for name, p in make("interpretable").named_parameters()}
    assert shapes["value.weight"] == (WIDTH // HEADS, WIDTH)
    assert shapes["output.weight"] == (WIDTH, WIDTH // HEADS)
    assert "output.bias" not in shapes


@both_paths
@every_alignment
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_multi_head_attention_is_that_of_torch(dtype, alignments, need_weights):
    ours = make("plain", dtype)
    theirs = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, dtype=dtype)
    stacked = [ours.query, ours.key, ours.value]
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([layer.weight for layer in stacked]),
            "in_proj_bias": torch.cat([layer.bias for layer in stacked]),
            "out_proj.weight": ours.output.weight,
            "out_proj.bias": ours.output.bias,
        }
    )
    # every query attends something: torch gives NaN otherwise
    *inputs, mask = make_ragged([2, 4], [3, 3], (4, 3), alignments, dtype)
    assert mask.any(-1).all()
    output, weights = ours(*inputs, mask, need_weights=need_weights)
    ignored = ~mask.expand(-1, HEADS, -1, -1).flatten(0, 1)
    expected_output, expected_weights = theirs(*inputs, attn_mask=ignored)
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(output, expected_output, rtol=tolerance, atol=tolerance)
    if need_weights:
        torch.testing.assert_close(weights, expected_weights, rtol=tolerance, atol=tolerance)
    names = ["query", "key", "value"]
    assert_close(gradients(output, inputs), gradients(expected_output, inputs), tolerance, names)


# both paths -------------------------------------------------------------------------------------


@every_kind
@every_alignment
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@settings(max_examples=10, deadline=None)
@example(sides=([1, 4, 0], [3, 1, 0], (4, 3)))
@given(sides=ragged_sides())
def test_asking_for_weights_changes_nothing(kind, alignments, dtype, sides):
    module = make(kind, dtype)
    contexts, horizons, steps = sides
    *inputs, mask = make_ragged(contexts, horizons, steps, alignments, dtype)
    leaves = [*inputs, *module.parameters()]
    fused, _ = module(*inputs, mask)
    explicit, _ = module(*inputs, mask, need_weights=True)
    names = ["output", "query", "key", "value", *dict(module.named_parameters())]
    found = [explicit, *gradients(explicit, leaves)]
    expected = [fused, *gradients(fused, leaves)]
    assert_close(found, expected, TOLERANCE[dtype], names)


@every_kind
@every_alignment
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
def test_weights_are_zero_where_masked_and_sum_to_one_on_data(kind, alignments, causal):
    *inputs, mask = make_ragged([1, 4, 0], [3, 1, 2], (4, 3), alignments, causal=causal)
    _, weights = make(kind)(*inputs, mask, need_weights=True)
    assert weights.shape == (3, 3, 7)
    assert torch.equal(weights != 0, mask[:, 0])
    torch.testing.assert_close(weights.sum(-1), mask[:, 0].any(-1).float())


# padding ----------------------------------------------------------------------------------------


def pad(rows, mask, filling):
    """Write each row's steps to the places of its mask (B, T) and the filling to all others."""
    padded = torch.full((*mask.shape, rows[0].size(-1)), filling)
    for row, values in enumerate(rows):
        padded[row, mask[row]] = values
    return padded.requires_grad_()


@every_kind
@both_paths
@every_alignment
@pytest.mark.parametrize("filling", [0.0, -3.0, 1e30])
def test_a_sample_is_the_same_alone_and_in_a_padded_batch(kind, need_weights, alignments, filling):
    module = make(kind)
    contexts, horizons, (tc, td) = [1, 5, 3], [4, 1, 2], (6, 5)
    samples = [
        [random(count, WIDTH, seed=10 * row + i) for i, count in enumerate([h, c + h, c + h])]
        for row, (c, h) in enumerate(zip(contexts, horizons, strict=True))
    ]
    context = create_padding_mask(torch.tensor(contexts), tc, alignments[0])
    horizon = create_padding_mask(torch.tensor(horizons), td, alignments[1])
    data = [horizon, *[torch.cat([context, horizon], dim=1)] * 2]
    inputs = [pad([s[i] for s in samples], where, filling) for i, where in enumerate(data)]
    *_, mask = make_ragged(contexts, horizons, (tc, td), alignments)
    output, _ = module(*inputs, mask, need_weights=need_weights)
    parameters = list(module.parameters())

    for row, sample in enumerate(samples):
        alone = [part.unsqueeze(0).requires_grad_() for part in sample]
        only = horizon_attention_mask(None, None, contexts[row], horizons[row])
        expected, _ = module(*alone, only, need_weights=need_weights)
        found = output[row : row + 1, horizon[row]]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)

        expected_gradients = gradients(expected, [*parameters, *alone])
        total = (found * random(*found.shape, seed=9)).sum()
        found_gradients = torch.autograd.grad(total, [*parameters, *inputs], retain_graph=True)
        of_parameters, of_inputs = found_gradients[:-3], found_gradients[-3:]
        on_data = [
            gradient[row : row + 1, where[row]]
            for gradient, where in zip(of_inputs, data, strict=True)
        ]
        largest = max(float(gradient.abs().max()) for gradient in expected_gradients)
        assert largest > 0
        for one, other in zip([*of_parameters, *on_data], expected_gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * largest)
        for gradient, where in zip(of_inputs, data, strict=True):
            assert not gradient[~where].any()


@every_kind
@both_paths
def test_queries_that_attend_nothing_may_hold_anything(kind, need_weights):
    module = make(kind)
    *inputs, mask = make_ragged([1, 4], [3, 1], (4, 3), ("right", "left"))
    padded = ~mask.any(-1).transpose(1, 2)
    expected, _ = module(*inputs, mask, need_weights=need_weights)
    for filling in (float("nan"), float("inf")):
        query = torch.where(padded, filling, inputs[0])
        found, _ = module(query, *inputs[1:], mask, need_weights=need_weights)
        assert torch.equal(found, expected)
        found = gradients(found, [*inputs, *module.parameters()])
        assert all(gradient.isfinite().all() for gradient in found)


@every_kind
@both_paths
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_rows_of_padding_alone_give_no_nan(kind, need_weights, dtype):
    module = make(kind, dtype)
    # padded queries in the first row, nothing but padding in the second
    *inputs, mask = make_ragged([4, 0], [2, 0], (4, 3), ("left", "right"), dtype)
    nothing = ~mask[:, 0].any(-1)
    assert nothing.any(1).all()
    assert not nothing.all()
    leaves = [*inputs, *module.parameters()]
    # a trainer that detects anomalies stops at any NaN on the way
    with torch.autograd.set_detect_anomaly(True):
        output, weights = module(*inputs, mask, need_weights=need_weights)
        found = gradients(output, leaves)
    bias = module.output.bias if kind == "plain" else torch.zeros(WIDTH, dtype=dtype)
    assert torch.equal(output[nothing], bias.expand_as(output[nothing]))
    for values in (output, *found, *([weights] if need_weights else [])):
        assert values.dtype == dtype
        assert values.isfinite().all()
    for gradient in found[:3]:
        assert gradient[0].any()
        assert not gradient[1].any()
    assert not found[0][nothing].any()
    if need_weights:
        assert not weights[nothing].any()
        rest = weights[~nothing].sum(-1)
        torch.testing.assert_close(rest, torch.ones_like(rest), rtol=0.02, atol=0.02)


# causality --------------------------------------------------------------------------------------


@every_kind
@both_paths
@every_alignment
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
def test_a_horizon_step_reads_what_it_may_and_nothing_else(kind, need_weights, alignments, causal):
    module = make(kind)
    contexts, horizons, (tc, td) = [2, 4], [4, 3], (4, 5)
    *inputs, ours = make_ragged(contexts, horizons, (tc, td), alignments, causal=causal)
    mask = expected_horizon_mask(contexts, horizons, (tc, td), alignments, causal)
    output, _ = module(*inputs, ours, need_weights=need_weights)
    for step in range(td):
        total = (output[:, step] * random(2, WIDTH, seed=9)).sum()
        of_query, *of_keys = torch.autograd.grad(total, inputs, retain_graph=True)
        for gradient in of_keys:
            assert torch.equal(gradient.any(-1), mask[:, 0, step])
        others = [other for other in range(td) if other != step]
        assert not of_query[:, others].any()
        # keys of the horizon after this step, where they hold data
        later = mask[:, 0, step, tc + step + 1 :]
        assert not (causal and later.any())
    first = 0 if alignments[1] == "left" else td - min(horizons)
    assert mask[:, 0, first, tc + first + 1 :].any() == (not causal)


# dropout ----------------------------------------------------------------------------------------


@every_kind
@both_paths
def test_dropout_acts_while_training_only(kind, need_weights):
    *inputs, mask = make_ragged([2, 4], [3, 2], (4, 3), ("left", "left"))
    expected, expected_weights = make(kind)(*inputs, mask, need_weights=need_weights)
    module = make(kind, dropout=0.5)
    dropped, weights = module(*inputs, mask, need_weights=need_weights)
    again, _ = module(*inputs, mask, need_weights=need_weights)
    assert not torch.equal(dropped, again)
    if need_weights:
        torch.testing.assert_close(weights, expected_weights)
    module.eval()
    found, _ = module(*inputs, mask, need_weights=need_weights)
    torch.testing.assert_close(found, expected)


@both_paths
def test_dropout_takes_weights_and_scales_the_others(need_weights):
    torch.manual_seed(0)
    share, steps = 0.25, 24
    query, key = random(8, 2, steps, steps), random(8, 2, steps, steps, seed=1)
    mask = self_attention_mask(torch.arange(steps - 7, steps + 1), steps)
    _, weights = attend(query, key, query, mask, need_weights=True)
    # the unit matrix as values reads the weights out
    values = torch.eye(steps).expand(8, 2, -1, -1)
    found, _ = attend(query, key, values, mask, share, need_weights=need_weights)
    assert weights is not None
    kept = found != 0
    torch.testing.assert_close(found[kept], weights[kept] / (1 - share))
    assert not kept[weights == 0].any()
    assert kept[weights > 0].float().mean() == pytest.approx(1 - share, abs=0.03)


# errors -----------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("role", ["query", "key", "value"])
def test_packed_sequences_are_refused(kind, role):
    sequences = dict.fromkeys(["query", "key", "value"], random(2, 3, WIDTH))
    sequences[role] = pack_sequence([random(3, WIDTH), random(2, WIDTH)])
    with pytest.raises(InputError, match=f"{role} must be a padded.*unpack_to_fixed_length.*mask"):
        make(kind)(**sequences)


@every_kind
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((30, 4), "d_model must be a multiple of num_heads 4, found 30; take d_model 32"),
        ((2, 4), "found 2; take d_model 4 "),
        ((0, 1), "d_model must be at least 1, found 0"),
        ((4, 0), "num_heads must be at least 1, found 0"),
        ((4, -2), "num_heads must be at least 1, found -2"),
        ((4, 2, 1.5), "dropout must be from 0 to 1, found 1.5"),
    ],
)
def test_sizes_that_cannot_be_are_refused(kind, arguments, message):
    with pytest.raises(InputError, match=message):
        KINDS[kind](*arguments)


@every_kind
@pytest.mark.parametrize(
    "spoil",
    [
        lambda mask: mask.float(),
        lambda mask: mask[:, 0, :1],
        lambda mask: mask.expand(-1, 3, -1, -1),
    ],
    ids=["float", "three dimensions", "of heads"],
)
def test_masks_that_would_broadcast_are_refused(kind, spoil):
    *inputs, mask = make_ragged([2, 4], [3, 1], (4, 3), ("left", "left"))
    with pytest.raises(InputError, match=r"mask must be boolean \(B, 1, Tq, Tk\), found"):
        make(kind)(*inputs, spoil(mask))


# tracing ----------------------------------------------------------------------------------------


class FromLengths(torch.nn.Module):
    """What a model does: the mask from lengths, then attention of the horizon over everything."""

    def __init__(self, alignments):
        super().__init__()
        self.plain, self.interpretable = make("plain"), make("interpretable")
        self.alignments = alignments

    def forward(self, context, horizon, encoder_lengths, decoder_lengths):
        mask = horizon_attention_mask(
            encoder_lengths,
            decoder_lengths,
            context.size(1),
            horizon.size(1),
            encoder_alignment=self.alignments[0],
            decoder_alignment=self.alignments[1],
        )
        keys = torch.cat([context, horizon], dim=1)
        fused, _ = self.plain(horizon, keys, keys, mask)
        explicit, weights = self.interpretable(horizon, keys, keys, mask, need_weights=True)
        return torch.cat([fused, explicit]), weights


# both kinds and both paths at once: most of the time is spent before the first line is traced
@torch._dynamo.config.patch(error_on_recompile=True)
def test_masks_and_attention_are_traced_whole_and_once():
    torch._dynamo.reset()
    module = FromLengths(("right", "left"))
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    # no two sizes of the first batch agree: the tracer would take them for one
    for contexts, horizons, (tc, td) in (
        ([2, 7, 1, 4], [3, 1, 5, 5], (7, 5)),
        ([5, 3, 9], [2, 4, 8], (9, 8)),
    ):
        rows = len(contexts)
        inputs = [random(rows, steps, WIDTH).requires_grad_() for steps in (tc, td)]
        lengths = torch.tensor(contexts), torch.tensor(horizons)
        found, found_weights = compiled(*inputs, *lengths)
        expected, expected_weights = module(*inputs, *lengths)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(found_weights, expected_weights)
        leaves = [*inputs, *module.parameters()]
        names = ["context", "horizon", *dict(module.named_parameters())]
        assert_close(gradients(found, leaves), gradients(expected, leaves), 1e-5, names)
