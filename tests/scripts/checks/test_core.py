"""The check of the core dependencies refuses to run where there are more."""

import pytest

from scripts.checks import core


def test_more_than_the_core_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert core.main() == 2  # pytest is here, else this would not run
    assert "more than the core is installed" in capsys.readouterr().err


def test_every_module_is_imported() -> None:
    files = core.SAMPLES.parent.joinpath("transformertf").rglob("*.py")
    assert core.import_all() == len(list(files)) - 1
