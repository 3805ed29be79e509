"""Candidates are timed fairly, also in processes of their own.

Those processes import this file, which therefore imports little.
"""

import os
import signal
from pathlib import Path

import pytest
import torch

from scripts.benchmarks.benchmarking import (
    Runner,
    markdown_table,
    peak_memory,
    section_of,
    time_interleaved,
    write_section,
)


def test_candidates_run_in_turns_and_slow_ones_only_in_the_first_rounds():
    ran = []
    candidates = {name: lambda name=name: ran.append(name) for name in "abc"}
    found = time_interleaved(candidates, seconds=60, slow="c", at_least=3, at_most=7)
    assert set(found) == set("abc")
    assert ran[:3] == ["a", "b", "c"]  # warm-up
    assert {name: ran[3:].count(name) for name in "abc"} == {"a": 7, "b": 7, "c": 3}
    for start in range(3, 12, 3):
        assert set(ran[start : start + 3]) == set("abc")


def test_the_least_rounds_are_run_however_long_they_take():
    ran = []
    time_interleaved({"a": lambda: ran.append(1)}, seconds=0, at_least=4)
    assert len(ran) == 1 + 4


def test_the_warm_up_is_not_timed():
    ran = []
    time_interleaved({"a": lambda: ran.append(1)}, seconds=0, at_least=1, warm_up=4)
    assert len(ran) == 4 + 1


class Filling:
    """A run that fills so much memory; made in a process of its own."""

    def __init__(self, megabytes):
        self.megabytes = megabytes

    def __call__(self):
        return torch.ones(self.megabytes * 2**18).sum()

    def describe(self):
        return {"process": os.getpid(), "threads": torch.get_num_threads()}


def allocate(megabytes):
    return Filling(megabytes)


reads_peaks = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="no /proc to read peaks from"
)


@reads_peaks
def test_peak_memory_is_what_the_run_adds():
    own = torch.ones(300 * 2**18)  # what this process holds does not count
    assert 190 < peak_memory(allocate, 200) < 260
    assert own.sum() > 0


@reads_peaks
def test_runners_run_in_processes_of_their_own():
    with Runner(allocate, 200, threads=1) as large, Runner(allocate, 20, threads=2) as small:
        large()
        small()
        assert 190 < large.peak() < 260
        assert small.peak() < 60
        found = [runner.describe() for runner in (large, small)]
        os.kill(found[1]["process"], signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"process of allocate\(20\) has died, exit code -9"):
            small()
    assert [answer["threads"] for answer in found] == [1, 2]
    assert len({os.getpid(), *(answer["process"] for answer in found)}) == 3
    for answer in found:
        with pytest.raises(ProcessLookupError):
            os.kill(answer["process"], 0)


def test_what_fails_in_a_process_is_told():
    with (
        Runner(int, "x", threads=1) as unprepared,  # type: ignore[arg-type]  # to fail
        Runner(allocate, -1, threads=1) as failing,
    ):
        with pytest.raises(RuntimeError, match=r"(?s)^int\('x'\) failed .*ValueError: invalid"):
            unprepared()
        with pytest.raises(RuntimeError, match=r"(?s)^allocate\(-1\) failed .*negative dimension"):
            failing()
        with pytest.raises(RuntimeError, match=r"^the process of allocate\(-1\) has died"):
            failing.peak()


def test_a_table_is_markdown():
    assert markdown_table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |"


def test_a_section_is_replaced_and_the_others_stay(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n## Other\n\ntext\n")
    for title, number in (("## A", 1), ("## B", 2), ("## A", 3), ("## B", 4)):
        write_section(page, f"{title}\n\nnumber {number}\n")
    text = page.read_text()
    assert text == "# Page\n\n## Other\n\ntext\n\n## A\n\nnumber 3\n\n## B\n\nnumber 4\n"
    assert section_of(text, "## A") == "\n## A\n\nnumber 3\n"
    assert section_of(text, "## C") == ""
