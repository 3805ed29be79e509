"""The schema takes every configuration that the command takes, and refuses what it refuses."""

import copy
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest
import yaml

from scripts.docs import schema as drawing
from tests.cli.conftest import Experiment
from transformertf.cli import catalogue, main
from transformertf.cli.yaml_file import YamlFile
from transformertf.data import ARGUMENTS

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*ROOT.glob("sample_configs/*.yml"), *ROOT.glob("configs/**/*.yml")])
VALIDATOR = jsonschema.Draft7Validator(catalogue.whole())
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^ *```yaml\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.M)
    )
]


def found(tree):
    """Return where a tree is wrong, and what is said of it."""
    errors = [jsonschema.exceptions.best_match([error]) for error in VALIDATOR.iter_errors(tree)]
    return [f"{error.json_path}: {error.message}" for error in errors]


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(catalogue.whole())


def test_it_is_what_the_code_says() -> None:
    told = catalogue.whole()["$comment"]
    here = [f"{name} {version(name).partition('+')[0]}" for name in drawing.SOURCES]
    if not all(source in told for source in here):
        pytest.skip(f"drawn from other versions: {told}")
    wanted = "the schema is not up to date: python -m scripts.docs.schema"
    assert catalogue.text() == drawing.text(), wanted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid_and_name_it(path: Path) -> None:
    assert found(YamlFile.read(path).tree()) == []
    header = re.match(r"# yaml-language-server: \$schema=(.*)\n", path.read_text())
    assert header is not None
    assert (path.parent / header[1]).resolve() == drawing.FILE


@pytest.mark.parametrize("block", BLOCKS)
def test_configurations_of_the_pages_are_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "block.yml").write_text(block)
    assert found(YamlFile.read(tmp_path / "block.yml").tree()) == []


def test_what_a_fit_leaves_behind_is_valid(experiment: Experiment) -> None:
    resolved = experiment.checkpoint.parents[1] / "config.yaml"
    assert found(yaml.safe_load(resolved.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "model: TFT",
        "model: {d_model: 8}",  # its class is in another file
        "model: {class_path: TFT, d_model: 8, init_args: {dropout: 0.2}}",
        "model: {class_path: my_models.network.Net, init_args: {anything: 1}}",
        "model: {class_path: transformertf.models.temporal_fusion_transformer.TFT}",
        "model: {class_path: TFT, init_args: {criterion: QuantileLoss}}",
        "model: {class_path: GRU, init_args: {criterion: {class_path: torch.nn.SmoothL1Loss}}}",
        "{model: GRU, data: {seq_len: 5}}",
        "{model: {class_path: TFT}, data: {tgt_seq_len: 5}}",
        "data: {target_covariate: 007, known_covariates: [NO, a]}",
        "data: {extra_transforms: {a: [LogTransform, {PolynomialTransform: {degree: 2}}]}}",
        "data: {train_df_paths: '${oc.env:DATA}', batch_size: '${trainer.max_epochs}'}",
        "trainer: {max_epochs: '${oc.env:EPOCHS,5}'}",
        "trainer: {callbacks: EarlyStopping, logger: false}",
        "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitor: loss}}]}",
        "trainer: {strategy: ddp, devices: [0, 1], precision: 64-true}",
        "lr_scheduler: CosineWithWarmup",
        "lr_scheduler: {class_path: StepLR, step_size: 5, interval: step}",
        "optimizer: {lr: 0.1}",
        "{num_threads: null, trainer: null, seed_everything: true, checkpoint_every: 30min}",
    ],
)
def test_every_form_that_the_command_takes_is_valid(text: str) -> None:
    assert found(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{model: '${a}', trainer: '${b}', data: {init_args: '${c}', normalize: '${d}'}}",
        "trainer: {callbacks: ['${a}', {class_path: Timer, init_args: '${b}'}], logger: '${c}'}",
        "model: {class_path: TFT, criterion: {class_path: '${a}', init_args: '${b}'}}",
    ],
)
def test_an_interpolation_may_stand_anywhere(text: str) -> None:
    assert found(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("modle: TFT", "$"),
        ("model: TFTT", "$.model"),
        ("model: {class_path: transformertf.models.TFTT}", "$.model"),
        ("model: {class_path: TFT, init_args: {d_modl: 8}}", "$.model"),
        ("model: {class_path: TFT, d_encoder: 8}", "$.model"),
        ("model: {class_path: TFT, init_args: {d_model: wide}}", "$.model"),
        ("model: {class_path: TFT, init_args: {packing: sometimes}}", "$.model"),
        ("model: {class_path: TFT, init_args: {criterion: QuantileLos}}", "$.model"),
        ("{model: GRU, data: {tgt_seq_len: 5}}", "$.data"),
        ("data: {batch_sise: 8}", "$.data"),
        ("data: {class_path: TimeSeriesDataModule, init_args: {ctxt_seq_len: 8}}", "$.data"),
        ("data: {normalize: sometimes}", "$.data"),
        ("data: {extra_transforms: {a: LogTransfrom}}", "$.data"),
        ("data: {extra_transforms: {a: {PolynomialTransform: {degre: 2}}}}", "$.data"),
        ("optimizer: Adamm", "$.optimizer"),
        ("optimizer: {class_path: Adam, init_args: {lr: fast}}", "$.optimizer"),
        ("lr_scheduler: {class_path: StepLR, init_args: {size: 5}}", "$.lr_scheduler"),
        ("lr_scheduler: {class_path: StepLR, interval: day}", "$.lr_scheduler"),
        ("trainer: {max_epoch: 5}", "$.trainer"),
        ("trainer: {max_epochs: many}", "$.trainer"),
        ("trainer: {callbacks: [EarlyStoping]}", "$.trainer"),
        ("trainer: {callbacks: {class_path: EarlyStopping, init_args: {monitr: a}}}", "$.trainer"),
        ("ckpt_path: last.ckpt", "$"),
    ],
)
def test_mistakes_are_refused_where_they_are(text: str, place: str) -> None:
    (error,) = found(yaml.safe_load(text))
    assert error.startswith(place)


def test_each_default_is_valid() -> None:
    whole = catalogue.whole()
    told = {
        f"{name}.{key}": (node, node["default"])
        for name, part in whole["$defs"].items()
        for key, node in part.get("properties", {}).items()
        if isinstance(node, dict) and "default" in node
    }
    assert len(told) > 200
    for place, (node, default) in told.items():
        validator = jsonschema.Draft7Validator(node | {"$defs": whole["$defs"]})
        assert validator.is_valid(default), place


def test_groups_name_arguments_that_are_there() -> None:
    assert set(drawing.WINDOWS) <= set(ARGUMENTS)
    groups = {one.name: one.group for one in catalogue.arguments("EncoderDecoderDataModule")}
    assert groups["target_covariate"] == groups["series_id"] == "columns"
    assert groups["ctxt_seq_len"] == groups["stride"] == "windows"
    assert groups["train_df_paths"] == groups["batch_size"] == "data"


def test_each_argument_of_ours_has_a_text() -> None:
    for section in ("model", "data", "criterion"):
        for name in catalogue.classes(section):
            without = [one.name for one in catalogue.arguments(name) if not one.text]
            assert set(without) <= {"criterion", "optimizer", "lr_scheduler"}, name
            assert catalogue.summary(name)


@pytest.mark.parametrize(("model", "other"), [("TFT", "GRU"), ("GRU", "TFT")])
def test_the_schema_of_one_model_takes_no_other(
    model: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "--model", model]) == 0
    narrow = json.loads(capsys.readouterr().out)
    jsonschema.Draft7Validator.check_schema(narrow)
    validator = jsonschema.Draft7Validator(narrow)
    sample = copy.deepcopy(YamlFile.read(ROOT / "sample_configs" / "tft.yml").tree())
    if model == "GRU":
        sample = YamlFile.read(ROOT / "sample_configs" / "sequence_gru.yml").tree()
    assert validator.is_valid(sample)
    assert not validator.is_valid(sample | {"model": other})
    assert other not in narrow["$defs"]


def test_it_is_printed_without_torch() -> None:
    code = "from transformertf.cli import main; main(['schema'])"
    words = [sys.executable, "-c", f"import sys; {code}; assert 'torch' not in sys.modules"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == catalogue.text()


def test_an_unknown_model_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--model", "TFTT"]) == 2
    assert capsys.readouterr().err == "error: no model 'TFTT'; did you mean 'TFT'?\n"
