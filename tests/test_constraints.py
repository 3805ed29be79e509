"""The pinned versions are complete, and the peers' environment has those of the suite."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# what peers, or what they bring, does not take in the suite's version
OWN = {"pandas", "python-dateutil"}
EXTRAS = {
    "constraints.txt": ["dev", "plot"],
    "constraints-peers.txt": ["dev", "bench"],
    "constraints-minimum.txt": ["dev", "plot", "loggers"],
}
IMPORT = re.compile(r"^ *(?:import|from) (\w+)[\w.]*(?: import .*| as \w+)?$", re.MULTILINE)
# of another name than the package
DISTRIBUTIONS = {"yaml": "pyyaml"}


def pins(name):
    """Return the pinned version of each distribution."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def wanted(extras):
    """Return what the project wants of each distribution, for itself and these extras."""
    lines = [PROJECT["optional-dependencies"][extra] for extra in extras]
    found = map(Requirement, sum(lines, PROJECT["dependencies"]))
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in found}


@pytest.mark.parametrize("name", EXTRAS)
def test_what_the_project_wants_is_pinned_within_its_bounds(name):
    found = pins(name)
    for distribution, specifier in wanted(EXTRAS[name]).items():
        assert specifier.contains(found[distribution]), distribution


def test_the_minimum_is_the_lower_bounds():
    lowest = {
        name: [Version(each.version) for each in specifier if each.operator == ">="]
        for name, specifier in wanted(EXTRAS["constraints-minimum.txt"]).items()
    }
    found = pins("constraints-minimum.txt")
    assert lowest == {name: [Version(version)] for name, version in found.items()}


def imported(folder):
    """Return the packages that the modules of a folder import, the standard library's left out."""
    words = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py"))
    return (
        set(IMPORT.findall(words)) - sys.stdlib_module_names - {"scripts", "tests", "transformertf"}
    )


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("transformertf", ["plot", "loggers", "hdf5", "export"]),
        ("scripts", ["dev", "plot", "bench"]),
        ("tests", ["dev", "plot", "loggers", "bench"]),
    ],
)
def test_what_is_imported_has_a_bound_of_its_own(folder, extras):
    found = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in imported(folder)}
    assert {"torch", "lightning"} <= found
    assert found <= wanted(extras).keys()


def test_peers_lie_beside_the_versions_of_the_suite():
    suite, peers = pins("constraints.txt"), pins("constraints-peers.txt")
    shared = suite.keys() & peers.keys()
    assert {name for name in shared if suite[name] != peers[name]} == OWN
