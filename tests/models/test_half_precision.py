"""What brings forecasts back, and what they are measured on, keeps its digits in half precision."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.runs import predicted, quiet_trainer
from transformertf.data import EncoderDecoderDataModule
from transformertf.models import EncoderDecoderLSTM, ForecastModule
from transformertf.nn import QuantileLoss

ROWS = np.arange(120)
WAVE = np.sin(ROWS / 5)
FAR = 1000.3  # bfloat16 has it as 1000, and 1002.3 as 1000, too
# the column to forecast, how far it moves, and what is said of it
CASES: dict[str, tuple[Any, float, dict[str, Any], dict[str, Any]]] = {
    "differences": (1e5 + np.cumsum(WAVE), 1, {"extra_transforms": {"y": "DeltaTransform"}}, {}),
    "windows": (1e4 * np.tanh(ROWS - 30) + WAVE, 130, {"normalize": "window"}, {}),
    "changes within windows": (
        1e4 * np.tanh(ROWS - 30) + WAVE,
        130,
        {"normalize": "window"},
        {"prediction_type": "delta", "criterion": QuantileLoss([0.1, 0.5, 0.9])},
    ),
    "original units": (FAR + WAVE, 1, {"normalize": False}, {"prediction_type": "delta"}),
    "ratios": (
        (FAR + 0.01 * WAVE) * (3 + WAVE),
        10,
        {"extra_transforms": {"y": "DivideByXTransform"}, "target_depends_on": "x"},
        {},
    ),
    "quantiles": (FAR + WAVE, 1, {}, {"criterion": QuantileLoss([0.02, 0.37, 0.98])}),
}


def make(y: Any, folder: Path, **data: Any) -> EncoderDecoderDataModule:
    path, late = folder / "a.csv", folder / "late.csv"
    table = pd.DataFrame({"x": 3 + WAVE, "y": y})
    table.to_csv(path, index=False)
    table[60:].to_csv(late, index=False)
    made = EncoderDecoderDataModule(
        "y", "x", train_df_paths=str(path), predict_df_paths=str(late), val_fraction=0.4,
        ctxt_seq_len=8, tgt_seq_len=4, **data,
    )  # fmt: skip
    made.setup("fit")
    return made


def tiny(**given: Any) -> EncoderDecoderLSTM:
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 4}
    return EncoderDecoderLSTM(num_past_features=2, num_future_features=1, **sizes, **given)


def outcome(model: ForecastModule, data: Any, precision: str) -> tuple[torch.Tensor, Any]:
    """Return forecasts of a fitted data module, and what a validation logs."""
    trainer = quiet_trainer(precision=precision, inference_mode=False)
    shown = torch.cat([one.flatten() for one in predicted(trainer, model, datamodule=data)])
    logged = trainer.validate(model, datamodule=data, verbose=False)
    return shown.double(), logged[0]


@pytest.mark.parametrize(
    ("case", "precision"),
    [*product(CASES, ["bf16-true"]), ("differences", "16-true"), ("windows", "bf16-mixed")],
)
@pytest.mark.filterwarnings("ignore:.*16-true:UserWarning")
def test_forecasts_are_those_of_single_precision_but_for_the_network(
    case: str, precision: str, tmp_path: Path
) -> None:
    y, moves, of_data, of_model = CASES[case]
    data, model = make(y, tmp_path, **of_data), tiny(**of_model)
    expected, logs = outcome(model, data, "32-true")
    found, logged = outcome(model, data, precision)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03 * moves)
    for name, value in logs.items():
        assert logged[name] == pytest.approx(value, rel=0.03), name


class Weighted(torch.nn.Module):
    """A squared error with a weight that is kept as a buffer, and one that is learnt."""

    weight: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(FAR))
        self.learnt = torch.nn.Parameter(torch.tensor(FAR))

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.weight * self.learnt * (output - target).square()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_a_criterion_holds_is_not_rounded(dtype: torch.dtype) -> None:
    levels = QuantileLoss([0.02, 0.37, 0.98])
    for criterion in (levels, Weighted()):
        model = tiny(criterion=criterion)
        before = {name: value.clone() for name, value in model.criterion.state_dict().items()}
        model.to(dtype)
        assert model.dtype == dtype
        assert all(torch.equal(model.criterion.state_dict()[name], before[name]) for name in before)
    held = tiny(criterion=levels).to(dtype).criterion
    assert isinstance(held, QuantileLoss)
    assert torch.equal(held.levels, torch.tensor(levels.quantiles))
    assert tiny(criterion=Weighted()).double().criterion.weight.dtype == torch.float64
