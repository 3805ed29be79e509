"""The pages say what the code does: arguments and defaults of every model, links that lead."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from transformertf import models
from transformertf.cli.lightning_cli import LINKS
from transformertf.models import ForecastModule
from transformertf.version import __version__

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*configs/*.md")])
CLASSES = {
    cls.__module__.rpartition(".")[2]: cls
    for name in models.__all__
    if issubclass(cls := getattr(models, name), ForecastModule) and cls is not ForecastModule
}


def documented(page: Path) -> dict[str, str]:
    """Return name and default of each argument in the page's table."""
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", page.read_text(), flags=re.MULTILINE))


def defaults(cls: type) -> dict[str, str]:
    parameters = inspect.signature(cls).parameters.values()
    return {
        parameter.name: repr(parameter.default).replace("'", '"')
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD  # what follows is the base's
    }


@pytest.mark.parametrize("name", CLASSES)
def test_each_model_has_a_page_with_its_arguments(name: str) -> None:
    linked = {target.rpartition(".")[2] for target in LINKS.values()}
    own = {key: value for key, value in defaults(CLASSES[name]).items() if key not in linked}
    assert own
    assert documented(DOCS / "models" / f"{name}.md") == own
    assert f"(models/{name}.md)" in (DOCS / "models.md").read_text()


def test_the_common_arguments_are_those_of_the_base() -> None:
    common = defaults(ForecastModule)
    del common["output_dim"]  # each model's own
    assert documented(DOCS / "models.md") == common


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [heading.lower().replace(" ", "-") for heading in headings], target


def test_threats_name_tests_that_are_there() -> None:
    page = (DOCS / "decisions" / "threats.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 10
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), name


def scripts_named_in(path: Path) -> set[str]:
    """Return the scripts that a text names, as files or as modules."""
    text = path.read_text(encoding="utf-8")
    modules = re.findall(r"-m (scripts(?:\.\w+)+)", text)
    files = re.findall(r"(?<![\w/])scripts/[\w/]+\.(?:py|sh)", text)
    return {*files, *(f"{name.replace('.', '/')}.py" for name in modules)}


def test_scripts_that_are_named_exist() -> None:
    texts = [*PAGES, ROOT / "Makefile", *ROOT.glob("*configs/*.yml"), *ROOT.glob("scripts/**/*.*")]
    named = {
        name: path for path in texts if path.suffix != ".pyc" for name in scripts_named_in(path)
    }
    assert len(named) > 10
    missing = {name: path for name, path in named.items() if not (ROOT / name).exists()}
    assert not missing


def test_each_decision_stands_in_the_index_with_date_and_state() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\d{4}-\d\d-\d\d) \| \[(.+)\]\((.+)\.md\) \| .+ \| (.+) \|$", index, re.M
    )
    assert sorted(name for _, name, _, _ in rows) == sorted(
        path.stem for path in (DOCS / "decisions").glob("*.md") if path.stem != "README"
    )
    assert all(name == target for _, name, target, _ in rows)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert all(state == "stands" or state.startswith("replaced by [") for *_, state in rows)


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == __version__
    assert citation["license"] == project["license"]
    assert set(citation["keywords"]) == set(project["keywords"])
