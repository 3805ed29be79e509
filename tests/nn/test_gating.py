"""Gates and variable selection against the paper's equations, written out in float64."""

from typing import Any

import pytest
import torch

from tests.models.by_equation import shaken
from transformertf.nn.gating import (
    GLU,
    BatchedLayerNorm,
    BatchedLinear,
    GateAddNorm,
    GatedResidualNetwork,
    Interpolation,
)
from transformertf.nn.selection import VariableSelection

EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def norm(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def glu_by_equation(x, weight, bias):
    """Eq. 5, its two maps one above the other in the weights: the value, then the gate."""
    value, gate = (x @ weight.T + bias).chunk(2, dim=-1)
    return sigmoid(gate) * value


def grn_by_equation(weights, prefix, x, context=None, skip=None):
    """Eq. 2 to 4."""

    def get(name):
        return weights[prefix + name]

    hidden = x @ get("input.weight").T + get("input.bias")
    if context is not None:
        hidden = hidden + context @ get("context.weight").T
    hidden = torch.where(hidden > 0, hidden, torch.exp(hidden) - 1)
    hidden = hidden @ get("hidden.weight").T + get("hidden.bias")
    gated = glu_by_equation(
        hidden, get("output.gate.linear.weight"), get("output.gate.linear.bias")
    )
    return norm(
        (x if skip is None else skip) + gated, get("output.norm.weight"), get("output.norm.bias")
    )


def test_glu():
    module = shaken(GLU(3, 4))
    x = random(2, 5, 3)
    expected = glu_by_equation(x, module.linear.weight, module.linear.bias)
    torch.testing.assert_close(module(x), expected, **EXACT)


@pytest.mark.parametrize("trainable_add", [True, False])
def test_gate_add_norm(trainable_add):
    module = shaken(GateAddNorm(3, 4, trainable_add=trainable_add))
    x, skip = random(2, 5, 3), random(2, 5, 4)
    gated = glu_by_equation(x, module.gate.linear.weight, module.gate.linear.bias)
    weighed = skip * sigmoid(module.skip_weight) * 2 if trainable_add else skip
    expected = norm(weighed + gated, module.norm.weight, module.norm.bias)
    torch.testing.assert_close(module(x, skip), expected, **EXACT)


@pytest.mark.parametrize("with_context", [True, False])
@pytest.mark.parametrize("d_output", [3, 5])
def test_gated_residual_network(with_context, d_output):
    module = shaken(GatedResidualNetwork(3, 4, d_output, d_context=2))
    x, context = random(2, 5, 3), random(2, 1, 2) if with_context else None
    weights = dict(module.named_parameters())
    skip = x if d_output == 3 else x @ weights["skip.weight"].T + weights["skip.bias"]
    expected = grn_by_equation(weights, "", x, context, skip)
    torch.testing.assert_close(module(x, context), expected, **EXACT)


def test_a_resampled_skip_is_interpolated_then_normalised():
    module = shaken(GatedResidualNetwork(3, 4, 5, skip="resample"))
    x = random(2, 5, 3)
    weights = dict(module.named_parameters())
    interpolated = x @ module.skip.weight.T
    skip = norm(interpolated, weights["skip_norm.weight"], weights["skip_norm.bias"])
    expected = grn_by_equation(weights, "", x, skip=skip)
    torch.testing.assert_close(module(x), expected, **EXACT)


@pytest.mark.parametrize(("d_input", "d_output"), [(3, 7), (7, 3), (1, 4), (4, 1), (8, 32)])
def test_interpolation_is_of_features_end_on_end(d_input, d_output):
    module = shaken(Interpolation(d_input, d_output))
    x = random(2, d_input)
    expected = torch.zeros(2, d_output, dtype=torch.float64)
    for place in range(d_output):
        at = place * (d_input - 1) / (d_output - 1) if d_output > 1 else 0.0
        low = min(int(at), d_input - 1)
        high = min(low + 1, d_input - 1)
        expected[:, place] = x[:, low] * (1 - (at - low)) + x[:, high] * (at - low)
    expected = expected * sigmoid(module.scale) * 2
    torch.testing.assert_close(module(x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("skip", ["linear", "resample"])
@pytest.mark.parametrize("d_output", [3, 5])
def test_networks_side_by_side_are_single_ones(skip, d_output):
    sizes = {"d_input": 3, "d_hidden": 4, "d_output": d_output, "skip": skip}
    together = shaken(GatedResidualNetwork(**sizes, variables=2))
    x = random(2, 6, 3)
    found = together(x)
    for variable in range(2):
        alone = GatedResidualNetwork(**sizes).double()
        alone.load_state_dict(
            {
                name: weight[variable].reshape(dict(alone.state_dict())[name].shape)
                for name, weight in together.state_dict().items()
            }
        )
        torch.testing.assert_close(found[variable], alone(x[variable]), **EXACT)


def test_single_maps_start_as_torch_starts_them():
    torch.manual_seed(0)
    weight = BatchedLinear(200, 4, 8).weight.detach()
    bound = 4**-0.5  # torch's uniform bound: one over the root of the inputs
    assert 0.99 * bound < float(weight.abs().max()) <= bound
    assert torch.equal(BatchedLayerNorm(2, 3).weight, torch.ones(2, 3))


@pytest.mark.parametrize("with_context", [True, False])
@pytest.mark.parametrize("skip", ["linear", "resample"])
@pytest.mark.parametrize("d_embedding", [1, 4, 5])
def test_variable_selection(d_embedding, skip, with_context):
    variables, d_model = 3, 5
    module = shaken(VariableSelection(variables, d_embedding, d_model, d_context=2, skip=skip))
    inputs, context = random(2, 6, variables), random(2, 1, 2) if with_context else None
    weights = module.state_dict()
    embedded = [
        inputs[..., j : j + 1] @ weights["embedding.weight"][j].T + weights["embedding.bias"][j]
        for j in range(variables)
    ]

    def skip_of(prefix, weights, x, d_output):
        if x.size(-1) == d_output:
            return x
        if skip == "linear":
            return x @ weights[f"{prefix}.skip.weight"].T + weights[f"{prefix}.skip.bias"]
        resample = Interpolation(x.size(-1), d_output).double()
        resample.scale.data = weights[f"{prefix}.skip.scale"]
        names = (f"{prefix}.skip_norm.weight", f"{prefix}.skip_norm.bias")
        return norm(resample(x), *(weights[name] for name in names))

    together = torch.cat(embedded, dim=-1)
    chosen = grn_by_equation(
        weights, "weighing.", together, context, skip_of("weighing", weights, together, variables)
    )
    chosen = torch.exp(chosen) / torch.exp(chosen).sum(-1, keepdim=True)
    expected = 0.0
    for j, one in enumerate(embedded):
        own = {name: w[j] for name, w in weights.items() if name.startswith("encoding.")}
        expected = expected + chosen[..., j : j + 1] * grn_by_equation(
            own, "encoding.", one, skip=skip_of("encoding", own, one, d_model)
        )
    selected, found = module(inputs, context)
    torch.testing.assert_close(found, chosen, **EXACT)
    torch.testing.assert_close(selected, expected, **EXACT)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 6, dtype=torch.float64), **EXACT)


def test_a_single_variable_is_encoded_and_not_weighed():
    module = shaken(VariableSelection(1, 4, 5))
    inputs = random(2, 6, 1)
    selected, weights = module(inputs)
    assert torch.equal(weights, torch.ones(2, 6, 1, dtype=torch.float64))
    embedded = module.embedding(inputs.reshape(1, -1, 1))
    torch.testing.assert_close(selected, module.encoding(embedded)[0].view(2, 6, 5), **EXACT)
    assert not any(name.startswith("weighing") for name, _ in module.named_parameters())


def test_dropout_acts_before_the_gate_while_training():
    module = GLU(3, 4, dropout=1.0)
    x = torch.randn(2, 3)
    nothing = glu_by_equation(torch.zeros(2, 3), module.linear.weight, module.linear.bias)
    torch.testing.assert_close(module(x), nothing)
    assert not torch.allclose(module.eval()(x), nothing)
