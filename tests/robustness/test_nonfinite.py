"""A batch whose loss or gradient is not finite: it stops the run, or it changes nothing."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision

from tests.properties import family
from tests.robustness.spoilt import (
    BAD,
    assert_same,
    batches,
    changed,
    fit,
    infinite_gradient,
    infinite_loss,
    loader,
    make,
    nan_loss,
    single,
    spoil,
)
from transformertf.batch import Batch
from transformertf.errors import InputError, NonFiniteLossError
from transformertf.models.common import nonfinite

Tried = Callable[[str], None]
every_model = pytest.mark.parametrize("name", family.MODELS)
every_bad = pytest.mark.parametrize("bad", BAD, ids=[bad.__name__ for bad in BAD])


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Return what was warned of so far."""
    with caplog.at_level(logging.WARNING, logger="transformertf"):
        yield lambda: [r.getMessage() for r in caplog.records if r.name.startswith("transformertf")]


@every_model
@every_bad
def test_a_skipped_batch_changes_nothing(
    name: str, bad: Callable[[Batch], Batch], tried: Tried, warned: Callable[[], list[str]]
) -> None:
    first, second, third = batches(name, 3)
    module, reference = make(name), make(name)
    trainer = fit(module, [first, bad(second), third])
    expected = fit(reference, [first, third])
    assert_same(module, reference)
    assert trainer.callback_metrics["train/loss"] == expected.callback_metrics["train/loss"]
    assert trainer.callback_metrics["train/skipped"] == 1
    at_once, at_the_end = warned()
    assert "series 10, origin row 100" in at_once
    assert "in epoch 0, step 1 (1 of 3 windows" in at_once
    assert at_the_end.startswith("skipped 1 of 3 batches of epoch 0")
    tried("works")


@every_bad
@pytest.mark.parametrize("clip", ["norm", "value"])
def test_clipping_does_not_let_it_in(
    bad: Callable[[Batch], Batch], clip: str, tried: Tried
) -> None:
    name = "EncoderDecoderLSTM"
    first, second, third = batches(name, 3)
    module, reference = make(name), make(name)
    options: dict[str, Any] = {"gradient_clip_val": 0.01, "gradient_clip_algorithm": clip}
    fit(module, [first, bad(second), third], **options)
    fit(reference, [first, third], **options)
    assert_same(module, reference)
    tried("works")


@every_model
@pytest.mark.parametrize("bad", [nan_loss, infinite_gradient])
def test_it_stops_the_run_by_default(
    name: str, bad: Callable[[Batch], Batch], tried: Tried
) -> None:
    first, second = batches(name, 2)
    module, reference = make(name, "stop"), make(name, "stop")
    with pytest.raises(NonFiniteLossError, match=r"epoch 0, step 1 .*series 10, origin row 100"):
        fit(module, [first, bad(second)])
    fit(reference, [first])
    for found, expected in zip(module.parameters(), reference.parameters(), strict=True):
        assert torch.equal(found, expected)
    tried("refused")


# -- accumulated gradients


def test_of_accumulated_batches_the_one_is_left_out(tried: Tried) -> None:
    name = "EncoderDecoderLSTM"
    first, second, third, fourth = batches(name, 4)
    module, reference = make(name), make(name)
    fit(module, [first, nan_loss(second), third, fourth], accumulate_grad_batches=2)

    optimizer = torch.optim.AdamW(reference.parameters(), lr=0.01)
    for step in ([first], [third, fourth]):
        optimizer.zero_grad()
        elements = [batch["target_mask"].sum() for batch in step]
        for batch, count in zip(step, elements, strict=True):
            share = count / sum(elements)
            torch.autograd.backward(reference.calc_loss(reference(batch), batch) * share)
        optimizer.step()
    for found, expected in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    tried("works")


@pytest.mark.parametrize("spoilt", [[infinite_gradient], [infinite_loss, nan_loss]])
def test_a_whole_step_is_left_out(spoilt: list[Callable[[Batch], Batch]], tried: Tried) -> None:
    name = "EncoderDecoderLSTM"
    given = batches(name, 4)
    bad = [change(batch) for change, batch in zip(spoilt, given, strict=False)] + given[
        len(spoilt) : 2
    ]
    module, reference = make(name), make(name)
    trainer = fit(module, bad + given[2:], accumulate_grad_batches=2)
    expected = fit(reference, given[2:], accumulate_grad_batches=2)
    assert_same(module, reference)
    assert trainer.callback_metrics["train/skipped"] == 2
    assert trainer.callback_metrics["train/loss"] == expected.callback_metrics["train/loss"]
    tried("works")


def test_the_schedule_goes_on_by_steps(tried: Tried) -> None:
    def schedule(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    name = "EncoderDecoderLSTM"
    first, second, third = batches(name, 3)
    module = make(name, lr_scheduler=schedule, lr_scheduler_interval="step")
    trainer = fit(module, [first, nan_loss(second), third])
    assert trainer.global_step == 3
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.01 / 8
    tried("works")


# -- not for ever


@every_bad
def test_an_epoch_without_a_step_stops(bad: Callable[[Batch], Batch], tried: Tried) -> None:
    given = [bad(batch) for batch in batches("GRU", 3)]
    with pytest.raises(NonFiniteLossError, match="skipped 3 of 3 batches of epoch 0"):
        fit(make("GRU"), given)
    tried("refused")


@every_bad
def test_many_in_a_row_stop(
    bad: Callable[[Batch], Batch], monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    monkeypatch.setattr(nonfinite, "MOST_IN_A_ROW", 3)
    good, *others = batches("GRU", 4)
    spoilt = [bad(batch) for batch in others]
    # two and one, with a good one between
    fit(make("GRU"), [good, *spoilt[:2], good, spoilt[2]])
    with pytest.raises(NonFiniteLossError, match=r"3 batches in a row .* series 30, origin row"):
        fit(make("GRU"), [good, *spoilt])
    # the end of an epoch does not break the row
    with pytest.raises(NonFiniteLossError, match="3 batches in a row"):
        fit(make("GRU"), [spoilt[0], good, *spoilt[1:]], max_epochs=2)
    tried("refused")


def test_the_count_starts_anew_each_epoch(warned: Callable[[], list[str]], tried: Tried) -> None:
    good, bad = batches("GRU", 2)
    trainer = fit(make("GRU"), [good, nan_loss(bad)], max_epochs=2)
    assert trainer.callback_metrics["train/skipped"] == 1
    assert [line.split(":")[0] for line in warned()[1:]] == [
        "skipped 1 of 2 batches of epoch 0",
        "skipped 1 of 2 batches of epoch 1",
    ]
    tried("works")


def test_counts_are_in_the_checkpoint() -> None:
    good, bad = batches("GRU", 2)
    module = make("GRU")
    counted = module.configure_callbacks()[0]
    trainer = fit(module, [good, nan_loss(bad), good], max_steps=2)
    (saved,) = [
        value
        for key, value in trainer._checkpoint_connector.dump_checkpoint()["callbacks"].items()
        if "NonFinite" in key
    ]
    assert saved == counted.state_dict()
    other = make("GRU").configure_callbacks()[0]
    other.load_state_dict({"batches": 3, "skipped": 2, "in_a_row": 1})
    assert other.state_dict() == {"batches": 3, "skipped": 2, "in_a_row": 1}


def test_without_the_option_nothing_is_logged_of_it() -> None:
    trainer = fit(make("GRU", "stop"), batches("GRU", 1))
    assert "train/loss" in trainer.callback_metrics
    assert "train/skipped" not in trainer.callback_metrics


def test_another_word_is_refused(tried: Tried) -> None:
    with pytest.raises(InputError, match=r"on_nonfinite must not be 'skp'; did you mean 'skip'"):
        make("GRU", "skp")
    tried("refused")


# -- half precision


def scaled(scale: float) -> MixedPrecision:
    """Return mixed precision with a scaler, which Lightning has on a GPU only."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
    return MixedPrecision("16-mixed", "cpu", scaler)


@pytest.mark.parametrize("bad", [infinite_loss, nan_loss])
def test_a_batch_is_skipped_beside_a_scaler(bad: Callable[[Batch], Batch], tried: Tried) -> None:
    first, second, third = single(batches("GRU", 3))
    module, reference = make("GRU").float(), make("GRU").float()
    plugin = scaled(8.0)
    fit(module, [first, bad(second), third], plugins=plugin)
    fit(reference, [first, third], plugins=scaled(8.0))
    assert_same(module, reference)
    assert plugin.scaler is not None
    assert plugin.scaler.get_scale() == 8.0
    tried("works")


@pytest.mark.parametrize("on_nonfinite", ["stop", "skip"])
def test_overflow_is_the_scalers_own(
    on_nonfinite: str, tried: Tried, warned: Callable[[], list[str]]
) -> None:
    given = single(batches("GRU", 3))
    module = make("GRU", on_nonfinite, log_grad_norm=True).float()
    reference = make("GRU").float()
    plugin = scaled(2.0**127)
    trainer = fit(module, given[:1], plugins=plugin)
    assert plugin.scaler is not None
    assert plugin.scaler.get_scale() == 2.0**126
    for found, expected in zip(module.parameters(), reference.parameters(), strict=True):
        assert torch.equal(found, expected)
    assert trainer.callback_metrics.get("train/skipped", 0) == 0
    assert "train/grad_norm" not in trainer.callback_metrics
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert warned() == []
    tried("works")


def test_overflow_at_any_scale_stops(monkeypatch: pytest.MonkeyPatch, tried: Tried) -> None:
    monkeypatch.setattr(nonfinite, "MOST_IN_A_ROW", 3)
    given = [infinite_gradient(batch) for batch in single(batches("GRU", 3))]
    with pytest.raises(NonFiniteLossError, match="3 batches in a row gave no step"):
        fit(make("GRU", "stop").float(), given, plugins=scaled(8.0))
    tried("refused")


@pytest.mark.parametrize(
    ("value", "finite"), [(1e30, True), (float("nan"), False), (-float("inf"), False)]
)
def test_a_gradient_is_finite_where_only_its_square_is_not(value: float, finite: bool) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(3)]
    parameters[1].grad = torch.tensor([0.0, value, 1.0])
    parameters[2].grad = torch.ones(3)
    assert nonfinite.gradient_is_finite(parameters) is finite


# -- loss spikes


@pytest.mark.parametrize(("clip", "accumulate"), [("norm", 1), ("norm", 2), ("value", 2)])
@every_model
def test_one_corrupted_window_moves_clipped_weights_no_further(
    name: str, clip: str, accumulate: int, tried: Tried
) -> None:
    given = batches(name, 4)
    given[1] = spoil(given[1], 1e15)
    rate, bound = 0.1, 0.5
    options: dict[str, Any] = {
        "criterion": torch.nn.MSELoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=rate),
    }
    clipped: dict[str, Any] = {"gradient_clip_val": bound, "gradient_clip_algorithm": clip}
    module, still = make(name, "stop", **options), make(name, "stop", **options)
    fit(module, given, accumulate_grad_batches=accumulate, **clipped)
    steps = len(given) // accumulate
    pairs = zip(module.parameters(), still.parameters(), strict=True)
    moved = torch.cat([(after - before).flatten() for after, before in pairs])
    size = moved.norm() if clip == "norm" else moved.abs().max()
    assert 0 < size <= 1.0001 * rate * bound * steps
    with torch.no_grad():
        for batch in given[2:]:
            assert module.calc_loss(module(batch), batch) < 1e3
    # unclipped it ruins the weights
    fit(still, given[:2], accumulate_grad_batches=accumulate)
    assert max(p.abs().max() for p in still.parameters()) > 1e6
    tried("works")


@pytest.mark.parametrize("value", [1e30, float("inf")])
def test_what_clipping_cannot_take_is_skipped(value: float, tried: Tried) -> None:
    first, second, third = single(batches("GRU", 3))
    options: dict[str, Any] = {"criterion": torch.nn.MSELoss()}
    module, reference = make("GRU", **options).float(), make("GRU", **options).float()
    fit(module, [first, spoil(second, value), third], gradient_clip_val=0.5)
    fit(reference, [first, third], gradient_clip_val=0.5)
    assert_same(module, reference)
    tried("works")


# -- evaluation


@pytest.mark.parametrize("bad", [infinite_loss, nan_loss])
def test_a_validation_loss_that_is_not_finite_is_told(
    bad: Callable[[Batch], Batch], warned: Callable[[], list[str]], tried: Tried
) -> None:
    good, second = batches("GRU", 2)
    module = make("GRU", "stop")
    trainer = fit(module, [good])
    trainer.validate(module, loader([good, bad(second)]), verbose=False)
    assert not trainer.callback_metrics["validation/loss"].isfinite()
    (line,) = warned()
    assert line.startswith("validation/loss is ")
    assert "of 1 batches is not finite" in line
    assert "series 10, origin row 100" in line
    tried("works")


@pytest.mark.parametrize("stage", ["validation", "test"])
def test_targets_that_are_nowhere_observed_are_told(
    stage: str, warned: Callable[[], list[str]], tried: Tried
) -> None:
    (good,) = batches("GRU", 1)
    hidden = changed(good, target_mask=torch.zeros_like(good["target_mask"]))
    module = make("GRU", "stop", logging_metrics=["MAE", "RMSE"])
    trainer = fit(module, [good])
    evaluate = trainer.validate if stage == "validation" else trainer.test
    evaluate(module, loader([hidden]), verbose=False)
    assert trainer.callback_metrics[f"{stage}/loss"].isnan()
    (line,) = warned()
    assert line.startswith(f"{stage}/loss is nan in epoch ")
    assert line.endswith("no target is observed in any window of this data")
    # beside others they count for nothing
    evaluate(module, loader([hidden, good]), verbose=False)
    assert trainer.callback_metrics[f"{stage}/loss"].isfinite()
    assert len(warned()) == 1
    tried("works")
