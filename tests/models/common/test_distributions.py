"""Forecasters that are trained with a distribution: loss, quantiles, draws, units, coverage."""

import copy
import pickle
from functools import partial
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from tests.nn.test_distributions import NAMES, OWN_UNITS, by_scipy, log_likelihood
from tests.runs import UNITS, Units, loader, predicted, quiet_trainer
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.models import GRU, LSTM, EncoderDecoderLSTM
from transformertf.nn import DistributionLoss, MSELoss, QuantileLoss

LEVELS = [0.1, 0.5, 0.9]
every_family = pytest.mark.parametrize("name", NAMES)


def tiny(name="normal", quantiles=LEVELS, **kwargs):
    """Return a small forecaster of 3 past and 2 future features."""
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 4, "num_encoder_layers": 1, "num_decoder_layers": 1}
    arguments = {"criterion": DistributionLoss(name, quantiles), "dropout": 0.0, **kwargs}
    return EncoderDecoderLSTM(3, 2, **{**sizes, **arguments})


def in_units(module):
    """Tell the criterion of a module the units of `filled` batches."""
    module.criterion.loc, module.criterion.scale = units_of(module.criterion.distribution)
    return module


def units_of(name):
    return UNITS if name in OWN_UNITS else (0.0, 1.0)


def filled(batch, name):
    """Put targets that the distribution can have into the observed places of a batch."""
    if name in OWN_UNITS:
        loc, scale = UNITS
        value = np.random.default_rng(4).poisson(6, batch["target"].shape) + 1.0
        scaled = torch.from_numpy((value - loc) / scale).to(batch["target"])
        mask = batch["target_mask"].unsqueeze(-1)
        batch["target"] = torch.where(mask, scaled, batch["target"])
    return batch


def random_output(module, batch):
    generator = torch.Generator().manual_seed(3)
    shape = *batch["decoder_mask"].shape, module.output_dim
    return torch.randn(shape, generator=generator, requires_grad=True)


# -- the loss


@every_family
@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 0.0]], ids=["equal", "weighted"])
@pytest.mark.parametrize("alignment", ["left", "right"])
def test_loss_is_the_mean_over_data(name, weight, alignment, ragged_batch):
    module = in_units(tiny(name))
    batch = filled(ragged_batch(decoder_alignment=alignment), name)
    if weight is not None:
        batch["weight"] = torch.tensor(weight)
    output, mask = random_output(module, batch), batch["target_mask"].numpy()
    assert 0 < mask.sum() < batch["decoder_mask"].sum() < mask.size, "masks must be partial"
    loc, scale = units_of(name)
    value = batch["target"].numpy().astype(float) * scale + loc
    value = value.round() if name == "negative_binomial" else value
    distribution = by_scipy(name, output.detach().numpy(), (loc, scale))
    losses = -log_likelihood(name, distribution, value)[..., 0][mask]
    shares = np.broadcast_to(np.array(weight or [1.0] * 3)[:, None], mask.shape)[mask]
    loss = module.calc_loss(output, batch)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(np.average(losses, weights=shares), rel=1e-5)


@every_family
@pytest.mark.parametrize("garbage", [0.0, -1e30, float("nan"), float("inf")])
def test_values_outside_the_data_reach_neither_loss_nor_gradient(name, garbage, ragged_batch):
    module = in_units(tiny(name))
    clean, dirty = (filled(ragged_batch(padding=p), name) for p in (1.0, garbage))
    mask = clean["target_mask"].unsqueeze(-1)
    assert not mask.all()
    output = random_output(module, clean)
    spoilt = torch.where(mask, output, garbage).detach().requires_grad_()
    expected, loss = module.calc_loss(output, clean), module.calc_loss(spoilt, dirty)
    assert loss.isfinite()
    assert loss.item() == expected.item()
    expected.backward()
    loss.backward()
    assert spoilt.grad is not None
    assert torch.equal(spoilt.grad, output.grad)
    assert torch.equal(spoilt.grad != 0, mask.expand_as(spoilt))


@every_family
@pytest.mark.parametrize(
    ("encoder_alignment", "decoder_alignment"), [("left", "right"), ("right", "left")]
)
def test_padding_changes_neither_forecast_nor_gradient(
    name, encoder_alignment, decoder_alignment, ragged_batch
):
    module = in_units(tiny(name)).double()
    ends = {"encoder_alignment": encoder_alignment, "decoder_alignment": decoder_alignment}
    results = []
    for extra in (0, 3):
        batch = filled(ragged_batch((5,), (4,), extra=extra, padding=1.0, **ends), name)
        mask = batch["decoder_mask"]
        assert mask.all() == (extra == 0)
        batch = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
        for key in ("encoder_input", "decoder_input"):
            # the same data whatever the padding
            side = batch[f"{key.split('_')[0]}_mask"]
            values = torch.randn(5, 3, generator=torch.Generator().manual_seed(7)).double()
            data = values[: side.sum(), : batch[key].size(-1)]
            batch[key] = torch.full_like(batch[key], torch.nan)
            batch[key][side] = data
        batch["target"] = torch.full_like(batch["target"], torch.nan)
        batch["target"][batch["target_mask"]] = torch.tensor([[-0.5], [0.0], [1.5]]).double()
        output = module(batch)["output"]
        gradients = torch.autograd.grad(module.calc_loss(output, batch), module.parameters())
        results.append((module.decode(output)[mask], *gradients))
    assert all(gradient.count_nonzero() for gradient in results[0][1:])
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)


@every_family
def test_losses_of_half_batches_add_up_to_the_whole(name, ragged_batch):
    module, batch = in_units(tiny(name)), filled(ragged_batch((3, 6, 1, 4), (5, 2, 4, 6)), name)
    output = random_output(module, batch)
    parts = [
        ({key: value[rows] for key, value in batch.items()}, output[rows])
        for rows in ([0, 1], [2, 3])
    ]
    counts = [int(part["target_mask"].sum()) for part, _ in parts]
    assert counts[0] != counts[1], "equal counts would not need the weighting"
    losses = [module.calc_loss(values, part).item() for part, values in parts]
    whole = module.calc_loss(output, batch).item()
    assert np.average(losses, weights=counts) == pytest.approx(whole, rel=1e-5)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@every_family
def test_compiled_criterion_is_the_plain_one(name, ragged_batch):
    torch._dynamo.reset()
    compiled = torch.compile(DistributionLoss(name, LEVELS), backend="aot_eager")
    module, plain = in_units(tiny(criterion=compiled)), in_units(tiny(name))
    assert dict(module.hparams) == dict(plain.hparams)
    batch = filled(ragged_batch(), name)
    output = random_output(plain, batch)
    torch.testing.assert_close(module.calc_loss(output, batch), plain.calc_loss(output, batch))
    torch._dynamo.reset()


@pytest.mark.parametrize(("name", "outputs"), [*zip(NAMES, [2, 3, 2, 2], strict=True)])
def test_there_is_one_output_for_each_parameter(name, outputs, ragged_batch):
    module, batch = tiny(name), ragged_batch()
    assert module.output_dim == module.hparams["output_dim"] == outputs
    assert module.quantiles == LEVELS
    assert module(batch)["output"].shape == (*batch["decoder_mask"].shape, outputs)
    with pytest.raises(InputError, match=f"output_dim is 7, but the criterion .* wants {outputs}"):
        tiny(name, output_dim=7)


# -- what a forecast shows


@every_family
def test_decoded_outputs_are_quantiles_and_their_point_the_median(name, ragged_batch):
    module, batch = in_units(tiny(name, [0.05, 0.5, 0.7, 0.9])), ragged_batch()
    output = random_output(module, batch).detach()
    loc, scale = units_of(name)
    expected = by_scipy(name, output.numpy(), (loc, scale)).ppf([0.05, 0.5, 0.7, 0.9])
    found = module.decode(output)
    np.testing.assert_allclose(found.numpy() * scale + loc, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(module.point_forecast(output), found[..., 1:2])


def test_other_outputs_are_shown_as_they_are(ragged_batch):
    output = torch.randn(2, 4, 3)
    assert tiny(criterion=QuantileLoss(LEVELS)).decode(output) is output
    assert tiny(criterion=MSELoss()).decode(output[..., :1]).shape == (2, 4, 1)


@every_family
def test_predictions_are_quantiles_in_original_units(name, ragged_batch):
    module, batch = in_units(tiny(name)), ragged_batch()
    (found,) = predicted(quiet_trainer(), module, datamodule=Units(batch))
    shown = module.decode(module(batch)["output"])
    torch.testing.assert_close(found, 2 * shown + 6)
    assert found.shape == (*batch["decoder_mask"].shape, 3)
    assert (found.diff(dim=-1) >= 0).all()
    if name == "negative_binomial":
        torch.testing.assert_close(found, found.round(), rtol=0, atol=1e-12)
        assert (found >= 0).all()


@every_family
def test_metrics_are_those_of_the_median(name, ragged_batch):
    module = in_units(tiny(name, logging_metrics=["MAE"]))
    batch = filled(ragged_batch(), name)
    (found,) = quiet_trainer().validate(module, datamodule=Units(batch), verbose=False)
    point = module.point_forecast(module(batch)["output"])
    errors = (2 * (point - batch["target"]))[batch["target_mask"]]
    assert found["validation/MAE"] == pytest.approx(errors.abs().mean().item(), rel=1e-6)
    loss = module.calc_loss(module(batch), batch).item()
    assert found["validation/loss"] == pytest.approx(loss, rel=1e-5)


@every_family
def test_draws_are_quantiles_at_their_levels(name, ragged_batch):
    module, batch = in_units(tiny(name)), ragged_batch()
    output = random_output(module, batch).detach()
    levels = torch.rand(3, 7, output.size(1), generator=torch.Generator().manual_seed(1)) + 1e-6
    drawn = module.draw(output, levels.clamp(max=0.999))
    assert drawn.shape == levels.shape
    loc, scale = units_of(name)
    for step in range(output.size(1)):
        reference = by_scipy(name, output[:, step].numpy(), (loc, scale))
        expected = reference.ppf(levels[:, :, step].double().clamp(max=0.999).numpy())
        np.testing.assert_allclose(
            drawn[:, :, step].numpy() * scale + loc, expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("levels", [[0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98], [0.3, 0.4]], ids=len)
def test_draws_between_quantiles_are_exact_for_a_normal(levels):
    module = tiny(criterion=QuantileLoss(levels)).double()
    loc, scale = torch.randn(2, 5, 1).double(), torch.rand(2, 5, 1).double() + 0.5
    output = loc + scale * torch.from_numpy(stats.norm.ppf(levels))
    order = torch.randperm(len(levels), generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([1e-6, 0.02, 0.13, 0.35, 0.5, 0.9, 0.999]).double()
    drawn = module.draw(output[..., order], wanted.view(1, -1, 1).expand(2, -1, 5))
    expected = loc + scale * torch.from_numpy(stats.norm.ppf(wanted))
    torch.testing.assert_close(drawn, expected.transpose(1, 2), rtol=1e-9, atol=1e-9)


def test_draws_at_the_levels_are_the_quantiles():
    """Of no normal: the values between are on a line in the normal's quantile."""
    module = tiny(criterion=QuantileLoss([0.2, 0.5, 0.6])).double()
    output = torch.tensor([[[1.0, 2.0, 7.0]]]).double()
    z = stats.norm.ppf([0.2, 0.5, 0.6])
    between = stats.norm.cdf([(z[0] + z[1]) / 2, (z[1] + z[2]) / 2, 2 * z[0] - z[1]])
    levels = torch.tensor([0.2, 0.5, 0.6, *between]).double().view(1, -1, 1)
    found = module.draw(output, levels).flatten()
    torch.testing.assert_close(found, torch.tensor([1.0, 2.0, 7.0, 1.5, 4.5, 0.0]).double())


def test_draws_of_a_single_quantile_are_that():
    module, output = tiny(criterion=QuantileLoss([0.3])), torch.randn(2, 4, 1)
    found = module.draw(output, torch.rand(2, 5, 4).clamp(0.01, 0.99))
    assert torch.equal(found, output.transpose(1, 2).expand(2, 5, 4))


def test_point_forecast_gives_no_draws():
    with pytest.raises(InputError, match="criterion MSELoss gives no spread to draw from; train"):
        tiny(criterion=MSELoss()).draw(torch.randn(2, 4, 1), torch.full((2, 5, 4), 0.5))


# -- windows that are scaled by themselves, and changes

WINDOWS = {
    "window_loc": torch.tensor([1.0, -2.0, 0.5]),
    "window_scale": torch.tensor([0.1, 3.0, 2.0]),
}


@pytest.mark.parametrize("name", NAMES[:2])
def test_forward_undoes_window_scaling(name, ragged_batch):
    module, batch = tiny(name), ragged_batch()
    before, after = module(batch)["output"], module({**batch, **WINDOWS})["output"]
    shown, moved = module.decode(before), module.decode(after)
    for row in range(3):
        data = batch["decoder_mask"][row]
        assert 0 < data.sum() < len(data)
        loc, scale = WINDOWS["window_loc"][row], WINDOWS["window_scale"][row]
        expected = shown[row, data] * scale + loc
        # but for the floor of the scale, which is not stretched
        torch.testing.assert_close(moved[row, data], expected, rtol=1e-5, atol=1e-3)
    assert torch.equal((after != 0).all(dim=-1), batch["decoder_mask"])


@pytest.mark.parametrize("name", OWN_UNITS)
def test_windows_scaled_by_themselves_are_refused(name, ragged_batch):
    with pytest.raises(InputError, match=r"set data\.normalize to true or false"):
        tiny(name)({**ragged_batch(), **WINDOWS})


@pytest.mark.parametrize("name", NAMES[:2])
def test_delta_moves_the_quantiles_by_the_last_value(name, ragged_batch):
    batch = ragged_batch()
    plain, delta = tiny(name), tiny(name, prediction_type="delta")
    shown, moved = (module.decode(module(batch)["output"]) for module in (plain, delta))
    for row, length in enumerate(batch["encoder_lengths"]):
        data = batch["decoder_mask"][row]
        last = batch["encoder_input"][row, length - 1, -1]
        torch.testing.assert_close(moved[row, data], shown[row, data] + last)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        *((name, {"monotone": True}, "monotone is for quantiles") for name in NAMES),
        *((name, {"prediction_type": "delta"}, f"but DistributionLoss '{name}' is of")
          for name in OWN_UNITS),
        *((name, {"use_loss_masking": False}, "use_loss_masking is False") for name in OWN_UNITS),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(name, arguments, message):
    with pytest.raises(InputError) as error:
        tiny(name, **arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# -- the target's own units


@every_family
def test_fit_takes_the_units_of_the_data(name, ragged_batch):
    module = tiny(name)
    quiet_trainer().fit(module, datamodule=Units(filled(ragged_batch(), name)))
    assert (module.criterion.loc, module.criterion.scale) == units_of(name)


class NoUnits(Units):
    target_affine: Any = None


class ManyUnits(Units):
    def target_affine(self):
        raise InputError("normalize is 'series'")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (ManyUnits, "DistributionLoss 'log_normal' wants the target's own units, but normalize is"),
        (NoUnits, "wants the target's own units, which NoUnits lacks: give it target_affine()"),
    ],
)
def test_data_without_such_units_is_refused_before_a_fit(kind, message, ragged_batch):
    batch = filled(ragged_batch(), "log_normal")
    with pytest.raises(InputError) as error:
        quiet_trainer().fit(tiny("log_normal"), datamodule=kind(batch))
    assert message in str(error.value)
    # other distributions do not ask
    quiet_trainer().fit(tiny("normal"), datamodule=kind(batch))


BAD = {"negative_binomial": [(7.5, "7.5"), (-2.0, "-2")], "log_normal": [(0.0, "0"), (-1.0, "-1")]}


@pytest.mark.parametrize(
    ("name", "value", "found"), [(name, *case) for name, cases in BAD.items() for case in cases]
)
def test_targets_that_it_cannot_have_are_refused_by_name(name, value, found, ragged_batch):
    good, bad = (filled(ragged_batch(), name) for _ in range(2))
    bad["target"][1, 0] = (value - UNITS[0]) / UNITS[1]
    assert bad["target_mask"][1, 0]
    for run in (quiet_trainer().fit, quiet_trainer().validate):
        with pytest.raises(InputError) as error:
            run(in_units(tiny(name)), datamodule=Units(good, bad))
        # a fit looks at the validation data first
        place = "validation data, series 11, origin row 107"
        assert f"DistributionLoss '{name}' is of " in str(error.value)
        assert f"but a target is {found} ({place}): mend the data" in str(error.value)
    with pytest.raises(InputError, match=r"\(run-11 at 107\)"):
        quiet_trainer(num_sanity_val_steps=0).fit(tiny(name), datamodule=Units(good, bad))
    # what has no weight takes no part
    bad["weight"] = torch.tensor([1.0, 0.0, 1.0])
    quiet_trainer().fit(tiny(name), datamodule=Units(good, bad))


# -- checkpoints


@pytest.fixture
def saved(tmp_path, ragged_batch):
    """Return what fits a module of a distribution once, and the path of its checkpoint."""

    def save(name):
        module, trainer = tiny(name), quiet_trainer()
        trainer.fit(module, datamodule=Units(filled(ragged_batch(), name)))
        trainer.save_checkpoint(tmp_path / "tiny.ckpt")
        return module, tmp_path / "tiny.ckpt"

    return save


# lightning's loader calls what jsonargparse deprecates
@pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
@every_family
def test_checkpoint_rebuilds_the_module(name, saved, ragged_batch):
    module, path = saved(name)
    loaded = EncoderDecoderLSTM.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    batch = filled(ragged_batch(), name)
    assert loaded.hparams["criterion"]["init_args"] == {"distribution": name, "quantiles": LEVELS}
    expected, found = (each.eval()(batch)["output"] for each in (module, loaded))
    assert torch.equal(found, expected)
    assert torch.equal(loaded.decode(found), module.decode(expected))
    assert loaded.calc_loss(found, batch) == module.calc_loss(expected, batch)


def test_criterion_has_one_place_in_a_checkpoint():
    keys = [key for key in tiny().state_dict() if "model." not in key]
    assert keys == ["criterion._extra_state"]


@pytest.mark.parametrize("way", ["copy", "pickle"])
def test_copy_shows_what_its_own_criterion_says(way):
    module = in_units(tiny("negative_binomial"))
    copied = copy.deepcopy(module) if way == "copy" else pickle.loads(pickle.dumps(module))
    output = torch.randn(2, 4, 2)
    before = module.decode(output)
    assert torch.equal(copied.decode(output), before)
    copied.criterion.set_extra_state(torch.tensor([600.0, 20.0]))
    assert not torch.equal(copied.decode(output), before)
    assert torch.equal(module.decode(output), before)


def test_checkpoint_of_another_distribution_is_refused(saved, ragged_batch):
    _, path = saved("normal")
    batch = filled(ragged_batch(), "log_normal")
    two = QuantileLoss([0.1, 0.9])
    for module, own in (
        (tiny("log_normal"), "DistributionLoss 'log_normal'"),
        (tiny(criterion=two), "QuantileLoss"),
    ):
        with pytest.raises(InputError) as error:
            quiet_trainer().validate(module, loader(batch), ckpt_path=path, weights_only=True)
        assert f"the criterion is {own}, but the checkpoint was trained with " in str(error.value)
        assert "DistributionLoss 'normal';" in str(error.value)
    # other levels are only shown
    other = tiny("normal", [0.2, 0.5])
    quiet_trainer().validate(other, loader(batch), ckpt_path=path, weights_only=True, verbose=False)


# -- whole fits on simulated data

SIMULATED = {
    "normal": lambda x, draw: 3 + 2 * x + (0.5 + 0.4 * x) * draw.normal(size=x.shape),
    "student_t": lambda x, draw: -1 + x + (0.5 + 0.4 * x) * draw.standard_t(4, size=x.shape),
    "negative_binomial": lambda x, draw: draw.poisson(
        draw.gamma(8, (300 + 200 * x) / 8, size=x.shape)
    ),
    "log_normal": lambda x, draw: 50 * np.exp(x + 0.4 * draw.normal(size=x.shape)),
}


def simulate(name, path, rows, seed):
    draw = np.random.default_rng(seed)
    x = draw.uniform(-1, 1, rows)
    pd.DataFrame({"x": x, "y": SIMULATED[name](x, draw).astype(float)}).to_parquet(path)
    return str(path)


@every_family
def test_fitted_quantiles_cover_as_much_as_they_say(name, tmp_path):
    lightning.seed_everything(0, verbose=False)
    data = EncoderDecoderDataModule(
        known_covariates="x",
        target_covariate="y",
        train_df_paths=simulate(name, tmp_path / "train.parquet", 4000, 0),
        test_df_paths=simulate(name, tmp_path / "test.parquet", 2000, 1),
        ctxt_seq_len=3,
        tgt_seq_len=20,
        stride=5,
        batch_size=32,
    )
    module = EncoderDecoderLSTM(
        data.num_past_known_covariates,
        data.num_future_known_covariates,
        8,
        8,
        1,
        1,
        dropout=0.0,
        criterion=DistributionLoss(name, [0.1, 0.5, 0.9]),
        optimizer=partial(torch.optim.Adam, lr=2e-2),
    )
    quiet_trainer(max_epochs=6).fit(module, datamodule=data)
    (logged,) = quiet_trainer().test(module, datamodule=data, verbose=False)
    below = []
    for batch in data.test_dataloader():
        shown = module.eval().decode(module(batch)["output"])
        below.append((batch["target"] < shown)[batch["target_mask"]])
    found = torch.cat(below).double().mean(dim=0).numpy()
    # four standard errors of 2000 draws, and as much again for what the fit misses
    error = np.sqrt(np.array([0.09, 0.25, 0.09]) / 2000)
    assert (np.abs(found - [0.1, 0.5, 0.9]) < 8 * error).all(), found
    # the spread of the simulated target is far above what is left of it once x is known
    assert logged["test/MAE"] < 0.75 * data.target_affine()[1]


@every_family
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_sequence_models_train_with_it(name, kind, ragged_batch):
    windows = filled(ragged_batch(), name)
    renamed = {"decoder_input": "input", "decoder_lengths": "lengths", "decoder_mask": "mask"}
    batch = {
        renamed.get(key, key): value
        for key, value in windows.items()
        if not key.startswith("encoder_")
    }
    torch.manual_seed(0)
    module = kind(2, 1, 4, criterion=DistributionLoss(name, LEVELS), dropout=0.0)
    in_units(module)
    before = module.calc_loss(module(batch), batch).item()
    trainer = quiet_trainer(max_epochs=20)
    trainer.fit(module, loader(batch))
    after = module.calc_loss(module(batch), batch).item()
    assert after < before
    (found,) = predicted(quiet_trainer(), module, loader(batch))
    assert found.shape == (*batch["mask"].shape, 3)
