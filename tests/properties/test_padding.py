"""Padding never changes a forecast: output, loss and gradient of a sample, for every model.

A sample is forecast alone, unpadded, as the reference. Then it stands in a batch: among other
samples in any order, with any padding at either end, and anything written into that padding.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.depth import examples
from tests.properties.family import (
    ALL,
    COVARIATES,
    MAX_CONTEXT,
    MAX_HORIZON,
    MODELS,
    alignments_of,
    collate,
    make_sample,
    sides_of,
)
from transformertf.batch import forecast_mask
from transformertf.nn import QuantileLoss, recurrent

CRITERIA: dict[str, Callable[[], torch.nn.Module]] = {
    "MSE": torch.nn.MSELoss,
    "quantiles": partial(QuantileLoss, [0.1, 0.5, 0.9]),
}
# of values and of gradients, the latter relative to the largest one
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float64: (1e-10, 1e-10)}
SUBJECTS = [
    (name, alignments) for name in (*MODELS, *COVARIATES) for alignments in alignments_of(name)
]


def loss_and_gradients(module, output, batch):
    """Return the loss and its gradient by every parameter, zero where one takes no part."""
    loss = module.calc_loss(output, batch)
    parameters = [p for p in module.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return loss, found


def assert_same_gradients(found, expected, module, tolerance):
    largest = max(float(gradient.abs().max()) for gradient in expected)
    assert largest > 0
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    for name, one, other in zip(names, found, expected, strict=True):
        torch.testing.assert_close(
            one, other, rtol=0, atol=tolerance * largest, msg=partial("{}: {}".format, name)
        )


@st.composite
def cases(draw):
    """Draw samples, in any order, and the padding around them; something is always padded."""
    rows = draw(st.integers(1, 4))
    contexts = draw(st.lists(st.integers(1, MAX_CONTEXT), min_size=rows, max_size=rows))
    horizons = draw(st.lists(st.integers(1, MAX_HORIZON), min_size=rows, max_size=rows))
    extra = [
        draw(st.integers(1 if len(set(lengths)) == 1 else 0, 3)) for lengths in (contexts, horizons)
    ]
    return {
        "lengths": list(zip(contexts, horizons, strict=True)),
        "order": draw(st.permutations(range(rows))),
        "extra": extra,
        "criterion": draw(st.sampled_from(list(CRITERIA))),
        "filling": draw(st.sampled_from([0.0, -3.0, 1e30, float("nan"), float("inf")])),
        "packing": draw(st.sampled_from(["auto", "always", "never"])),
        # samples as small as these are never cut into segments unless made to
        "worth_cutting": draw(st.sampled_from([1, 10**9])),
    }


SHORT_AND_FULL = {
    "criterion": "MSE",
    "lengths": [(1, MAX_HORIZON), (MAX_CONTEXT, 1), (3, 2)],
    "order": [2, 0, 1],
    "extra": [0, 0],
    "filling": float("nan"),
    "packing": "auto",
    "worth_cutting": 1,
}


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize(
    ("name", "alignments"), SUBJECTS, ids=["-".join([name, *ends]) for name, ends in SUBJECTS]
)
@settings(max_examples=examples(3, 10), deadline=None)
@example(case=SHORT_AND_FULL)
@example(case=SHORT_AND_FULL | {"criterion": "quantiles"})
@given(case=cases())
def test_a_sample_is_the_same_alone_and_in_any_batch(name, dtype, alignments, case):
    torch.manual_seed(0)
    widths = [width for _, width in sides_of(name)]
    make = partial(ALL[name], *widths, criterion=CRITERIA[case["criterion"]]())
    module = make(packing=case["packing"]).to(dtype)
    value_tolerance, gradient_tolerance = TOLERANCES[dtype]
    samples = [make_sample(name, case["lengths"][index], index, dtype) for index in case["order"]]
    batch = collate(name, samples, alignments, case["extra"], case["filling"])
    with mock.patch.object(recurrent, "_WORTH_CUTTING", case["worth_cutting"]):
        output = module(batch)["output"]
    assert output.isfinite().all()

    total: Any = 0.0
    observed = 0
    for row, sample in enumerate(samples):
        alone = module(sample)["output"]
        expected_loss, expected_gradients = loss_and_gradients(module, alone, sample)
        found = output[row, forecast_mask(batch)[row]]
        torch.testing.assert_close(found, alone[0], rtol=value_tolerance, atol=value_tolerance)

        only = torch.zeros_like(batch["target_mask"])
        only[row] = batch["target_mask"][row]
        loss, gradients = loss_and_gradients(module, output, {**batch, "target_mask": only})
        torch.testing.assert_close(loss, expected_loss, rtol=value_tolerance, atol=value_tolerance)
        assert_same_gradients(gradients, expected_gradients, module, gradient_tolerance)
        count = int(sample["target_mask"].sum())
        total, observed = total + count * expected_loss, observed + count

    loss, gradients = loss_and_gradients(module, output, batch)
    torch.testing.assert_close(loss, total / observed, rtol=value_tolerance, atol=value_tolerance)
    parameters = [p for p in module.parameters() if p.requires_grad]
    expected_gradients = torch.autograd.grad(total / observed, parameters, materialize_grads=True)
    assert_same_gradients(gradients, expected_gradients, module, gradient_tolerance)
