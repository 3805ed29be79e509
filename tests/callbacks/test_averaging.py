"""Averages of weights against arithmetic in float64, and what reads them."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch

from tests.models.conftest import ragged_batch
from tests.runs import content_of, loader, quiet_trainer, weights
from transformertf.callbacks import AveragedWeights
from transformertf.errors import InputError
from transformertf.models import EncoderDecoderLSTM

__all__ = ["ragged_batch"]

DECAY = 0.7  # above the warm-up's for the first 20 steps, and below it then
STEPS = 40


def tiny(**options: Any) -> EncoderDecoderLSTM:
    torch.manual_seed(0)
    return EncoderDecoderLSTM(
        3, 2, d_encoder=4, d_decoder=4, num_encoder_layers=1, num_decoder_layers=1, dropout=0.0,
        optimizer=partial(torch.optim.SGD, lr=1.0), **options,
    )  # fmt: skip


class Watching(lightning.Callback):
    """Notes the weights that train after each step, and keeps checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trained: list[dict[str, torch.Tensor]] = []
        self.losses: list[float] = []

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._note(pl_module)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        self._note(pl_module)

    def on_validation_batch_start(self, trainer: Any, *_: Any) -> None:
        trainer.save_checkpoint(self.folder / "within.ckpt", weights_only=False)

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"{len(self.losses)}.ckpt", weights_only=False)
            self.losses.append(trainer.callback_metrics["validation/loss"].item())

    def _note(self, module: torch.nn.Module) -> None:
        self.trained.append({n: p.detach().clone() for n, p in module.named_parameters()})


def by_hand(trained: list[dict[str, torch.Tensor]], name: str) -> np.ndarray:
    """Return the average of the weights after each step, the first ones included."""
    first, *rest = [each[name].double().numpy() for each in trained]
    average = first
    for step, weight in enumerate(rest, start=1):
        decay = min(DECAY, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    return average


@pytest.fixture
def batches(ragged_batch: Any) -> list[Any]:
    return [ragged_batch(seed=seed) for seed in range(STEPS // 2)]


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true"])
def test_averages_are_those_of_arithmetic(
    precision: Any, batches: list[Any], tmp_path: Path
) -> None:
    watching = Watching(tmp_path)
    trainer = quiet_trainer(
        callbacks=[watching, AveragedWeights(DECAY)], max_epochs=2, precision=precision
    )
    model = tiny()
    trainer.fit(model, loader(*batches), loader(*batches[:3]))
    assert len(watching.trained) == STEPS + 1
    kept, within = weights(tmp_path / "1.ckpt"), weights(tmp_path / "within.ckpt")
    first, *_, final = watching.trained
    assert not any(torch.equal(first[name], final[name]) for name in first)
    assert any((kept[name] - final[name]).abs().max() > 0.01 for name in final)
    for name, last in final.items():
        wanted = by_hand(watching.trained, name)
        tolerance = 1e-12 if precision == "64-true" else 2e-6
        np.testing.assert_allclose(kept[name].numpy(), wanted, rtol=tolerance, atol=tolerance)
        assert torch.equal(kept[name], within[name])
        # what trains goes on beside them, and the averages are left in the module
        assert torch.equal(content_of(tmp_path / "1.ckpt")["averaging"]["weights"][name], last)
        assert torch.equal(model.get_parameter(name), kept[name].to(last.dtype))


def test_the_loss_of_validation_is_that_of_the_averages(batches: list[Any], tmp_path: Path) -> None:
    watching = Watching(tmp_path)
    options: dict[str, Any] = {"callbacks": [AveragedWeights(0.99), watching], "max_epochs": 2}
    quiet_trainer(**options).fit(tiny(), loader(*batches), loader(*batches[:3]))
    assert len(set(watching.losses)) == len(watching.losses) == 2
    for epoch, loss in enumerate(watching.losses):
        module = tiny()
        module.load_state_dict(weights(tmp_path / f"{epoch}.ckpt"))
        (found,) = quiet_trainer().validate(module, loader(*batches[:3]), verbose=False)
        assert found["validation/loss"] == loss
        module.load_state_dict(
            content_of(tmp_path / f"{epoch}.ckpt")["averaging"]["weights"], False
        )
        (found,) = quiet_trainer().validate(module, loader(*batches[:3]), verbose=False)
        assert abs(found["validation/loss"] - loss) > 1e-4


def test_what_is_frozen_keeps_its_bits_and_training_its_course(
    batches: list[Any], tmp_path: Path
) -> None:
    trained = []
    for averaging in ([], [AveragedWeights(0.9)]):
        watching = Watching(tmp_path)
        trainer = quiet_trainer(callbacks=[*averaging, watching])
        model = tiny(trainable_parameters=["model.head.*"])
        trainer.fit(model, loader(*batches), loader(*batches[:3]))
        trained.append(watching.trained)
    first = trained[0][0]
    for name, weight in weights(tmp_path / "0.ckpt").items():
        if name in first and not name.startswith("model.head"):
            assert torch.equal(weight, first[name])
    for one, other in zip(*trained, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0, float("nan")])
def test_other_decays_are_refused(decay: float) -> None:
    with pytest.raises(InputError, match="ema must be above 0 and below 1, found"):
        AveragedWeights(decay)
