"""The soak: a failure is counted and told, and the page says what was found."""

import re
from collections import Counter
from pathlib import Path

import pytest

from scripts.benchmarks import soak

REPORT = """<testsuites><testsuite>
<testcase classname="tests.a" name="test_one[0]" time="1"><properties>
<property name="phase" value="step"/></properties></testcase>
<testcase classname="tests.a" name="test_one[1]" time="1"><failure message="no"/></testcase>
<testcase classname="tests.a" name="test_two" time="0"><skipped message="no GPU"/></testcase>
</testsuite></testsuites>"""


def test_a_report_is_read(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    outcome = soak.read_report(path)
    assert (outcome.passed, outcome.skipped) == (1, 1)
    assert outcome.failed == ["tests.a::test_one[1]"]
    assert outcome.properties == [("phase", "step")]


def test_counts_of_several_processes_add_up(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    assert soak.read_counts(path) == Counter()
    path.write_text("refused 3\nworks 4\nrefused 2\n")
    assert soak.read_counts(path) == {"refused": 5, "works": 4}


def test_a_group_that_fails_or_takes_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = tmp_path / "test_own.py"
    tests.write_text("def test_passes(): pass\ndef test_fails(): assert not 1\n")
    monkeypatch.setattr(soak, "ROOT", tmp_path)
    (tmp_path / "conftest.py").write_text(
        "from hypothesis import settings\nsettings.register_profile('soak')\n"
    )
    outcome = soak.run_group([str(tests)], tmp_path, tmp_path / "counts", 60)
    assert outcome.passed == 1
    assert [name.rpartition("::")[2] for name in outcome.failed] == ["test_fails"]
    assert soak.run_group([str(tests)], tmp_path, tmp_path, 0.0).failed == ["ran out of time"]


def test_the_page_tells_what_was_found() -> None:
    outcomes = {name: soak.Outcome(passed=3, seconds=7.0) for name in soak.GROUPS}
    outcomes["kills"].properties = [("phase", "step"), ("phase", "writing"), ("phase", "step")]
    outcomes["long run"].properties = [("first MB", "300"), ("last MB", "301")]
    outcomes["kills"].failed = ["tests.c::test_goes_on_after_a_kill[2]"]
    outcomes["ranks"].failed = ["tests.b::test_hangs"]
    page = soak.write_page("A machine.", outcomes, Counter(refused=5, works=4))
    assert "A machine." in page
    assert "| ranks | not equal | 3 of 4 | 7 | tests.b::test_hangs |" in page
    told = "9 cases tried: 5 refused, 4 worked"
    assert f"| bad input and numbers | {told} | 3 of 3 | 7 | none |" in page
    assert "| 2 of 3 survived (2 in step, 1 in writing) | 3 of 4 |" in page
    assert "| leaks none: MB 300, then 301, files ?, then ?, threads ?, then ? |" in page
    assert "| resumes to the bit | equal | 3 of 3 |" in page
    assert not re.search(r"[{}]", page)


@pytest.mark.parametrize("group", soak.GROUPS)
def test_what_is_run_is_there(group: str) -> None:
    assert all((soak.ROOT / path).exists() for path in soak.GROUPS[group])
