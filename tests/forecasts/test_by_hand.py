"""Rolled forecasts against chunks by hand: whole frames that hold the forecasts as their target."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.data.units import CONTEXT, HORIZON, LAGS, ROWS, stretches_of
from tests.forecasts.windows import LEVELS, OPTIONS, fitted, make_frame, make_model
from tests.runs import predicted, quiet_trainer
from transformertf.data import EncoderDecoderDataModule
from transformertf.forecasts import paths
from transformertf.forecasts.paths import roll
from transformertf.models import TemporalFusionTransformer
from transformertf.nn import DistributionLoss, MSELoss

STEPS = 3 * HORIZON + 1
ROLES = {
    "known_covariates": ["set", "mode"],
    "static_covariates": ["power", "site"],
    "categorical_covariates": ["mode", "site", "dayofweek"],
    "calendar_features": ["hour", "dayofweek"],
    "target_lags": list(LAGS),
}
LOG_DELTA_RATIO = {
    "extra_transforms": {"y": ["LogTransform", "DeltaTransform", "DivideByXTransform"]},
    "target_depends_on": "set",
}
# arguments of the data module
DATA: dict[str, dict[str, Any]] = {
    "plain": {"time_column": None, "max_gap": None, "known_covariates": None},
    "covariates": ROLES,
    "relative time, per window": {**ROLES, "time_format": "relative", "normalize": "window"},
    "per series": {**ROLES, "normalize": "series", "extra_transforms": {"y": "DeltaTransform"}},
    "original units": {"normalize": False, "extra_transforms": {"set": "DeltaTransform"}},
    "ratio": LOG_DELTA_RATIO,
    "aligned right": {"encoder_alignment": "right", "decoder_alignment": "right", **ROLES},
    "nothing fed back": {"add_target_to_past": False},
    "lags only": {"add_target_to_past": False, "target_lags": [LAGS[0]]},
    "holes": {**ROLES, "missing": "mask", "max_gap": None},
    "holes, rates": {**ROLES, "missing": "mask", "difference_covariates": "set"},
    "holes, lines": {
        **{**ROLES, **LOG_DELTA_RATIO},
        "missing": "mask",
        "impute": "interpolate",
        "max_gap": None,
    },
    "holes, lines, gaps": {"missing": "mask", "impute": "interpolate", "normalize": "window"},
}
# class and arguments of the model
MODELS: dict[str, dict[str, Any]] = {
    "quantiles": {},
    "change of the target": {"prediction_type": "delta"},
    "point": {"criterion": MSELoss()},
    "distribution": {"criterion": DistributionLoss("student_t", LEVELS), "output_dim": 3},
    "both ways": {
        "kind": TemporalFusionTransformer,
        "ctxt_seq_len": CONTEXT,
        "tgt_seq_len": HORIZON,
        "d_model": 4,
        "num_heads": 2,
        "causal_attention": False,
    },
}
CASES = [
    *((data, "quantiles") for data in DATA),
    *(("covariates", model) for model in MODELS if model != "quantiles"),
    ("aligned right", "both ways"),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def by_hand(data, model, rows, origin, steps, column=None):
    """Forecast one window, each chunk with the whole frame of its unit.

    Args:
        data: the fitted data module; only its arguments and its state are used.
        model: the model.
        rows: the unit's rows; targets behind the origin are not read.
        origin: row of the last known target.
        steps: how many to forecast.
        column: which quantile is fed back; the point forecast if not given.

    Returns:
        (steps, Q).
    """
    arguments = {name: data.hparams[name] for name in OPTIONS} | {
        name: data.hparams[name] for values in DATA.values() for name in values
    }
    rows = rows.copy()
    rows.loc[origin + 1 :, "y"] = np.nan
    done: list[Any] = []
    while len(done) < steps:
        module = EncoderDecoderDataModule(**arguments)
        module.load_state_dict(data.state_dict())
        module.stages.give("predict_df_paths", rows)
        module.setup("predict")
        (batch,) = module.predict_dataloader()
        assert batch["origin"].tolist() == [origin + len(done)]
        with torch.no_grad():
            output = model.decode(model(batch)["output"])
        if column is not None:
            output = output.sort(dim=-1).values
        found = module.inverse_transform_target(output, batch)[0].sort(dim=-1).values.numpy()
        first, which = origin + 1 + len(done), found.shape[1] // 2 if column is None else column
        rows.loc[first : first + len(found) - 1, "y"] = found[:, which]
        done.extend(found)
    return np.array(done[:steps])


def windows_of(data, frame, batch):
    """Return row of the batch, rows of the unit, origin and steps left of windows to compare.

    They are those that a forecast of the frame can start from: with a target at the origin.
    """
    units = [rows.reset_index(drop=True) for _, rows in frame.groupby("unit")]
    found = []
    origins = zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True)
    for row, (number, origin) in enumerate(origins):
        unit = units[number]
        left = len(unit) - 1 - origin
        if data.hparams["max_gap"] is not None:
            stretch = stretches_of(unit)
            left = int((stretch[origin + 1 :] == stretch[origin]).sum())
        if pd.notna(unit["y"][origin]):
            found.append((row, unit, origin, min(left, STEPS)))
    return found


def prepared(data_case, model_case, future=None, **options):
    case = DATA[data_case]
    frame = make_frame(holes="missing" in case)
    data = fitted(frame, **{"origin": "every:10", "batch_size": 5, **case, **options})
    if future is not None:
        left = frame.groupby("unit").cumcount(ascending=False)
        frame = frame.assign(y=frame["y"].where(left >= frame["unit"].map(future)))
        data.stages.give("predict_df_paths", frame)
    data.setup("predict")
    return frame, data, make_model(data, **MODELS[model_case])


def compare(frame, data, model):
    """Compare rolled point forecasts with those by hand, and return how many steps they were."""
    compared = []
    for batch in data.predict_dataloader():
        rolled = roll(model, data, batch, data.predict_series, STEPS, 0, 0)
        assert rolled.outputs.dtype == rolled.point.dtype == torch.float64
        assert rolled.paths is None
        assert not rolled.outputs[~rolled.mask].any()
        for row, unit, origin, steps in windows_of(data, frame, batch):
            expected = by_hand(data, model, unit, origin, steps)
            found = rolled.outputs[row].numpy()
            np.testing.assert_allclose(found[:steps], expected, rtol=1e-9)
            middle = expected[:, expected.shape[1] // 2]
            np.testing.assert_allclose(rolled.point[row, :steps, 0], middle, rtol=1e-9)
            assert rolled.mask[row].tolist() == [step < steps for step in range(len(found))]
            compared.append(steps)
    return compared


@pytest.mark.parametrize(("data_case", "model_case"), CASES)
def test_the_point_forecast_is_fed_back(data_case, model_case):
    compared = compare(*prepared(data_case, model_case))
    assert len(compared) > 4
    assert any(HORIZON < steps < STEPS for steps in compared)
    assert STEPS in compared


@pytest.mark.parametrize(
    ("data_case", "future", "contexts", "steps"),
    [
        ("lags only", {"u0": 25, "u1": 8, "u2": 26}, [2, 10, 3], [8, STEPS, STEPS]),
        # the origin is the first row behind a gap
        ("original units", {"u0": 30, "u1": 21, "u2": 32}, [1, 1, 1], [STEPS, STEPS, STEPS]),
    ],
)
def test_short_contexts_grow_by_what_is_fed_back(data_case, future, contexts, steps):
    lengths = {"ctxt_seq_len": 14, "min_ctxt_seq_len": min(contexts)}
    frame, data, model = prepared(data_case, "quantiles", future, origin="auto", **lengths)
    (batch,) = data.predict_dataloader()
    assert batch["encoder_lengths"].tolist() == contexts
    assert sorted(compare(frame, data, model)) == steps


@pytest.mark.parametrize(
    ("data_case", "model_case"),
    [("covariates", "quantiles"), ("per series", "quantiles"), ("holes, lines", "quantiles"),
     ("aligned right", "change of the target"), ("covariates", "distribution")],
)  # fmt: skip
def test_each_path_is_fed_back_to_itself(monkeypatch, data_case, model_case):
    monkeypatch.setattr(paths, "draw_levels", lambda *_: np.array(LEVELS))
    frame, data, model = prepared(data_case, model_case)
    compared = 0
    for batch in data.predict_dataloader():
        rolled = roll(model, data, batch, data.predict_series, STEPS, len(LEVELS), 0)
        assert rolled.paths is not None
        for row, unit, origin, steps in windows_of(data, frame, batch)[::3]:
            for path in range(len(LEVELS)):
                expected = by_hand(data, model, unit, origin, steps, path)
                found = rolled.paths[row, path, :steps]
                np.testing.assert_allclose(found, expected[:, path], rtol=1e-7)
            compared += steps > HORIZON
    assert compared > 2


def test_downsampled_series_are_rolled_on():
    frame, data, model = prepared("plain", "quantiles", downsample=2, batch_size=1)
    compared = 0
    for batch in data.predict_dataloader():
        rolled = roll(model, data, batch, data.predict_series, STEPS, 0, 0)
        number, origin = int(batch["series"][0]), int(batch["origin"][0])
        unit = [rows for _, rows in frame.groupby("unit")][number][::2].reset_index(drop=True)
        steps = min(STEPS, len(unit) - 1 - origin)
        data.hparams["downsample"] = 1
        expected = by_hand(data, model, unit, origin, steps)
        np.testing.assert_allclose(rolled.outputs[0], expected, rtol=1e-9)
        compared += steps > HORIZON
    assert compared > 5


@pytest.mark.parametrize("horizon", [HORIZON, HORIZON - 1])
@pytest.mark.parametrize("samples", [0, 4])
def test_the_first_chunk_is_the_plain_forecast(horizon, samples):
    future = {"u0": STEPS + 2, "u1": 1, "u2": HORIZON}
    _, data, model = prepared(
        "aligned right", "quantiles", future, normalize="window", origin="auto"
    )
    trainer = quiet_trainer()
    plain = predicted(trainer, model, datamodule=data)
    padded = False
    for expected, batch in zip(plain, data.predict_dataloader(), strict=True):
        model.eval()
        rolled = roll(model, data, batch, data.predict_series, horizon, samples, 0)
        longer = roll(model, data, batch, data.predict_series, STEPS, samples, 0)
        for row, mask in enumerate(batch["decoder_mask"]):
            own = expected[row][mask].sort(dim=-1).values[:horizon]
            steps = len(own)
            for found in (rolled, longer):
                torch.testing.assert_close(found.outputs[row, :steps], own)
                torch.testing.assert_close(found.point[row, :steps], own[:, 1:2])
            assert rolled.mask[row].sum() == steps
            if samples:
                assert rolled.paths is not None
                assert longer.paths is not None
                torch.testing.assert_close(rolled.paths[row], longer.paths[row, :, :horizon])
            padded |= not mask.all()
    assert padded


def test_known_covariates_as_long_as_there_are():
    frame, data, model = prepared("plain", "quantiles", origin="20", batch_size=9)
    (batch,) = data.predict_dataloader()
    rolled = roll(model, data, batch, data.predict_series, 1000, 0, 0)
    lengths = frame.groupby("unit").size().to_numpy() - 21
    assert rolled.mask.sum(dim=1).tolist() == lengths.tolist()
    assert rolled.point.shape == (3, max(lengths), 1)


def keeping(kept, call):
    """Return a call that keeps the first argument of each."""

    def keep(first, *rest):
        kept.append(first)
        return call(first, *rest)

    return keep


def test_later_chunks_are_as_small_as_the_first_and_hold_no_target(monkeypatch):
    """What is cut out of a series does not grow with the horizon, nor are actuals in it."""
    options = {"target_lags": [LAGS[0]], "missing": "mask", "origin": "20"}
    future = {"u0": 0, "u1": ROWS[1] - 21, "u2": ROWS[2] - 21}
    frame, data, model = prepared("plain", "quantiles", future, **options)
    (batch,) = data.predict_dataloader()
    assert batch["target_mask"].any(dim=1).tolist() == [True, False, False]
    made: list[Any] = []
    seen: list[Any] = []
    store, forecast = data.fitted.store, model.forecast

    def store_and_keep(series):
        made.append(store(series))
        return made[-1]

    monkeypatch.setattr(data.fitted, "store", store_and_keep)
    monkeypatch.setattr(model, "forecast", keeping(seen, forecast))
    roll(model, data, batch, data.predict_series, 1000, 2, 0)
    assert len(seen) - 1 >= len(made) > 9
    for number, stored in enumerate(made):
        going = (frame.groupby("unit").size() - 21 > HORIZON * (number + 1)).sum()
        assert len(stored.values) <= 2 * going * (CONTEXT + LAGS[0] + 1 + HORIZON)
    for later in seen[1:]:
        assert "target" not in later
        assert not later["target_mask"].any()
