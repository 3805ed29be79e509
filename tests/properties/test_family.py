"""What holds for every model: who sees whom, what is zero, what trains, what compiles once."""

import random

import pytest
import torch
import torch._dynamo
from torch._dynamo.testing import CompileCounterWithBackend

from tests.depth import long
from tests.properties.family import (
    ALL,
    MAX_CONTEXT,
    MAX_HORIZON,
    MODELS,
    STATIC,
    STATIC_SIZES,
    alignments_of,
    make_batch,
    make_module,
    make_sample,
    network_arguments,
    sides_of,
)
from transformertf import models
from transformertf.batch import forecast_mask

INTERPRETABLE = [name for name in ALL if ALL[name].func.interpretable]
LAYOUTS = [(name, alignments) for name in ALL for alignments in alignments_of(name)]
every_model = pytest.mark.parametrize("name", ALL)
every_layout = pytest.mark.parametrize(("name", "alignments"), LAYOUTS)


def test_the_family_is_whole():
    exported = {
        cls
        for name in models.__all__
        if issubclass(cls := getattr(models, name), models.ForecastModule)
    }
    assert {made.func for made in MODELS.values()} == exported - {models.ForecastModule}


@every_layout
def test_rows_do_not_see_each_other(name, alignments):
    module, batch = make_module(name), make_batch(name, alignments)
    output = module(batch)["output"]
    order = torch.tensor([2, 0, 1])
    mixed = module({key: value[order] for key, value in batch.items()})["output"]
    torch.testing.assert_close(mixed, output[order], rtol=1e-12, atol=1e-12)


@every_layout
def test_output_is_zero_on_padding_only(name, alignments):
    module, batch = make_module(name), make_batch(name, alignments)
    output = module(batch)["output"]
    assert output.size(-1) == module.output_dim
    assert torch.equal(output != 0, forecast_mask(batch).unsqueeze(-1).expand_as(output))


@every_layout
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
def test_a_step_sees_the_context_and_the_horizon_up_to_itself(name, alignments, causal):
    options = {"causal_attention": causal} if name in INTERPRETABLE else {}
    causal = causal or not options  # a recurrence always is
    module, batch = make_module(name, **options), make_batch(name, alignments)
    inputs = [batch[f"{side}input"].requires_grad_() for side, _ in sides_of(name)]
    masks = [batch[f"{side}mask"] for side, _ in sides_of(name)]
    output = module(batch)["output"]
    for row in range(len(output)):
        steps = masks[-1][row].nonzero().flatten().tolist()
        for number, step in enumerate(steps):
            found = torch.autograd.grad(output[row, step, 0], inputs, retain_graph=True)
            expected = [torch.zeros_like(mask) for mask in masks]
            expected[0][row] = masks[0][row]
            expected[-1][row] = False
            expected[-1][row, steps[: number + 1] if causal else steps] = True
            for gradient, places in zip(found, expected, strict=True):
                assert torch.equal(gradient != 0, places.unsqueeze(-1).expand_as(gradient))


# what provably has no gradient: the first adds the same to all scores of a query, which a softmax
# does not see; the others multiply the zeros that stand where there is nothing static
UNMOVED = ("attention.key.bias",)
UNMOVED_IN_PF = tuple(
    f"{what}_context.input.weight" for what in ("selection", "hidden", "cell", "enrichment")
)


@pytest.mark.parametrize("packing", ["auto", "always"])
@every_model
def test_gradient_reaches_every_weight_and_every_input(name, packing):
    module, batch = make_module(name, packing=packing).train(), make_batch(name)
    for side, _ in sides_of(name):
        batch[f"{side}input"].requires_grad_()
    module.calc_loss(module(batch), batch).backward()
    largest = max(float(parameter.grad.abs().max()) for parameter in module.parameters())
    unmoved = UNMOVED + (UNMOVED_IN_PF if name == "PFTemporalFusionTransformer" else ())
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad.isfinite().all(), parameter_name
        if parameter_name.endswith(unmoved):
            assert parameter.grad.abs().max() < 1e-12 * largest, parameter_name
        else:
            assert parameter.grad.count_nonzero() > parameter.numel() / 2, parameter_name
    for side, _ in sides_of(name):
        gradient = batch[f"{side}input"].grad
        mask = batch[f"{side}mask"].unsqueeze(-1)
        assert torch.equal(gradient != 0, mask.expand_as(gradient)), side


@pytest.mark.parametrize("name", INTERPRETABLE)
def test_weights_come_outside_training_or_where_asked_for(name):
    module, batch = make_module(name), make_batch(name)
    given = module.eval()(batch)
    assert {"output", "attention_weights"} <= given.keys()
    without = module(batch, need_weights=False)
    assert without.keys() == module.train()(batch).keys() == {"output"}
    torch.testing.assert_close(without["output"], given["output"])
    assert module(batch, need_weights=True).keys() == given.keys()


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
@pytest.mark.parametrize(
    ("name", "alignments"), [layout for layout in LAYOUTS if layout[0] in INTERPRETABLE]
)
def test_weights_add_up_to_one_on_data_and_are_zero_on_padding(name, alignments, causal):
    module = make_module(name, causal_attention=causal).eval()
    batch = make_batch(name, alignments)
    result = module(batch)
    masks = {side: batch[f"{side}_mask"] for side in ("encoder", "decoder")}
    for side, mask in masks.items():
        if f"{side}_weights" in result:
            weights = result[f"{side}_weights"]
            variables = sum(
                batch[key].size(-1)
                for key in (f"{side}_input", f"{side}_categories")
                if key in batch
            )
            if name.startswith("xTFT") and "static_input" in batch:
                variables += STATIC + len(STATIC_SIZES)
            assert weights.shape == (*mask.shape, variables)
            assert (weights >= 0).all()
            torch.testing.assert_close(weights.sum(dim=-1), mask.double())
    attention = result["attention_weights"]
    torch.testing.assert_close(attention.sum(dim=-1), masks["decoder"].double())
    sees_itself = getattr(module.model, "sees_itself", True)
    for row in range(len(attention)):
        steps = masks["decoder"][row].nonzero().flatten()
        for number, step in enumerate(steps):
            horizon = torch.zeros_like(masks["decoder"][row])
            horizon[steps[: number + sees_itself] if causal else steps] = True
            expected = torch.cat([masks["encoder"][row], horizon])
            assert torch.equal(attention[row, step] > 0, expected)
            assert torch.equal(attention[row, step] != 0, expected)


@pytest.mark.parametrize("alignment", ["left", "right"])
@every_model
def test_the_plain_model_takes_lengths_and_alignment(name, alignment):
    module, batch = make_module(name).eval(), make_batch(name, (alignment, "left"))
    expected = module(batch)
    gradients = torch.autograd.grad(expected["output"].sum(), [*module.model.parameters()])
    plain = module.model
    argument = "encoder_alignment" if len(sides_of(name)) > 1 else "alignment"
    setattr(plain, argument, alignment)
    inputs, options = network_arguments(module, batch)
    if module.interpretable:
        options["need_weights"] = True
    found = plain(*inputs, **options)
    assert found.keys() == expected.keys()
    for what, values in expected.items():
        torch.testing.assert_close(found[what], values)
    again = torch.autograd.grad(found["output"].sum(), [*plain.parameters()])
    torch.testing.assert_close(again, gradients)


@every_model
def test_without_lengths_all_steps_are_data(name):
    module = make_module(name)
    samples = [make_sample(name, (5, 4), seed, torch.float64) for seed in range(2)]
    batch = {key: torch.cat([sample[key] for sample in samples]) for key in samples[0]}
    inputs, options = network_arguments(module, batch)
    full = module.model(*inputs, **options)
    without = module.model(*inputs[: len(inputs) // 2], **options)
    torch.testing.assert_close(dict(without), dict(full))


# the others take half a minute each: of the networks that see statics and categories, the whole one
QUICK = ("EncoderDecoderLSTM", "AttentionLSTM", "xTFT", "LSTM", "GRU")
COMPILED = [
    *(name if name in QUICK else long(name) for name in MODELS),
    long("TemporalFusionTransformer, covariates"),
]


# dynamo looks at each input of a graph that follows a break; by default nobody hears of it
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_once_for_all_lengths_with_the_numbers_of_eager(name):
    torch._dynamo.reset()
    module, counter = make_module(name), CompileCounterWithBackend("aot_eager")
    eager = make_module(name)
    module.model.compile(dynamic=True, backend=counter)
    generator, seen, compiled = random.Random(0), set(), 0
    for number in range(21):
        rows = 3 if number == 0 else generator.randint(2, 6)
        lengths = [
            (generator.randint(2, MAX_CONTEXT), generator.randint(2, MAX_HORIZON))
            for _ in range(rows)
        ]
        batch = make_batch(name, generator.choice(alignments_of(name)), lengths, (1, 2))
        seen.add(tuple(batch[f"{side}input"].shape[:2] for side, _ in sides_of(name)))
        outputs = [each(batch)["output"] for each in (module, eager)]
        torch.testing.assert_close(*outputs)
        if number < 2:
            losses = [
                each.calc_loss(output, batch)
                for each, output in zip((module, eager), outputs, strict=True)
            ]
            gradients = [
                torch.autograd.grad(loss, [*each.parameters()], materialize_grads=True)
                for loss, each in zip(losses, (module, eager), strict=True)
            ]
            torch.testing.assert_close(*gradients)
        if number == 1:
            compiled = counter.frame_count
    assert len(seen) >= 12
    assert counter.frame_count == compiled > 0, "compiled again for another shape"
    torch._dynamo.reset()
