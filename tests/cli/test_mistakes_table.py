"""Mistakes in a configuration, one after the other: one line that says what to do, code 2."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Experiment

TABLE = yaml.safe_load(Path(__file__).with_name("mistakes.yml").read_text(encoding="utf-8"))
SECTIONS = ("model", "data", "optimizer")
# of a message that says what would be right: nearest names, what was expected, or what to do
REMEDY = re.compile(
    r"did you mean|known: | here$|nearest are |wants |expected |must |has to be |"
    r"can only be |invalid|fit logs |"
    r"\b(?:add|convert|correct|give|leave|lower|mend|name|raise|rename|set|take)\b"
)


def put(config: dict[str, Any], key: str, value: object) -> None:
    """Set a value of a configuration; keys of its sections are arguments."""
    *parents, leaf = key.split(".")
    for parent in parents:
        if not isinstance(config.get(parent), dict):
            config[parent] = {}
        config = config[parent]
        if parent in SECTIONS and leaf not in ("class_path", "init_args"):
            config = config["init_args"]
    config[leaf] = value


@pytest.mark.parametrize(("key", "value", "says"), TABLE, ids=lambda value: f"{value!s:.40}")
def test_a_mistake_is_told_in_one_line(
    experiment: Experiment,
    workdir: Path,
    fails: Callable[..., str],
    key: str,
    value: object,
    says: str,
) -> None:
    experiment.write(workdir, lambda config: put(config, key, value))
    message = fails("fit", "-c", "tiny.yml")
    assert says in message
    assert REMEDY.search(message)


def test_the_table_is_long_and_says_nothing_twice() -> None:
    assert len(TABLE) >= 150
    assert len({(key, repr(value)) for key, value, _ in TABLE}) == len(TABLE)
