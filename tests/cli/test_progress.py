"""What a fit says as it goes: a line an epoch, and a bar on a terminal."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import pytest
from lightning.pytorch.callbacks import Timer
from rich.console import Console

from tests.cli.conftest import Experiment
from transformertf.cli import bar, main, progress
from transformertf.cli.progress import Clock, Lines

LINE = re.compile(
    r"epoch (?P<epoch>\d+)(?P<of>/\d+)?(?: \((?P<share>\d+)%\))?(?:  step (?P<step>\S+))?"
    r"  train (?P<train>\S+)(?:  val (?P<val>\S+)(?:  (?P<name>\w+) (?P<error>\S+))?)?"
    r"(?:  \S+ (?:steps/s|s/step))?(?:  (?P<left>[\d:]+) left)?"
)


def lines_of(text: str) -> list[dict[str, str | None]]:
    """Return the lines of epochs, taken apart."""
    found = [line for line in text.splitlines() if line.startswith("epoch ")]
    matches = [LINE.fullmatch(line) for line in found]
    assert all(matches), found
    return [match.groupdict() for match in matches if match]


@pytest.fixture
def fit(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, str | None]]]:
    """Fit with further words, and return what was said, by lines of epochs."""
    config = str(experiment.write(workdir))

    def run(*words: str) -> list[dict[str, str | None]]:
        capsys.readouterr()
        assert main(["fit", "--config", config, *words]) == 0
        return lines_of(capsys.readouterr().err)

    return run


def test_a_line_an_epoch_with_the_values_that_are_logged(fit):
    lines = fit("--trainer.max_epochs", "3")
    assert [(line["epoch"], line["of"], line["share"]) for line in lines] == [
        (str(epoch), "/3", None) for epoch in (1, 2, 3)
    ]
    logged = pd.read_csv("runs/tiny/version_0/metrics.csv").groupby("epoch").max()
    for name, column in (("train", "train/loss"), ("val", "validation/loss"),
                         ("error", "validation/MAE")):  # fmt: skip
        found = [float(line[name] or "nan") for line in lines]
        assert found == pytest.approx(list(logged[column]), rel=5.1e-4), name
    assert {line["name"] for line in lines} == {"MAE"}
    assert lines[0]["left"] is not None
    assert lines[-1]["left"] is None


def test_a_fit_that_goes_on_counts_on(fit):
    fit()
    (line,) = fit("--trainer.max_epochs", "3", "--ckpt_path", "last")
    assert (line["epoch"], line["of"]) == ("3", "/3")


def test_without_validation(fit):
    lines = fit("--data.val_df_paths", "null")
    assert [line["val"] for line in lines] == [None, None]


def test_validations_within_and_beyond_an_epoch(fit):
    lines = fit("--trainer.val_check_interval", "2", "--trainer.max_epochs", "1")
    *within, last = lines
    assert [line["share"] is None for line in within] == [False] * len(within)
    assert len(within) >= 1
    assert all(line["val"] for line in lines)
    assert last["share"] is None
    lines = fit("--trainer.check_val_every_n_epoch", "2")
    assert [line["val"] is None for line in lines] == [True, False]


def test_a_limit_of_steps_and_one_of_time(fit):
    (line,) = fit("--trainer.max_epochs", "null", "--trainer.max_steps", "3")
    assert (line["epoch"], line["of"], line["step"]) == ("1", None, "3/3")
    lines = fit("--trainer.max_time", "00:01:00:00")
    assert all(line["left"] for line in lines[:-1])


def test_long_epochs_are_told_of_where_there_is_no_bar(fit, monkeypatch):
    monkeypatch.setattr(progress, "PERIOD", 0.0)
    shares = [line["share"] for line in fit("--trainer.max_epochs", "1")]
    assert shares[-1] is None
    assert None not in shares[:-1]
    assert sorted(map(int, shares[:-1])) == [int(share) for share in shares[:-1]]
    assert len(shares) > 2


@pytest.mark.parametrize("width", [40, 90])
def test_a_terminal_has_a_bar_below_the_lines(fit, monkeypatch, width):
    screen = io.StringIO()
    monkeypatch.setattr(
        bar, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=width)
    )
    monkeypatch.setattr(bar, "REFRESH", 0.0)
    lines = fit("--trainer.enable_progress_bar", "true")
    assert [line["epoch"] for line in lines] == ["1", "2"]
    drawn = re.sub(r"\x1b\[[\d;?]*\w", "", screen.getvalue())
    assert "epoch 2/2" in drawn
    assert "validation" in drawn
    assert "v_num" not in drawn
    assert "epoch 0" not in drawn.lower()
    # one line high, whatever the width
    assert max(map(len, re.split(r"[\r\n]", drawn))) <= width
    left = [line for line in re.split(r"[\r\n]", drawn) if "left" in line]
    assert left
    assert all(("train" in line) == (width == 90) for line in left)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_forecasts_and_measures_shows_how_far_it_is(
    experiment: Experiment,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        bar, "Console", lambda stderr: Console(file=screen, force_terminal=terminal, width=90)
    )
    monkeypatch.setattr(progress, "PERIOD", 0.0)
    words = ("--ckpt_path", str(experiment.checkpoint), "--data.batch_size", "10")
    rows = ("--data.predict_df_paths", str(experiment.root / "test.parquet"), "--origin", "all")
    for command, own, what in (
        ("validate", (), "validation"), ("test", (), "test"), ("predict", rows, "forecasts"),
    ):  # fmt: skip
        screen.truncate(0)
        capsys.readouterr()
        assert main([command, *words, *own]) == 0
        batches = -(-(45 - 8 - 4 + 1) // 10) if command != "validate" else 3
        shown = screen.getvalue() if terminal else capsys.readouterr().err
        assert what in shown
        assert f"{batches}/{batches}" in shown
        assert bool(screen.getvalue()) == terminal


def test_a_bar_of_ones_own_takes_the_place(fit):
    callbacks = '[{"class_path": "TQDMProgressBar", "init_args": {"refresh_rate": 0}}]'
    assert fit("--trainer.callbacks", callbacks, "--trainer.enable_progress_bar", "true") == []


def test_the_clock_leaves_out_the_first_step_and_counts_validation_as_time():
    clock = Clock()
    clock.step(1, 100.0)  # took 100 s
    assert clock.rate(100.0) is None
    assert clock.left(10, 100.0) is None
    for now in (101.0, 102.0, 103.0, 104.0):
        clock.step(1, now)
    assert clock.rate(104.0) == 1
    assert clock.left(10, 104.0) == 10
    clock.pause(104.0)
    assert clock.rate(106.0) == 1
    clock.go_on(108.0)
    assert clock.rate(108.0) == 1
    assert clock.left(10, 108.0) == 20  # four steps and a validation took 8 s
    assert clock.left(float("inf"), 108.0) is None


def test_the_first_limit_counts():
    lines = Lines(often=False)
    lines._clock.step(1, 0.0)
    lines._clock.step(10, 10.0)
    trainer = lightning.Trainer(
        max_epochs=5, max_steps=30, max_time="00:00:00:12", logger=False, accelerator="cpu",
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit_loop.max_batches = 10
    lines._batches = 4
    # 46 steps of epochs, 30 in all, 12 s: at a step a second the time is over first
    assert lines._left(trainer, ended=False, now=10.0) == pytest.approx(12, abs=0.1)
    given: Any = trainer
    given.callbacks = [one for one in given.callbacks if not isinstance(one, Timer)]
    assert lines._left(trainer, ended=False, now=10.0) == 30
    trainer.fit_loop.epoch_loop.max_steps = -1
    assert lines._left(trainer, ended=False, now=10.0) == 46
    assert lines._left(trainer, ended=True, now=10.0) == 40
    trainer.accumulate_grad_batches = 4
    # three steps in each of five epochs, one of which is made
    assert lines._left(trainer, ended=False, now=10.0) == 14
