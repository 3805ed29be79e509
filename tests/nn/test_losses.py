"""Elementwise losses against torch, numpy and the theory of quantiles."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from transformertf.errors import InputError
from transformertf.nn import HuberLoss, L1Loss, MAELoss, MAPELoss, MSELoss, QuantileLoss, SMAPELoss
from transformertf.nn.losses import elementwise, median, quantile_levels


def output_and_target(outputs=1):
    """Errors from far below to far above 1 on both sides, and targets next to zero."""
    generator = torch.Generator().manual_seed(0)
    output = 2 * torch.randn(3, 5, outputs, generator=generator)
    target = 2 * torch.randn(3, 5, 1, generator=generator)
    target[0, 0], target[1, 1] = 0.0, -1e-5
    return output, target


def numpy_quantile(levels):
    def loss(output, target):
        error = target - output
        return np.where(error > 0, np.array(levels) * error, (np.array(levels) - 1) * error)

    return loss


def numpy_huber(delta):
    def loss(output, target):
        error = np.abs(output - target)
        return np.where(error <= delta, error**2 / 2, delta * (error - delta / 2))

    return loss


LOSSES = {
    "MSE": (MSELoss(), lambda o, t: (o - t) ** 2),
    "MAE": (MAELoss(), lambda o, t: np.abs(o - t)),
    "L1": (L1Loss(), lambda o, t: np.abs(o - t)),
    "Huber": (HuberLoss(), numpy_huber(1.0)),
    "Huber 0.3": (HuberLoss(0.3), numpy_huber(0.3)),
    "MAPE": (MAPELoss(), lambda o, t: np.abs(o - t) / np.maximum(np.abs(t), 1e-3)),
    "MAPE 0.5": (MAPELoss(0.5), lambda o, t: np.abs(o - t) / np.maximum(np.abs(t), 0.5)),
    "SMAPE": (
        SMAPELoss(),
        lambda o, t: 2 * np.abs(o - t) / np.maximum(np.abs(o) + np.abs(t), 1e-3),
    ),
    "Quantile": (QuantileLoss([0.1, 0.5, 0.7]), numpy_quantile([0.1, 0.5, 0.7])),
    "Quantile default": (QuantileLoss(), numpy_quantile([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])),
}


@pytest.mark.parametrize(("criterion", "formula"), LOSSES.values(), ids=LOSSES)
def test_loss_agrees_with_its_formula(criterion, formula):
    output, target = output_and_target(len(quantile_levels(criterion) or [0]))
    expected = formula(output.numpy().astype(float), target.numpy().astype(float))
    found = criterion(output, target)
    assert found.shape == output.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MSELoss(), torch.nn.MSELoss(reduction="none")),
        (MAELoss(), torch.nn.L1Loss(reduction="none")),
        (HuberLoss(0.7), torch.nn.HuberLoss(reduction="none", delta=0.7)),
    ],
    ids=["MSE", "MAE", "Huber"],
)
def test_loss_and_gradient_agree_with_torch(ours, theirs):
    output, target = output_and_target()
    output.requires_grad_()
    torch.testing.assert_close(ours(output, target), theirs(output, target))
    gradients = [
        torch.autograd.grad(criterion(output, target).sum(), output)[0]
        for criterion in (ours, theirs)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("criterion", "formula"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_of_a_perfect_forecast_is_zero_with_finite_gradient(criterion, formula, dtype):
    levels = len(quantile_levels(criterion) or [0])
    target = torch.tensor([[[0.0], [1.0], [-3.0]]], dtype=dtype)
    output = target.repeat(1, 1, levels).requires_grad_()
    loss = criterion(output, target)
    loss.sum().backward()
    assert loss.count_nonzero() == 0
    assert output.grad is not None
    assert output.grad.isfinite().all()


@pytest.mark.parametrize("level", [0.02, 0.1, 0.25, 0.5, 0.75, 0.98])
def test_quantile_loss_is_smallest_at_the_empirical_quantile(level):
    # 41 x level is no integer for any level here, so one sample value is the only minimum
    sample = np.random.default_rng(0).normal(size=41).astype(np.float32)
    target = torch.from_numpy(sample).view(1, -1, 1)
    constants = torch.from_numpy(np.sort(sample))
    criterion = QuantileLoss([level])
    means = torch.stack([criterion(c.expand_as(target), target).mean() for c in constants])
    best = constants[means.argmin()].item()
    assert best == np.quantile(sample, level, method="inverted_cdf")


def test_quantile_loss_is_not_doubled():
    output, target = output_and_target()
    loss = QuantileLoss([0.5])(output, target)
    torch.testing.assert_close(loss, (output - target).abs() / 2)


def test_quantile_loss_weighs_the_sides_by_the_level():
    target = torch.tensor([[[1.0]]])
    criterion = QuantileLoss([0.1, 0.9])
    torch.testing.assert_close(criterion(target - 2, target), torch.tensor([[[0.2, 1.8]]]))
    torch.testing.assert_close(criterion(target + 2, target), torch.tensor([[[1.8, 0.2]]]))


@pytest.mark.parametrize(
    "quantiles", [[], [0.0, 0.5], [0.5, 1.0], [-0.1], [1.5], [0.9, 0.5], [0.5, 0.5]]
)
def test_bad_quantiles_are_refused(quantiles):
    with pytest.raises(InputError, match="must rise and lie between 0 and 1"):
        QuantileLoss(quantiles)


@pytest.mark.parametrize("delta", [0.0, -1.0])
def test_bad_delta_is_refused(delta):
    with pytest.raises(InputError, match=f"delta must be above 0, found {delta}"):
        HuberLoss(delta)


def test_quantile_levels_are_no_weights():
    criterion = QuantileLoss([0.1, 0.5])
    assert not criterion.state_dict()
    assert quantile_levels(criterion) == [0.1, 0.5]
    assert quantile_levels(MSELoss()) is None


@pytest.mark.parametrize(
    "criterion",
    [
        torch.nn.L1Loss(),
        torch.nn.L1Loss(reduction="sum"),
        torch.nn.MSELoss(),
        torch.nn.HuberLoss(delta=0.3),
        torch.nn.SmoothL1Loss(beta=0.2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("outputs", [1, 3])
def test_torch_losses_become_elementwise(criterion, outputs):
    before = criterion.reduction
    output, target = output_and_target(outputs)
    target = target.expand_as(output)
    found = elementwise(criterion, outputs)(output, target)
    assert found.shape == output.shape
    reduced = found.sum() if before == "sum" else found.mean()
    torch.testing.assert_close(reduced, criterion(output, target))
    assert criterion.reduction == before, "the caller's criterion must stay as it was"


@pytest.fixture
def compiled():
    """Return what compiles a module, with the backend that counts its compilations."""
    torch._dynamo.reset()
    backend = CompileCounter()
    yield partial(torch.compile, backend=backend), backend
    torch._dynamo.reset()


@pytest.mark.parametrize(
    "plain",
    [torch.nn.MSELoss(), torch.nn.HuberLoss(reduction="sum", delta=0.3), QuantileLoss([0.1, 0.5])],
    ids=repr,
)
def test_compiled_losses_become_elementwise_and_stay_compiled(plain, compiled):
    compile_module, backend = compiled
    given = compile_module(plain)
    levels, reduction = quantile_levels(plain), getattr(plain, "reduction", None)
    assert quantile_levels(given) == levels
    output, target = output_and_target(len(levels or [0]))
    criterion = elementwise(given, output.size(-1))
    assert type(criterion) is type(plain)
    assert quantile_levels(criterion) == levels
    assert backend.frame_count == 0
    found = criterion(output, target)
    assert backend.frame_count == 1
    torch.testing.assert_close(found, elementwise(plain, output.size(-1))(output, target))
    assert getattr(plain, "reduction", None) == reduction, "the caller's must stay as it was"
    torch.testing.assert_close(given(output, target), plain(output, target))


class MeanError(torch.nn.Module):
    """A criterion that reduces and cannot be told not to."""

    def forward(self, output, target):
        return (output - target).abs().mean()


class RowError(torch.nn.Module):
    """A criterion that reduces the steps of each row."""

    def forward(self, output, target):
        return (output - target).abs().mean(dim=1)


class PairOfLosses(torch.nn.Module):
    """A criterion that gives no tensor."""

    def forward(self, output, target):
        return output - target, target


@pytest.mark.parametrize(
    "criterion", [MeanError(), RowError(), PairOfLosses(), torch.nn.CrossEntropyLoss()], ids=repr
)
def test_criterion_that_reduces_is_refused(criterion):
    compiled: Any = torch.compile(criterion, backend="eager")
    for given in (criterion, compiled):
        with pytest.raises(InputError, match=f"{type(criterion).__name__} is not elementwise"):
            elementwise(given, 1)


@pytest.mark.parametrize(
    ("levels", "output", "expected"),
    [
        ([0.5], [7.0], 7.0),
        ([0.1, 0.5, 0.9], [1.0, 2.0, 4.0], 2.0),
        ([0.5, 0.9, 0.95], [1.0, 2.0, 4.0], 1.0),
        ([0.1, 0.2, 0.5], [1.0, 2.0, 4.0], 4.0),
        ([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98], [1.0, 2, 3, 5, 7, 8, 9], 5.0),
        # interpolated between the neighbours of 0.5
        ([0.4, 0.6], [1.0, 3.0], 2.0),
        ([0.1, 0.2, 0.6, 0.9], [0.0, 1.0, 5.0, 9.0], 4.0),
        # nothing to interpolate: the nearest level
        ([0.6, 0.9], [1.0, 3.0], 1.0),
        ([0.1, 0.4], [1.0, 3.0], 3.0),
        ([0.3], [6.0], 6.0),
    ],
)
def test_median(levels, output, expected):
    values = torch.tensor(output).expand(2, 3, -1)
    torch.testing.assert_close(median(values, levels), torch.full((2, 3, 1), expected))
