"""What loggers get of a fit: settings, metrics, and the file that is always there."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from tests.cli.conftest import Experiment
from transformertf.callbacks import BestCheckpoint, Hyperparameters
from transformertf.cli import main

OWN = """
from lightning.pytorch.loggers.logger import Logger

class Kept(Logger):
    settings, metrics = {}, []
    name, version = "kept", 0

    def log_hyperparams(self, params, *args, **kwargs):
        self.settings.update(params)

    def log_metrics(self, metrics, step=None):
        self.metrics.append(dict(metrics))
"""


def test_metrics_stay_beside_a_logger_of_ones_own(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("their_loggers.py").write_text(OWN)
    monkeypatch.syspath_prepend(workdir)
    config = str(experiment.write(workdir))
    words = ["--trainer.logger", "their_loggers.Kept", "--allow", "their_loggers"]
    assert main(["fit", "--config", config, *words, "--trainer.log_every_n_steps", "2"]) == 0
    kept = import_module("their_loggers").Kept

    assert kept.settings["model.init_args.d_encoder"] == 6
    assert kept.settings["model.init_args.optimizer.class_path"] == "Adam"
    assert {"train/loss", "validation/MAE"} <= {name for each in kept.metrics for name in each}
    table = pd.read_csv("runs/tiny/version_0/metrics.csv")
    steps = table.loc[table["loss"].notna(), "step"]
    # every second one, of 6 in each of 2 epochs
    assert steps.tolist() == [1, 3, 5, 7, 9, 11]
    assert table["loss"].nunique() == 6
    assert table["train/loss"].count() == table["validation/MAE"].count() == 2


def test_no_logger_means_none(experiment: Experiment, workdir: Path) -> None:
    config = str(experiment.write(workdir))
    words = ["--trainer.logger", "false", "--trainer.max_epochs", "1"]
    assert main(["fit", "--config", config, *words]) == 0
    folder = Path("runs/tiny/version_0")
    assert not (folder / "metrics.csv").exists()
    assert (folder / "run.json").exists()


class _Board(TensorBoardLogger):
    """Takes what the logger of TensorBoard does, which is not installed."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def log_hyperparams(self, *told: Any) -> None:
        self.told.append(told)

    def log_metrics(self, *told: Any) -> None:
        self.told.append(told)


def test_tensorboard_gets_settings_with_the_best_metrics() -> None:
    best, board = BestCheckpoint(monitor="validation/loss"), _Board()
    callback = Hyperparameters({"lr": 0.1}, best, ["validation/loss", "validation/MAE"])
    trainer: Any = type("Trainer", (), {"loggers": [board], "global_step": 7})
    callback.on_train_start(trainer)
    best.best_metrics = {"epoch": 1, "validation/loss": 0.5}
    callback.on_train_end(trainer)
    (settings, named), (values, step) = board.told
    names = ["best/validation/loss", "best/validation/MAE"]
    assert (settings, list(named), step) == ({"lr": 0.1}, names, 7)
    assert values[names[0]] == 0.5
    assert pd.isna([*named.values(), values[names[1]]]).all()


@pytest.mark.parametrize(("name", "package"), [("WandbLogger", "wandb"),
                                               ("MLFlowLogger", "mlflow")])  # fmt: skip
def test_services_take_one_line(
    name: str, package: str, experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    config = str(experiment.write(workdir, lambda tree: tree["trainer"].update(logger=name)))
    assert main(["fit", "--config", config, "--allow", package]) == 0
    assert Path("runs/tiny/version_0/metrics.csv").exists()
