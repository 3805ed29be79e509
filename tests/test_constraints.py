"""The pinned versions are complete, and the peers' environment has those of the suite."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# what peers, or what they bring, does not take in the suite's version
OWN = {"pandas", "python-dateutil"}
EXTRAS = {"constraints.txt": ["dev", "plot"], "constraints-peers.txt": ["dev", "bench"]}


def pins(name):
    """Return the pinned version of each distribution."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("name", EXTRAS)
def test_what_the_project_wants_is_pinned_within_its_bounds(name):
    found = pins(name)
    extras = [PROJECT["optional-dependencies"][extra] for extra in EXTRAS[name]]
    for line in sum(extras, PROJECT["dependencies"]):
        wanted = Requirement(line)
        assert wanted.specifier.contains(found[canonicalize_name(wanted.name)]), line


def test_peers_lie_beside_the_versions_of_the_suite():
    suite, peers = pins("constraints.txt"), pins("constraints-peers.txt")
    shared = suite.keys() & peers.keys()
    assert {name for name in shared if suite[name] != peers[name]} == OWN
