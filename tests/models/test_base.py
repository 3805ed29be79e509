"""What all forecasters share: the loss, the criterion, metrics, checkpoints, error messages."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from tests.runs import UNITS, Units, loader, predicted, quiet_trainer
from transformertf.errors import InputError, NonFiniteLossError
from transformertf.models import EncoderDecoderLSTM
from transformertf.nn import HuberLoss, MAELoss, MSELoss, QuantileLoss

LEVELS = [0.1, 0.5, 0.7]


def tiny(**kwargs):
    """Return a small forecaster of 3 past and 2 future features."""
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 4, "num_encoder_layers": 1, "num_decoder_layers": 1}
    return EncoderDecoderLSTM(3, 2, **{**sizes, "dropout": 0.0, **kwargs})


def fit(module, *batches):
    """Fit one epoch of the batches and return the trainer."""
    trainer = quiet_trainer()
    trainer.fit(module, loader(*batches), loader(batches[0]))
    return trainer


def random_output(batch, outputs=1):
    generator = torch.Generator().manual_seed(3)
    shape = *batch["decoder_mask"].shape, outputs
    return torch.randn(shape, generator=generator, requires_grad=True)


def rows_of(batch, rows):
    return {key: value[rows] for key, value in batch.items()}


def squared(output, target):
    return (output - target) ** 2


def absolute(output, target):
    return np.abs(output - target)


def huber(output, target, delta=0.3):
    error = np.abs(output - target)
    return np.where(error < delta, error**2 / 2, delta * (error - delta / 2))


def smooth_l1(output, target, beta=0.2):
    return huber(output, target, beta) / beta


def pinball(output, target):
    error = target - output
    return np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error)


CRITERIA = {
    "default": (None, squared),
    "MSE": (MSELoss(), squared),
    "MAE": (MAELoss(), absolute),
    "quantile": (QuantileLoss(LEVELS), pinball),
    "torch MSE": (torch.nn.MSELoss(), squared),
    "torch L1": (torch.nn.L1Loss(), absolute),
    "torch Huber": (torch.nn.HuberLoss(delta=0.3), huber),
    "torch SmoothL1": (torch.nn.SmoothL1Loss(beta=0.2), smooth_l1),
}


def mean_over_data(output, batch, loss, weight=None):
    """Return sum(w l) / sum(w) in a loop over the observed steps."""
    total, weights = 0.0, 0.0
    mask = batch["target_mask"].numpy()
    assert 0 < mask.sum() < batch["decoder_mask"].sum() < mask.size, "masks must be partial"
    for row, step in zip(*mask.nonzero(), strict=True):
        share = 1.0 if weight is None else float(weight[row])
        losses = loss(
            output[row, step].detach().double().numpy(),
            batch["target"][row, step].double().numpy(),
        )
        total += share * losses.sum()
        weights += share * losses.size
    return total / weights


@pytest.mark.parametrize(("criterion", "formula"), CRITERIA.values(), ids=CRITERIA)
@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 0.0]], ids=["equal", "weighted"])
@pytest.mark.parametrize("alignment", ["left", "right"])
def test_loss_is_the_mean_over_data(criterion, formula, weight, alignment, ragged_batch):
    module = tiny(criterion=criterion)
    batch = ragged_batch(decoder_alignment=alignment)
    if weight is not None:
        batch["weight"] = torch.tensor(weight)
    output = random_output(batch, module.output_dim)
    loss = module.calc_loss(output, batch)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(mean_over_data(output, batch, formula, weight), rel=1e-5)


@pytest.mark.parametrize(("criterion", "formula"), CRITERIA.values(), ids=CRITERIA)
@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf")])
def test_values_outside_the_data_reach_neither_loss_nor_gradient(
    criterion, formula, garbage, ragged_batch
):
    module = tiny(criterion=criterion)
    clean, dirty = ragged_batch(padding=0.0), ragged_batch(padding=garbage)
    mask = clean["target_mask"].unsqueeze(-1)
    output = random_output(clean, module.output_dim)
    spoilt = torch.where(mask, output, garbage).detach().requires_grad_()
    expected, loss = module.calc_loss(output, clean), module.calc_loss(spoilt, dirty)
    assert loss.item() == expected.item()
    expected.backward()
    loss.backward()
    assert spoilt.grad is not None
    assert torch.equal(spoilt.grad, output.grad)
    assert torch.equal(spoilt.grad != 0, mask.expand_as(spoilt))


@pytest.fixture
def compiled():
    """Return what compiles a module as users do, without the wait for native code."""
    torch._dynamo.reset()
    yield partial(torch.compile, backend="aot_eager")
    torch._dynamo.reset()


# dynamo reads .grad of what it traces and hides the warning, which cannot be where it is an error
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(
    "plain", [MSELoss(), torch.nn.MSELoss(), QuantileLoss(LEVELS)], ids=["ours", "torch", "levels"]
)
def test_compiled_criterion_is_the_plain_one(plain, compiled, ragged_batch):
    module, reference = tiny(criterion=compiled(plain)), tiny(criterion=plain)
    assert module.quantiles == reference.quantiles
    assert module.output_dim == reference.output_dim
    assert dict(module.hparams) == dict(reference.hparams), "what rebuilds it from a checkpoint"
    assert module.state_dict().keys() == reference.state_dict().keys()
    for batch in (ragged_batch(), ragged_batch((2,), (4,), decoder_alignment="right", seed=1)):
        assert batch["target"].isnan().any()
        results = []
        for each in (module, reference):
            output = random_output(batch, module.output_dim)
            loss = each.calc_loss(output, batch)
            results.append((loss, *torch.autograd.grad(loss, output)))
        torch.testing.assert_close(*results)
        assert results[0][0].isfinite()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"criterion": torch.nn.CrossEntropyLoss()}, "CrossEntropyLoss is not elementwise"),
        (
            {"output_dim": 5, "criterion": QuantileLoss(LEVELS)},
            "output_dim is 5, but the criterion QuantileLoss wants 3",
        ),
    ],
)
def test_bad_compiled_criterion_is_refused_by_its_own_name(arguments, message, compiled):
    with pytest.raises(InputError) as error:
        tiny(**{**arguments, "criterion": compiled(arguments["criterion"])})
    assert message in str(error.value)


def test_loss_without_masking_takes_padding_as_data(ragged_batch):
    batch = ragged_batch()
    mask = batch["target_mask"].unsqueeze(-1)
    assert not mask.all()
    output = random_output(batch)
    loss = tiny(use_loss_masking=False).calc_loss(output, batch)
    expected = (output - torch.where(mask, batch["target"], 0.0)).square().mean()
    torch.testing.assert_close(loss, expected)
    assert loss.item() != pytest.approx(tiny().calc_loss(output, batch).item(), rel=1e-2)


def test_loss_takes_forwards_result_or_its_output(ragged_batch):
    module, batch = tiny(), ragged_batch()
    result = module(batch)
    assert module.calc_loss(result, batch) == module.calc_loss(result["output"], batch)
    expected = mean_over_data(result["output"], batch, squared)
    assert module.calc_loss(result, batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("criterion", "formula"), CRITERIA.values(), ids=CRITERIA)
@pytest.mark.parametrize("weighted", [False, True])
def test_constant_error_costs_the_same_at_every_horizon(criterion, formula, weighted, ragged_batch):
    module, losses = tiny(criterion=criterion), []
    for horizon in (1, 2, 3, 10, 100):
        for rows in (1, 3):
            batch = ragged_batch((3,) * rows, (horizon,) * rows, extra=rows, padding=0.0)
            if weighted:
                batch["weight"] = torch.rand(rows) + 0.1
            output = (batch["target"] + 0.7).expand(-1, -1, module.output_dim)
            losses.append(module.calc_loss(output, batch).item())
    cost = np.mean(formula(np.full(module.output_dim, 0.7), np.zeros(1)))
    assert losses == pytest.approx([cost] * len(losses), rel=1e-5)


@pytest.mark.parametrize("nothing", ["observed", "weighted"])
@pytest.mark.parametrize("criterion", [None, QuantileLoss(LEVELS)], ids=["MSE", "quantile"])
def test_loss_of_no_data_is_zero_with_zero_gradient(nothing, criterion, ragged_batch):
    module, batch = tiny(criterion=criterion), ragged_batch()
    if nothing == "observed":
        batch["target_mask"] = torch.zeros_like(batch["target_mask"])
    else:
        batch["weight"] = torch.zeros(3)
    loss = module.calc_loss(module(batch), batch)
    loss.backward()
    assert loss.item() == 0.0
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.count_nonzero() == 0, name


@pytest.mark.parametrize("value", [1e30, float("inf"), float("nan")])
@pytest.mark.parametrize(("criterion", "formula"), CRITERIA.values(), ids=CRITERIA)
def test_windows_without_weight_reach_neither_loss_nor_gradient(
    criterion, formula, value, ragged_batch
):
    module, batch = tiny(criterion=criterion), ragged_batch()
    batch["weight"] = torch.tensor([1.0, 0.0, 2.0])
    assert batch["target_mask"][1].any()
    batch["target"][1] = value
    output = random_output(batch, module.output_dim)
    kept = rows_of(batch, [0, 2])
    expected = module.calc_loss(output[[0, 2]], kept)
    loss = module.calc_loss(output, batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    gradients = [torch.autograd.grad(each, output)[0] for each in (loss, expected)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].isfinite().all()


@pytest.mark.parametrize("split", [[[0], [1], [2]], [[2, 0], [1]], [[1, 2, 0]]], ids=str)
def test_loss_does_not_depend_on_the_batch_split(split, ragged_batch):
    module, batch = tiny(criterion=QuantileLoss(LEVELS)), ragged_batch()
    output = random_output(batch, len(LEVELS))
    total, counts = 0.0, []
    for rows in split:
        part = rows_of(batch, rows)
        counts.append(int(part["target_mask"].sum()))
        total += module.calc_loss(output[rows], part) * counts[-1]
    assert len(set(counts)) == len(counts), "equal counts would not need the weighting"
    torch.testing.assert_close(total / sum(counts), module.calc_loss(output, batch))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_loss_of_half_precision_outputs_is_summed_in_single(dtype, ragged_batch):
    batch = ragged_batch()
    output = random_output(batch).detach().to(dtype)
    expected = mean_over_data(output.float(), batch, squared)
    loss = tiny().calc_loss(output, batch)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_loss_keeps_double_precision(ragged_batch):
    module, batch = tiny().double(), ragged_batch()
    output = random_output(batch).detach().double()
    loss = module.calc_loss(output, batch)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(mean_over_data(output, batch, squared), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "name", "outputs"),
    [
        ({}, "MSELoss", 1),
        ({"output_dim": 1}, "MSELoss", 1),
        ({"output_dim": 7}, "QuantileLoss", 7),
        ({"criterion": QuantileLoss(LEVELS)}, "QuantileLoss", 3),
        ({"criterion": QuantileLoss(LEVELS), "output_dim": 3}, "QuantileLoss", 3),
        ({"criterion": torch.nn.L1Loss(), "output_dim": 1}, "L1Loss", 1),
        ({"criterion": torch.nn.L1Loss()}, "L1Loss", 1),
    ],
)
def test_output_dim_follows_the_criterion(arguments, name, outputs, ragged_batch):
    module, batch = tiny(**arguments), ragged_batch()
    assert type(module.criterion).__name__ == name
    assert module.output_dim == module.hparams["output_dim"] == outputs
    assert module(batch)["output"].shape == (*batch["decoder_mask"].shape, outputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_dim": 3}, "output_dim is 3, but the criterion QuantileLoss wants 7"),
        (
            {"output_dim": 5, "criterion": QuantileLoss(LEVELS)},
            "output_dim is 5, but the criterion QuantileLoss wants 3",
        ),
        (
            {"output_dim": 2, "criterion": torch.nn.HuberLoss()},
            "output_dim is 2, but the criterion HuberLoss wants 1",
        ),
        ({"criterion": torch.nn.CrossEntropyLoss()}, "CrossEntropyLoss is not elementwise"),
        ({"logging_metrics": ["RSME"]}, "unknown metric 'RSME'; did you mean 'RMSE'?"),
        ({"logging_metrics": ["MAE", "R2"]}, "unknown metric 'R2'"),
        ({"logging_metrics": ["zzzz"]}, "known: MAE, MAPE, MSE, RMSE, sMAPE"),
    ],
)
def test_bad_arguments_get_one_clear_line(arguments, message):
    with pytest.raises(InputError) as error:
        tiny(**arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_metric_has_one_name_however_it_is_written():
    module = tiny(logging_metrics=["SMAPE", "rmse"])
    assert set(module.validation_metrics.keys()) == {"validation/sMAPE", "validation/RMSE"}
    assert module.hparams["logging_metrics"] == ["SMAPE", "rmse"]


@pytest.mark.parametrize(
    ("levels", "column", "other", "share"),
    [([0.1, 0.5, 0.7], 1, 1, 0.0), ([0.5, 0.9, 0.95], 0, 0, 0.0), ([0.3, 0.7, 0.8], 0, 1, 0.5)],
)
def test_point_forecast_is_the_median(levels, column, other, share):
    output = torch.randn(2, 4, 3)
    ordered = output.sort(dim=-1).values
    assert not torch.equal(ordered, output), "crossing quantiles are brought in order"
    expected = (1 - share) * ordered[..., column] + share * ordered[..., other]
    module = tiny(criterion=QuantileLoss(levels))
    assert module.quantiles == levels
    torch.testing.assert_close(module.point_forecast(output), expected.unsqueeze(-1))


def test_point_forecast_of_one_output_is_itself():
    output = torch.randn(2, 4, 1)
    assert tiny().quantiles is None
    assert torch.equal(tiny().point_forecast(output), output)


def test_default_optimizer():
    module = tiny()
    optimizer = module.configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["lr"] == 1e-3
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(p) for p in module.parameters()}


@pytest.mark.parametrize(
    ("options", "interval", "monitor"),
    [
        ({}, "epoch", "validation/loss"),
        (
            {"lr_scheduler_interval": "step", "lr_scheduler_monitor": "train/loss"},
            "step",
            "train/loss",
        ),
    ],
)
def test_scheduler_and_its_options(options, interval, monitor):
    module = tiny(
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 5),
        **options,
    )
    found = module.configure_optimizers()
    assert type(found["optimizer"]) is torch.optim.SGD
    scheduler = found["lr_scheduler"]
    assert scheduler["scheduler"].optimizer is found["optimizer"]
    assert scheduler["scheduler"].step_size == 5
    assert (scheduler["interval"], scheduler["monitor"]) == (interval, monitor)


@pytest.mark.parametrize(("interval", "factor"), [("step", 1e-3), ("epoch", 1e-1)])
def test_scheduler_advances_in_its_interval(interval, factor, ragged_batch):
    module = tiny(
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.5),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1),
        lr_scheduler_interval=interval,
    )
    trainer = fit(module, *(ragged_batch(seed=seed) for seed in range(3)))
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5 * factor)


def is_primitive(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_primitive(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_primitive(item) for item in value)
    return value is None or type(value) in (bool, int, float, str)


CHECKPOINTED = {
    "default": {},
    "quantiles": {"criterion": QuantileLoss(LEVELS)},
    "torch Huber": {"criterion": torch.nn.HuberLoss(delta=0.3)},
    "our Huber": {"criterion": HuberLoss(delta=0.3)},
    "head": {"d_mlp_hidden": [5, 4], "mlp_activation": "tanh", "packing": "always"},
    "other sizes": {"d_encoder": 3, "num_encoder_layers": 2, "logging_metrics": ["SMAPE"]},
    "training": {
        "criterion": QuantileLoss(LEVELS),
        "prediction_type": "delta",
        "monotone": True,
        "trainable_parameters": ["model.head.*"],
        "log_grad_norm": True,
    },
    "callables": {
        "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        "lr_scheduler": lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 5),
    },
}


@pytest.mark.parametrize("arguments", CHECKPOINTED.values(), ids=CHECKPOINTED)
def test_hyperparameters_are_primitives(arguments):
    hparams = tiny(**arguments).hparams
    assert is_primitive(dict(hparams)), hparams
    assert hparams["num_past_features"] == 3


# lightning's loader calls what jsonargparse deprecates
@pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
@pytest.mark.parametrize("arguments", CHECKPOINTED.values(), ids=CHECKPOINTED)
def test_checkpoint_rebuilds_the_module(arguments, tmp_path, ragged_batch):
    module, batch = tiny(**arguments), ragged_batch()
    path = tmp_path / "tiny.ckpt"
    fit(module, batch).save_checkpoint(path)
    assert "transformertf_version" in torch.load(path, weights_only=True)

    torch.manual_seed(99)
    loaded = EncoderDecoderLSTM.load_from_checkpoint(path, map_location="cpu").eval()
    # as JSON, which does not tell a tuple from a list
    assert json.dumps(dict(loaded.hparams)) == json.dumps(dict(module.hparams))
    assert type(loaded.criterion) is type(module.criterion)
    expected = module.eval()(batch)["output"]
    found = loaded(batch)["output"]
    assert torch.equal(found, expected)
    assert loaded.calc_loss(found, batch) == module.calc_loss(expected, batch)


def spoil_input(batch, row):
    batch["encoder_input"][row, 0] = torch.nan


def spoil_target(batch, row):
    batch["target"][row, 0] = torch.inf


def overflow(batch, row):
    # finite, and its square is not
    batch["target"][row, 0] = 1e30


@pytest.mark.parametrize("spoil", [spoil_input, spoil_target, overflow])
@pytest.mark.parametrize("row", [0, 2])
def test_non_finite_loss_names_series_and_origin(spoil, row, ragged_batch):
    module, batch = tiny(), ragged_batch()
    spoil(batch, row)
    with pytest.raises(NonFiniteLossError) as error:
        module.training_step(batch, 0)
    message = str(error.value)
    assert f"series {10 + row}, origin row {100 + 7 * row}" in message
    assert message.count("series") == 1
    assert "1 of 3 windows" in message
    assert "epoch 0, step 0" in message


def test_non_finite_loss_is_told_in_the_words_of_the_data(ragged_batch):
    batch = ragged_batch()
    spoil_target(batch, 1)
    with pytest.raises(NonFiniteLossError, match=r"windows: run-11 at 107\)"):
        quiet_trainer().fit(tiny(), datamodule=Units(batch))


WINDOWS = {
    "window_loc": torch.tensor([1.0, -2.0, 0.5]),
    "window_scale": torch.tensor([0.1, 3.0, 2.0]),
}


def test_forward_undoes_window_scaling(ragged_batch):
    module, batch = tiny(), ragged_batch()
    expected = module(batch)["output"]
    found = module({**batch, **WINDOWS})["output"]
    for row in range(3):
        data = batch["decoder_mask"][row]
        assert 0 < data.sum() < len(data)
        loc, scale = WINDOWS["window_loc"][row], WINDOWS["window_scale"][row]
        torch.testing.assert_close(found[row, data], expected[row, data] * scale + loc)


@pytest.mark.parametrize("alignment", ["left", "right"])
def test_window_scaling_leaves_padding_zero(alignment, ragged_batch):
    batch = ragged_batch(decoder_alignment=alignment)
    found = tiny()({**batch, **WINDOWS})["output"]
    assert torch.equal(found.squeeze(-1) != 0, batch["decoder_mask"])


def ragged_pair(ragged_batch):
    """Return two batches of unequal numbers of observed targets."""
    batches = ragged_batch(), ragged_batch((2,), (4,), seed=1)
    counts = [int(batch["target_mask"].sum()) for batch in batches]
    assert counts[0] * len(counts) != sum(counts)
    return batches


def observed_errors(module, batches):
    """Return errors of the point forecast on observed steps of all batches, in scaled units."""
    errors = []
    for batch in batches:
        point = module.point_forecast(module(batch)["output"].detach())
        errors.append((point - batch["target"])[batch["target_mask"]].flatten())
    return torch.cat(errors)


@pytest.mark.parametrize("stage", ["validation", "test"])
@pytest.mark.parametrize("unobserved", [False, True], ids=["observed", "with empty batch"])
def test_logged_loss_and_metrics_are_means_over_data(stage, unobserved, ragged_batch):
    module = tiny(logging_metrics=["MAE", "MSE", "RMSE"])
    batches = ragged_pair(ragged_batch)
    empty = ragged_batch(seed=2)
    empty["target_mask"] = torch.zeros_like(empty["target_mask"])
    trainer = quiet_trainer()
    run = trainer.validate if stage == "validation" else trainer.test
    units = Units(*batches, *([empty] if unobserved else []))
    (found,) = run(module, datamodule=units, verbose=False)
    errors = observed_errors(module.eval(), batches)
    expected = {
        "loss": errors.square().mean(),
        "MAE": UNITS[1] * errors.abs().mean(),
        "MSE": UNITS[1] ** 2 * errors.square().mean(),
        "RMSE": UNITS[1] * errors.square().mean().sqrt(),
    }
    assert set(found) == {f"{stage}/{name}" for name in expected}
    for name, value in expected.items():
        assert found[f"{stage}/{name}"] == pytest.approx(value.item(), rel=1e-5), name


def test_logged_loss_of_weighted_windows_is_that_of_one_batch(ragged_batch):
    module, batch = tiny(), ragged_batch()
    batch["weight"] = torch.tensor([0.2, 3.0, 1.0])
    expected = module.eval().calc_loss(module(batch), batch).item()
    parts = [rows_of(batch, [0, 1]), rows_of(batch, [2])]
    (found,) = quiet_trainer().validate(module, loader(*parts), verbose=False)
    assert found["validation/loss"] == pytest.approx(expected, rel=1e-5)


def test_metrics_of_quantiles_are_those_of_the_median(ragged_batch):
    module = tiny(criterion=QuantileLoss([0.3, 0.7]), logging_metrics=["MAE"])
    batches = ragged_pair(ragged_batch)
    (found,) = quiet_trainer().validate(module, loader(*batches), verbose=False)
    errors = observed_errors(module.eval(), batches)
    assert found["validation/MAE"] == pytest.approx(errors.abs().mean().item(), rel=1e-5)


def test_predictions_are_in_original_units(ragged_batch):
    module, batch = tiny(criterion=QuantileLoss(LEVELS)), ragged_batch()
    del batch["target"]
    (found,) = predicted(quiet_trainer(), module, datamodule=Units(batch))
    expected = UNITS[1] * module(batch)["output"] + UNITS[0]
    torch.testing.assert_close(found, expected.sort(dim=-1).values)  # levels rise


def test_training_logs_the_mean_over_data(ragged_batch):
    module = tiny(optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    batches = ragged_pair(ragged_batch)
    trainer = fit(module, *batches)
    expected = observed_errors(module.eval(), batches).square().mean().item()
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-5)


def test_metrics_keep_errors_far_below_the_level(ragged_batch):
    """A target around 1e6 that is missed by 0.02: single precision has no digit left for it."""

    class Offset:
        def inverse_transform_target(self, values, batch):
            return values.double() * 0.02 + 1e6

        def describe_training_window(self, series, origin):
            return ""

    module, batch = tiny(), ragged_batch()
    source = Offset()
    mask = batch["target_mask"]
    output = batch["target"] + 1
    point, target = (source.inverse_transform_target(v, batch) for v in (output, batch["target"]))
    module.validation_metrics.update(point[mask], target[mask])
    found = module.validation_metrics.compute()
    assert found["validation/MAE"].item() == pytest.approx(0.02, rel=1e-6)
    assert found["validation/RMSE"].item() == pytest.approx(0.02, rel=1e-6)
