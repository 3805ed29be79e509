"""Panels on the command line: one long table, several files, folders of parquet files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.conftest import CONTEXT, HORIZON, Experiment, make_frame
from tests.cli.test_sequences import sequences
from transformertf.cli import main

Fails = Callable[..., str]
Change = Callable[[dict[str, Any]], None]
IDS = ["store", "item"]


def make_panel() -> pd.DataFrame:
    """Rows of six series with two ids, mixed."""
    frames = [
        make_frame(40 + 2 * number, number).assign(store=store, item=item)
        for number, (store, item) in enumerate(
            (s, i) for s in ("north", "south") for i in (1, 2, 10)
        )
    ]
    order = np.random.default_rng(0).permutation(sum(map(len, frames)))
    return pd.concat(frames, ignore_index=True).iloc[order].sort_values("t", kind="stable")


@pytest.fixture
def panel(workdir: Path) -> Path:
    """Four series in a table and one each in two files, one of them csv."""
    frame = make_panel()
    key = frame["store"] + "/" + frame["item"].astype(str)
    frame[~key.isin(["north/1", "south/10"])].to_parquet(workdir / "long.parquet")
    frame[key == "north/1"].to_csv(workdir / "one.csv", index=False)
    frame[key == "south/10"].to_feather(workdir / "two.feather")
    return workdir


def panels(kind: str, **options: Any) -> Change:
    def change(config: dict[str, Any]) -> None:
        if kind == "sequences":
            sequences()(config)
        data = config["data"]["init_args"]
        data.update(val_df_paths=None, test_df_paths=None, val_fraction=0.3, test_fraction=0.3)
        data.update(train_df_paths=["long.parquet", "one.csv", "two.feather"], series_id=IDS)
        data.update(options)

    return change


@pytest.mark.parametrize("kind", ["windows", "sequences"])
@pytest.mark.parametrize("split_by", ["time", "series"])
def test_fit_resume_validate_test_and_predict(
    experiment: Experiment,
    panel: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    split_by: str,
) -> None:
    config = str(experiment.write(panel, panels(kind, split_by=split_by)))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    assert main(["fit", "--config", config, "-n", "parts", "--trainer.max_epochs", "1"]) == 0
    # of another seed the split would be another one
    resume = ["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]
    assert main([*resume, "--seed_everything", "7"]) == 0
    paths = [f"runs/{n}/checkpoints/last.ckpt" for n in ("whole/version_0", "parts/version_1")]
    whole, parts = (torch.load(path, weights_only=True) for path in paths)
    for key, weight in whole["state_dict"].items():
        assert torch.equal(weight, parts["state_dict"][key]), key
    name = whole["datamodule_hyper_parameters"]["_class_path"].rpartition(".")[2]
    assert whole[name] == parts[name]
    assert whole["datamodule_hyper_parameters"]["series_id"] == IDS
    held = whole[name]["held_out"]
    assert (held is not None) == (split_by == "series")
    if held is not None:
        assert len(held["validation"]) == len(held["test"]) == 1

    capsys.readouterr()
    for stage in ("validate", "test"):
        assert main([stage, "--ckpt_path", paths[0]]) == 0
    assert "test/RMSE" in capsys.readouterr().out

    make_panel().to_parquet("new.parquet")
    command = ["predict", "--ckpt_path", paths[0], "--data.predict_df_paths"]
    assert main([*command, "new.parquet", "--output", "table.parquet"]) == 0
    found = pd.read_parquet("table.parquet")
    names = sorted(f"{store}/{item}" for store in ("north", "south") for item in (1, 2, 10))
    assert found["series"].unique().tolist() == names
    actual = make_panel().assign(series=lambda f: f["store"] + "/" + f["item"].astype(str))
    wanted = actual.set_index(["series", "t"])["target"]
    np.testing.assert_allclose(
        found["actual"], wanted.loc[pd.MultiIndex.from_frame(found[["series", "time"]])]
    )
    # the same from the files it was trained on, in any order
    files = ["two.feather", "long.parquet", "one.csv"]
    assert main([*command, *files, "--output", "files.parquet"]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet("files.parquet"), found)


def test_a_split_by_series_is_measured_on_its_own_series(
    experiment: Experiment, panel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(experiment.write(panel, panels("windows", split_by="series")))
    assert main(["fit", "--config", config]) == 0
    path = "runs/tiny/version_0/checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)["EncoderDecoderDataModule"]
    frame = make_panel()
    key = frame["store"] + "/" + frame["item"].astype(str)
    frame[key.isin(state["held_out"]["test"])].to_parquet("own.parquet")
    tables = []
    no_share = ["--data.test_fraction", "null", "--data.test_df_paths", "own.parquet"]
    for words in ([], no_share):
        capsys.readouterr()
        assert main(["test", "--ckpt_path", path, *words]) == 0
        tables.append([line for line in capsys.readouterr().out.splitlines() if "test/" in line])
    assert len(tables[0]) > 1
    assert tables[0] == tables[1]


def test_a_partitioned_folder(experiment: Experiment, panel: Path, fails: Fails) -> None:
    for ids, rows in make_panel().groupby(IDS):
        folder = Path("parts") / "/".join(f"{k}={v}" for k, v in zip(IDS, ids, strict=True))
        folder.mkdir(parents=True)
        rows.drop(columns=IDS).to_parquet(folder / "part-0.parquet")
    config = str(experiment.write(panel, panels("windows", train_df_paths="parts")))
    assert main(["fit", "--config", config]) == 0
    predict = ["predict", "--ckpt_path", "runs/tiny/version_0/checkpoints/last.ckpt"]
    predict += ["--data.predict_df_paths", "parts/"]
    assert main([*predict, "--output", "f.parquet"]) == 0
    assert pd.read_parquet("f.parquet")["series"].nunique() == 6
    assert "would overwrite the data" in fails(*predict, "--output", "parts/f.parquet")
    Path("empty").mkdir()
    message = fails(*predict[:-1], "empty")
    assert "predict_df_paths: the folder empty holds no parquet files; give files" in message


def test_short_series(
    experiment: Experiment, panel: Path, caplog: pytest.LogCaptureFixture, fails: Fails
) -> None:
    frames = [make_frame(rows, rows).assign(store="short", item=rows) for rows in (5, 6, 7, 8)]
    pd.concat(frames).to_parquet("short.parquet")
    files = {"train_df_paths": ["long.parquet", "short.parquet"]}
    config = str(experiment.write(panel, panels("windows", **files, test_fraction=None)))
    message = fails("fit", "--config", config)
    assert "series 'short/5' is too short: 4 rows, expected at least 8 of context" in message
    assert message.endswith("or leave the series out with drop_short_series (and 3 more)")

    caplog.clear()
    assert main(["fit", "--config", config, "--data.drop_short_series", "true"]) == 0
    told = [text for text in caplog.messages if text.startswith("train: ")]
    assert told == ["train: 4 series too short, left out: 'short/5', 'short/6', 'short/7', ..."]
    path = "runs/tiny/version_0/checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)["EncoderDecoderDataModule"]
    assert state["short_series"] == ["short/5", "short/6", "short/7", "short/8"]

    pd.concat([make_panel(), *frames]).to_parquet("new.parquet")
    predict = ["predict", "--ckpt_path", path, "--data.predict_df_paths", "new.parquet"]
    assert main(predict) == 0
    # at predict a row of context is enough, and told
    assert pd.read_parquet("forecasts.parquet")["series"].nunique() == 10
    assert caplog.messages[-1].startswith("predict: 1 to 4 rows of context, fewer than the 8 of")


def spoil(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    return frame.reset_index(drop=True).assign(**columns)


def test_mistakes(experiment: Experiment, panel: Path, fails: Fails) -> None:
    def refused(frame: pd.DataFrame, **options: Any) -> str:
        frame.to_parquet("bad.parquet")
        options = {"train_df_paths": ["long.parquet", "bad.parquet"], **options}
        config = experiment.write(panel, panels("windows", **options))
        return fails("fit", "--config", config)

    good = make_frame(30, 5).assign(store="east", item=1)
    assert "bad.parquet: no column 'item'; did you" in refused(good.rename(columns={"item": "itm"}))
    message = refused(spoil(good, store=good["store"].where(good.index != 3)))
    assert "bad.parquet: series_id column 'store' has 1 missing value, first in row 3" in message
    message = refused(spoil(good, item=1.5))
    assert "series_id column 'item' holds 1.5, expected text, whole numbers" in message
    message = refused(spoil(good, t=good["t"].where(good.index != 9, 0.0)))
    assert "bad.parquet: series 'east/1': time column 't' does not rise in row 9" in message
    message = refused(spoil(good, known=good["known"].where(good.index != 9)))
    assert "bad.parquet: series 'east/1': column 'known' has 1 missing (NaN) value" in message
    message = refused(good.assign(store="north", item=2))
    assert "of a series in several files, one file must end before the next one starts" in message
    message = refused(good, series_id=["store", "target"])
    assert "column 'target' has two roles" in message
    message = refused(good, split_by="series", val_fraction=0.1)
    assert "val_fraction 0.1 of 5 series is less than one series" in message
    message = refused(good, split_by="serie")
    assert "tiny.yml: expected one of 'time', 'series'; found 'serie'" in message


def test_ids_belong_to_the_checkpoint(
    experiment: Experiment, workdir: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    make_panel().to_parquet("new.parquet")
    predict = ["predict", "--ckpt_path", str(experiment.checkpoint)]
    predict += ["--data.predict_df_paths", "new.parquet"]
    message = fails(*predict, "--data.series_id", "store", "item")
    assert "series_id is 'store', 'item' in --data.series_id and none in the checkpoint" in message
    assert message.endswith("leave --data.series_id out, or train again")
    # read as one series, the table's time does not rise
    assert "time column 't' does not rise" in fails(*predict)


def test_one_id_and_a_list_of_it_are_the_same(
    experiment: Experiment, panel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_panel().query("item == 2").to_parquet("one_id.parquet")
    files = {"train_df_paths": "one_id.parquet", "series_id": "store"}
    config = str(experiment.write(panel, panels("windows", **files)))
    assert main(["fit", "--config", config]) == 0
    words = ["--ckpt_path", "runs/tiny/version_0/checkpoints/last.ckpt"]
    assert main(["test", *words, "--data.series_id", "[store]"]) == 0


def test_rows_beyond_the_horizon_are_told_once(
    experiment: Experiment, panel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(experiment.write(panel, panels("windows")))
    assert main(["fit", "--config", config, "--trainer.max_epochs", "1"]) == 0
    frame = make_panel()
    frame.loc[frame["t"] >= CONTEXT, "target"] = np.nan
    frame.to_parquet("new.parquet")
    words = ["predict", "-n", "tiny", "--ckpt_path", "last"]
    assert main([*words, "--data.predict_df_paths", "new.parquet"]) == 0
    told = capsys.readouterr().err
    assert told.count("rows to forecast, the model's horizon covers the first 4") == 1
    assert "(likewise in 5 more series)" in told
    assert len(pd.read_parquet("forecasts.parquet")) == 6 * HORIZON
    # one series alone lacks its last value, and only that is forecast of it
    frame = make_panel()
    one = (frame["store"] == frame["store"].iloc[0]) & (frame["item"] == frame["item"].iloc[0])
    frame.loc[frame[one].index[-1], "target"] = np.nan
    frame.to_parquet("new.parquet")
    assert main([*words, "--data.predict_df_paths", "new.parquet"]) == 0
    told = capsys.readouterr().err
    assert "1 of 6 series end with rows without a target, which alone are forecast there" in told
    forecasts = pd.read_parquet("forecasts.parquet")
    counts = forecasts.groupby("series").size()
    assert counts.iloc[0] == 1
    assert (counts.iloc[1:] > HORIZON).all()
