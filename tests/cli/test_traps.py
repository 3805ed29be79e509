"""What LightningCLI does by itself and users must not meet, each through the command line."""

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from packaging.requirements import Requirement

from tests.cli.conftest import Experiment
from transformertf.cli import main

Fails = Callable[..., str]
ROOT = Path(__file__).parents[2]


def resolved(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return tree


def test_a_flag_wins_over_the_checkpoint_and_that_is_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--ckpt_path", str(experiment.checkpoint), "--trainer.max_epochs", "3"]
    config = str(experiment.write(workdir))
    assert main(["fit", "-c", config, *words, "--model.dropout", "0.4"]) == 0
    assert "model.dropout is 0.4 now, 0.1 in the checkpoint" in capsys.readouterr().err
    assert resolved(Path("runs/tiny/version_0"))["model"]["init_args"]["dropout"] == 0.4


def test_a_checkpoint_is_tensors_and_primitives(experiment: Experiment) -> None:
    content = torch.load(experiment.checkpoint, weights_only=True)
    assert content["global_step"] > 0


def test_the_scaling_of_the_fit_is_there_where_its_files_are_not(
    experiment: Experiment, workdir: Path
) -> None:
    alone = Path(shutil.copy(experiment.checkpoint, workdir / "alone.ckpt"))
    table = pd.read_parquet(experiment.root / "test.parquet")
    found = []
    # a second file of another level would move what is fitted to the files to forecast
    for name, frames in (("one", [table]), ("two", [table, table.assign(target=table.target + 9)])):
        folder = workdir / name
        folder.mkdir()
        for number, frame in enumerate(frames):
            frame.to_parquet(folder / f"s{number}.parquet")
        words = ["--data.predict_df_paths", f"{folder}/*.parquet", "--output", f"{name}.parquet"]
        assert main(["predict", "--ckpt_path", str(alone), *words, "--origin", "last"]) == 0
        written = pd.read_parquet(f"{name}.parquet")
        found.append(written.loc[written["series"] == "s0", "prediction"].tolist())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_second_run_has_a_folder_of_its_own(experiment: Experiment, workdir: Path) -> None:
    config = str(experiment.write(workdir))
    for version in range(2):
        assert main(["fit", "-c", config, "--trainer.max_steps", "1"]) == 0
        assert Path(f"runs/tiny/version_{version}/config.yaml").is_file()


def test_what_the_data_tells_the_model_is_in_the_configuration(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    arguments = resolved(experiment.checkpoint.parent.parent)["model"]["init_args"]
    # known, past and target, beside the time
    assert (arguments["num_past_features"], arguments["num_future_features"]) == (4, 2)
    config = experiment.write(workdir)
    told = fails("fit", "-c", config, "--model.num_past_features", "7")
    assert "num_past_features is 7 in --model.num_past_features, but the data gives 4" in told


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        (("--model.d_enc", "3"), "unknown key 'model.init_args.d_enc'"),
        (("--trainer.max_epoch", "3"), "unknown key 'trainer.max_epoch'"),
        (("--conf", "tiny.yml"), "unknown key 'conf'"),
    ],
)
def test_abbreviations_are_no_keys(
    experiment: Experiment, workdir: Path, fails: Fails, flag: tuple[str, str], told: str
) -> None:
    line = fails("fit", "-c", experiment.write(workdir), *flag)
    assert told in line
    assert "did you mean" in line or "nearest are" in line


def test_short_names_and_names_of_two_packages_are_ours(
    experiment: Experiment, workdir: Path
) -> None:
    config = str(experiment.write(workdir, lambda tree: tree.update(model="TFT")))
    words = ["--model.d_model", "4", "--model.num_heads", "1", "--model.criterion", "MSELoss"]
    assert main(["fit", "-c", config, *words, "--trainer.max_steps", "1"]) == 0
    model = resolved(Path("runs/tiny/version_0"))["model"]
    assert model["class_path"].startswith("transformertf.")
    assert model["init_args"]["criterion"]["class_path"] == "transformertf.nn.losses.MSELoss"


def test_the_optimizer_is_given_once_and_a_schedule_says_when(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    def twice(tree: dict[str, Any]) -> None:
        tree["model"]["init_args"]["optimizer"] = {"class_path": "SGD", "init_args": {"lr": 1.0}}

    assert "optimizer is given twice" in fails("fit", "-c", experiment.write(workdir, twice))

    def scheduled(tree: dict[str, Any]) -> None:
        tree["lr_scheduler"] = {
            "class_path": "ReduceLROnPlateau", "interval": "step", "monitor": "loss",
        }  # fmt: skip

    config = str(experiment.write(workdir, scheduled))
    assert main(["fit", "-c", config, "--trainer.max_steps", "2"]) == 0


def test_releases_that_were_compromised_are_not_wanted() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    (wanted,) = (
        found.specifier for found in map(Requirement, project["dependencies"])
        if found.name == "lightning"
    )  # fmt: skip
    assert wanted.contains("2.6.6")
    assert not wanted.contains("2.6.2")
    assert not wanted.contains("2.6.3")
