"""evaluate and calibrate from the command line."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.conftest import CONTEXT, HORIZON, Experiment, make_frame
from transformertf import Forecaster
from transformertf.checkpoint import new_token, part_of
from transformertf.cli import main
from transformertf.cli.evaluate import _show
from transformertf.errors import InputError
from transformertf.evaluation import Evaluation

Fails = Callable[..., str]
SETTINGS = ("by_step", "by_series", "reliability", "skipped", "settings")


def evaluate(experiment: Experiment, *words: str) -> dict[str, Any]:
    command = ["evaluate", "--ckpt_path", str(experiment.checkpoint), "--no-plots"]
    assert main([*command, "--output", "evaluation", *words]) == 0
    found: dict[str, Any] = json.loads(Path("evaluation/metrics.json").read_text())
    return found


@pytest.fixture
def checkpoint(experiment: Experiment, workdir: Path) -> Path:
    return Path(shutil.copy(experiment.checkpoint, workdir / "own.ckpt"))


def test_names_of_columns_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    empty = pd.DataFrame()
    settings = {"target": "I[/red] [A]"}
    _show(Evaluation({"MAE[/b]": 1.0}, empty, empty, empty, empty, {}, settings))
    shown = " ".join(capsys.readouterr().out.split())
    assert "I[/red] [A]" in shown
    assert "MAE[/b]" in shown


def test_metrics_are_those_of_the_forecasts(experiment: Experiment, workdir: Path) -> None:
    found = evaluate(experiment, "--season", "3")
    table = pd.read_parquet("evaluation/forecasts.parquet")
    error = (table["prediction"] - table["actual"]).abs()
    assert found["MAE"] == pytest.approx(error.mean(), rel=1e-12)
    assert found["rows"] == len(table) == (45 - CONTEXT) // HORIZON * HORIZON
    frame = pd.read_parquet(experiment.root / "test.parquet").set_index("t")["target"]
    np.testing.assert_allclose(table["actual"], frame.loc[table["time"]], rtol=1e-12)
    np.testing.assert_allclose(table["naive"], frame.loc[table["origin"]], rtol=1e-12)
    # a step is 0.5 long: the value three rows before, or six where that is not known yet
    season = table["time"] - 1.5 * np.where(table["step"] > 3, 2, 1)
    np.testing.assert_allclose(table["seasonal_naive"], frame.loc[season], rtol=1e-12)
    skill = 1 - error.mean() / (table["naive"] - table["actual"]).abs().mean()
    assert found["skill_naive"] == pytest.approx(skill, rel=1e-9)
    past = frame.iloc[:CONTEXT].to_numpy()
    assert found["MASE"] == pytest.approx(error.mean() / np.abs(past[3:] - past[:-3]).mean())
    steps = pd.DataFrame(found["by_step"]).set_index("step")
    np.testing.assert_allclose(steps["MAE"], error.groupby(table["step"]).mean())
    assert {path.name for path in Path("evaluation").iterdir()} == {
        "metrics.json",
        "forecasts.parquet",
        "by_step.parquet",
        "by_series.parquet",
    }


@pytest.mark.parametrize(
    ("origin", "origins"), [("all", 34), ("every:5", 7), ("last", 1), ("10.2", 1)]
)
def test_origins_are_chosen(
    experiment: Experiment, workdir: Path, origin: str, origins: int
) -> None:
    found = evaluate(experiment, "--origin", origin)
    assert found["windows"] == origins
    assert found["settings"]["origin"] == origin


def test_other_rows_are_forecast(experiment: Experiment, workdir: Path) -> None:
    found = evaluate(experiment, "--stage", "validation")
    assert found["rows"] == (40 - CONTEXT) // HORIZON * HORIZON
    make_frame(30, 8).to_parquet("own.parquet")
    found = evaluate(experiment, "--data.test_df_paths", "own.parquet")
    assert [row["series"] for row in found["by_series"]] == ["own"]


def test_a_shorter_horizon_is_the_start_of_the_whole(experiment: Experiment, workdir: Path) -> None:
    evaluate(experiment)
    whole = pd.read_parquet("evaluation/forecasts.parquet")
    found = evaluate(experiment, "--horizon", "2")
    short = pd.read_parquet("evaluation/forecasts.parquet")
    pd.testing.assert_frame_equal(short, whole[whole["step"] <= 2].reset_index(drop=True))
    assert [row["step"] for row in found["by_step"]] == [1, 2]


def test_calibration_is_kept_and_used(checkpoint: Path, workdir: Path) -> None:
    words = ["--ckpt_path", str(checkpoint)]
    before = torch.load(checkpoint, weights_only=True)
    assert main(["calibrate", *words, "--levels", "0.1", "0.5", "0.9"]) == 0
    after = torch.load(checkpoint, weights_only=True)
    assert set(after) - set(before) == {"calibration"}
    assert all(
        torch.equal(value, after["state_dict"][k]) for k, value in before["state_dict"].items()
    )
    assert main(["evaluate", *words, "--stage", "validation", "--origin", "all", "--no-plots"]) == 0
    metrics = json.loads(Path("evaluation/metrics.json").read_text())
    # of the rows that it was fitted on, at each step: what finite samples leave, no less
    windows = 40 - CONTEXT - HORIZON + 1
    assert metrics["windows"] == windows
    coverage = [row["coverage_0.8"] for row in metrics["by_step"]]
    assert min(coverage) >= 0.8
    assert max(coverage) <= 0.8 + 3 / windows
    make_frame(50, 8).to_parquet("run.parquet")
    predict = ["predict", *words, "--data.predict_df_paths", "run.parquet"]
    assert main([*predict, "--output", "f.parquet"]) == 0
    columns = ["series", "origin", "step", "time", "prediction", "q0.1", "q0.5", "q0.9", "actual"]
    assert list(pd.read_parquet("f.parquet").columns) == columns


def test_calibrate_writes_elsewhere_where_asked(checkpoint: Path, workdir: Path) -> None:
    before = checkpoint.read_bytes()
    command = ["calibrate", "--ckpt_path", str(checkpoint), "--output", "new.ckpt"]
    assert main(command) == 0
    assert checkpoint.read_bytes() == before
    assert "calibration" in torch.load("new.ckpt", weights_only=True)
    assert {path.name for path in workdir.iterdir()} == {"own.ckpt", "new.ckpt"}


def test_mistakes_are_told_and_leave_nothing(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    words = ["--ckpt_path", str(experiment.checkpoint)]
    cases = {
        ("evaluate", "--season", "0"): "season must be at least 1, found 0",
        ("evaluate", "--horizon", "0"): "horizon must be at least 1, found 0",
        ("evaluate", "--samples", "50", "--horizon", "9"): "MSELoss gives no spread to draw from",
        ("evaluate", "--horizon", "9"): "known_past_covariates",
        ("evaluate", "--output", "a/b"): "--output a/b: the folder .*a must exist",
        ("evaluate", "--origin", "every:x"): "origin every:N wants a whole number above 0",
        ("evaluate", "--data.test_df_paths", "nothing.csv"): "no file nothing.csv",
        ("calibrate", "--levels", "0.5", "0.2"): "levels must rise and lie between 0 and 1",
        ("calibrate", "--output", "a/b.ckpt"): "expected a file in a folder that exists",
    }
    for command, expected in cases.items():
        told = fails(*command, *words)
        assert re.search(expected, told), (command, told)
        assert list(workdir.iterdir()) == [], command


def test_only_own_files_of_an_earlier_evaluation_are_replaced(
    experiment: Experiment, workdir: Path
) -> None:
    pytest.importorskip("matplotlib")
    command = ["evaluate", "--ckpt_path", str(experiment.checkpoint), "--output", "."]
    Path("plots").mkdir()
    mine = [Path("plots/loss.png"), Path("notes.html")]
    for path in mine:
        path.write_text("mine")
    assert main(command) == 0
    assert Path("plots/residuals_2.png").exists()
    # of an evaluation that was killed
    for name in ("report.html", "plots/series.png"):
        part_of(Path(name), new_token()).write_text("half")
    assert main([*command, "--no-plots"]) == 0
    assert not list(Path().rglob("*.part"))
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert [path.name for path in Path("plots").iterdir()] == ["loss.png"]
    assert not Path("report.html").exists()


OTHERS: dict[str, Callable[[Path], object]] = {
    "report.html": lambda path: path.write_text("<html>mine</html>"),
    "metrics.json": lambda path: path.write_text('{"mine": 1}'),
    "by_step.parquet": lambda path: make_frame(5, 1).to_parquet(path),
    "by_series.parquet": lambda path: path.write_bytes(b"mine"),
    "forecasts.parquet": lambda path: path.symlink_to("none.parquet"),
    "plots": lambda path: path.write_text("mine"),
    "plots/series.png": lambda path: path.write_bytes(b"mine"),
    "plots/residuals_3.png": Path.mkdir,
    "plots/horizon.png": lambda path: path.symlink_to("none.png"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_no_evaluation_wrote_is_refused_before_work(
    name: str, experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    path = Path("results", name)
    path.parent.mkdir(parents=True)
    OTHERS[name](path)
    forecaster = Forecaster.load(experiment.checkpoint)
    words = ("--ckpt_path", experiment.checkpoint, "--data.test_df_paths", "none.csv")
    told = fails("evaluate", *words, "--output", "results", "--no-plots")
    assert re.search(rf"--output results.*{name}", told)
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(InputError, match=rf"folder results.*{name}"):
        forecaster.evaluate("none.csv", folder="results")
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize("kind", ["file", "link to nothing", "link to a file"])
def test_what_is_no_folder_is_refused(
    kind: str, experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    Path("file").write_text("mine")
    output = Path("file" if kind == "file" else "results")
    if kind != "file":
        output.symlink_to("none" if kind == "link to nothing" else "file")
    told = fails("evaluate", "--ckpt_path", experiment.checkpoint, "--output", output)
    assert f"--output {output}: expected a folder" in told


def test_what_came_while_forecasts_were_made_stays(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecaster = Forecaster.load(experiment.checkpoint)

    def mine(*_: Any, **__: Any) -> list[pd.DataFrame]:
        Path("results/metrics.json").write_text("mine")
        return []

    monkeypatch.setattr(forecaster._trained, "run", mine)
    monkeypatch.setattr("transformertf.forecaster.judging.evaluate_pieces", lambda *_: None)
    with pytest.raises(InputError, match=r"metrics\.json in it was not written by an evaluation"):
        forecaster.evaluate(folder="results")
    assert Path("results/metrics.json").read_text() == "mine"


def test_a_folder_of_an_evaluation_in_python_that_fails_is_not_left(
    experiment: Experiment, workdir: Path
) -> None:
    with pytest.raises(InputError, match="no file"):
        Forecaster.load(experiment.checkpoint).evaluate("none.csv", folder="results")
    assert list(workdir.iterdir()) == []


def test_a_single_window_is_drawn_without_importance(experiment: Experiment, workdir: Path) -> None:
    pytest.importorskip("matplotlib")
    command = ["evaluate", "--ckpt_path", str(experiment.checkpoint), "--origin", "last"]
    command += ["--output", "evaluation"]
    expected = {"forecasts", "horizon", "residuals_1", "residuals_2"}
    # windows to look at are not those of the one origin, but all that there are
    assert main(command) == 0
    assert {path.stem for path in Path("evaluation/plots").iterdir()} == {*expected, "importance"}
    make_frame(CONTEXT + HORIZON, 5).to_parquet("one.parquet")
    assert main([*command, "--data.test_df_paths", "one.parquet"]) == 0
    assert {path.stem for path in Path("evaluation/plots").iterdir()} == expected


@pytest.mark.parametrize("name", ["data.parquet", "tiny.yml", "pipe"])
def test_intervals_replace_checkpoints_only(
    name: str, experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    path = experiment.write(workdir) if name == "tiny.yml" else workdir / name
    if name == "pipe":
        os.mkfifo(path)
    elif name == "data.parquet":
        make_frame(30, 5).to_parquet(path)
    before = None if name == "pipe" else path.read_bytes()
    told = fails("calibrate", "--ckpt_path", experiment.checkpoint, "--output", path)
    expected = "expected a file" if name == "pipe" else "would overwrite what is no checkpoint"
    assert expected in told
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize("target", ["none.ckpt", "own.ckpt", "notes.txt"])
def test_links_and_notes_are_no_checkpoints(
    target: str, checkpoint: Path, workdir: Path, fails: Fails
) -> None:
    Path("notes.txt").write_text("mine")
    link = Path("link.ckpt")
    link.symlink_to(target)
    expected = "is a link" if target != "notes.txt" else "is a link|would overwrite"
    assert re.search(expected, fails("calibrate", "--ckpt_path", checkpoint, "--output", link))
    forecaster = Forecaster.load(checkpoint)
    for path in (link, "notes.txt"):
        with pytest.raises(InputError, match=r"path .*(is a link|no checkpoint)"):
            forecaster.save(path)
    assert Path("notes.txt").read_text() == "mine"
    assert link.readlink() == Path(target)


def test_a_checkpoint_behind_a_link_is_calibrated_in_place(checkpoint: Path, workdir: Path) -> None:
    Path("link.ckpt").symlink_to(checkpoint)
    assert main(["calibrate", "--ckpt_path", "link.ckpt"]) == 0
    assert Path("link.ckpt").is_symlink()
    assert "calibration" in torch.load(checkpoint, weights_only=True)


def test_data_is_not_overwritten(experiment: Experiment, workdir: Path, fails: Fails) -> None:
    make_frame(45, 4).to_parquet("forecasts.parquet")
    words = ("evaluate", "--ckpt_path", experiment.checkpoint, "--output", ".")
    message = fails(*words, "--data.test_df_paths", "forecasts.parquet")
    assert "--output forecasts.parquet: would overwrite what is no table of forecasts" in message


def without_past(config: dict[str, Any]) -> None:
    data = config["data"]["init_args"]
    for name in ("val_df_paths", "test_df_paths", "known_past_covariates"):
        del data[name]
    data |= {"train_df_paths": "run.parquet", "val_fraction": 0.25, "test_fraction": 0.25}
    data |= {"dtype": "float64"}


@pytest.fixture
def split(experiment: Experiment, workdir: Path) -> Path:
    make_frame(160, 9).to_parquet("run.parquet")
    assert main(["fit", "--config", str(experiment.write(workdir, without_past))]) == 0
    return Path("runs/tiny/version_0/checkpoints/last.ckpt")


def test_a_long_horizon_ends_with_the_rows_of_its_stage(split: Path) -> None:
    command = ["evaluate", "--ckpt_path", str(split), "--no-plots", "--stage", "validation"]
    assert main([*command, "--horizon", str(3 * HORIZON), "--origin", "every:3"]) == 0
    table = pd.read_parquet(split.parents[1] / "evaluation/forecasts.parquet")
    rows = (table["time"] / 0.5).round()
    assert table["step"].max() == 3 * HORIZON
    assert rows.min() == 80
    assert rows.max() == 119


def test_validation_blocks_are_fitted_evaluated_and_gone_on_from(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def blocks(config: dict[str, Any]) -> None:
        without_past(config)
        options = {"val_fraction": 0.4, "test_fraction": None, "val_blocks": 2}
        config["data"]["init_args"] |= {"train_df_paths": "a.parquet", **options}

    make_frame(60, 1).to_parquet("a.parquet")
    config = str(experiment.write(workdir, blocks))
    assert main(["fit", "--config", config]) == 0
    checkpoint = "runs/tiny/version_0/checkpoints/last.ckpt"
    words = ["--ckpt_path", checkpoint, "--stage", "validation"]
    capsys.readouterr()
    assert main(["evaluate", *words, "--no-plots", "--horizon", str(2 * HORIZON)]) == 0
    assert "training rows" not in capsys.readouterr().err
    # 30 rows are a section, of which the last 12 validate; forecasts of 8 end with their block
    table = pd.read_parquet("runs/tiny/version_0/evaluation/forecasts.parquet")
    assert sorted((table["time"] / 0.5).unique()) == [*range(18, 30), *range(48, 60)]
    assert main(["calibrate", *words, "--output", "calibrated.ckpt"]) == 0
    assert main(["validate", *words[:2], "--data.val_df_paths", "a.parquet"]) == 0
    # rows of a block are corrected, and then one that trains
    frame = make_frame(60, 1)
    frame["known"] += frame.index == 20
    frame.to_parquet("a.parquet")
    on = ["fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs"]
    assert main([*on, "3"]) == 0
    frame["known"] += frame.index == 40
    frame.to_parquet("a.parquet")
    assert main([*on, "4"]) == 2
    assert "other 36 rows in 1 series" in capsys.readouterr().err


def test_files_take_the_place_of_a_share_and_python_gives_the_same(split: Path) -> None:
    make_frame(40, 3).to_parquet("fresh.parquet")
    command = ["evaluate", "--ckpt_path", str(split), "--no-plots"]
    assert main([*command, "--data.test_df_paths", "fresh.parquet"]) == 0
    found = json.loads((split.parents[1] / "evaluation/metrics.json").read_text())
    assert [row["series"] for row in found["by_series"]] == ["fresh"]
    forecaster = Forecaster.load(split, "cpu")
    metrics = forecaster.evaluate("fresh.parquet")
    assert metrics["MAE"] == pytest.approx(found["MAE"], rel=1e-12)
    assert list(metrics) == [key for key in found if key not in SETTINGS]


def test_in_half_precision(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir)
    half = ("--trainer.precision", "bf16-true")
    assert main(["fit", "--config", str(config), *half]) == 0
    command = ["evaluate", "--config", str(config), "--ckpt_path", "last", "--plots"]
    for name, words in (("half", half), ("single", ())):
        assert main([*command, *words, "--output", name]) == 0
        assert Path(name, "report.html").exists()
    mae = [json.loads(Path(name, "metrics.json").read_text())["MAE"] for name in ("half", "single")]
    assert mae[0] == pytest.approx(mae[1], rel=0.05)


def test_a_calibration_that_fails_leaves_the_one_before(split: Path) -> None:
    forecaster = Forecaster.load(split, "cpu")
    kept = forecaster.calibrate(levels=[0.1, 0.9])
    with pytest.raises(InputError, match=r"no file typo\.csv"):
        forecaster.calibrate("typo.csv")
    assert forecaster.calibration is kept
    forecaster.save("saved.ckpt")
    again = Forecaster.load("saved.ckpt", "cpu").predict("run.parquet")
    pd.testing.assert_frame_equal(again, forecaster.predict("run.parquet"))
    assert "q0.9" in again
