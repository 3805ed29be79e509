"""The tree is as the page and the picture tell it."""

from pathlib import Path

import pytest

from scripts.docs import architecture
from tests.pages import ROOT

PACKAGE = ROOT / "transformertf"


def rooms() -> list[str]:
    """Return all folders and loose modules of the package, by their names."""
    folders = [path.parent for path in PACKAGE.rglob("__init__.py")]
    found = [".".join(folder.relative_to(PACKAGE).parts) for folder in folders]
    return [*filter(None, found), *(path.stem for path in PACKAGE.glob("[!_]*.py"))]


def test_the_picture_and_the_page_name_every_room():
    assert set(rooms()) == set(architecture.ROOMS)
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for room in rooms():
        assert f"`{room.replace('.', '/')}`" in page or f"`{room.rpartition('.')[2]}`" in page


def test_no_import_runs_upward():
    assert architecture.upward() == []


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("data.reading", "data.batches"), ("data", "cli"), ("errors", "data"), ("nn", "evaluation")],
)
def test_an_import_that_ran_upward_would_be_found(monkeypatch, lower, higher):
    heights = architecture.layers()
    swapped = {f"transformertf.{lower}", f"transformertf.{higher}"}
    one, other = sorted(swapped)
    turned = {**heights, one: heights[other], other: heights[one]}
    monkeypatch.setattr(architecture, "layers", lambda: turned)
    assert architecture.upward()


def test_every_import_between_rooms_is_drawn():
    known = set(architecture.ROOMS)
    pairs = architecture.imports()
    assert len(pairs) > 50
    assert all(one in known and other in known | {""} for one, other in pairs)


def test_sizes_are_those_of_the_files():
    lines = len((PACKAGE / "batch.py").read_text(encoding="utf-8").splitlines())
    assert architecture.size("batch") == f"{lines} lines"
    count = len(list(Path(PACKAGE / "nn").glob("*.py")))
    assert architecture.size("nn").startswith(f"{count} files, ")
