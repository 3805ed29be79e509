"""Quantiles in original units, where the order of the target is turned round on the way."""

import logging
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from transformertf.data import EncoderDecoderDataModule
from transformertf.data.windows import Origin
from transformertf.errors import InputError
from transformertf.forecasts.paths import roll
from transformertf.forecasts.rows import ForecastRows
from transformertf.forecasts.tables import ForecastTables
from transformertf.models import ForecastModule
from transformertf.nn import DistributionLoss, MAELoss, QuantileLoss
from transformertf.streaming import Stream

ROWS, CONTEXT, HORIZON = 40, 4, 5
FALLING = {"SigmoidTransform": {"k": -0.5, "x0": 1.0}}
# x of the horizon: of both signs, and 0
X = np.array([-2.0, 3.0, 0.0, -0.5, 4.0])
STUDENT = stats.t(df=5, loc=0.45, scale=0.05)


def sigmoid_back(z: Any) -> Any:
    return 1.0 + np.log(z / (1 - z)) / -0.5


# transforms of the target, and its value for a number of the network at x
WAYS: dict[str, tuple[list[Any], Any]] = {
    "ratio": (["DivideByXTransform"], lambda z, x: z * x),
    "falling": ([FALLING], lambda z, x: sigmoid_back(z) + 0 * x),
    "ratio, falling": (["DivideByXTransform", FALLING], lambda z, x: sigmoid_back(z) * x),
    "twice falling": (
        [FALLING, {"SigmoidTransform": {"k": -8.0, "x0": 0.5}}],
        lambda z, x: sigmoid_back(0.5 - np.log(z / (1 - z)) / 8) + 0 * x,
    ),
    "rising": (["Log1pTransform"], lambda z, x: np.expm1(z) + 0 * x),
}


class Fixed(ForecastModule):
    """Gives the same numbers at all steps."""

    def __init__(
        self, numbers: Any, criterion: torch.nn.Module, output_dim: int = 1, **options: Any
    ) -> None:
        super().__init__(output_dim=len(numbers), criterion=criterion, **options)
        self.model = torch.nn.Identity()
        self.numbers = torch.nn.Parameter(torch.tensor(numbers, dtype=torch.float64))

    def forward(self, batch: Any, need_weights: bool | None = None) -> Any:
        return {"output": self.numbers.expand(*batch["decoder_mask"].shape, -1)}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make_data(transforms: Any, low: float = -1.0, **options: Any) -> EncoderDecoderDataModule:
    """Return a fitted data module of one series, whose x has both signs, or one."""
    x = np.where(np.arange(ROWS) % 2, low, 2.0)
    y = np.linspace(0.5, 2.0, ROWS) * (np.abs(x) if "DivideByXTransform" in transforms else 1)
    frame = pd.DataFrame({"x": x, "y": y})
    frame.to_parquet("train.parquet")
    depends = {"target_depends_on": "x"} if "DivideByXTransform" in transforms else {}
    data = EncoderDecoderDataModule(
        **{
            "target_covariate": "y",
            "known_covariates": "x",
            "train_df_paths": "train.parquet",
            "extra_transforms": {"y": transforms},
            "ctxt_seq_len": CONTEXT,
            "tgt_seq_len": HORIZON,
            "normalize": False,
            "dtype": "float64",
            **depends,
            **options,
        }
    )
    data.setup("fit")
    future = pd.DataFrame({"x": X, "y": np.nan})
    data.stages.give("predict_df_paths", pd.concat([frame, future], ignore_index=True))
    data.origin = Origin.parse(str(ROWS - 1))
    return data


def trainer(**options: Any) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=1,
        **options,
    )


def forecasts(model: ForecastModule, data: EncoderDecoderDataModule) -> dict[str, Any]:
    """Return point and quantiles (HORIZON, Q) of each way in which forecasts are made."""
    made: list[ForecastRows] = []

    def keep(batch: Any) -> bool:
        made.append(ForecastTables(data).rows(model, batch))
        return True

    model.predicts = keep
    trainer().predict(model, datamodule=data)
    (rows,) = made
    (batch,) = data.predict_dataloader()
    rolled = roll(model.eval(), data, batch, data.predict_series, HORIZON, 0, 0)
    frame = pd.read_parquet("train.parquet")
    streamed = Stream(model, data).update(frame, pd.DataFrame({"x": X}))
    columns = [name for name in map(str, streamed) if name.startswith("q")]
    return {
        "table": (rows.point, rows.quantiles),
        "rolled": (rolled.point[0, :, 0].numpy(), rolled.outputs[0].numpy()),
        "stream": (streamed["prediction"].to_numpy(), streamed[columns].to_numpy()),
    }


def quantiles_of(way: Any, levels: Any) -> Any:
    """Return the quantiles (HORIZON, Q) of a target whose scaled values are of STUDENT."""
    # what is at or below the value of z is at or below z, or at or above it
    rises = way(0.6, X) > way(0.4, X)
    own = np.where(rises[:, None], np.array(levels), 1 - np.array(levels))
    return way(STUDENT.ppf(own), X[:, None])


@pytest.mark.parametrize(
    ("name", "levels"),
    [*((name, (0.1, 0.5, 0.95)) for name in WAYS), ("ratio", (0.25,)), ("falling", (0.6, 0.7))],
)
def test_those_of_a_distribution_are_exact_at_any_levels(name, levels):
    transforms, way = WAYS[name]
    # outputs that stand for location, scale and degrees of freedom
    numbers = [0.45, *(float(np.log(np.expm1(v - 1e-4))) for v in (0.05, 3.0))]
    model = Fixed(numbers, DistributionLoss("student_t", levels))
    expected = quantiles_of(way, levels)
    for point, quantiles in forecasts(model, make_data(transforms)).values():
        np.testing.assert_allclose(quantiles, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(point, way(0.45, X), rtol=1e-9)


@pytest.mark.parametrize("name", WAYS)
def test_those_with_their_opposites_are_exact(name, caplog):
    levels, (transforms, way) = (0.05, 0.1, 0.5, 0.9, 0.95), WAYS[name]
    model = Fixed(STUDENT.ppf(levels), QuantileLoss(levels))
    expected = quantiles_of(way, levels)
    for _, quantiles in forecasts(model, make_data(transforms)).values():
        np.testing.assert_allclose(quantiles, expected, rtol=1e-9, atol=1e-12)
    trainer(limit_train_batches=0).fit(model, datamodule=make_data(transforms))
    assert "turn the order" not in caplog.text


def test_those_that_lack_an_opposite_come_of_their_neighbours_and_it_is_told(caplog):
    levels = (0.1, 0.5, 0.95)
    model = Fixed(stats.norm.ppf(levels), QuantileLoss(levels))
    # training had no x below 0, so that a fit could not know
    data = make_data(["DivideByXTransform"], low=1.0)
    trainer(limit_train_batches=0).fit(model, datamodule=data)
    with caplog.at_level(logging.WARNING):
        found = forecasts(model, data)
    expected = np.abs(X)[:, None] * stats.norm.ppf(levels)
    for point, quantiles in found.values():
        np.testing.assert_allclose(quantiles, expected, atol=1e-6)
        np.testing.assert_allclose(point, 0.0, atol=1e-6)
    assert caplog.text.count("train with 1 - p for each level p") == 1


@pytest.mark.parametrize("name", ["ratio", "falling", "ratio, falling"])
def test_levels_without_their_opposites_are_refused_before_a_fit(name):
    model = Fixed([0.4, 0.5, 0.6], QuantileLoss([0.1, 0.5, 0.95]))
    with pytest.raises(InputError, match=r"give it quantiles \[0.05, 0.1, 0.5, 0.9, 0.95\]"):
        trainer().fit(model, datamodule=make_data(WAYS[name][0]))


@pytest.mark.parametrize("name", ["twice falling", "rising"])
def test_any_levels_go_where_the_order_stays(name):
    model = Fixed([0.4, 0.5, 0.6], QuantileLoss([0.1, 0.5, 0.95]))
    trainer(limit_train_batches=0).fit(model, datamodule=make_data(WAYS[name][0]))


def test_the_point_of_levels_without_0_5_is_that_of_the_columns_in_every_command():
    model = Fixed([0.3, 0.6], QuantileLoss([0.2, 0.8]), logging_metrics=["MAE"])
    data = make_data([FALLING], val_df_paths="train.parquet")
    (logged,) = trainer().validate(model, datamodule=data, verbose=False)
    middle = (sigmoid_back(0.3) + sigmoid_back(0.6)) / 2
    batches: Any = data.val_dataloader()
    actual = [batch["target"][batch["target_mask"]] for batch in batches]
    errors = np.abs(sigmoid_back(torch.cat(actual).numpy()) - middle)
    np.testing.assert_allclose(logged["validation/MAE"], errors.mean(), rtol=1e-6)


@pytest.mark.parametrize("samples", [0, 4000])
@pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.9), (0.8, 0.9)])
def test_a_long_horizon_goes_on_with_the_median_whatever_levels_are_shown(levels, samples):
    transforms, way = WAYS["rising"]
    model = Fixed([0.45, -3.0], DistributionLoss("normal", levels)).eval()
    frame = pd.DataFrame({"x": X[[0, 1, 2, 3, 4] * 2], "y": np.nan})
    data = make_data(transforms)
    past = pd.read_parquet("train.parquet")
    data.stages.give("predict_df_paths", pd.concat([past, frame], ignore_index=True))
    (batch,) = data.predict_dataloader()
    rolled = roll(model, data, batch, data.predict_series, 2 * HORIZON, samples, 0)
    sampled = 0.01 if samples else 1e-9
    np.testing.assert_allclose(rolled.point[0, :, 0].numpy(), way(0.45, 0.0), atol=sampled)
    assert rolled.outputs.shape[-1] == len(levels)


def test_what_is_logged_is_of_the_median_whatever_levels_are_shown():
    logged = []
    for levels in ((0.1, 0.5, 0.9), (0.8, 0.9)):
        criterion = DistributionLoss("student_t", levels)
        model = Fixed([0.45, -3.0, 3.0], criterion, logging_metrics=["MAE"])
        data = make_data(["Log1pTransform"], val_df_paths="train.parquet")
        logged += trainer().validate(model, datamodule=data, verbose=False)
    assert logged[0] == pytest.approx(logged[1], rel=1e-12)


def test_levels_on_one_side_of_the_median_are_told(caplog):
    model = Fixed([0.3, 0.6], QuantileLoss([0.8, 0.9]))
    for point, quantiles in forecasts(model, make_data(["Log1pTransform"])).values():
        np.testing.assert_array_equal(point, quantiles[:, 0])
    assert caplog.text.count("prediction is the quantile at 0.8") == 1


DELTAS: dict[str, Any] = {
    "alone": "DeltaTransform",
    "of logarithms": ["LogTransform", "DeltaTransform"],
    "in a collection": {"TransformCollection": {"transforms": ["DeltaTransform", "MaxScaler"]}},
}


@pytest.mark.parametrize("criterion", [QuantileLoss([0.1, 0.5, 0.9]), DistributionLoss("normal")])
@pytest.mark.parametrize("name", DELTAS)
def test_quantiles_of_differences_are_refused_before_a_fit(name, criterion):
    outputs = 2 if isinstance(criterion, DistributionLoss) else 3
    model = Fixed([0.0] * outputs, criterion)
    with pytest.raises(InputError, match=r"DeltaTransform of the target beside .*prediction_type"):
        trainer().fit(model, datamodule=make_data(DELTAS[name]))


def test_points_of_differences_are_sums_as_ever():
    data = make_data("DeltaTransform")
    model = Fixed([0.25], MAELoss())
    trainer(limit_train_batches=0).fit(model, datamodule=data)
    for point, _ in forecasts(model, data).values():
        np.testing.assert_allclose(point, 2.0 + 0.25 * np.arange(1, HORIZON + 1))


def test_old_quantiles_of_differences_are_as_they_were_and_it_is_told(caplog):
    data = make_data("DeltaTransform")
    model = Fixed([-1.0, 0.5, 2.0], QuantileLoss([0.1, 0.5, 0.9]))
    for _, quantiles in forecasts(model, data).values():
        steps = np.arange(1, HORIZON + 1)[:, None]
        np.testing.assert_allclose(quantiles, 2.0 + steps * np.array([-1.0, 0.5, 2.0]))
    assert caplog.text.count("intervals are too wide from the second step on") == 1
