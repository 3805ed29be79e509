"""What the losses of torch.nn are given, and what that says of the target."""

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn.modules import loss as torch_losses

from transformertf.errors import InputError
from transformertf.nn import LinkedLoss, elementwise, linked

ESTIMATE = {"HuberLoss", "L1Loss", "MSELoss", "PairwiseDistance", "SmoothL1Loss"}
LINKED = {
    "BCELoss": "numbers from 0 to 1",
    "BCEWithLogitsLoss": "numbers from 0 to 1",
    "PoissonNLLLoss": "numbers from 0",
    "SoftMarginLoss": "-1 and 1",
}
WITHOUT_FORECAST = {
    "GaussianNLLLoss": "take DistributionLoss with distribution 'normal'",
    "HingeEmbeddingLoss": "take SoftMarginLoss for targets -1 and 1",
    "KLDivLoss": "take BCEWithLogitsLoss for targets from 0 to 1",
}
NOT_ELEMENTWISE = {
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "LinearCrossEntropyLoss": {"in_features": 1, "num_classes": 2},
    "PairwiseDistance": {"keepdim": True},
}
# of torch.nn, whatever its version
NAMES = sorted(
    name
    for name, kind in vars(torch_losses).items()
    if name in ARGUMENTS
    or (inspect.isclass(kind) and kind.__module__ == torch_losses.__name__ and name[0] != "_")
)


@pytest.mark.filterwarnings("ignore:`NLLLoss2d`:FutureWarning")
@pytest.mark.parametrize("name", NAMES)
def test_each_loss_of_torch_is_linked_or_refused_or_of_the_estimate(name):
    criterion = getattr(torch_losses, name)(**ARGUMENTS.get(name, {}))
    if name in WITHOUT_FORECAST or name in NOT_ELEMENTWISE:
        with pytest.raises(InputError) as error:
            elementwise(criterion, 1)
        assert f"criterion {name} " in str(error.value)
        assert WITHOUT_FORECAST.get(name, "is not elementwise") in str(error.value)
        assert "\n" not in str(error.value)
        return
    found = linked(elementwise(criterion, 1))
    if name in LINKED:
        assert isinstance(found, LinkedLoss)
        assert found.support == LINKED[name]
    else:
        assert name in ESTIMATE, "say in transformertf.nn.links what it is given"
        assert type(found) is type(criterion)


class OwnPoisson(torch.nn.PoissonNLLLoss):
    """A user's own, weighted by the target."""

    def forward(self, log_input, target):
        return super().forward(log_input, target) * (1 + 0 * target)


RANDOM = np.random.default_rng(0)
COUNTS, SHARES = RANDOM.poisson(30, 200), RANDOM.uniform(size=200)
BINARY = RANDOM.integers(2, size=200)
CASES = {
    "log rate": (torch.nn.PoissonNLLLoss(), COUNTS),
    "log rate of large counts": (torch.nn.PoissonNLLLoss(full=True), COUNTS + 10**6),
    "log rate of few": (torch.nn.PoissonNLLLoss(), RANDOM.poisson(0.2, 200)),
    "own log rate": (OwnPoisson(), COUNTS),
    "rate": (torch.nn.PoissonNLLLoss(log_input=False), COUNTS),
    "logit": (torch.nn.BCEWithLogitsLoss(), BINARY),
    "logit of shares": (torch.nn.BCEWithLogitsLoss(), SHARES),
    "probability": (torch.nn.BCELoss(), BINARY),
    "sign": (torch.nn.SoftMarginLoss(), 2 * BINARY - 1),
}
every_case = pytest.mark.parametrize(("criterion", "values"), CASES.values(), ids=CASES)


def in_units(criterion, values, scaled):
    """Return the linked criterion, and its targets (1, T, 1)."""
    made: Any = linked(elementwise(criterion, 1))
    if scaled:
        made.loc, made.scale = float(np.mean(values)), float(np.std(values))
    target = (np.asarray(values) - made.loc) / made.scale
    return made, torch.from_numpy(target).float().view(1, -1, 1)


@every_case
@pytest.mark.parametrize("scaled", [True, False])
def test_the_lowest_loss_is_at_the_mean(criterion, values, scaled):
    made, target = in_units(criterion, values, scaled)

    def loss(raw):
        return made(torch.full_like(target, raw, dtype=torch.float64), target).mean().item()

    level = np.log(np.mean(values)) if made.support == "numbers from 0" and not scaled else 0
    if type(criterion) is torch.nn.PoissonNLLLoss and not criterion.log_input and not scaled:
        level = np.mean(values)
    best = minimize_scalar(loss, bracket=(level - 0.5, level + 0.5)).x
    shown = made.estimate(torch.tensor([[[best]]])).item() * made.scale + made.loc
    assert shown == pytest.approx(np.mean(values), rel=1e-3, abs=1e-4)


@every_case
def test_without_scaling_the_loss_is_that_of_torch(criterion, values):
    made, target = in_units(criterion, values, scaled=False)
    raw = torch.linspace(-2, 2, len(values)).view(1, -1, 1)
    given = {
        torch.nn.BCELoss: torch.sigmoid(raw),
        torch.nn.PoissonNLLLoss: raw if getattr(criterion, "log_input", True) else (
            torch.where(raw > 0.1, raw, torch.exp(10 * raw - 1) / 10)
        ),
    }.get(type(criterion), raw)  # fmt: skip
    expected = copy.deepcopy(criterion)
    expected.reduction = "none"
    found = made(raw, target)
    assert found.dtype == raw.dtype
    torch.testing.assert_close(found, expected(given, target))


def test_a_start_near_zero_is_near_the_data():
    for criterion in (torch.nn.PoissonNLLLoss(), torch.nn.PoissonNLLLoss(log_input=False)):
        for level in (20, 10**7):
            made, _ = in_units(criterion, COUNTS + level, scaled=True)
            shown = made.estimate(torch.zeros(1, 1, 1)).item()
            assert shown * made.scale + made.loc == pytest.approx(level + 30, rel=0.2)


@pytest.mark.parametrize(
    ("criterion", "good", "bad"),
    [
        (torch.nn.PoissonNLLLoss(), [0.0, 0.5, 3.0, 1e9], [-1.0, -1e-3]),
        (torch.nn.BCELoss(), [0.0, 0.25, 1.0], [-0.1, 1.1, 2.0]),
        (torch.nn.BCEWithLogitsLoss(), [0.0, 0.25, 1.0], [-0.1, 1.1]),
        (torch.nn.SoftMarginLoss(), [-1.0, 1.0], [0.0, 0.5, 2.0]),
    ],
)
@pytest.mark.parametrize("units", [(0.0, 1.0), (0.37, 0.21)])
def test_targets_that_it_cannot_have_are_found(criterion, good, bad, units):
    made: Any = linked(elementwise(criterion, 1))
    made.loc, made.scale = units

    def outside(values):
        scaled = (torch.tensor(values, dtype=torch.float64) - units[0]) / units[1]
        scaled = scaled.float().view(1, -1, 1)
        return made.first_outside(scaled, torch.ones(scaled.shape[:2], dtype=torch.bool)), scaled

    found, scaled = outside(good)
    assert found is None
    assert torch.isfinite(made(torch.zeros_like(scaled), scaled)).all()
    for value in bad:
        found, _ = outside([good[0], value])
        assert found is not None
        assert found == (0, pytest.approx(value, abs=1e-6))


def test_autocast_and_copies_change_nothing():
    made, target = in_units(torch.nn.BCELoss(), BINARY, scaled=True)
    raw = torch.linspace(-2, 2, len(BINARY)).view(1, -1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = made(raw, target)
    torch.testing.assert_close(found, made(raw, target), rtol=0, atol=0)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(other.estimate(raw), made.estimate(raw))
