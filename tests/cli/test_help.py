"""A screen for each command, a page for each group of arguments, and all of it without torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lightning import Trainer

from transformertf.cli import catalogue, main
from transformertf.cli.classes import (
    BARE_NAMES,
    SECTIONS,
    arguments_of,
    data_module_for,
    import_class,
)
from transformertf.cli.config import TOP_LEVEL
from transformertf.cli.help_pages import GROUPS, OF_TRAINER, READS, TRAINING_ONLY, groups_of, keys
from transformertf.cli.lightning_cli import LINKS
from transformertf.cli.main import COMMANDS
from transformertf.data import ARGUMENTS
from transformertf.errors import InputError

ROOT = Path(__file__).parents[2]
LINKED = {target.rpartition(".")[2] for target in LINKS.values()}


@pytest.fixture
def told(capsys, monkeypatch):
    """Run a command that prints help, in a window of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        assert main(list(words)) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return run


def flags(page):
    """Return the arguments that a page lists."""
    return re.findall(r"^  --([\w.]+)  ", page, re.MULTILINE)


@pytest.mark.parametrize("command", ["fit", *READS])
def test_a_command_has_one_screen(command, told):
    page = told(command, "--help")
    assert page.count("\n") <= (45 if command == "fit" else 60)
    assert max(map(len, page.splitlines())) <= 80
    assert f"transformertf {command}" in page
    for name in groups_of(command):
        assert re.search(rf"\b{name}\b", page)


def test_no_command_prints_the_help(told):
    page = told()
    assert all(re.search(rf"^    {name}\b", page, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", catalogue.classes("model"))
def test_a_model_shows_its_own_arguments(name, told, tmp_path):
    kind = import_class(BARE_NAMES[name], "")
    wanted = {f"model.{each}" for each in arguments_of(kind) or ()} - {
        f"model.{each}" for each in LINKED
    }
    classes = {"model.criterion", "model.optimizer", "model.lr_scheduler"}
    shown = set(flags(told("fit", "--help", "model", name)))
    assert shown == wanted - classes
    (tmp_path / "my.yml").write_text(yaml.safe_dump({"model": {"class_path": name}}))
    assert set(flags(told("fit", "--help", "model", "--model", name))) == shown
    assert set(flags(told("fit", "-c", str(tmp_path / "my.yml"), "--help", "model"))) == shown
    page = told("fit", "--model", name, "--help")
    assert page.count("\n") <= 45
    assert f"model {name}" in page
    data = [
        told("fit", f"--model={name}", "--help", group) for group in ("columns", "windows", "data")
    ]
    module = import_class(BARE_NAMES[data_module_for(kind)], "")
    assert set(flags("".join(data))) == {f"data.{each}" for each in arguments_of(module) or ()}


def test_what_a_flag_names_wins_over_a_file(told):
    words = ["-c", str(ROOT / "sample_configs" / "tft.yml"), "--model.class_path", "GRU"]
    assert told("fit", *words, "--help", "model").startswith("model GRU\n")


def test_every_key_is_taken():
    for key in keys("fit"):
        section, _, name = (
            key.partition(".init_args.") if ".init_args." in key else key.partition(".")
        )
        kinds = SECTIONS.get(section.rpartition(".")[2], ())
        taken = {
            each
            for kind in kinds
            for each in arguments_of(import_class(BARE_NAMES[kind], "")) or ()
        }
        if section == "trainer":
            taken = set(arguments_of(Trainer) or ())
        if section == "lr_scheduler":
            taken |= {"interval", "monitor"}
        assert name in taken or (not name and section in TOP_LEVEL), key


def test_everything_is_every_group(told):
    page = told("fit", "--help-all")
    assert set(flags(page)) >= {f"data.{name}" for name in ARGUMENTS}
    for key in ("trainer.max_epochs", "seed_everything", "num_threads", "checkpoint_every", "ema"):
        assert key in flags(page)
    assert "torchmetrics." not in page
    assert "torch.ao" not in page


@pytest.mark.parametrize("command", READS)
def test_a_command_of_a_checkpoint_shows_what_it_takes(command, told):
    shown = flags(told(command, "--help-all"))
    assert "trainer.max_epochs" not in shown
    assert not [name for name in shown if name.startswith(("model.", "optimizer."))]
    data = [name.removeprefix("data.") for name in shown if name.startswith("data.")]
    assert "batch_size" in data
    assert not [name for name in data if ARGUMENTS[name].after_fit == "fixed"]
    assert "train_df_paths" not in data
    assert ("predict_df_paths" in data) == (command == "predict")


def test_losses_are_ours(told):
    names = re.findall(r"^  (\w+)$", told("fit", "--help", "criterion"), re.MULTILINE)
    assert {"MSELoss", "QuantileLoss"} <= set(names)
    assert not {"BCELoss", "CTCLoss"} & set(names)
    assert "quantiles" in told("fit", "--help", "criterion", "QuantileLoss")


@pytest.mark.parametrize("word", ["batch_size", "data.batch_size"])
def test_an_argument_by_its_key(word, told):
    assert told("fit", "--help", word).startswith("  --data.batch_size  int, default 128\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "fit --help modle",
            "--help modle: no group or argument of that name; did you mean 'model'?",
        ),
        ("--trainer.devices=1", "--trainer.devices=1: before it a command; known: "),
        ("fit --help model TFTT", "no model 'TFTT'; did you mean 'TFT'?"),
        ("fit --help data x", "--help data x: data takes no name; leave it out"),
        ("predict --help model", "--help model: no group or argument of that name"),
        ("fit -c nowhere.yml --help", "--config nowhere.yml: no such file"),
    ],
)
def test_mistakes(words, message, capsys):
    assert main(words.split()) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_what_is_left_out_is_there():
    trainer = {one.name for one in catalogue.arguments("trainer")}
    top = {one.name for one in catalogue.top_level()}
    assert set(OF_TRAINER) <= trainer
    assert set(TRAINING_ONLY) <= set(ARGUMENTS) | top
    sections = {group.section for group in GROUPS.values() if group.section}
    assert all(catalogue.classes(section) for section in sections)
    with pytest.raises(InputError, match="no optimizer 'Adm'; did you mean 'Adam'"):
        catalogue.class_named("optimizer", "Adm")


@pytest.mark.parametrize("words", ["", "fit --help", "fit --help-all", "predict --help data"])
def test_help_does_not_wait_for_torch(words):
    code = "import sys; from transformertf.cli import main; main(sys.argv[1:])"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, check=True)
