"""The encoder-decoder LSTM under `torch.compile`: eager's numbers, compiled once for all shapes."""

import copy
import random
import shutil
from itertools import cycle
from typing import Any

import pytest
import torch
import torch._dynamo.testing
import torch.fx.experimental._config
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from tests.depth import takes_long
from transformertf.models import EncoderDecoderLSTM
from transformertf.models.common.optimisation import call_for_all_shapes, compile_in_place
from transformertf.nn import QuantileLoss, recurrent
from transformertf.nn.selection import VariableSelection
from transformertf.utils.sequence import pack_encoder_sequences

pytestmark = [
    # dynamo looks at each input of a graph that follows a break; by default nobody hears of it
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    # inductor imports what torch itself deprecates
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
]

# its functions are put into it where it is imported
FX: Any = torch.fx.experimental._config
PACKINGS = ["auto", "always", "never"]
PAST, FUTURE, D_ENCODER, D_DECODER = 3, 2, 4, 5


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def make_module(**kwargs):
    """Return a small forecaster that drops nothing."""
    torch.manual_seed(0)
    return EncoderDecoderLSTM(
        PAST, FUTURE, D_ENCODER, D_DECODER, dropout=0.0, mlp_dropout=0.0, **kwargs
    )


def set_packing(module, packing):
    """Change the packing; nothing compiled may depend on it."""
    module.model.encoder.packing = module.model.decoder.packing = packing


def model_arguments(batch):
    """Return what the plain network takes of a batch whose data comes first."""
    sides = "encoder", "decoder"
    return *(batch[f"{side}_input"] for side in sides), *(
        batch[f"{side}_lengths"] for side in sides
    )


def module_arguments(batch):
    return (batch,)


# what is compiled -> how to find it in a module, and its arguments
SUBJECTS = {
    "model": (lambda module: module.model, model_arguments),
    "module": (lambda module: module, module_arguments),
}
every_subject = pytest.mark.parametrize("subject", SUBJECTS)


@pytest.fixture
def random_batch(ragged_batch):
    """Return the maker of batches of random sizes, of at least 2 rows and 2 padded steps."""
    generator = random.Random(0)

    def make(subject="module"):
        rows = generator.randint(2, 6)
        # the module reads from the masks where the data lies
        alignments = ["left"] if subject == "model" else ["left", "right"]
        batch = ragged_batch(
            tuple(generator.randint(1, 8) for _ in range(rows)),
            tuple(generator.randint(1, 6) for _ in range(rows)),
            encoder_alignment=generator.choice(alignments),
            decoder_alignment=generator.choice(alignments),
            extra=generator.randint(1, 4),
            seed=generator.randint(0, 99),
        )
        for mask in (batch["encoder_mask"], batch["decoder_mask"]):
            assert mask.any(dim=1).all()
            assert not mask.all()
        return batch

    return make


def shapes(batch):
    return (*batch["encoder_mask"].shape, batch["decoder_mask"].size(1))


def assert_same_output(compiled, eager, arguments):
    outputs = [network(*arguments)["output"] for network in (compiled, eager)]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    return outputs


@every_subject
def test_compiled_gives_the_numbers_of_eager(subject, random_batch):
    find, arguments = SUBJECTS[subject]
    module = make_module()
    compiled = torch.compile(find(module), dynamic=True, backend="aot_eager")
    for packing in PACKINGS:
        set_packing(module, packing)
        for windowed in (False, True) if subject == "module" else (False,):
            batch = random_batch(subject)
            if windowed:
                rows = len(batch["series"])
                batch["window_loc"], batch["window_scale"] = torch.rand(2, rows) + 0.5
            outputs = assert_same_output(compiled, find(module), arguments(batch))
            losses = [module.calc_loss(output, batch) for output in outputs]
            torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
            found, expected = (torch.autograd.grad(x, [*module.parameters()]) for x in losses)
            largest = max(float(gradient.abs().max()) for gradient in expected)
            assert largest > 0
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * largest)


ENCODER, DECODER = "self.encoder(", "self.decoder("
# subject, alignment of the context, packing, and the calls that end a graph
BREAKS = [
    *(("module", "right", packing, [ENCODER, DECODER]) for packing in PACKINGS),
    ("model", "right", "always", [ENCODER, DECODER]),
    # data first, the encoder runs first, and there is no graph for it to end
    ("model", "left", "auto", [DECODER]),
]


@pytest.mark.parametrize(("subject", "alignment", "packing", "calls"), BREAKS)
def test_only_the_recurrences_break_the_graph(subject, alignment, packing, calls, ragged_batch):
    find, arguments = SUBJECTS[subject]
    module = make_module(packing=packing)
    if subject == "model":
        module.model.encoder_alignment = alignment
    batch = ragged_batch(encoder_alignment=alignment)
    reasons = torch._dynamo.explain(find(module))(*arguments(batch)).break_reasons
    # one for each call of a recurrence
    assert len(reasons) == len(calls)
    for reason, call in zip(reasons, calls, strict=True):
        assert "torch.compiler.disable" in reason.reason
        assert "_RaggedRNN._run" in reason.reason
        *_, caller, line = (frame.line for frame in reason.user_stack)
        assert call in caller
        assert "self._run(" in line
    # dynamo's own record, with the breaks that end no graph
    assert counters["graph_break"]
    assert all("_RaggedRNN._run" in reason for reason in counters["graph_break"])


def test_packing_stays_out_of_the_graphs(random_batch, monkeypatch):
    packed, pack = [], pack_encoder_sequences

    def note(*args):
        packed.append(pack(*args))
        return packed[-1]

    monkeypatch.setattr(recurrent, "pack_encoder_sequences", note)
    counter = CompileCounterWithBackend("aot_eager")
    model = make_module(packing="always").model
    compiled = torch.compile(model, dynamic=True, backend=counter)
    compiled(*model_arguments(random_batch("model")))
    assert len(packed) == 2, "nothing was packed"
    nodes = [node for graph in counter.graphs for node in graph.graph.nodes]
    assert nodes
    for node in nodes:
        assert not any(word in str(node.target) for word in ("pack", "lstm")), node
        assert not isinstance(node.meta.get("example_value"), torch.nn.utils.rnn.PackedSequence)


# Sizes that agree in the first batch, with each other or with a width of the state, become one
# symbol, and a guard asks that they agree ever after. For a single compile, either no sizes may
# agree in the first batch, or `use_duck_shape` must be off.
FIRST = {
    "sizes differ, default": (((3, 9, 1, 2, 6, 6), (5, 2, 7, 7, 1, 3)), (6, 10, 8), True),
    "sizes agree, no duck shapes": (((3, 1, 4, 2, 4), (4, 2, 3, 4, 1)), (D_DECODER,) * 3, False),
}


@every_subject
@pytest.mark.parametrize(("lengths", "sizes", "duck_shape"), FIRST.values(), ids=FIRST)
def test_new_shapes_compile_nothing(
    subject, lengths, sizes, duck_shape, random_batch, ragged_batch
):
    find, arguments = SUBJECTS[subject]
    module = make_module()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(find(module), dynamic=True, backend=counter)
    first = ragged_batch(*lengths)
    assert shapes(first) == sizes
    packings, seen = cycle(PACKINGS), set[tuple[int, ...]]()
    with FX.patch(use_duck_shape=duck_shape):
        compiled(*arguments(first))
        frames = counter.frame_count
        assert frames > 0
        # the counter counts graphs; this also refuses to compile a frame without one
        with torch._dynamo.config.patch(error_on_recompile=True):
            while len(seen) < 20:
                set_packing(module, next(packings))
                batch = random_batch(subject)
                assert_same_output(compiled, find(module), arguments(batch))
                every_length = torch.cat([batch["encoder_lengths"], batch["decoder_lengths"]])
                seen.add((*shapes(batch), *every_length.tolist()))
    assert counter.frame_count == frames
    for position in range(3):
        assert len({key[position] for key in seen}) > 3


def ones_and_more(rows):
    """Return lengths for that many rows, some of them 1."""
    return rows, 1, *(2,) * (rows - 2)


# torch compiles sizes of 1 apart, whatever `dynamic` says
SINGLES = {
    "one row": [{"encoder_lengths": (n,), "decoder_lengths": (7 - n,)} for n in (2, 6, 3, 1)],
    "one context step": [
        {"encoder_lengths": (1,) * n, "decoder_lengths": ones_and_more(n), "extra": 0}
        for n in (3, 5, 2, 6)
    ],
    "one horizon step": [
        {"encoder_lengths": ones_and_more(n), "decoder_lengths": (1,) * n, "extra": 0}
        for n in (3, 5, 2, 6)
    ],
}


@pytest.mark.parametrize("single", SINGLES)
def test_sizes_of_one_cost_one_further_compile(single, random_batch, ragged_batch):
    module = make_module()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module.model, dynamic=True, backend=counter)
    first, *others = (ragged_batch(**options) for options in SINGLES[single])
    assert shapes(first).count(1) == 1
    packings = cycle(PACKINGS)
    with FX.patch(use_duck_shape=False):
        compiled(*model_arguments(random_batch("model")))
        frames = counter.frame_count
        assert_same_output(compiled, module.model, model_arguments(first))
        assert counter.frame_count <= 2 * frames
        with torch._dynamo.config.patch(error_on_recompile=True):
            for batch in (*others, random_batch("model")):
                set_packing(module, next(packings))
                assert_same_output(compiled, module.model, model_arguments(batch))


CRITERIA = {"MSE": torch.nn.MSELoss(), "quantiles": QuantileLoss([0.1, 0.5, 0.9])}


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("use_loss_masking", [True, False])
def test_compiled_criterion_gives_the_same_masked_loss(name, use_loss_masking, ragged_batch):
    counter = CompileCounterWithBackend("aot_eager")
    criterion = copy.deepcopy(CRITERIA[name])
    compiled = torch.compile(criterion, backend=counter)
    eager = make_module(criterion=CRITERIA[name], use_loss_masking=use_loss_masking)
    module = make_module(criterion=compiled, use_loss_masking=use_loss_masking)
    module.load_state_dict(eager.state_dict(), strict=True)
    assert (module.output_dim, module.quantiles) == (eager.output_dim, eager.quantiles)
    assert module.hparams["criterion"] == eager.hparams["criterion"]

    batch = ragged_batch()
    assert batch["target_mask"].any()
    assert not batch["target_mask"].all()
    losses = [each.calc_loss(each(batch), batch) for each in (module, eager)]
    assert counter.frame_count > 0, "the criterion ran uncompiled"
    assert losses[1] > 0
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    gradients = [
        torch.autograd.grad(loss, [*each.parameters()])
        for loss, each in zip(losses, (module, eager), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
    # the caller's own criterion is left as it was
    assert getattr(criterion, "reduction", "mean") == "mean"


# no time for probing vector instructions, for headers that pay off later, or for processes
QUICK = {"cpp.vec_isa_ok": False, "cpp_cache_precompile_headers": False, "compile_threads": 1}


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_default_backend_gives_the_numbers_of_eager(ragged_batch, monkeypatch, tmp_path):
    import torch._inductor.config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    eager = make_module(num_encoder_layers=1, num_decoder_layers=1).model
    eager.head = torch.nn.Sequential(torch.nn.Dropout(0.5), eager.head)
    compiled = copy.deepcopy(eager)
    compile_in_place(compiled, "cpu")
    with torch.no_grad(), torch._inductor.config.patch(QUICK):
        for lengths in (((3, 6, 1), (5, 2, 4)), ((4, 2), (1, 3))):
            arguments = model_arguments(ragged_batch(*lengths))
            outputs = []
            for network in (compiled, eager):  # they drop the same
                torch.manual_seed(1)
                outputs.append(network(*arguments)["output"])
            torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    assert any(tmp_path.rglob("*.so")), "nothing was compiled"


@takes_long
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_default_backend_selects_among_categories_as_eager_does(monkeypatch, tmp_path):
    import torch._inductor.config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    eager = VariableSelection(1, 3, 4, category_sizes=[3])
    compiled = copy.deepcopy(eager)
    compile_in_place(compiled, "cpu")
    with torch.no_grad(), torch._inductor.config.patch(QUICK):
        for rows, steps in ((3, 5), (2, 7)):
            values, codes = torch.randn(rows, steps, 1), torch.randint(3, (rows, steps, 1))
            outputs = [
                call_for_all_shapes(network, values, categories=codes)
                for network in (compiled, eager)
            ]
            torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    assert any(tmp_path.rglob("*.so")), "nothing was compiled"
