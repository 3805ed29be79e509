"""The forecast of a series is that of one piece of it, whatever `seq_len`: against torch's loop."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.callbacks import ForecastWriter, forecast_writer
from transformertf.data import TimeSeriesDataModule
from transformertf.data.batches import loader
from transformertf.errors import InputError
from transformertf.evaluation.report import look_inside
from transformertf.forecasts import ForecastFrames, ForecastRows, ForecastTables
from transformertf.models import GRU, LSTM
from transformertf.streaming import Stream

THEIRS = {LSTM: torch.nn.LSTM, GRU: torch.nn.GRU}
# longer and shorter than a piece, whole pieces, and a single row; by name b comes first
ROWS = {"d": 53, "b": 7, "c": 16, "e": 1, "bb": 40}
OPTIONS: dict[str, Any] = {"target_covariate": "y", "known_covariates": ["u"], "series_id": "id"}


def make_frame(rows: Mapping[str, int] = ROWS, seed: int = 0) -> pd.DataFrame:
    """Return several series one after the other, at uneven times."""
    generator = np.random.default_rng(seed)
    frames = []
    for name, count in rows.items():
        hours = generator.integers(1, 4, count).cumsum()
        frames.append(
            pd.DataFrame(
                {
                    "id": name,
                    "t": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h"),
                    "u": generator.normal(5.0, 2.0, count),
                    "y": generator.normal(-3.0, 4.0, count),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


TRAINED = make_frame({"a": 60, "b": 50}, seed=1)


def make_data(fit: bool = True, **options: Any) -> TimeSeriesDataModule:
    data = TimeSeriesDataModule(
        **{
            **{"train_df_paths": "train.csv", "seq_len": 16, "batch_size": 4, "dtype": "float64"},
            **OPTIONS,
            **options,
        }
    )
    data.stages.give("train_df_paths", TRAINED)
    if fit:
        data.setup("fit")
    return data


def make_model(data: TimeSeriesDataModule, kind: type[LSTM | GRU] = LSTM, **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"num_layers": 2, "d_model": 5, "dropout": 0.3, **options}
    model = kind(data.num_features, **options).double().eval()
    with torch.no_grad():
        for weight in model.parameters():  # such that what was long ago still shows
            weight.mul_(1.5)
    return model


def trainer(**options: Any) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu",
        precision="64-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def predict(model: Any, data: TimeSeriesDataModule, frame: pd.DataFrame | None) -> pd.DataFrame:
    """Return the table of forecasts, as the commands make it."""
    if frame is not None:
        data.stages.give("predict_df_paths", frame)
    frames = ForecastFrames()
    writer = ForecastWriter(frames, ForecastTables(data))
    trainer(callbacks=[writer]).predict(model, datamodule=data, return_predictions=False)
    return pd.concat(frames.pieces, ignore_index=True)


def by_hand(
    model: Any, data: TimeSeriesDataModule, frame: pd.DataFrame, trained: pd.DataFrame = TRAINED
) -> pd.DataFrame:
    """Return the forecasts of torch's own recurrence over each whole series."""
    theirs = THEIRS[type(model)](data.num_features, 5, 2, batch_first=True).double()
    theirs.load_state_dict(model.model.recurrence.state_dict())
    mean, spread = trained[["u", "y"]].mean(), trained[["u", "y"]].std(ddof=0)
    found = []
    for name, own in sorted(frame.groupby("id")):
        features = [(own["u"] - mean["u"]) / spread["u"]]
        if data.columns.has_time:
            hours = (own["t"] - own["t"].iloc[0]).dt.total_seconds()
            if data.scaling.time_format == "relative":
                hours = hours.diff().fillna(0.0)
            features.insert(0, hours / data.scaling.time_scale)
        inputs = torch.tensor(np.stack(features, axis=-1))
        with torch.no_grad():
            output = model.model.head(theirs(inputs[None])[0])[0, :, 0].numpy()
        found.append(pd.DataFrame({"series": name, "prediction": output * spread["y"] + mean["y"]}))
    return pd.concat(found, ignore_index=True)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert found["series"].tolist() == expected["series"].tolist()
    np.testing.assert_allclose(found["prediction"], expected["prediction"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("time_format", [None, "relative", "absolute"])
@pytest.mark.parametrize(
    "options",
    [
        *({"seq_len": steps} for steps in (1, 3, 16, 1000)),
        {"seq_len": 3, "batch_size": 1},
        {"seq_len": 5, "batch_size": 2, "alignment": "right"},
        {"seq_len": 5, "batch_size": 100},
    ],
)
def test_forecasts_are_those_of_one_piece(
    kind: type[LSTM | GRU], time_format: str | None, options: dict[str, Any]
) -> None:
    timed: dict[str, Any] = (
        {} if time_format is None else {"time_column": "t", "time_format": time_format}
    )
    # read at predict as in training, whatever the lengths are
    trained = make_data(**timed)
    data = make_data(fit=False, **timed, **options)
    data.load_state_dict(trained.state_dict())
    model, frame = make_model(data, kind), make_frame()
    found = predict(model, data, frame)
    same(found, by_hand(model, data, frame))
    assert found["actual"].tolist() == frame.sort_values("id", kind="stable")["y"].tolist()
    assert found["step"].max() == min(options["seq_len"], 53)


@pytest.mark.parametrize("packing", ["auto", "always", "never"])
def test_any_route_takes_up_the_state(packing: str) -> None:
    data, frame = make_data(seq_len=5, batch_size=3), make_frame()
    model = make_model(data, packing=packing)
    same(predict(model, data, frame), by_hand(model, data, frame))


def test_a_break_begins_anew() -> None:
    frame = make_frame({"b": 30})
    frame["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(30), "h")
    frame.loc[17:, "t"] += pd.Timedelta("20D")
    data = make_data(seq_len=4, time_column="t", time_format="relative", max_gap="1D")
    model = make_model(data)
    parts = [by_hand(model, data, own) for own in (frame[:17], frame[17:])]
    same(predict(model, data, frame), pd.concat(parts, ignore_index=True))


def test_a_stream_forecasts_as_predict_does() -> None:
    data = make_data(seq_len=4, time_column="t")
    model, frame = make_model(data), make_frame({"b": 30})
    stream = Stream(model, data)
    cuts = [0, 3, 4, 11, 30]
    tables = [stream.update(frame[a:b]) for a, b in pairwise(cuts)]
    same(pd.concat(tables, ignore_index=True), predict(model, data, frame))


def test_series_side_by_side_are_written_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    data, frame = make_data(seq_len=3, batch_size=3), make_frame()
    model = make_model(data)
    monkeypatch.setattr(forecast_writer, "ROWS", 5)
    data.stages.give("predict_df_paths", frame)
    frames = ForecastFrames()
    writer = ForecastWriter(frames, ForecastTables(data))
    trainer(callbacks=[writer]).predict(model, datamodule=data, return_predictions=False)
    assert len(frames.pieces) > 5
    found = pd.concat(frames.pieces, ignore_index=True)
    same(found, by_hand(model, data, frame))
    assert (found["origin"] + found["step"]).tolist() == [
        row for name in sorted(ROWS) for row in range(ROWS[name])
    ]


@torch.no_grad()
@pytest.mark.parametrize("ranks", [2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_ranks_have_whole_series(
    ranks: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = make_frame()
    tables = []
    for rank in range(ranks):
        monkeypatch.setattr(loader, "rank_of", lambda _, rank=rank: (rank, ranks))
        data = make_data(seq_len=3, batch_size=batch_size)
        model = make_model(data)
        data.stages.give("predict_df_paths", frame)
        for batch in data.predict_dataloader():
            point = data.inverse_transform_target(model(batch)["output"], batch)
            rows = ForecastRows.of(batch, point, None)
            tables.append(rows.frame(data.predict_series, None))
    found = pd.concat(tables, ignore_index=True)
    found = found.sort_values(["series", "origin"], kind="stable", ignore_index=True)
    same(found, by_hand(model, data, frame))


@pytest.mark.parametrize("stage", ["validation", "test"])
def test_metrics_are_those_of_the_forecasts(stage: str) -> None:
    arguments = {"validation": "val_df_paths", "test": "test_df_paths"}
    # more than any series has, and in training fewer than that
    trained = make_data()
    data, long = (
        make_data(fit=False, seq_len=steps, **{arguments[stage]: "own.csv"}) for steps in (6, 1000)
    )
    model, frame, found = make_model(data), make_frame(), []
    for module in (data, long):
        module.load_state_dict(trained.state_dict())
        module.stages.give(arguments[stage], frame)
        run = trainer()
        (logged,) = {"validation": run.validate, "test": run.test}[stage](model, module)
        found.append([logged[f"{stage}/{name}"] for name in ("loss", "MAE", "RMSE")])
    expected = by_hand(model, data, frame)
    error = expected["prediction"] - frame.sort_values("id", kind="stable")["y"].to_numpy()
    wanted = [(error / TRAINED["y"].std(ddof=0)).pow(2).mean(), error.abs().mean()]
    np.testing.assert_allclose(found, 2 * [[*wanted, error.pow(2).mean() ** 0.5]], rtol=1e-5)


@pytest.mark.parametrize("steps", [4, 1000])
def test_a_share_of_the_rows_goes_on_with_those_before_it(steps: int) -> None:
    trained = make_data(test_fraction=0.3)
    data = make_data(fit=False, seq_len=steps, test_fraction=0.3)
    data.load_state_dict(trained.state_dict())
    model = make_model(data)
    data.forecast_on("test")
    found = predict(model, data, None)
    kept = TRAINED[TRAINED.groupby("id").cumcount() < TRAINED["id"].map({"a": 42, "b": 35})]
    whole = by_hand(model, data, TRAINED, kept)
    shares = [whole[whole["series"] == "a"][42:], whole[whole["series"] == "b"][35:]]
    same(found, pd.concat(shares))
    assert found["origin"].groupby(found["series"]).min().tolist() == [41, 34]
    (logged,) = trainer().test(model, data)
    error = (found["prediction"] - found["actual"]).abs().mean()
    assert logged["test/MAE"] == pytest.approx(error, rel=1e-6)


def test_nothing_passes_from_one_round_to_the_next() -> None:
    data, frame = make_data(seq_len=4, batch_size=2), make_frame()
    model = make_model(data)
    data.stages.give("predict_df_paths", frame)
    batches = list(data.predict_dataloader())
    for batch in batches[:3]:  # left before its end
        model(batch)
    found = [model(batch)["output"] for batch in batches]
    again = [model(batch)["output"] for batch in batches]
    assert all(torch.equal(*pair) for pair in zip(found, again, strict=True))
    same(predict(model, data, frame), by_hand(model, data, frame))


def test_a_piece_that_goes_on_from_nowhere_is_refused() -> None:
    data = make_data(seq_len=4)
    data.stages.give("predict_df_paths", make_frame())
    first, second, *_ = data.predict_dataloader()
    model = make_model(data)
    with pytest.raises(InputError, match="goes on after row 3, where none of the batch before"):
        model(second)
    assert first["begins"].all()
    assert not second["begins"].any()


def test_importance_is_that_of_sequences_that_go_on() -> None:
    data = make_data(fit=False, seq_len=4, test_df_paths="own.csv")
    data.load_state_dict(make_data().state_dict())
    data.stages.give("test_df_paths", make_frame({"b": 30}))
    data.forecast_on("test")
    model = make_model(data)
    looks = look_inside(model, data, "test")
    assert looks.importance is not None
    assert looks.importance["variable"].tolist() == ["u"]
    assert looks.importance["importance"].notna().all()


@pytest.mark.parametrize(("time_format", "told"), [("absolute", 1), ("relative", 0)])
def test_time_beyond_that_of_training_is_told(
    time_format: str, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    data = make_data(time_column="t", time_format=time_format)
    data.stages.give("predict_df_paths", make_frame())
    data.setup("predict")
    data.predict_dataloader()
    lines = [line for line in caplog.messages if "time since its start goes to" in line]
    assert len(lines) == told
    assert all(line.startswith("series 'bb'") for line in lines)


def test_training_is_as_it_was() -> None:
    (batch, *_) = make_data(stride=3).train_dataloader()
    assert not {"begins", "leads"} & set(batch)
