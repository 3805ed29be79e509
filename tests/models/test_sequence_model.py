"""LSTM and GRU against torch's own, and what holds for any sequence-to-sequence model."""

import lightning
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.properties.test_padding import collate, make_sample
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.models import GRU, LSTM, GRUModel, LSTMModel
from transformertf.nn import QuantileLoss
from transformertf.utils.sequence import align_encoder_sequences, create_padding_mask

FEATURES, WIDTH, LAYERS = 3, 5, 2
KINDS = {
    "LSTM": (LSTMModel, LSTM, torch.nn.LSTM),
    "GRU": (GRUModel, GRU, torch.nn.GRU),
}
LENGTHS = torch.tensor([4, 7, 1])


@pytest.fixture(params=KINDS)
def kind(request):
    torch.manual_seed(0)
    return KINDS[request.param]


def make_model(kind, **options):
    options = {"dropout": 0.0, "output_dim": 2, **options}
    return kind[0](FEATURES, LAYERS, WIDTH, **options).double()


def make_module(kind, **options):
    return kind[1](FEATURES, LAYERS, WIDTH, **{"dropout": 0.0, **options})


def make_batch(alignment="left", lengths=(4, 7, 1), dtype=torch.float32):
    """Return a ragged batch with NaN in its padding; the second row's first target is missing."""
    sides = (("", FEATURES),)
    samples = [make_sample(sides, (steps,), seed, dtype) for seed, steps in enumerate(lengths)]
    batch = collate(sides, samples, (alignment,), (2,), float("nan"))
    rows = torch.arange(len(lengths))
    batch["series"], batch["origin"] = rows, rows
    return batch


@pytest.mark.parametrize("packing", ["auto", "always", "never"])
def test_same_numbers_as_torch_with_the_same_weights(kind, packing):
    model = make_model(kind, packing=packing)
    theirs = kind[2](FEATURES, WIDTH, LAYERS, batch_first=True).double()
    theirs.load_state_dict(model.recurrence.state_dict())
    sequence = torch.randn(3, 7, FEATURES, dtype=torch.float64)
    packed = pack_padded_sequence(sequence, LENGTHS, batch_first=True, enforce_sorted=False)
    hidden, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    mask = create_padding_mask(LENGTHS).unsqueeze(-1)
    assert mask.any()
    assert not mask.all()
    expected = torch.where(mask, model.head(hidden), 0.0)
    found = model(sequence, LENGTHS)["output"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    whole = model(sequence)["output"]
    torch.testing.assert_close(whole, model.head(theirs(sequence)[0]), rtol=1e-12, atol=1e-12)


def test_dropout_stands_between_the_layers_and_before_the_head(kind):
    model = make_model(kind, dropout=0.5)
    assert (model.recurrence.dropout, model.dropout.p) == (0.5, 0.5)
    sequence = torch.randn(2, 6, FEATURES, dtype=torch.float64)
    seen = []
    model.head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    model(sequence)
    assert (seen[0] == 0).any(), "nothing is dropped before the head"
    model.eval()
    assert torch.equal(model(sequence)["output"], model(sequence)["output"])
    assert (seen[-1] != 0).all()


def test_the_plain_model_takes_both_alignments(kind):
    left, right = (make_model(kind, alignment=end) for end in ("left", "right"))
    right.load_state_dict(left.state_dict())
    sequence = torch.randn(3, 9, FEATURES, dtype=torch.float64)
    sequence[~create_padding_mask(LENGTHS, 9)] = float("nan")
    moved = align_encoder_sequences(sequence, LENGTHS, source="left", target="right")
    moved[~create_padding_mask(LENGTHS, 9, "right")] = float("nan")
    found = right(moved, LENGTHS)["output"]
    assert (found[~create_padding_mask(LENGTHS, 9, "right")] == 0).all()
    expected = left(sequence, LENGTHS)["output"]
    torch.testing.assert_close(align_encoder_sequences(found, LENGTHS), expected)
    for model, output in ((left, expected), (right, found)):
        for gradient in torch.autograd.grad(output.square().sum(), [*model.parameters()]):
            assert gradient.isfinite().all()
            assert gradient.any()


def test_an_output_sees_the_inputs_up_to_its_step(kind):
    model = make_model(kind)
    sequence = torch.randn(2, 6, FEATURES, dtype=torch.float64, requires_grad=True)
    output = model(sequence)["output"]
    for step in range(6):
        (gradient,) = torch.autograd.grad(output[:, step].sum(), sequence, retain_graph=True)
        assert (gradient[:, step + 1 :] == 0).all()
        assert (gradient[:, : step + 1] != 0).all()


def test_rows_do_not_see_each_other(kind):
    module, batch = make_module(kind), make_batch("right")
    order = torch.tensor([2, 0, 1])
    mixed = {key: value[order] for key, value in batch.items()}
    torch.testing.assert_close(module(mixed)["output"], module(batch)["output"][order])


@pytest.mark.parametrize("criterion", [None, QuantileLoss([0.1, 0.5, 0.9])], ids=["MSE", "levels"])
def test_every_parameter_and_column_has_a_gradient(kind, criterion):
    module, batch = make_module(kind, criterion=criterion), make_batch()
    batch["input"].requires_grad_()
    module.calc_loss(module(batch), batch).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    gradient = batch["input"].grad
    assert (gradient[~batch["mask"]] == 0).all()
    assert gradient[batch["mask"]].isfinite().all()
    assert gradient[batch["mask"]].any(dim=0).all(), "a column is not seen"


def test_monotone_quantiles_rise(kind):
    module = make_module(kind, criterion=QuantileLoss([0.1, 0.5, 0.9]), monotone=True)
    batch = make_batch()
    output = module(batch)["output"]
    assert (output[batch["mask"]].diff(dim=-1) > 0).all()
    assert (output[~batch["mask"]] == 0).all()


def test_unmasked_loss_weighs_padding(kind):
    batch = make_batch()
    losses = [
        make_module(kind, use_loss_masking=masking).calc_loss(torch.ones(3, 9, 1), batch)
        for masking in (True, False)
    ]
    assert losses[0] != losses[1]


def test_only_chosen_parameters_train(kind):
    module = make_module(kind, trainable_parameters=["model.head.*"])
    module.configure_optimizers()
    training = {name for name, p in module.named_parameters() if p.requires_grad}
    assert training == {"model.head.weight", "model.head.bias"}


def test_defaults(kind):
    module = kind[1](FEATURES)
    recurrence = module.model.recurrence
    found = recurrence.num_layers, recurrence.hidden_size, recurrence.dropout, module.output_dim
    assert found == (3, 350, 0.2, 1)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_compiled_equals_eager_without_compiling_again(kind):
    torch._dynamo.reset()
    eager, module = make_module(kind), make_module(kind)
    module.load_state_dict(eager.state_dict())
    module.model.compile(dynamic=True, backend="aot_eager")
    first = make_batch(lengths=(4, 6, 2, 3))
    torch.testing.assert_close(module(first)["output"], eager(first)["output"])
    with torch._dynamo.config.patch(error_on_recompile=True):
        for lengths in ((2, 5), (7, 3, 1, 6, 2)):
            for alignment in ("left", "right"):
                batch = make_batch(alignment, lengths)
                outputs = [each(batch)["output"] for each in (module, eager)]
                torch.testing.assert_close(*outputs)
                losses = [
                    each.calc_loss(o, batch)
                    for each, o in zip((module, eager), outputs, strict=True)
                ]
                gradients = [
                    torch.autograd.grad(loss, [*each.parameters()])
                    for loss, each in zip(losses, (module, eager), strict=True)
                ]
                torch.testing.assert_close(*gradients)
    torch._dynamo.reset()


def test_windows_with_a_context_are_refused(kind):
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    module = make_module(kind)
    module.trainer = trainer
    trainer.datamodule = EncoderDecoderDataModule("y")
    with pytest.raises(
        InputError,
        match="wants batches of sequences, which EncoderDecoderDataModule does not make",
    ):
        module.setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_type": "delta"}, "'delta' counts from .* does not read; leave it at 'point'"),
        ({"dropout": 1.5}, "dropout must be from 0 to 1"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"d_model": 0}, "d_model must be at least 1"),
        ({"packing": "sometimes"}, "packing must not be 'sometimes'"),
    ],
)
def test_mistakes(kind, options, message):
    with pytest.raises(InputError, match=message):
        kind[1](FEATURES, **options)
