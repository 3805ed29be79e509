"""Every module can be imported with nothing installed but the core dependencies."""

import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WALK = """
import importlib, pkgutil, transformertf
for module in pkgutil.walk_packages(transformertf.__path__, "transformertf."):
    importlib.import_module(module.name)
    print(module.name)
"""
# what extras bring, and the suite has
EXTRAS = ["h5py", "hypothesis", "matplotlib", "pytest"]


def wanted(requirements: Iterable[str]) -> set[str]:
    """Return the names of the distributions that these requirements bring, and those of them."""
    found: set[str] = set()
    done: set[str] = set()
    left = list(requirements)
    while left:
        requirement = Requirement(left.pop())
        if str(requirement) in done:
            continue
        done.add(str(requirement))
        found.add(canonicalize_name(requirement.name))
        for line in distribution(requirement.name).requires or ():
            marker = Requirement(line).marker
            extras = [*requirement.extras, ""]
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                left.append(line)
    return found


def link(name: str, folder: Path) -> None:
    """Link the modules and the metadata of an installed distribution to a folder."""
    installed = distribution(name)
    tops = {file.parts[0] for file in installed.files or () if file.parts[0] != ".."}
    for top in tops - {"__pycache__"}:
        place = folder / top
        if not place.exists():
            place.symlink_to(Path(str(installed.locate_file(top))))


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """Return a folder of packages that holds the core dependencies, and what they need, only."""
    folder = tmp_path_factory.mktemp("core")
    for name in wanted(PROJECT["dependencies"]):
        link(name, folder)
    return folder


def run(core, code):
    """Run code without the packages of this environment, but for the core."""
    environment = {"PYTHONPATH": f"{ROOT}:{core}", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-S", "-c", code]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)


def test_every_module_can_be_imported_with_the_core_dependencies_only(core):
    ended = run(core, WALK)
    assert ended.returncode == 0, ended.stderr
    files = (ROOT / "transformertf").rglob("*.py")
    modules = [path.relative_to(ROOT).with_suffix("").parts for path in files]
    expected = {".".join(parts).removesuffix(".__init__") for parts in modules}
    assert set(ended.stdout.split()) == expected - {"transformertf"}


@pytest.mark.parametrize("module", EXTRAS)
def test_what_extras_bring_is_out_of_reach(core, module):
    # else the test above could not fail
    assert importlib.util.find_spec(module) is not None
    assert f"No module named '{module}'" in run(core, f"import {module}").stderr
