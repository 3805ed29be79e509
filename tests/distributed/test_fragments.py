"""The shipped configurations for several processes are whole, and their types are right."""

import subprocess
from pathlib import Path

import pytest
import yaml
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

from transformertf.cli.classes import import_class
from transformertf.cli.config import Composer
from transformertf.cli.yaml_file import YamlFile

ROOT = Path(__file__).parents[2]
FRAGMENTS = ("ddp", "multi_node", "fsdp")
SCRIPT = ROOT / "scripts" / "cluster" / "slurm_fit.sh"


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_fragment_lies_over_an_experiment(name: str) -> None:
    composer = Composer()
    composer.add_file(YamlFile.read(ROOT / "sample_configs" / "lstm.yml"))
    composer.add_file(YamlFile.read(ROOT / "configs" / f"{name}.yml"))
    tree = composer.compose()
    assert tree["model"]["class_path"]
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(Trainer, "trainer")
    trainer = parser.parse_object({"trainer": tree["trainer"]}).trainer
    assert trainer.accelerator == "gpu"
    if name == "fsdp":
        kind = import_class(trainer.strategy.class_path, "trainer.strategy")
        strategy = kind(**trainer.strategy.init_args)
        assert isinstance(strategy, FSDPStrategy)
        assert strategy._state_dict_type == "full"
    else:
        options = {"accelerator": "cpu", "devices": 2, "num_nodes": trainer.num_nodes}
        made = Trainer(strategy=trainer.strategy, logger=False, **options)
        assert isinstance(made.strategy, DDPStrategy)
        assert made.world_size == 2 * (2 if name == "multi_node" else 1)


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_fragment_says_how_it_is_used(name: str) -> None:
    text = (ROOT / "configs" / f"{name}.yml").read_text()
    assert text.startswith("# ")
    assert f"--config configs/{name}.yml" in text


def test_the_script_is_one_of_bash_and_agrees_with_its_configuration() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    text = SCRIPT.read_text()
    trainer = yaml.safe_load((ROOT / "configs" / "multi_node.yml").read_text())["trainer"]
    assert f"#SBATCH --nodes={trainer['num_nodes']}\n" in text
    assert f"#SBATCH --ntasks-per-node={trainer['devices']}\n" in text
