"""Rates over a whole fit against torch's schedulers, whose lengths are given by hand."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.optim import lr_scheduler

from tests.runs import loader, quiet_trainer
from transformertf.errors import InputError
from transformertf.models import (
    ChainedScheduler,
    CosineWithWarmup,
    EncoderDecoderLSTM,
    OneCycle,
    SequentialLR,
)

RATE, BATCHES = 0.25, 7


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)


def rates(scheduler: Any, steps: int) -> list[float]:
    """Return the rate of each of so many steps."""
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def of_torch(total: int, warmup: int, final: float) -> lr_scheduler.LRScheduler:
    own = optimizer()
    return lr_scheduler.SequentialLR(
        own,
        [
            lr_scheduler.LinearLR(own, 1 / warmup, total_iters=warmup - 1),
            lr_scheduler.CosineAnnealingLR(own, total - warmup, eta_min=final * RATE),
        ],
        [warmup - 1],
    )


@pytest.mark.parametrize(("total", "share", "final"), [(40, 0.25, 0.0), (50, 0.1, 0.02)])
def test_cosine_with_warmup(total: int, share: float, final: float) -> None:
    scheduler = CosineWithWarmup(optimizer(), share, final)
    scheduler.follow(total)
    wanted = rates(of_torch(total, round(share * total), final), total)
    found = rates(scheduler, total)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert max(found) == RATE
    assert found[-1] == pytest.approx(final * RATE, abs=1e-12)


def test_without_warmup_it_begins_at_the_highest_rate() -> None:
    scheduler = CosineWithWarmup(optimizer(), warmup=0.0)
    scheduler.follow(11)
    own = optimizer()
    wanted = rates(lr_scheduler.CosineAnnealingLR(own, 10), 11)
    assert rates(scheduler, 11) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("total", [3, 10, 101])
@pytest.mark.parametrize("factors", [(25.0, 1e4), (10.0, 100.0)])
def test_one_cycle(total: int, factors: tuple[float, float]) -> None:
    scheduler = OneCycle(optimizer(), 0.4, *factors)
    scheduler.follow(total)
    first, final = factors
    other = lr_scheduler.OneCycleLR(
        optimizer(), RATE, total, pct_start=0.4, cycle_momentum=False,
        div_factor=first, final_div_factor=final,
    )  # fmt: skip
    # torch's refuses a step more than it has
    wanted = [*rates(other, total - 1), other.optimizer.param_groups[0]["lr"]]
    assert rates(scheduler, total) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("make", [CosineWithWarmup, OneCycle])
@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_fits_have_a_rate(make: Callable[..., Any], total: int) -> None:
    scheduler = make(optimizer())
    scheduler.follow(total)
    found = rates(scheduler, total + 2)  # what follows the end stays
    assert all(0 <= rate <= RATE and math.isfinite(rate) for rate in found)
    assert found[0] > 0
    assert found[-1] == found[-2] == found[total - 1]


class Rates(lightning.Callback):
    """Notes the rate of each optimizer step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.found.append(optimizer.param_groups[0]["lr"])


@pytest.fixture
def fit(ragged_batch: Any) -> Callable[..., list[float]]:
    batches = [ragged_batch(seed=seed) for seed in range(BATCHES)]

    def run(make: Any = CosineWithWarmup, callbacks: Any = (), **options: Any) -> list[float]:
        seen = Rates()
        module = EncoderDecoderLSTM(
            3, 2, d_encoder=2, d_decoder=2, num_encoder_layers=1, num_decoder_layers=1,
            lr_scheduler=make,
        )  # fmt: skip
        trainer = quiet_trainer(callbacks=[seen, *callbacks], **options)
        trainer.fit(module, loader(*batches))
        return seen.found

    return run


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"max_epochs": 3}, 3 * BATCHES),
        ({"max_epochs": 3, "accumulate_grad_batches": 3}, 9),
        ({"max_epochs": -1, "max_steps": 10}, 10),
        ({"max_epochs": 3, "max_steps": 10}, 10),
        ({"max_epochs": 2, "limit_train_batches": 4}, 8),
        ({"max_epochs": 2, "limit_train_batches": 0.5}, 6),
        ({"max_epochs": 2, "max_time": "00:01:00:00"}, 2 * BATCHES),
    ],
    ids=str,
)
def test_its_length_is_that_of_the_fit(
    fit: Callable[..., list[float]], options: dict[str, Any], steps: int
) -> None:
    found = fit(partial(CosineWithWarmup, warmup=0.3, final=0.1), **options)
    own = CosineWithWarmup(torch.optim.SGD([torch.zeros(1)], lr=1e-3), warmup=0.3, final=0.1)
    own.follow(steps)
    assert found == pytest.approx(rates(own, steps))
    assert found[-1] == pytest.approx(1e-4)


def test_fits_without_a_number_of_steps_are_refused(fit: Callable[..., list[float]]) -> None:
    with pytest.raises(InputError, match=r"set trainer\.max_epochs or trainer\.max_steps"):
        fit(max_epochs=None, max_time="00:00:01:00")
    with pytest.raises(InputError, match="CosineWithWarmup cannot count the steps"):
        fit(callbacks=[GradientAccumulationScheduler({1: 2})])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(CosineWithWarmup, warmup=1.0), "warmup must be at least 0 and below 1, found 1.0"),
        (partial(CosineWithWarmup, final=-0.1), "final must be from 0 to 1, found -0.1"),
        (partial(OneCycle, div_factor=0.5), "div_factor must be at least 1, found 0.5"),
        (partial(OneCycle, final_div_factor=math.inf), "final_div_factor must be at least 1"),
        (partial(SequentialLR, schedulers=[OneCycle], milestones=[]), "is of the whole fit"),
        (partial(ChainedScheduler, schedulers=[OneCycle]), "is of the whole fit"),
    ],
)
def test_other_settings_are_refused(make: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(optimizer())
