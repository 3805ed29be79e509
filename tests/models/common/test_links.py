"""Forecasters whose criterion is given no estimate of the target: what they show, and refuse."""

from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging

from tests.runs import UNITS, Units, content_of, predicted, quiet_trainer
from transformertf.checkpoint import Checkpoint
from transformertf.errors import InputError
from transformertf.models import GRU, EncoderDecoderLSTM
from transformertf.nn import DistributionLoss, MSELoss

POISSON = torch.nn.PoissonNLLLoss()


def tiny(criterion: torch.nn.Module = POISSON, **kwargs: Any) -> Any:
    """Return a small forecaster of 3 past and 2 future features."""
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 4, "dropout": 0.0, **kwargs}
    return EncoderDecoderLSTM(3, 2, criterion=criterion, **sizes)


def filled(batch, value=8.0):
    """Put one value, in its own units, into the observed places of a batch."""
    mask = batch["target_mask"].unsqueeze(-1)
    batch["target"] = torch.where(mask, (value - UNITS[0]) / UNITS[1], batch["target"])
    return batch


def in_units(module):
    module.criterion.loc, module.criterion.scale = UNITS
    return module


SHOWN = {
    "log rate": (POISSON, lambda r: 6 * torch.exp(r / 3)),
    "rate": (
        torch.nn.PoissonNLLLoss(log_input=False),
        lambda r: 2 * (r + 3),
    ),
    "logit": (torch.nn.BCEWithLogitsLoss(), lambda r: 1 / (1 + torch.exp(-r))),
    "probability": (torch.nn.BCELoss(), lambda r: 1 / (1 + torch.exp(-r))),
    "sign": (torch.nn.SoftMarginLoss(), lambda r: 2 / (1 + torch.exp(-r)) - 1),
}


@pytest.mark.parametrize(("criterion", "formula"), SHOWN.values(), ids=SHOWN)
def test_predictions_are_means_in_original_units(criterion, formula, ragged_batch):
    module, batch = in_units(tiny(criterion, logging_metrics=["MAE"])), ragged_batch()
    expected = formula(module.eval()(batch)["output"].double())
    (found,) = predicted(quiet_trainer(), module, datamodule=Units(batch))
    torch.testing.assert_close(found, expected)
    assert module.decode(expected).dtype == torch.float64
    value = 1.0
    (logged,) = quiet_trainer().validate(
        module, datamodule=Units(filled(batch, value)), verbose=False
    )
    errors = (expected - value)[batch["target_mask"]].abs()
    assert logged["validation/MAE"] == pytest.approx(errors.mean().item(), rel=1e-6)


@pytest.mark.parametrize("garbage", [float("nan"), 1e30])
def test_values_outside_the_data_reach_neither_loss_nor_gradient(garbage, ragged_batch):
    module, batch = in_units(tiny(torch.nn.BCELoss())), filled(ragged_batch(), 0.25)
    output = torch.zeros_like(batch["target"], requires_grad=True)
    expected = module.calc_loss(output, batch)
    mask = batch["target_mask"].unsqueeze(-1)
    batch["target"] = torch.where(mask, batch["target"], garbage)
    found = module.calc_loss(torch.where(mask, output, garbage), batch)
    # -log 0.5, whatever the target
    assert found.item() == expected.item() == pytest.approx(0.6931472)
    (gradient,) = torch.autograd.grad(found, output)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prediction_type": "delta"}, "but PoissonNLLLoss is of numbers from 0: leave it at"),
        ({"use_loss_masking": False}, "but PoissonNLLLoss is of numbers from 0: leave it out"),
        ({"monotone": True}, "monotone wants quantiles, but the criterion is PoissonNLLLoss"),
        ({"output_dim": 3}, "the criterion PoissonNLLLoss wants 1"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        tiny(**arguments)
    assert message in str(error.value)


def test_windows_scaled_by_themselves_are_refused(ragged_batch):
    batch = ragged_batch()
    batch["window_loc"], batch["window_scale"] = torch.zeros(3), torch.ones(3)
    with pytest.raises(InputError, match=r"PoissonNLLLoss is of .* set data.normalize to true"):
        tiny()(batch)


@pytest.mark.parametrize("value", [-1.0, -0.5])
def test_targets_that_it_cannot_have_are_refused_by_name(value, ragged_batch):
    good, bad = filled(ragged_batch()), filled(ragged_batch())
    bad["target"][1, 0] = (value - UNITS[0]) / UNITS[1]
    with pytest.raises(InputError) as error:
        quiet_trainer().fit(tiny(), datamodule=Units(good, bad))
    place = "validation data, series 11, origin row 107"
    assert f"PoissonNLLLoss is of numbers from 0, but a target is {value:g} ({place}): " in str(
        error.value
    )
    with pytest.raises(InputError, match=r"\(run-11 at 107\)"):
        quiet_trainer(num_sanity_val_steps=0).fit(tiny(), datamodule=Units(good, bad))


def test_a_forecast_without_spread_says_so():
    with pytest.raises(InputError, match="criterion PoissonNLLLoss gives no spread"):
        tiny().draw(torch.zeros(2, 4, 1), torch.full((2, 3, 4), 0.5))


def test_sequence_models_train_with_it(ragged_batch):
    given = filled(ragged_batch())
    batch = {
        "input": given["decoder_input"],
        "lengths": given["decoder_lengths"],
        "mask": given["decoder_mask"],
        **{name: given[name] for name in ("target", "target_mask", "series", "origin")},
    }
    module = GRU(2, d_model=4, dropout=0.0, criterion=POISSON)
    quiet_trainer().fit(module, datamodule=Units(batch))
    (found,) = predicted(quiet_trainer(), module, datamodule=Units(batch))
    assert (found > 0).all()


class Plain(lightning.Callback):
    """Changes nothing."""


AVERAGING = {
    "plain": Plain,
    "moving": lambda: EMAWeightAveraging(decay=0.9),
    "moving later": lambda: EMAWeightAveraging(update_starting_at_step=10**6),
    "stochastic": lambda: StochasticWeightAveraging(swa_lrs=1e-3, swa_epoch_start=1),
}


# lightning's loader calls what jsonargparse deprecates
@pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
@pytest.mark.parametrize("averaging", AVERAGING.values(), ids=AVERAGING)
@pytest.mark.parametrize(
    "criterion", [POISSON, DistributionLoss("negative_binomial", [0.1, 0.5])], ids=repr
)
def test_units_survive_a_checkpoint(criterion, averaging, tmp_path, ragged_batch):
    batches = filled(ragged_batch()), filled(ragged_batch(seed=1))
    kept = [(tmp_path / f"{when}.ckpt") for when in ("during", "after")]

    class Keeps(lightning.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(kept[0])

    trainer = quiet_trainer(callbacks=[averaging(), Keeps()], max_epochs=2)
    trainer.fit(tiny(criterion), datamodule=Units(*batches))
    trainer.save_checkpoint(kept[1])
    for path in kept:
        assert content_of(path)["state_dict"]["criterion._extra_state"].tolist() == list(UNITS)
        loaded: Any = EncoderDecoderLSTM.load_from_checkpoint(
            path, map_location="cpu", weights_only=True
        )
        assert (loaded.criterion.loc, loaded.criterion.scale) == UNITS
        (found,) = quiet_trainer().test(loaded, datamodule=Units(*batches), verbose=False)
        assert found["test/loss"] < 100


def test_checkpoint_of_another_meaning_is_refused(tmp_path, ragged_batch):
    batch = filled(ragged_batch(), 1.0)
    trainer = quiet_trainer()
    trainer.fit(tiny(), datamodule=Units(batch))
    trainer.save_checkpoint(tmp_path / "tiny.ckpt")
    options: dict[str, Any] = {"ckpt_path": tmp_path / "tiny.ckpt", "weights_only": True}
    for criterion, own in (
        (torch.nn.PoissonNLLLoss(log_input=False), "PoissonNLLLoss with log_input False"),
        (torch.nn.BCELoss(), "BCELoss"),
        (MSELoss(), "MSELoss"),
        (DistributionLoss("log_normal"), "DistributionLoss 'log_normal'"),
    ):
        with pytest.raises(InputError) as error:
            quiet_trainer().validate(tiny(criterion), datamodule=Units(batch), **options)
        assert f"the criterion is {own}, but the checkpoint was trained with PoissonNLLLoss;" in (
            str(error.value)
        )
    quiet_trainer().validate(tiny(), datamodule=Units(batch), verbose=False, **options)


# lightning's loader calls what jsonargparse deprecates
@pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
def test_checkpoints_without_units_are_of_the_scaled_target(tmp_path, ragged_batch):
    trainer, batch = quiet_trainer(), filled(ragged_batch(), 8.0)
    trainer.fit(tiny(), datamodule=Units(batch))
    trainer.save_checkpoint(tmp_path / "new.ckpt")
    content = content_of(tmp_path / "new.ckpt")
    del content["state_dict"]["criterion._extra_state"]
    torch.save(content, tmp_path / "old.ckpt")
    loaded = EncoderDecoderLSTM.load_from_checkpoint(
        tmp_path / "old.ckpt", map_location="cpu", weights_only=True
    )
    Checkpoint(tmp_path / "old.ckpt", content, "--ckpt_path").refuse_other(loaded)
    shown = loaded.decode(loaded.eval()(batch)["output"])
    torch.testing.assert_close(shown, loaded(batch)["output"].double().exp())


def test_hyperparameters_are_of_the_criterion_itself():
    described = tiny().hparams["criterion"]
    assert described["class_path"] == "torch.nn.modules.loss.PoissonNLLLoss"
    assert described["init_args"]["log_input"] is True
