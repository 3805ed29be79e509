"""What runs elsewhere can be run here: workflows call make targets that exist, for our Pythons."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[Any, Any]:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(tree, dict)
    return tree


def jobs(path: Path) -> Iterator[dict[str, Any]]:
    yield from read(path)["jobs"].values()


def matrix(job: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = job.get("strategy", {}).get("matrix", {})
    return found


def commands(job: dict[str, Any]) -> list[str]:
    """Return what a job runs, for each value of its matrix."""
    found: list[str] = []
    for line in [step["run"] for step in job["steps"] if "run" in step]:
        name = re.search(r"\$\{\{ matrix\.(\w+) \}\}", line)
        values = matrix(job)[name[1]] if name else [""]
        found += [line.replace(name[0], value) if name else line for value in values]
    return found


def variable(name: str) -> list[str]:
    value: str
    (value,) = re.findall(rf"^{name} \??:?= ((?:.+\\\n)*.+)$", MAKEFILE, re.MULTILINE)
    return value.replace("\\\n", " ").split()


@each_workflow
def test_a_workflow_calls_targets_that_exist(path: Path) -> None:
    lines = [line for job in jobs(path) for line in commands(job)]
    assert lines
    for line in lines:
        program, target = line.split()
        assert program == "make"
        assert target in TARGETS


@each_workflow
def test_a_workflow_may_read_only_and_names_the_versions_of_its_actions(path: Path) -> None:
    assert read(path)["permissions"] == {"contents": "read"}
    for job in jobs(path):
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert used
        assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)


@each_workflow
def test_no_host_is_named(path: Path) -> None:
    assert "://" not in path.read_text(encoding="utf-8")


def test_the_suite_runs_under_all_pythons_that_are_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"])
    assert bounds is not None
    low, high = map(int, bounds.groups())
    promised = [f"3.{minor}" for minor in range(low, high)]
    assert read(ROOT / ".github/workflows/tests.yml")["jobs"]["suite"]["strategy"]["matrix"] == {
        "python": promised
    }
    assert variable("VERSIONS") == promised
    assert f"(3, {low}) <= sys.version_info[:2] <= (3, {high - 1})" in MAKEFILE


def test_what_the_quick_part_leaves_out_exists() -> None:
    left_out = variable("SLOW")
    assert len(left_out) > 5
    assert all((ROOT / "tests" / name).exists() for name in left_out)


def test_every_target_is_explained_or_a_step_of_others() -> None:
    explained = re.findall(r"^# make ([a-z-]+) ", MAKEFILE, re.MULTILINE)
    assert set(explained) <= set(TARGETS)
    assert set(TARGETS) - set(explained) == {"install", "sample-data", "epf", "clean"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_of_issues_asks_something(path: Path) -> None:
    tree = read(path)
    if path.stem == "config":
        assert tree == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= set(tree)
    fields = [field for field in tree["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 1
    assert all(field["attributes"]["label"] for field in fields)
