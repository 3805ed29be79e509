"""Training, validation and forecasts in each precision, against float32."""

from collections.abc import Callable
from itertools import product
from typing import Any, cast

import pytest
import torch

from tests.properties import family
from tests.robustness.spoilt import batches, changed, fit, floating, loader, single
from transformertf.batch import Batch, forecast_mask
from transformertf.errors import InputError
from transformertf.models.base import ForecastModule
from transformertf.nn import DistributionLoss, QuantileLoss

Tried = Callable[[str], None]
make_module: Any = family.make_module
CRITERIA: dict[str, Callable[[], torch.nn.Module]] = {
    "quantiles": lambda: QuantileLoss([0.1, 0.5, 0.9]),
    "student_t": lambda: DistributionLoss("student_t"),
}
# bfloat16 has 8 binary digits, so each number is off by up to 1/256 of itself; sums over a layer,
# of numbers near 1 here, and two steps of Adam, which follow the sign of a gradient, take that to a
# few hundredths. What is compared in float64 is off by float32's own rounding, and by an Adam step
# the other way, 1e-3, where a gradient is nearly 0
TOLERANCES = {"bf16-mixed": 0.1, "bf16-true": 0.2, "64-true": 1e-3}


def make(name: str, criterion: str) -> ForecastModule:
    torch.manual_seed(0)
    module: ForecastModule = make_module(name, criterion=CRITERIA[criterion]())
    return module.float()


def outcome(
    name: str, criterion: str, precision: str, given: list[Batch]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return what two steps and a validation log, and forecasts of the data steps."""
    module = make(name, criterion)
    trainer = fit(module, given, given, precision=precision)
    logged = dict(trainer.callback_metrics)
    shown = trainer.predict(module, loader(given))
    assert shown is not None
    masks = [forecast_mask(batch) for batch in given]
    forecasts = [row[mask].flatten() for row, mask in zip(shown, masks, strict=True)]
    return logged, torch.cat(forecasts)


@pytest.fixture(scope="module")
def reference() -> Callable[[str, str], Any]:
    known: dict[tuple[str, str], Any] = {}

    def get(name: str, criterion: str) -> Any:
        if (name, criterion) not in known:
            given = single(batches(name, 2))
            known[name, criterion] = outcome(name, criterion, "32-true", given)
        return known[name, criterion]

    return get


@pytest.mark.parametrize(
    ("criterion", "precision"),
    [*product(["quantiles"], TOLERANCES), ("student_t", "bf16-true")],
)
@pytest.mark.parametrize("name", family.MODELS)
def test_each_precision_is_near_float32(
    name: str, criterion: str, precision: str, reference: Callable[[str, str], Any], tried: Tried
) -> None:
    given = batches(name, 2)
    logged, found = outcome(
        name, criterion, precision, given if precision == "64-true" else single(given)
    )
    expected_logs, expected = reference(name, criterion)
    tolerance = TOLERANCES[precision]
    assert found.dtype in (torch.float32, torch.float64)
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=tolerance)
    assert {"train/loss", "validation/loss", "validation/MAE", "validation/RMSE"} <= logged.keys()
    for key, value in logged.items():
        assert value.dtype in (torch.float32, torch.float64), key
        assert float(value) == pytest.approx(float(expected_logs[key]), rel=tolerance, abs=1e-3), (
            key
        )
    tried("works")


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_sums_of_many_steps_are_kept_in_full(precision: str, tried: Tried) -> None:
    """Of 1 and 513, the sums of two batches, bfloat16 makes 512."""
    (batch,) = single(batches("GRU", 1))
    items = cast("dict[str, torch.Tensor]", batch).items()
    many = changed(batch, **{key: value.repeat_interleave(60, 0) for key, value in items})
    module = make("GRU", "quantiles")
    trainer = fit(module, [batch], precision=precision)
    trainer.validate(module, loader([many] * 3), verbose=False)
    whole = trainer.callback_metrics["validation/loss"], trainer.callback_metrics["validation/MAE"]
    trainer.validate(module, loader([batch]), verbose=False)
    assert whole[0] == pytest.approx(float(trainer.callback_metrics["validation/loss"]), rel=1e-5)
    assert whole[1] == pytest.approx(float(trainer.callback_metrics["validation/MAE"]), rel=1e-5)
    tried("works")


@pytest.mark.filterwarnings("ignore:.*AMP with fp16 is not supported on CPU.*")
def test_mixed_float16_on_a_cpu_is_mixed_bfloat16(tried: Tried) -> None:
    given = single(batches("GRU", 2))
    logged, found = outcome("GRU", "quantiles", "16-mixed", given)
    expected_logs, expected = outcome("GRU", "quantiles", "bf16-mixed", given)
    assert torch.equal(found, expected)
    assert logged == expected_logs
    tried("works")


@pytest.mark.parametrize("name", family.MODELS)
def test_weights_in_float16_are_refused(name: str, tried: Tried) -> None:
    given = single(batches(name, 1))
    with pytest.raises(InputError, match=r"trainer.precision 16-true .*; take 16-mixed"):
        fit(make(name, "quantiles"), given, precision="16-true")
    tried("refused")


@pytest.mark.parametrize("factor", [1e4, 6e4])
@pytest.mark.parametrize("name", family.MODELS)
def test_large_inputs_do_not_overflow(name: str, factor: float, tried: Tried) -> None:
    """Masks and what stands in padding do not reach a sum where they would be infinite."""
    (batch,) = single(batches(name, 1))
    large = changed(
        batch, **{key: value * factor for key, value in floating(batch).items() if "input" in key}
    )
    module = make(name, "quantiles")
    trainer = fit(module, [batch, large], precision="bf16-mixed")
    shown = trainer.predict(module, loader([large]))
    assert shown is not None
    assert shown[0][forecast_mask(large)].isfinite().all()
    tried("works")
