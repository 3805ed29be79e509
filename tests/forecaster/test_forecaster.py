"""The Python door, against the command line."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import yaml

from transformertf import Forecaster
from transformertf.cli import main
from transformertf.errors import InputError

CONTEXT, HORIZON = 8, 3


def make_frame(rows=40):
    pieces = []
    for number, unit in enumerate(["a", "b", "c", "d"]):
        generator = np.random.default_rng(number)
        time = pd.date_range("2024-03-30", periods=rows, freq="h", tz="Europe/Zurich")
        x = generator.normal(size=rows)
        pieces.append(
            pd.DataFrame(
                {"unit": unit, "t": time, "x": x, "kind": "kl"[number % 2], "y": 5 + 2 * x}
            )
        )
    return pd.concat(pieces, ignore_index=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("forecaster")


@pytest.fixture(scope="module")
def checkpoint(folder):
    """Fit a small model in `folder`, and stay there."""
    make_frame().to_parquet(folder / "train.parquet")
    data = {
        "target_covariate": "y",
        "known_covariates": "x",
        "static_covariates": "kind",
        "categorical_covariates": "kind",
        "series_id": "unit",
        "time_column": "t",
        "train_df_paths": "train.parquet",
        "ctxt_seq_len": CONTEXT,
        "tgt_seq_len": HORIZON,
    }
    config = {
        "model": {
            "class_path": "EncoderDecoderLSTM",
            "init_args": {
                "d_encoder": 4,
                "d_decoder": 4,
                "criterion": {
                    "class_path": "QuantileLoss",
                    "init_args": {"quantiles": [0.1, 0.5, 0.9]},
                },
            },
        },
        "data": {"class_path": "EncoderDecoderDataModule", "init_args": data},
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False},
    }
    (folder / "tiny.yml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "--config", "tiny.yml"]) == 0
        yield folder / "runs" / "tiny" / "version_0" / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def forecaster(checkpoint):
    return Forecaster.load(checkpoint, "cpu")


def future():
    frame = make_frame()
    frame.loc[frame.groupby("unit").cumcount(ascending=False) < HORIZON, "y"] = np.nan
    return frame


@pytest.mark.parametrize("origin", ["auto", "every:5"])
def test_a_frame_and_its_file_give_what_the_command_writes(folder, checkpoint, forecaster, origin):
    frame = future()
    frame.to_parquet(folder / "new.parquet")
    words = ["--ckpt_path", str(checkpoint), "--data.predict_df_paths", "new.parquet"]
    words += ["--output", "forecasts.parquet"]
    assert main(["predict", *words, "--origin", origin]) == 0
    expected = pd.read_parquet("forecasts.parquet")
    assert {"q0.1", "q0.5", "q0.9"} < set(expected.columns)
    for data in (frame, "new.parquet", Path("new.parquet"), [folder / "new.parquet"]):
        found = forecaster.predict(data, origin=origin)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    small = forecaster.predict(frame, origin=origin, batch_size=1)
    pd.testing.assert_frame_equal(small, expected, rtol=1e-5)
    assert frame.equals(future())


def test_frames_are_forecast_where_the_working_folder_is_gone(forecaster, tmp_path, monkeypatch):
    expected = forecaster.predict(future())
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    pd.testing.assert_frame_equal(forecaster.predict(future()), expected)


def test_one_forecaster_serves_many_times(forecaster):
    one = forecaster.predict(future())
    forecaster.predict(make_frame(20), origin="all")
    pd.testing.assert_frame_equal(forecaster.predict(future()), one)
    assert one["time"].dt.tz is not None
    assert one["actual"].isna().all()


def put_other_scaling(path):
    content = torch.load(path, weights_only=True)
    scaling = content["EncoderDecoderDataModule"]["scaling"]
    text = json.dumps(scaling).replace('"mean": ', '"mean": 1e6, "_": ')
    content["EncoderDecoderDataModule"]["scaling"] = json.loads(text)
    torch.save(content, path)


@pytest.mark.parametrize("change", [put_other_scaling, Path.unlink, "truncate", "go elsewhere"])
def test_a_loaded_forecaster_is_what_it_was_whatever_becomes_of_its_file(
    checkpoint, forecaster, tmp_path, monkeypatch, change
):
    expected = forecaster.predict(future())
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkpoint, "model.ckpt")
    own = Forecaster.load("model.ckpt", accelerator="cpu")
    if change == "truncate":
        os.truncate("model.ckpt", 100)
    elif change == "go elsewhere":
        (tmp_path / "else").mkdir()
        monkeypatch.chdir("else")
    else:
        change(Path("model.ckpt"))
    pd.testing.assert_frame_equal(own.predict(future()), expected, check_exact=True)
    own.stream("a")
    own.save("saved.ckpt")
    found = Forecaster.load("saved.ckpt", accelerator="cpu").predict(future())
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_forecasts_in_several_threads_are_those_of_one(forecaster):
    frames = [make_frame(rows) for rows in range(20, 24)]
    expected = [forecaster.predict(frame, origin="all") for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda frame: forecaster.predict(frame, origin="all"), frames))
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_frame_whose_columns_do_not_fit_is_refused(forecaster):
    with pytest.raises(InputError, match=r"the frame: no column 'kind'; did you mean 'kinds'\?"):
        forecaster.predict(future().rename(columns={"kind": "kinds"}))
    with pytest.raises(
        InputError, match=r"the frame: series 'b': time column 't' does not rise in"
    ):
        forecaster.predict(future().iloc[[*range(43), 41, *range(44, 160)]])
    with pytest.raises(InputError, match=r"no file missing\.parquet"):
        forecaster.predict("missing.parquet")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"x\.ckpt: not a whole checkpoint"):
        Forecaster.load(path)


def test_series_are_drawn_by_name(forecaster):
    pytest.importorskip("matplotlib")
    forecasts = forecaster.predict(future())
    figure = forecaster.plot(forecasts, series=["d", "b"])
    assert sorted(axes.get_title() for axes in figure.axes) == ["b", "d"]
    assert {axes.get_ylabel() for axes in figure.axes} == {"y"}
    assert len(forecaster.plot(forecasts).axes) == 3
    with pytest.raises(InputError, match="series 'z' is not among the forecasts"):
        forecaster.plot(forecasts, series="z")


def test_sampled_paths_are_spread_as_the_quantiles_are(forecaster):
    frame = future()
    paths = forecaster.sample(frame, 400, batch_size=3)
    assert list(paths.columns) == ["series", "origin", "sample", "step", "time", "value"]
    table = forecaster.predict(frame)
    keys = ["series", "origin", "step", "time"]
    first = paths[paths["sample"] == 0]
    pd.testing.assert_frame_equal(first[keys].reset_index(drop=True), table[keys])
    share = paths.merge(table, on=keys)
    for level in (0.1, 0.5, 0.9):
        below = (share["value"] <= share[f"q{level}"]).groupby([share["series"], share["step"]])
        # a level is one of 400 that are the same at each step: four standard errors
        assert (below.mean() - level).abs().max() < 4 * (level * (1 - level) / 400) ** 0.5
    again = forecaster.sample(frame, 400)
    pd.testing.assert_frame_equal(again, paths, rtol=1e-5)
    with pytest.raises(InputError, match="samples must be 0 or at least 2, found 1"):
        forecaster.sample(frame, 1)


def test_a_stream_is_calibrated_as_predict_is(checkpoint):
    own = Forecaster.load(checkpoint, "cpu")
    frame = make_frame()
    one = frame[frame["unit"] == "b"].copy()
    plain = own.predict(one, origin="last")
    own.calibrate(frame, origin="every:2")
    expected = own.predict(one, origin="last")
    assert (expected["q0.9"] != plain["q0.9"]).all()
    past = len(one) - HORIZON
    found = own.stream(carry=False).update(one[:past], future=one[past:])
    columns = ["series", "step", "time", "prediction", "q0.1", "q0.5", "q0.9"]
    pd.testing.assert_frame_equal(found[columns], expected[columns], rtol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        lambda frame: frame.rename(columns=lambda name: f" {name} "),
        lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
        lambda frame: frame.convert_dtypes(),
        lambda frame: pa.Table.from_pandas(frame),
        lambda frame: pa.Table.from_pandas(frame).combine_chunks().to_batches()[0],
    ],
)
def test_frames_of_all_types_and_tables_of_arrow_are_forecast_alike(forecaster, given):
    past, later = make_frame(), make_frame(HORIZON)
    later["t"] += past["t"].max() + pd.Timedelta("1h") - later["t"].min()
    later = later.drop(columns="y")
    expected = forecaster.predict(past, future=later)
    found = forecaster.predict(given(past), future=given(later))
    pd.testing.assert_frame_equal(found, expected)
    scores = forecaster.evaluate(given(past), origin="last")
    assert dict(scores) == dict(forecaster.evaluate(past, origin="last"))


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        b"new.csv",
        {"x": [1.0]},
        np.zeros((4, 2)),
        np.array(1.0),
        make_frame()["x"],
        [make_frame()],
        pa.chunked_array([[1.0]]),
    ],
)
def test_what_is_neither_paths_nor_a_frame_is_told_in_one_line(forecaster, given):
    kind = type(given).__name__
    expected = f"expected a path, a list of paths or a DataFrame, found {kind}; give a DataFrame"
    with pytest.raises(InputError, match=f"^data: {expected}"):
        forecaster.predict(given)
    if given is not None:
        with pytest.raises(InputError, match=f"^data: {expected}"):
            forecaster.evaluate(given)
        with pytest.raises(InputError, match=f"^future: {expected}"):
            forecaster.predict(make_frame(), future=given)


@pytest.mark.parametrize(
    "own", [lambda unit: unit.map({"a": 7, "b": 11, "c": 3, "d": 5}), lambda unit: unit]
)
def test_forecasts_join_the_data_by_their_ids(forecaster, own):
    frame = make_frame()
    frame["unit"] = own(frame["unit"])
    found = forecaster.predict(frame)
    assert found["unit"].dtype == frame["unit"].dtype
    joined = found.merge(frame.rename(columns={"t": "time"}), on=["unit", "time"])
    assert len(joined) == len(found)
    assert (joined["actual"] == joined["y"]).all()
    assert (joined["series"] == joined["unit"].astype(str)).all()


@pytest.mark.parametrize(
    "given", [Path, str, lambda p: [p], lambda p: iter([p]), lambda p: pd.Series([str(p)])]
)
def test_paths_come_in_any_sequence(forecaster, folder, given):
    path = folder / "given.parquet"
    make_frame().to_parquet(path)
    expected = forecaster.predict(make_frame(), origin="last")
    pd.testing.assert_frame_equal(forecaster.predict(given(path), origin="last"), expected)


def test_a_plan_holds_the_rows_that_follow_each_series(forecaster):
    # each series ends where it ends, one of them with rows to forecast
    frame = make_frame().drop(index=[38, 39]).reset_index(drop=True)
    frame.loc[frame.index[frame["unit"] == "b"][-1:], "y"] = np.nan
    plan = forecaster.future_frame(frame)
    assert list(plan.columns) == ["unit", "t", "x"]
    assert plan["x"].isna().all()
    assert plan["t"].dtype == frame["t"].dtype
    lasts = frame.groupby("unit")["t"].max()
    for unit, own in plan.groupby("unit"):
        steps = HORIZON - (unit == "b")
        expected = lasts[unit] + pd.to_timedelta(np.arange(1, steps + 1), "h")
        assert own["t"].tolist() == expected.tolist()
    plan["x"] = np.arange(len(plan)) * 0.1
    whole = pd.concat([frame, plan]).sort_values(["unit", "t"], ignore_index=True)
    whole["kind"] = whole.groupby("unit")["kind"].ffill()
    expected = forecaster.predict(whole)
    for origin in ("auto", "end"):
        found = forecaster.predict(frame, future=plan.assign(y=0.0), origin=origin)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert len(forecaster.future_frame(frame, 7)) == 4 * 7 - 1


def test_the_end_wants_what_has_to_be_known_there(folder, checkpoint, forecaster, capsys):
    frame = make_frame()
    with pytest.raises(InputError) as error:
        forecaster.predict(frame, origin="end")
    assert str(error.value) == (
        "origin end: known_covariates (x) are wanted after the last row, which these do not have: "
        "4 series: 'a', 'b', 'c', ...; give the rows that follow with --data.future_df_paths, in "
        "Python as future (Forecaster.future_frame makes them, to be filled in)"
    )
    words = ["predict", "--ckpt_path", str(checkpoint), "--data.predict_df_paths", "train.parquet"]
    assert main([*words, "--origin", "end", "--output", "none.parquet"]) == 2
    assert "error: origin end: known_covariates (x)" in capsys.readouterr().err
    assert not Path("none.parquet").exists()
    with pytest.raises(InputError, match="origin end: nothing is known there to compare"):
        forecaster.evaluate(frame, origin="end")


def test_rows_of_training_are_told_by_door_and_command(
    folder, checkpoint, forecaster, capsys, caplog
):
    frame = make_frame()
    new = make_frame(60).assign(y=lambda rows: rows["y"] + (rows["t"] > frame["t"].max()))
    new.to_parquet("longer.parquet")
    # 17 horizons after 8 rows of context; training has the first 40 rows of each series
    told = f"{4 * 32} of {4 * 51} forecast rows lie in training rows (63 %): "
    past = "the target is known to the end of 4 series: 'a', 'b', 'c', ...: these are forecasts of"
    forecaster.predict(new)
    forecaster.predict(frame[frame["unit"] == "a"].assign(unit="z"))
    forecaster.evaluate(new)
    lines = [line for line in caplog.messages if "training rows" in line]
    assert [line.startswith(told) for line in lines] == [True, True]
    assert sum(line.startswith(past) for line in caplog.messages) == 1
    words = ["--ckpt_path", str(checkpoint)]
    assert main(["predict", *words, "--data.predict_df_paths", "longer.parquet"]) == 0
    err = capsys.readouterr().err
    assert told in err
    assert past in err
    paths = ["--data.test_df_paths", "longer.parquet", "--output", "told", "--no-plots"]
    assert main(["evaluate", *words, *paths]) == 0
    assert told in capsys.readouterr().err
    caplog.clear()
    new.loc[new["t"] >= sorted(set(new["t"]))[-HORIZON], "y"] = np.nan
    forecaster.predict(new)
    assert not any("training rows" in line for line in caplog.messages)


@pytest.fixture(scope="module")
def alone(folder, checkpoint):
    """Fit a model of the target and the calendar alone, to every row of a csv file without ids."""
    frame = make_frame()[:40][["t", "y"]].assign(t=lambda rows: rows["t"].dt.tz_localize(None))
    frame.to_csv("alone.csv", index=False)
    config = yaml.safe_load((folder / "tiny.yml").read_text())
    data = {"train_df_paths": "alone.csv", "calendar_features": "hour"}
    gone = ("known_covariates", "static_covariates", "categorical_covariates", "series_id")
    kept = {k: v for k, v in config["data"]["init_args"].items() if k not in gone}
    config["data"]["init_args"] = {**kept, **data}
    (folder / "alone.yml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "alone.yml"]) == 0
    return folder / "runs" / "alone" / "version_0" / "checkpoints" / "last.ckpt"


def test_the_end_goes_on_by_itself_where_nothing_has_to_be_known(alone, caplog):
    own = Forecaster.load(alone, "cpu")
    frame = pd.read_csv("alone.csv", parse_dates=["t"])
    words = ["--ckpt_path", str(alone), "--data.predict_df_paths", "alone.csv"]
    for horizon in (None, 2, 2 * HORIZON + 1):
        steps = horizon or HORIZON
        rows = frame["t"].iloc[-1] + pd.to_timedelta(np.arange(1, steps + 1), "h")
        appended = pd.concat([frame, pd.DataFrame({"t": rows})], ignore_index=True)
        expected = own.predict(appended, horizon=horizon)
        assert len(expected) == steps
        assert expected["time"].tolist() == rows.tolist()
        found = own.predict(frame, origin="end", horizon=horizon)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        plan = own.future_frame(frame, horizon)
        assert plan.columns.tolist() == ["t"]
        planned = own.predict(frame, future=plan, horizon=horizon)
        pd.testing.assert_frame_equal(planned, expected, check_exact=True)
        more = [] if horizon is None else ["--horizon", str(horizon)]
        assert main(["predict", *words, "--origin", "end", "--output", "end.parquet", *more]) == 0
        expected = own.predict("alone.csv", origin="end", horizon=horizon)
        pd.testing.assert_frame_equal(pd.read_parquet("end.parquet"), expected)
    paths = own.sample(frame, 20, origin="end", horizon=2 * HORIZON)
    assert paths["step"].max() == 2 * HORIZON
    assert not any("training rows" in line for line in caplog.messages)
    # a frame has no name: it is known by what it holds
    own.predict(frame)
    assert any("30 of 30 forecast rows lie in training rows (100 %)" in m for m in caplog.messages)


def test_several_files_without_ids_have_no_plan_in_one_frame(alone):
    frame = pd.read_csv("alone.csv")
    for name in ("one", "two"):
        frame.to_csv(f"{name}.csv", index=False)
    own = Forecaster.load(alone, "cpu")
    with pytest.raises(InputError, match="future_frame: without series_id a frame is one series"):
        own.future_frame(["one.csv", "two.csv"])
    assert own.predict(["one.csv", "two.csv"], origin="end").groupby("series").size().eq(3).all()
