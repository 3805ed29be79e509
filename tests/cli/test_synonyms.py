"""Keys as other libraries have them are answered by what they are here."""

import re

import lightning
import pytest

from transformertf.cli.classes import BARE_NAMES, arguments_of, keys_of_sections
from transformertf.cli.config import TOP_LEVEL
from transformertf.cli.options import make_parser
from transformertf.cli.synonyms import SYNONYMS, meant_by, misplaced
from transformertf.data import ARGUMENTS, Csv

OWN = sorted({one for own in SYNONYMS.values() for one in re.split(" or | and ", own)})


@pytest.mark.parametrize("own", OWN)
def test_what_a_name_is_here_is_there(own):
    name, _, value = own.partition(": ")
    section, *keys = name.split(".")
    if section.startswith("--"):
        commands = {"fit": "", "evaluate": ""}
        words = [f"{section}=1"]
        options = (make_parser(commands).parse_known_args([one, *words])[1] for one in commands)
        assert [] in list(options)
        return
    known = {
        "data": list(ARGUMENTS),
        "trainer": arguments_of(lightning.Trainer),
        "model": keys_of_sections()["model"],
        "optimizer": ["lr", "weight_decay"],
        "lr_scheduler": ["interval"],
    }
    assert section in TOP_LEVEL
    assert not keys or keys[0] in (known[section] or [])
    if keys[1:]:
        assert keys[0] == "csv"
        assert keys[1] in Csv.__annotations__
    if value:
        assert value in BARE_NAMES or value == "window"


def test_no_key_of_ours_is_answered_as_one_of_others():
    """What some section has is unknown elsewhere only, where the section is named."""
    sections = keys_of_sections()
    for section, keys in sections.items():
        for key in set(keys) & set(SYNONYMS):
            assert SYNONYMS[key].startswith(f"{section}."), key
    assert not set(TOP_LEVEL) & set(SYNONYMS)


@pytest.mark.parametrize(
    ("key", "known", "told"),
    [
        ("hidden_size", ("d_model",), "hidden_size is model.d_model here"),
        ("hidden_size", (), "hidden_size is model.d_model or model.d_encoder here"),
        ("Group-IDs", (), "Group-IDs is data.series_id here"),
        ("lr_monitor", (), "lr_monitor is trainer.callbacks: LearningRateMonitor here"),
        ("predict_mode", (), "leave it out: the command says what is done"),
        ("max_epochs", (), "max_epochs is trainer.max_epochs here"),
        ("grup_ids", (), None),
    ],
)
def test_a_name_is_answered(key, known, told):
    assert meant_by(key, {"model": known, "trainer": ["max_epochs"]}) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--epochs", "3"], "unknown key 'epochs' in --epochs; epochs is trainer.max_epochs here"),
        (["-e", "3"], "unexpected argument '-e'; -e is --trainer.max_epochs here"),
        (["--data.batch_size", "4", "-e", "3"], "unexpected argument '-e'; -e is --trainer"),
        (["--data.group_ids", "a"], "'data.init_args.group_ids' in --data.group_ids; group_ids is"),
        (["--data.max_epochs", "1"], "max_epochs is trainer.max_epochs here"),
        (["--batch_size", "1"], "batch_size is data.batch_size here"),
        (["--model.hidden_size", "1"], "; hidden_size is model.d_encoder here"),
        (["--model.lr", "1"], "; lr is optimizer.lr here"),
        (["--d_encoder", "1"], "; d_encoder is model.d_encoder here"),
        (["--data.known_covariates+", "a"], "are replaced as a whole; give all of --data.known"),
        (["--print_config"], "--print_config wants a value; leave it out: each run folder has"),
        (
            ["--data.known_covariates", "known,past"],
            "2 columns; give them as a list, ['known', 'past']",
        ),
        (["--trainer.callbacks", "EarlyStoping"], "did you mean 'EarlyStopping'?"),
        (["--trainer.logger", "CsvLoger"], "did you mean 'CSVLogger'?"),
        (["--trainer.callbacks", "Qqqqq"], "known: "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_flag_is_answered(experiment, workdir, fails, words, told):
    config = str(experiment.write(workdir))
    assert told in fails("fit", "--config", config, *words)


def test_a_file_after_a_command_is_told_its_flag(experiment, workdir, fails):
    config = str(experiment.write(workdir))
    assert f"unexpected argument '{config}'; give --config {config}" in fails("fit", config)
    assert misplaced("x.ckpt") == "give --ckpt_path x.ckpt"
    assert misplaced("a/b.csv") == "give --data.predict_df_paths a/b.csv"
    assert misplaced("nothing") is None
