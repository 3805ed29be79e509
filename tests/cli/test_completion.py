"""Shells complete commands, options, keys and their values, with scripts that ask no Python."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from transformertf.cli import main
from transformertf.cli.completion import SHELLS
from transformertf.cli.main import COMMANDS
from transformertf.data import ARGUMENTS

# asks bash, as it would for a word that is being typed
ASK = """
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_transformertf
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The scripts, by shell, as files."""
    folder = tmp_path_factory.mktemp("scripts")
    for shell in SHELLS:
        with pytest.MonkeyPatch.context() as patch, (folder / shell).open("w") as file:
            patch.setattr("sys.stdout", file)
            assert main(["--completion", shell]) == 0
    return folder


def completed(scripts, line, folder="."):
    """Return what bash completes the last word of a line to."""
    words = ["bash", "-c", ASK, "ask", scripts / "bash", *line.split(" ")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("transformertf pre", {"predict"}),
        ("transformertf --comp", {"--completion"}),
        ("transformertf --completion z", {"zsh"}),
        ("transformertf fit --trainer.max_e", {"--trainer.max_epochs"}),
        ("transformertf fit --model T", {"TFT", "TransformerLSTM"}),
        ("transformertf fit --data.normalize ", {"global", "series", "window", "true", "false"}),
        ("transformertf fit --help tra", {"trainer", "transforms"}),
        ("transformertf evaluate --stage v", {"validation"}),
        ("transformertf predict --data.target_cov", set()),
        ("transformertf schema --mod", {"--model"}),
    ],
)
def test_bash(line, expected, scripts):
    assert completed(scripts, line) == expected


def test_files_are_completed(scripts, tmp_path):
    (tmp_path / "my.yml").touch()
    assert completed(scripts, "transformertf fit -c m", tmp_path) == {"my.yml"}
    assert completed(scripts, "transformertf fit --ckpt_path ", tmp_path) == {"my.yml", "last"}


def test_every_command_and_key_is_there(scripts):
    assert completed(scripts, "transformertf ") >= set(COMMANDS)
    assert completed(scripts, "transformertf fit --data.") == {
        f"--data.{name}" for name in ARGUMENTS
    }
    fish = (scripts / "fish").read_text()
    assert "%(" not in fish
    for name in COMMANDS:
        assert re.search(rf"__fish_use_subcommand -a {name} ", fish)
    for name in ARGUMENTS:
        assert f" -l data.{name} " in fish


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_its_script(shell, scripts):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", scripts / shell], check=True)


def test_scripts_hold_no_path_of_this_machine(scripts):
    assert str(Path.cwd()) not in "".join((scripts / shell).read_text() for shell in SHELLS)
