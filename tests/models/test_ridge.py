"""Forecasts of what a ridge regression leaves."""

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from tests.cli.conftest import make_frame
from tests.runs import quiet_trainer
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.models import LSTM, EncoderDecoderLSTM
from transformertf.models.common import Reading
from transformertf.models.common.ridge import LARGEST, PENALTIES, Ridge
from transformertf.nn import DistributionLoss, QuantileLoss
from transformertf.streaming import Stream

LEVELS = [0.1, 0.4, 0.5, 0.7]
CONTEXT, HORIZON, ROWS = 6, 3, 60


def tiny(features=(3, 2), **kwargs):
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 5, "num_encoder_layers": 1, "num_decoder_layers": 1}
    options = {**sizes, "dropout": 0.0, "prediction_type": "ridge", **kwargs}
    return EncoderDecoderLSTM(*features, **options)


def silence(module):
    for parameter in module.model.head.parameters():
        torch.nn.init.zeros_(parameter)
        parameter.requires_grad_(False)
    return module


def frame_of(rows, seed):
    """Return rows in odd units, with a column that never changes."""
    frame = make_frame(rows, seed).drop(columns="t")
    noise = np.random.default_rng(seed).normal(size=(2, rows))
    return frame.assign(
        known=1000 * frame["known"],
        still=7.0,
        past=frame["past"] + 0.1 * noise[0],
        target=frame["target"] + 0.2 * noise[1],
    )


def make_data(folder, *frames, known=("known", "still"), **options):
    paths = [str(folder / f"{number}.parquet") for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        frame.to_parquet(path)
    return EncoderDecoderDataModule(
        "target", list(known), ["past"], train_df_paths=paths,
        **{"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON, "dtype": "float64", **options},
    )  # fmt: skip


def forecast(module, batch):
    with torch.inference_mode():
        return module(batch)["output"]


def fitted(data, **options):
    """Return a silent module after a fit of one step, in which nothing that counts trains."""
    sizes = data.num_past_known_covariates, data.num_future_known_covariates
    module = silence(tiny(sizes, num_static_features=data.num_static_features, **options))
    quiet_trainer(max_steps=1, precision="64-true").fit(module, datamodule=data)
    return module.eval()


def least_squares(inputs, target, penalty, scale):
    """Return weights and bias, from rows that the penalty adds and a library's decomposition."""
    share = np.square(scale)
    mean = np.average(inputs, axis=0, weights=share)
    spread = np.sqrt(np.average(np.square(inputs - mean), axis=0, weights=share))
    level = np.average(target, axis=0, weights=share)
    used = np.ptp(inputs, axis=0) > 0
    scaled = scale[:, None] * (inputs - mean)[:, used] / spread[used]
    rows = np.vstack([scaled, np.sqrt(share.sum() * penalty) * np.eye(used.sum())])
    sides = np.vstack([scale[:, None] * (target - level), np.zeros((used.sum(), len(level)))])
    weight = np.zeros((inputs.shape[1], len(level)))
    weight[used] = np.linalg.lstsq(rows, sides, rcond=None)[0] / spread[used, None]
    return weight, level - mean @ weight


def by_hand(inputs, target, scale=None):
    """Return the penalty that serves the last fifth, and what it gives of all windows."""
    scale = np.ones(len(inputs)) if scale is None else scale
    kept = len(inputs) * 4 // 5
    errors = []
    for penalty in PENALTIES:
        weight, bias = least_squares(inputs[:kept], target[:kept], penalty, scale[:kept])
        left = scale[kept:, None] * (inputs[kept:] @ weight + bias - target[kept:])
        errors.append(np.square(left).sum())
    penalty = PENALTIES[int(np.argmin(errors))]
    return penalty, least_squares(inputs, target, penalty, scale)


def windows_of(frame, context):
    """Return inputs and targets of all windows of a table, in a loop over the origins."""
    past, future, target = (
        frame[names].to_numpy()
        for names in (["known", "still", "past", "target"], ["known", "still"], "target")
    )
    inputs, targets = [], []
    for end in range(CONTEXT, len(frame) - HORIZON + 1):
        after = slice(end, end + HORIZON)
        inputs.append(np.concatenate([past[end - context : end].ravel(), future[after].ravel()]))
        targets.append(target[after])
    return np.array(inputs), np.array(targets)


@pytest.mark.parametrize("context", [None, 2])
def test_a_silent_network_gives_the_regression(context, tmp_path):
    frames = [frame_of(ROWS, seed) for seed in (1, 2)]
    module = fitted(make_data(tmp_path, *frames, normalize=False), ridge_context=context)
    parts = [windows_of(frame, context or CONTEXT) for frame in frames]
    inputs, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    penalty, (weight, bias) = by_hand(inputs, targets)
    assert PENALTIES[0] < penalty < PENALTIES[-1]
    dataset = make_data(tmp_path, *frames, normalize=False).train_dataloader().dataset
    batch = dataset.whole(np.arange(len(dataset)))
    found = forecast(module, batch)[..., 0].numpy()
    np.testing.assert_allclose(found, inputs @ weight + bias, rtol=1e-8, atol=1e-8)
    assert np.corrcoef(found.ravel(), targets.ravel())[0, 1] > 0.9


def test_windows_with_a_target_that_is_not_observed_take_no_part(tmp_path):
    frame = frame_of(ROWS, 3)
    frame.loc[[30, 31, 50], "target"] = np.nan
    data = make_data(tmp_path, frame, missing="mask", known=["known"], static_covariates="still")
    module = fitted(data)
    dataset = data.train_dataloader().dataset
    batches = [dataset.whole(np.array([one])) for one in range(len(dataset))]
    whole = [batch for batch in batches if batch["target_mask"].all()]
    assert 0 < len(whole) < len(batches)
    keys = ("encoder_input", "decoder_input", "static_input")
    inputs = np.array([np.concatenate([batch[key].ravel() for key in keys]) for batch in whole])
    targets = np.array([batch["target"].ravel().numpy() for batch in whole])
    _, (weight, bias) = by_hand(inputs, targets)
    found = np.array([forecast(module, batch).ravel().numpy() for batch in whole])
    np.testing.assert_allclose(found, inputs @ weight + bias, rtol=1e-8, atol=1e-8)


def test_windows_are_read_in_their_own_units_and_count_as_in_the_loss(tmp_path):
    data = make_data(tmp_path, frame_of(ROWS, 4), normalize="window")
    module = fitted(data)
    dataset = data.train_dataloader().dataset
    batch = dataset.whole(np.arange(len(dataset)))
    keys = ("encoder_input", "decoder_input")
    inputs = np.concatenate([batch[key].flatten(1).numpy() for key in keys], axis=1)
    loc, scale = (batch[f"window_{key}"].numpy()[:, None] for key in ("loc", "scale"))
    assert np.ptp(scale) > 0
    _, (weight, bias) = by_hand(
        inputs, (batch["target"][..., 0].numpy() - loc) / scale, scale[:, 0]
    )
    expected = (inputs @ weight + bias) * scale + loc
    found = forecast(module, batch)[..., 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


# -- padding


def drawn(**options):
    """Return a module whose regression is random, of 4 context steps and 5 of the horizon."""
    module = silence(tiny(**options)).double()
    module.baseline.size(3, 2, 0, context=4, horizon=5)
    torch.manual_seed(1)
    for buffer in module.baseline.buffers():
        if buffer.is_floating_point():
            buffer.normal_()
    return module


@pytest.mark.parametrize("encoder_alignment", ["left", "right"])
@pytest.mark.parametrize("decoder_alignment", ["left", "right"])
@pytest.mark.parametrize("extra", [0, 3])
def test_only_data_is_read(encoder_alignment, decoder_alignment, extra, ragged_batch):
    batch = ragged_batch(
        encoder_alignment=encoder_alignment, decoder_alignment=decoder_alignment, extra=extra
    )
    assert {1, 3, 6} == set(batch["encoder_lengths"].tolist())  # and four steps are read
    module = drawn(criterion=QuantileLoss(LEVELS))
    ridge = module.baseline
    expected = torch.zeros(*batch["decoder_mask"].shape, 1, dtype=torch.float64)
    for row in range(len(expected)):
        past, future = (
            batch[f"{side}_input"][row][batch[f"{side}_mask"][row]].double()
            for side in ("encoder", "decoder")
        )
        value = ridge.bias.clone()
        for back, step in zip(range(1, 5), past.flip(0), strict=False):
            value += step @ ridge.past[-back]
        for place, step in enumerate(future):
            value += step @ ridge.future[place]
        expected[row, batch["decoder_mask"][row], 0] = value[: len(future)]
    found = module(batch)["output"]
    torch.testing.assert_close(found, expected.expand(-1, -1, len(LEVELS)))


def test_the_quantiles_of_a_distribution_move_with_the_regression(ragged_batch):
    batch, normal = ragged_batch(), DistributionLoss("normal")
    moved = drawn(criterion=normal)
    plain = silence(tiny(criterion=normal, prediction_type="point")).double()
    mask = batch["decoder_mask"]
    by = drawn()(batch)["output"]
    assert by[mask].abs().min() > 0
    shown = [module.decode(module(batch)["output"]) for module in (plain, moved)]
    torch.testing.assert_close(shown[1][mask], (shown[0] + by)[mask])


def test_half_precision_leaves_the_regression_its_digits(ragged_batch):
    module = drawn()
    before = {name: buffer.clone() for name, buffer in module.baseline.named_buffers()}
    module.bfloat16()
    assert next(module.model.parameters()).dtype == torch.bfloat16
    assert all(torch.equal(before[n], buffer) for n, buffer in module.baseline.named_buffers())


# -- what a fit and a session make of it


def test_a_fit_begins_where_the_regression_ends(tmp_path):
    data = make_data(tmp_path, *(frame_of(120, seed) for seed in (5, 6)), val_fraction=0.3)
    alone = fitted(data)
    run = quiet_trainer(max_epochs=4, precision="64-true")
    (before,) = run.validate(alone, datamodule=data, verbose=False)
    sizes = data.num_past_known_covariates, data.num_future_known_covariates
    module = tiny(sizes)
    torch.nn.init.zeros_(module.model.head[-1].weight)
    torch.nn.init.zeros_(module.model.head[-1].bias)
    run.fit(module, datamodule=data)
    (after,) = run.validate(module, datamodule=data, verbose=False)
    assert after["validation/loss"] < 1.02 * before["validation/loss"]
    assert torch.equal(module.baseline.past, alone.baseline.past)


def test_a_session_is_windowed(tmp_path):
    data = make_data(tmp_path, frame_of(ROWS, 7))
    module = fitted(data)
    rows = frame_of(40, 8)
    session = Stream(module, data)
    assert not session.carries_state
    found = session.update(rows[:30], rows[30:33])
    other = Stream(module, data)
    for start in range(0, 30, 10):
        table = other.update(rows[start : start + 10], rows[start + 10 : start + 13])
    pd.testing.assert_frame_equal(found, table)


# -- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge_context": 0}, "ridge_context must be at least 1"),
        (
            {"ridge_context": 24, "prediction_type": "delta"},
            "ridge_context is 24, .* prediction_type 'delta'",
        ),
        ({"criterion": torch.nn.PoissonNLLLoss()}, "other than 'point' moves a forecast"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(InputError, match=message) as error:
        tiny(**options)
    assert "\n" not in str(error.value)


def test_a_sequence_model_has_no_context_to_read():
    with pytest.raises(InputError, match=r"'ridge' .* does not read; leave it at 'point'"):
        LSTM(2, prediction_type="ridge")


def test_it_wants_windows_to_be_fitted_to(tmp_path, ragged_batch):
    with pytest.raises(InputError, match="'ridge' is not fitted"):
        tiny()(ragged_batch())
    with pytest.raises(InputError, match="fitted to the windows of an EncoderDecoderDataModule"):
        tiny().setup("fit")
    frame = frame_of(CONTEXT + HORIZON, 1)
    with pytest.raises(InputError, match="on all 3 steps of the horizon, and found 1; set"):
        fitted(make_data(tmp_path, frame))


@pytest.mark.parametrize(
    ("options", "trainer", "message"),
    [
        ({"ridge_context": CONTEXT + 1}, {}, "ridge_context is 7, but contexts have 6 steps"),
        ({}, {"callbacks": EMAWeightAveraging()}, "WeightAveraging copies .* set ema"),
    ],
)
def test_a_fit_that_cannot_have_one_is_refused(options, trainer, message, tmp_path):
    data = make_data(tmp_path, frame_of(ROWS, 1))
    sizes = data.num_past_known_covariates, data.num_future_known_covariates
    with pytest.raises(InputError, match=message):
        quiet_trainer(**trainer).fit(tiny(sizes, **options), datamodule=data)


def test_a_wide_horizon_is_refused_and_a_long_context_cut():
    ridge = Ridge()
    ridge.size(50, 10, 3, context=500, horizon=24)
    assert ridge.past.shape == (35, 50, 24)  # 35 * 50 + 24 * 10 + 3 is below 2000
    with pytest.raises(InputError, match=f"solves for {LARGEST:,} at most; set ridge_context"):
        Ridge(500).size(50, 10, 3, context=500, horizon=24)
    with pytest.raises(InputError, match="and 20 of 720 horizon steps"):
        Ridge().size(5, 20, 0, context=500, horizon=720)


def test_other_data_than_it_was_fitted_to_is_refused(ragged_batch):
    module = drawn()
    with pytest.raises(InputError, match=r"a horizon has 6 steps, but .* fitted to 5"):
        module(ragged_batch(decoder_lengths=(6, 2, 4)))
    reading = Reading.of(ragged_batch())
    with pytest.raises(InputError, match=r"are \(3, 2, 1\), but .* fitted to \(3, 2, 0\)"):
        module.baseline(reading._replace(static=torch.zeros(3, 1)))
