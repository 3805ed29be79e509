"""The resolved configuration, and the source of each value in it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Experiment
from transformertf.cli import main
from transformertf.cli.lightning_cli import LINKS
from transformertf.models import TFT

ROOT = Path(__file__).parents[2]
SAMPLES = [
    ROOT / "sample_configs" / f"{name}.yml" for name in ("lstm", "panel_tft", "sequence_gru")
]
Printed = Callable[..., str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def run(*words: object) -> str:
        assert main(["config", *map(str, words)]) == 0
        return capsys.readouterr().out

    return run


def sources(text: str) -> dict[str, str]:
    """Return the source of each value that is told, by the line it stands in."""
    pairs = [line.partition("  # ") for line in text.splitlines() if "  # " in line]
    return {value.strip(" -"): source for value, _, source in pairs}


def test_it_is_what_a_fit_takes(experiment: Experiment, printed: Printed) -> None:
    given = yaml.safe_load(printed("-c", experiment.root / "tiny.yml"))
    ran = yaml.safe_load((experiment.checkpoint.parents[1] / "config.yaml").read_text())
    for target in LINKS.values():  # what the data says
        ran["model"]["init_args"].pop(target.rpartition(".")[2], None)
        given["model"]["init_args"].pop(target.rpartition(".")[2], None)
    assert given == ran


def test_it_stays_what_it_is(printed: Printed, tmp_path: Path) -> None:
    first = printed("-c", ROOT / "sample_configs" / "tft.yml", "--explain")
    (tmp_path / "all.yml").write_text(first)
    assert yaml.safe_load(printed("-c", tmp_path / "all.yml")) == yaml.safe_load(first)
    assert set(sources(first).values()) > {"default"}
    # now all of it is given, but for keys that are null where they stand alone
    again = sources(printed("-c", tmp_path / "all.yml", "--explain"))
    assert [value for value, source in again.items() if source == "default"] == ["ema: null"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_lines_are_those_of_the_file(path: Path, printed: Printed) -> None:
    lines = path.read_text().splitlines()
    found = sources(printed("-c", path, "--explain"))
    told = {value: source for value, source in found.items() if source.startswith(str(path))}
    assert len(told) > 10
    for value, source in told.items():
        line = lines[int(source.rpartition(":")[2]) - 1]
        key, _, text = value.removeprefix("lr_scheduler_").rpartition(": ")
        if key == "class_path" and "TemporalFusion" not in text:
            assert text.rpartition(".")[2] in line
        elif key:
            assert re.search(rf"\b{key.strip()}\b", line) or key == "class_path"
        else:
            assert text in line


LAYERS = {
    "a.yml": """
model: TFT
optimizer:
  lr: 0.1
lr_scheduler: {class_path: StepLR, step_size: 3, interval: step}
data:
  target_covariate: y
  batch_size: 8
  stride: 3
  extra_transforms:
    y: {class_path: PolynomialTransform, init_args: {degree: 2}}
trainer:
  max_epochs: 5
  callbacks:
  - {class_path: EarlyStopping, init_args: {monitor: validation/loss, patience: 7}}
""",
    "b.yml": """
model:
  init_args: {d_model: 16, optimizer: {class_path: AdamW}}
data: {batch_size: null, stride: '${trainer.max_epochs}'}
trainer:
  callbacks: [{class_path: EarlyStopping, init_args: {monitor: train/loss}}]
""",
}


SOURCES = {
    "d_model: 16": "b.yml:3",
    "num_heads: 4": "default",
    "lr: 0.2": "--optimizer.lr",
    "class_path: torch.optim.AdamW": "b.yml:3",
    "class_path: torch.optim.lr_scheduler.StepLR": "a.yml:5",
    "step_size: 3": "a.yml:5",
    "gamma: 0.1": "default",
    "lr_scheduler_interval: step": "a.yml:5",
    "lr_scheduler_monitor: validation/loss": "default",
    "batch_size: 128": "default",  # null leaves it out
    "stride: 5": "b.yml:4 = ${trainer.max_epochs}",
    "max_epochs: 5": "a.yml:13",
    "degree: 2": "a.yml:11",
    "monitor: train/loss": "b.yml:6",
    "patience: 3": "default",  # of a list that is another
    "class_path: transformertf.data.datamodule.EncoderDecoderDataModule": "default",
    f"class_path: {TFT.__module__}.{TFT.__qualname__}": "a.yml:2",
}


def test_the_source_of_each_value(printed: Printed, workdir: Path) -> None:
    for name, text in LAYERS.items():
        Path(name).write_text(text)
    found = sources(printed("-c", "a.yml", "-c", "b.yml", "--optimizer.lr", "0.2", "--explain"))
    assert {value: found[value] for value in SOURCES} == SOURCES


def test_anchors_lead_to_where_the_value_stands(printed: Printed, workdir: Path) -> None:
    Path("my.yml").write_text(
        "data: &some\n  target_covariate: y\n  <<: {batch_size: 4, stride: 2}\n  stride: 3\n"
        "model: GRU\n"
    )
    found = sources(printed("-c", "my.yml", "--explain"))
    assert found["batch_size: 4"] == "my.yml:3"
    assert found["stride: 3"] == "my.yml:4"


def test_a_checkpoint_is_a_source(experiment: Experiment, printed: Printed) -> None:
    words = ("--ckpt_path", experiment.checkpoint, "--data.batch_size", 3, "--explain")
    found = sources(printed(*words))
    assert found["batch_size: 3"] == "--data.batch_size"
    for value in ("d_encoder: 6", "lr: 0.01", "class_path: torch.optim.Adam"):
        assert found[value] == f"checkpoint {experiment.checkpoint}"
    assert found["max_epochs: 100"] == "default"


def test_mistakes_are_told(workdir: Path, fails: Callable[..., str]) -> None:
    Path("my.yml").write_text("model: {class_path: TFT, d_modl: 8}\ndata: {target_covariate: y}")
    expected = "unknown key 'model.init_args.d_modl' in my.yml; did you mean 'd_model'?"
    assert expected in fails("config", "-c", "my.yml")
