"""A step of several batches is that of one batch with all their rows, whatever their lengths."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from tests.distributed.test_loss import close, make_batch, take
from tests.runs import loader
from transformertf.errors import InputError
from transformertf.models import EncoderDecoderLSTM
from transformertf.nn import DistributionLoss, HuberLoss, MAPELoss, QuantileLoss

CRITERIA: dict[str, Callable[[], torch.nn.Module]] = {
    "MSE": torch.nn.MSELoss,
    "Huber": HuberLoss,
    "MAPE": MAPELoss,
    "quantiles": partial(QuantileLoss, [0.1, 0.5, 0.7]),
    "distribution": partial(DistributionLoss, "normal", [0.1, 0.5, 0.9]),
}
# unlike in number, in length and in observed targets
PARTS = [[0, 2, 4], [3], [1]]


def make(criterion: str, **options: Any) -> EncoderDecoderLSTM:
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.1)
    return EncoderDecoderLSTM(
        3, 2, d_encoder=4, d_decoder=3, num_encoder_layers=1, num_decoder_layers=1, dropout=0.0,
        criterion=CRITERIA[criterion](), optimizer=sgd, logging_metrics=(), **options,
    ).double()  # fmt: skip


def fit(module: EncoderDecoderLSTM, given: list[Any], **options: Any) -> lightning.Trainer:
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=options.pop("max_epochs", 1), logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        **options,
    )  # fmt: skip
    trainer.fit(module, loader(*given))
    return trainer


def weights(module: torch.nn.Module) -> list[float]:
    values: list[float] = torch.cat([p.detach().flatten() for p in module.parameters()]).tolist()
    return values


def by_hand(module: EncoderDecoderLSTM, steps: list[Any]) -> list[float]:
    """Return the weights after a plain step of SGD with each batch."""
    for batch in steps:
        loss = module.calc_loss(module(batch), batch)
        for parameter, slope in zip(
            module.parameters(), torch.autograd.grad(loss, list(module.parameters())), strict=True
        ):
            parameter.data -= 0.1 * slope
    return weights(module)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_a_step_of_several_batches_is_that_of_one(criterion: str, weighted: bool) -> None:
    batch = make_batch(weighted=weighted)
    module = make(criterion)
    fit(module, [take(batch, rows) for rows in PARTS], accumulate_grad_batches=3)
    assert weights(module) == close(by_hand(make(criterion), [batch]))


def test_a_mean_of_means_would_be_another_step() -> None:
    batch, module = make_batch(), make("MSE")
    parts = [take(batch, rows) for rows in PARTS]
    means = torch.stack([module.calc_loss(module(part), part) for part in parts]).mean()
    assert abs(means - module.calc_loss(module(batch), batch)) > 0.1 * means


def test_the_rest_of_an_epoch_is_a_step_of_its_own() -> None:
    first, second = make_batch(seed=1), make_batch(seed=2)
    given = [take(first, PARTS[0]), take(first, [3, 1]), take(second, [0, 3]), take(second, [4])]
    module = make("MSE")
    trainer = fit(module, [*given, given[1]], accumulate_grad_batches=2, max_epochs=2)
    assert trainer.global_step == 6
    steps = [first, take(second, [0, 3, 4]), given[1]]
    assert weights(module) == close(by_hand(make("MSE"), [*steps, *steps]))


def test_the_number_of_batches_may_change_between_epochs() -> None:
    batch = make_batch()
    given = [take(batch, rows) for rows in ([0, 2, 4], [3, 1])]
    module = make("MSE")
    fit(module, given, max_epochs=2, callbacks=[GradientAccumulationScheduler({1: 2})])
    assert weights(module) == close(by_hand(make("MSE"), [*given, batch]))


def test_batches_without_an_observed_target_weigh_nothing() -> None:
    batch = make_batch()
    given = [take(batch, rows) for rows in ([1], [0, 2], [3, 4])]
    for part in (given[0], given[2]):
        part["target_mask"][:] = False
    module = make("MSE")
    fit(module, given, accumulate_grad_batches=3)
    assert weights(module) == close(by_hand(make("MSE"), [take(batch, [0, 2])]))


def test_padding_that_is_weighed_as_data_counts() -> None:
    batch = make_batch()
    given = [take(batch, rows) for rows in ([0, 2], [1, 3, 4])]
    module, twin = make("MSE", use_loss_masking=False), make("MSE", use_loss_masking=False)
    fit(module, given, accumulate_grad_batches=2)
    counts = [part["target_mask"].numel() for part in given]
    means = [twin.calc_loss(twin(part), part) for part in given]
    loss = sum(n * mean for n, mean in zip(counts, means, strict=True)) / sum(counts)
    loss.backward()
    expected = torch.cat(
        [(p - 0.1 * p.grad).flatten() for p in twin.parameters() if p.grad is not None]
    )
    assert weights(module) == close(expected.tolist())


def test_clipping_and_the_logged_norm_see_the_whole_gradient() -> None:
    batch = make_batch()
    module, twin = make("MSE", log_grad_norm=True), make("MSE")
    before = torch.tensor(weights(twin), dtype=torch.float64)
    trainer = fit(
        module,
        [take(batch, rows) for rows in PARTS],
        accumulate_grad_batches=3,
        gradient_clip_val=0.01,
    )
    loss = twin.calc_loss(twin(batch), batch)
    slope = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(twin.parameters()))])
    assert trainer.callback_metrics["train/grad_norm"].item() == pytest.approx(slope.norm().item())
    moved = torch.tensor(weights(module), dtype=torch.float64) - before
    assert moved.tolist() == close((-0.1 * 0.01 * slope / (slope.norm() + 1e-6)).tolist())


def test_the_logged_loss_is_the_mean_over_all() -> None:
    batch, module = make_batch(weighted=True), make("MSE")
    expected = module.calc_loss(module(batch), batch).item()
    trainer = fit(module, [take(batch, rows) for rows in PARTS], accumulate_grad_batches=3)
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-6)


def test_an_optimizer_that_asks_for_the_loss_again_is_refused() -> None:
    module = make("MSE")
    module._make_optimizers.keywords["make_optimizer"] = torch.optim.LBFGS
    with pytest.raises(InputError, match=r"accumulate_grad_batches .* LBFGS"):
        fit(module, [make_batch(), make_batch()], accumulate_grad_batches=2)
