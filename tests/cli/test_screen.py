"""What a fit says before and after its epochs, and what measures a checkpoint."""

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from tests.cli.conftest import Experiment
from transformertf.cli import main
from transformertf.cli.options import EPOCHS
from transformertf.cli.parts import model_lines, size_remark
from transformertf.cli.screen import quiet
from transformertf.data import EncoderDecoderDataModule
from transformertf.evaluation import naive_errors
from transformertf.models import EncoderDecoderLSTM, TransformerLSTM

Told = Callable[..., list[str]]
RUN = Path("runs/tiny/version_0")


@pytest.fixture
def told(experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command, with the configuration where it is a fit, and return what it said."""
    config = str(experiment.write(workdir))

    def run(command: str, *words: str) -> list[str]:
        given = ["--config", config] if command == "fit" else []
        capsys.readouterr()
        assert main([command, *given, *words]) == 0
        return capsys.readouterr().err.splitlines()

    return run


def columns_of(lines: list[str]) -> dict[str, str]:
    """Return the last cell of each line by its first one."""
    cells = [line.split() for line in lines if line]
    return {row[0]: row[-1] for row in cells}


def make_model(**options: Any) -> EncoderDecoderLSTM:
    return EncoderDecoderLSTM(num_past_features=3, num_future_features=1, **options)


def test_the_parts_of_a_model_add_up():
    model = make_model(d_encoder=6, d_decoder=6)
    table = columns_of(model_lines(model))
    assert table.pop("part") == "parameters"
    counts = {name: int(count.replace(",", "")) for name, count in table.items()}
    whole = counts.pop("EncoderDecoderLSTM")
    assert whole == sum(one.numel() for one in model.parameters()) == sum(counts.values())
    # in two layers four gates of six units see the inputs, six states and two biases
    assert counts["encoder"] == 4 * 6 * (3 + 6 + 2) + 4 * 6 * (6 + 6 + 2)


def test_what_two_parts_share_counts_once():
    model = TransformerLSTM(
        num_past_features=3, num_future_features=3, d_model=8, num_heads=2,
        share_lstm_weights=True,
    )  # fmt: skip
    _, *counts, whole = (line.split()[-1].replace(",", "") for line in model_lines(model))
    assert sum(map(int, counts)) == int(whole) == sum(one.numel() for one in model.parameters())


def test_frozen_parts_are_told():
    model = make_model(d_encoder=6, d_decoder=6, trainable_parameters=["model.head.*"])
    model.configure_optimizers()
    table = columns_of(model_lines(model))
    assert table["part"] == "trained"
    assert table["encoder"] == "0"
    assert table["head"] == table["EncoderDecoderLSTM"] != "0"


def test_a_large_model_on_a_cpu_is_told_of():
    large = make_model(d_encoder=600, d_decoder=8)
    assert size_remark(large, torch.device("cuda")) is None
    assert size_remark(make_model(), torch.device("cpu")) is None
    remark = size_remark(large, torch.device("cpu")) or ""
    assert remark.startswith("4.3 million parameters")
    assert "model.d_encoder (600 now)" in remark
    assert "d_decoder" not in remark


def test_a_fit_begins_with_its_parts_and_ends_with_its_best_epoch(
    experiment: Experiment, told: Told
) -> None:
    lines = told("fit", "--trainer.max_epochs", "3")
    assert [line.split()[0] for line in lines].count("EncoderDecoderLSTM") == 1
    assert not any("FLOPs" in line or "Mode" in line for line in lines)
    logged = pd.read_csv(RUN / "metrics.csv").groupby("epoch").max()
    best = int(logged["validation/loss"].to_numpy().argmin())
    loss, mae = (logged[f"validation/{name}"][best] for name in ("loss", "MAE"))
    steps = pd.read_csv(RUN / "metrics.csv")["step"].max() + 1
    assert any(line.startswith(f"fitted: 3 of 3 epochs, {steps} steps in 0:") for line in lines)
    (line,) = (line for line in lines if line.startswith("best: "))
    shown = f"validation/loss {loss:#.4g}, validation/MAE {mae:#.4g}"
    assert line == f"best: epoch {best + 1}, {shown}"
    data = EncoderDecoderDataModule(**experiment.config["data"]["init_args"])
    data.setup("fit")
    errors = {name: one["MAE"] for name, one in naive_errors(data).items()}
    (line,) = (line for line in lines if "without a model" in line)
    for name, error in errors.items():
        assert f"{name.replace('_', ' ')} {error:#.4g}" in line
    least = min(errors.values())
    if mae < least:
        assert f"{least / mae:.2g} times smaller" in line
    else:
        assert "no smaller" in line


@pytest.mark.parametrize(
    "words", [("--data.val_df_paths", "null"), ("--trainer.limit_val_batches", "1")]
)
def test_nothing_is_held_against_a_validation_that_is_none_or_a_part(told, words):
    lines = told("fit", *words, "--trainer.enable_model_summary", "false")
    assert any(line.startswith("best: ") for line in lines)
    assert not any("without a model" in line or "parameters" in line for line in lines)


def test_what_is_only_tried_is_told_so(told):
    lines = told("fit", "--trainer.fast_dev_run", "2", "--trainer.max_epochs", "null")
    assert lines[-1] == "2 steps trained, nothing is kept"
    assert not RUN.exists()
    assert not any("max_epochs" in line for line in lines)


def test_a_fit_without_a_limit_has_one_that_is_told(told):
    stop = {"class_path": "EarlyStopping", "init_args": {"monitor": "train/loss", "patience": 1,
            "min_delta": 1e9}}  # fmt: skip
    words = ("--trainer.max_epochs", "null", "--trainer.callbacks", json.dumps([stop]))
    lines = told("fit", *words)
    assert f"trainer.max_epochs is not given: {EPOCHS} epochs" in lines
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == EPOCHS
    lines = told("fit", *words, "--trainer.max_steps", "2")
    assert not any("max_epochs" in line for line in lines)
    config = yaml.safe_load(Path("runs/tiny/version_1/config.yaml").read_text())
    assert config["trainer"]["max_epochs"] is None


def test_what_is_measured_is_a_value_a_line(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["test", "--ckpt_path", str(experiment.checkpoint)]) == 0
    captured = capsys.readouterr()
    first, *rows = captured.out.splitlines()
    assert first == "test data: MAE and RMSE in units of target"
    assert [row.split()[0] for row in rows] == ["test/MAE", "test/RMSE", "test/loss"]
    assert all(len(row.split()) == 2 for row in rows)
    assert "transformertf evaluate" in captured.err


@pytest.mark.parametrize("verbose", [False, True])
def test_what_lightning_says_to_programmers_is_kept_back(
    verbose: bool,
) -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with quiet(verbose):
                log.info("GPU available")
                hint = UserWarning("does not have many workers")
                warnings.warn_explicit(hint, None, "data.py", 1, "lightning.pytorch.data")
    finally:
        log.removeHandler(handler)
    assert bool(caught) == verbose
    assert ("GPU available" in said) == verbose
    assert bool(said) == verbose
    assert log.level == level


def test_other_warnings_are_shown():
    with pytest.warns(UserWarning, match="rows are missing"), quiet(verbose=False):
        warnings.warn("rows are missing", UserWarning, stacklevel=1)
    with pytest.warns(FutureWarning, match="yours"), quiet(verbose=False):
        warnings.warn("yours is deprecated", FutureWarning, stacklevel=1)
