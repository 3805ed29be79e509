"""Sampled paths against the theory of processes whose conditional quantiles are known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from tests.data.units import HORIZON, make_units
from tests.forecasts.windows import fitted, make_frame, make_model
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.forecasts.continuation import Continuation
from transformertf.forecasts.paths import Rolled, draw_levels, roll
from transformertf.models import ForecastModule
from transformertf.nn import MSELoss, QuantileLoss

LEVELS = (0.02, 0.1, 0.5, 0.75, 0.98)
NORMAL = stats.norm.ppf(LEVELS)
CHUNK, STEPS, SAMPLES = 6, 20, 4000
START = 3.0


def paths_of(rolled: Rolled) -> torch.Tensor:
    assert rolled.paths is not None
    return rolled.paths


class Process(ForecastModule):
    """The exact quantiles of y' = phi y + e, e standard normal, given the last context value.

    Args:
        phi: 1 for the random walk.
    """

    def __init__(self, phi: float, output_dim: int = len(LEVELS)) -> None:
        super().__init__(output_dim=output_dim, criterion=QuantileLoss(LEVELS))
        self.phi = phi

    def forward(self, batch: Any, need_weights: bool | None = None) -> Any:
        last = batch["encoder_input"][:, -1, -1].view(-1, 1, 1)
        step = np.arange(1, batch["decoder_mask"].shape[1] + 1)[:, None]
        mean, spread = torch.tensor(self.phi**step), torch.tensor(deviation(self.phi, step))
        return {"output": last * mean + spread * torch.tensor(NORMAL)}


def deviation(phi, step):
    """Return the standard deviation of y so many steps on."""
    return np.sqrt(sum(np.where(k < step, phi ** (2 * k), 0.0) for k in range(STEPS)))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def process():
    """A data module of one series in its own units, which ends with START and empty rows."""
    frame = pd.DataFrame({"y": [*np.linspace(0, START, 30), *[np.nan] * STEPS]})
    frame.fillna(0.0).to_parquet("train.parquet")
    data = EncoderDecoderDataModule(
        target_covariate="y",
        train_df_paths="train.parquet",
        ctxt_seq_len=4,
        tgt_seq_len=CHUNK,
        normalize=False,
        dtype="float64",
        batch_size=1000,
    )
    data.setup("fit")
    data.stages.give("predict_df_paths", frame)
    data.setup("predict")
    return data


@pytest.mark.parametrize("phi", [1.0, 0.8])
def test_widths_are_those_of_the_process(process, phi):
    (batch,) = process.predict_dataloader()
    model, series = Process(phi).eval(), process.predict_series
    rolled = roll(model, process, batch, series, STEPS, SAMPLES, 7)
    step = np.arange(1, STEPS + 1)[:, None]
    spread, mean = deviation(phi, step), START * phi**step
    if phi == 1.0:
        np.testing.assert_allclose(spread, np.sqrt(step))
    found = (rolled.outputs[0].numpy() - mean) / spread
    # the first chunk has no sampling noise; the standard error of a sampled quantile later on
    np.testing.assert_allclose(found[:CHUNK], np.broadcast_to(NORMAL, (CHUNK, 5)), atol=1e-6)
    shares = np.array(LEVELS)
    error = np.sqrt(shares * (1 - shares) / SAMPLES) / stats.norm.pdf(NORMAL)
    assert (np.abs(found - NORMAL) < 4.5 * error).all()
    assert np.abs(found[CHUNK:] - NORMAL).max() > 1e-4
    torch.testing.assert_close(rolled.point, rolled.outputs[..., 2:3])
    # and so is the whole distribution at each step
    scaled = (paths_of(rolled)[0].numpy().T - mean) / spread
    assert min(stats.kstest(row, "norm").pvalue for row in scaled) > 1e-3


def test_feeding_back_the_point_alone_is_too_narrow(process):
    (batch,) = process.predict_dataloader()
    rolled = roll(Process(1.0).eval(), process, batch, process.predict_series, STEPS, 0, 0)
    step = np.arange(1, STEPS + 1)
    width = (rolled.outputs[0, :, -1] - rolled.outputs[0, :, 0]).numpy() / (NORMAL[-1] - NORMAL[0])
    np.testing.assert_allclose(width, np.sqrt((step - 1) % CHUNK + 1))
    assert (width[CHUNK:] < 0.8 * np.sqrt(step[CHUNK:])).all()
    assert width[-1] < 0.35 * np.sqrt(STEPS)


def test_a_path_keeps_its_level_through_a_chunk_and_no_longer(process):
    (batch,) = process.predict_dataloader()
    model, series = Process(1.0).eval(), process.predict_series
    paths = paths_of(roll(model, process, batch, series, STEPS, SAMPLES, 1))[0].numpy()
    starts = np.column_stack([np.full(SAMPLES, START), paths[:, CHUNK - 1 : -1 : CHUNK]])
    drawn = []
    for chunk, start in enumerate(starts.T):
        own = paths[:, chunk * CHUNK : (chunk + 1) * CHUNK] - start[:, None]
        scores = own / np.sqrt(np.arange(1, own.shape[1] + 1))
        np.testing.assert_allclose(scores, scores[:, :1].repeat(own.shape[1], axis=1), atol=1e-5)
        drawn.append(scores[:, 0])
    between = np.corrcoef(drawn)[np.triu_indices(len(drawn), 1)]
    assert len(between) == 6
    assert np.abs(between).max() < 4.5 / np.sqrt(SAMPLES)


def test_later_quantiles_are_those_of_the_paths(process):
    (batch,) = process.predict_dataloader()
    rolled = roll(Process(0.8).eval(), process, batch, process.predict_series, STEPS, 30, 0)
    # definition 8 of Hyndman and Fan (1996)
    expected = stats.mstats.mquantiles(
        paths_of(rolled)[0], LEVELS, alphap=1 / 3, betap=1 / 3, axis=0
    )
    np.testing.assert_allclose(rolled.outputs[0, CHUNK:], expected.T[CHUNK:])


# what the levels depend on


def test_levels_are_uniform_and_never_at_an_end():
    levels = draw_levels(0, "a", 10, 1, 100_000)
    assert stats.kstest(levels, "uniform").pvalue > 1e-3
    # midpoints of intervals, so that also the outermost there can be lie inside
    np.testing.assert_array_equal(levels * 2**23 % 1, 0.5)
    outermost = np.array([0.5, 2**23 - 0.5]) / 2**23
    assert 0 < np.float32(outermost[0]) < np.float32(outermost[1]) < 1


def test_levels_are_those_of_their_key():
    levels = draw_levels(0, "a", 10, 1, 5)
    np.testing.assert_array_equal(draw_levels(0, "a", 10, 1, 9)[:5], levels)
    keys: list[Any] = [(1, "a", 10, 1), (0, "b", 10, 1), (0, "a", 11, 1), (0, "a", 10, 0)]
    for seed, name, origin, chunk in [*keys, (0, "", 10, 1), (0, "ab", 10, 1), (0, "é", 10, 1)]:
        assert not np.isin(draw_levels(seed, name, origin, chunk, 5), levels).any()


def test_how_windows_are_batched_changes_nothing(monkeypatch):
    found = []
    for size, rows in ((1, 2**21), (4, 2**21), (100, 2**21), (100, 150)):
        monkeypatch.setattr("transformertf.forecasts.continuation._ROWS", rows)
        torch.manual_seed(size)
        data = fitted(make_frame(), origin="every:4", batch_size=size, num_workers=0)
        data.setup("predict")
        model, series = make_model(data), data.predict_series
        paths = [
            paths_of(roll(model, data, batch, series, 3 * HORIZON, 5, 11))
            for batch in data.predict_dataloader()
        ]
        longest = max(part.shape[-1] for part in paths)
        found.append(
            torch.cat(
                [torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in paths]
            )
        )
    assert len(found[0]) > 12
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])
    # no two windows, and no two paths of one, are alike
    assert found[0][:, :, 0].unique().numel() == found[0][:, :, 0].numel()


def test_paths_that_nobody_keeps_are_forgotten_and_numbers_stay(monkeypatch):
    data = fitted(make_frame(), origin="every:4", batch_size=100, num_workers=0)
    data.setup("predict")
    model, series = make_model(data), data.predict_series
    (batch,) = data.predict_dataloader()
    kept = roll(model, data, batch, series, 5 * HORIZON, 5, 11)
    held = []
    batches = Continuation.batches

    def look(self: Continuation, windows: Any, done: int, recent: Any) -> Any:
        held.append(recent.shape[2])
        return batches(self, windows, done, recent)

    monkeypatch.setattr(Continuation, "batches", look)
    found = roll(model, data, batch, series, 5 * HORIZON, 5, 11, keep_paths=False)
    assert found.paths is None
    assert torch.equal(found.outputs, kept.outputs)
    assert torch.equal(found.point, kept.point)
    # not the whole way, but what a context looks back on
    assert max(held) == data.limits.context + data.stages.lag + 1 < 4 * HORIZON


# mistakes


@pytest.mark.parametrize(
    ("options", "numbers", "message"),
    [
        (
            {"known_past_covariates": ["current", "alarm"], "categorical_covariates": "alarm"},
            (HORIZON + 1, 0, 0),
            "known_past_covariates: 'current', 'alarm' unknown beyond the trained horizon of 3 "
            "steps: expected a horizon of at most so many, found 4; lower it, or train without "
            "these columns or with a longer tgt_seq_len",
        ),
        ({}, (0, 0, 0), "horizon must be at least 1, found 0"),
        ({}, (4, -1, 0), "samples must be at least 0, found -1"),
        ({}, (4, 0, -2), "seed must be at least 0, found -2"),
    ],
)
def test_mistakes_are_one_line(options, numbers, message):
    data = fitted(make_units(), **options)
    data.setup("predict")
    batch = next(iter(data.predict_dataloader()))
    with pytest.raises(InputError) as error:
        roll(make_model(data), data, batch, data.predict_series, *numbers)
    assert str(error.value) == message


def test_past_covariates_serve_up_to_the_trained_horizon():
    data = fitted(make_units(), known_past_covariates="current")
    data.setup("predict")
    batch = next(iter(data.predict_dataloader()))
    rolled = roll(make_model(data), data, batch, data.predict_series, HORIZON, 3, 0)
    assert paths_of(rolled).shape == (len(batch["origin"]), 3, HORIZON)


def test_a_point_model_has_no_paths():
    data = fitted(make_frame())
    data.setup("predict")
    model, batch = make_model(data, criterion=MSELoss()), next(iter(data.predict_dataloader()))
    with pytest.raises(InputError, match="MSELoss"):
        roll(model, data, batch, data.predict_series, HORIZON, 3, 0)
    rolled = roll(model, data, batch, data.predict_series, 2 * HORIZON, 0, 0)
    torch.testing.assert_close(rolled.outputs, rolled.point)


@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize("before", [[], ["DeltaTransform"]])
def test_a_planned_x_of_0_is_forecast_in_any_chunk(missing, before):
    rows = np.arange(60)
    frame = pd.DataFrame({"set": 3 + np.sin(rows), "y": (3 + np.sin(rows)) * np.cos(rows / 7)})
    options = {"series_id": None, "time_column": None, "max_gap": None}
    transforms = {"y": [*before, "DivideByXTransform"]}
    data = fitted(
        frame, target_depends_on="set", extra_transforms=transforms, missing=missing, **options
    )
    zeros, steps = [1, HORIZON - 1, HORIZON + 1], 3 * HORIZON
    planned = pd.DataFrame({"set": 3 + np.sin(60 + np.arange(steps))})
    planned.loc[zeros, "set"] = 0
    data.stages.give("predict_df_paths", pd.concat([frame, planned], ignore_index=True))
    data.setup("predict")
    model, (batch,) = make_model(data, criterion=MSELoss()), data.predict_dataloader()
    point = roll(model, data, batch, data.predict_series, steps, 0, 0).point[0, :, 0].numpy()
    assert np.isfinite(point).all()
    change = np.diff(point, prepend=frame["y"].iloc[-1]) if before else point
    assert np.flatnonzero(change == 0).tolist() == zeros
