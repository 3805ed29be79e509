"""Where a configuration of a file writes: in the run folder, and nowhere else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Experiment
from transformertf.class_paths import allowing
from transformertf.cli import main
from transformertf.cli.config import Composer
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.yaml_file import YamlFile

Tree = dict[str, Any]
PROFILER = "lightning.pytorch.profilers.SimpleProfiler"


def of(name: str, /, **arguments: object) -> Tree:
    return {"class_path": name, "init_args": arguments}


def test_what_a_file_names_lies_in_the_run_folder(experiment: Experiment, workdir: Path) -> None:
    trainer = {
        "logger": of("CSVLogger", save_dir="logs", name="own", version="x"),
        "callbacks": [of("ModelCheckpoint", dirpath="more", filename="{epoch:02d}"), of("Timer")],
        "profiler": of(PROFILER, dirpath="profiles", filename="p"),
        "enable_progress_bar": False,
        "max_epochs": 1,
    }
    config = experiment.write(workdir, lambda tree: tree.update(trainer=trainer))
    typed = ("--trainer.default_root_dir", "typed")
    assert main(["fit", "--config", str(config), *typed]) == 0
    folder = Path("runs/tiny/version_0")
    for name in ("logs/own/x/metrics.csv", "more/epoch=00.ckpt", "profiles/fit-p.txt"):
        assert (folder / name).is_file()
    assert {path.parts[0] for path in Path().rglob("*")} <= {"runs", "tiny.yml", "typed"}
    # as given, so that it is that of another run as well
    left = yaml.safe_load((folder / "config.yaml").read_text())["trainer"]
    assert left["profiler"]["init_args"]["dirpath"] == "profiles"
    words = [
        "--config",
        str(folder / "config.yaml"),
        "--ckpt_path",
        f"{folder}/checkpoints/last.ckpt",
    ]
    before = sorted(Path().rglob("*"))
    assert main(["validate", *words]) == 0
    assert sorted(Path().rglob("*")) == before


HOSTILE: dict[str, Tree] = {
    "logger": {"logger": of("CSVLogger", save_dir="x", version="../../y")},
    "board": {"logger": [of("TensorBoardLogger", save_dir="x", sub_dir="../../y")]},
    "address": {"logger": of("CSVLogger", save_dir="http://host/${oc.env:HOME}")},
    "checkpoints": {"callbacks": [of("ModelCheckpoint", filename="{step:c}{step:c}/y")]},
    "put together": {
        "accelerator": ".",
        "callbacks": [of("ModelCheckpoint", dirpath="${trainer.accelerator}./x")],
    },
    "another file": {"profiler": "./profiler.yml"},
    "root": {"default_root_dir": "~/x"},
    "away": {"logger": "WandbLogger"},
}


def test_defaults_are_no_places_of_a_file(experiment: Experiment, workdir: Path) -> None:
    strategy = of("lightning.pytorch.strategies.DeepSpeedStrategy")
    Path("profiler.yml").write_text(yaml.safe_dump(of(PROFILER, dirpath="x")))
    trainer = {"strategy": strategy, "profiler": "./profiler.yml"}
    config = experiment.write(workdir, lambda tree: tree.update(trainer=trainer))
    composer = Composer()
    composer.add_file(YamlFile.read(config))
    with allowing():
        cli = ForecastCLI(composer, writes_run=True)
    assert cli.config["trainer.strategy.init_args.nvme_path"] == "/local_nvme"


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_leads_elsewhere_is_refused(
    kind: str, experiment: Experiment, workdir: Path, fails: Callable[..., str]
) -> None:
    Path("profiler.yml").write_text(yaml.safe_dump(of(PROFILER, dirpath="/", filename="p")))
    change = {"trainer": {"accelerator": "cpu", **HOSTILE[kind]}}
    config = experiment.write(workdir, lambda tree: tree.update(change))
    told = fails("fit", "--config", config)
    assert "leads out of the run" in told or "found the address" in told or "--allow wandb" in told
