"""Break things for long, and tell in one table what held: `make soak`, ten minutes and more.

Runs the tests of resuming, kills, ranks, bad input and long runs, with more kills, longer searches
and 10,000 steps, and writes `docs/benchmarks/reliability.md`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarks.benchmarking import describe_machine, markdown_table

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "docs" / "benchmarks" / "reliability.md"
LIMIT = 3600.0  # seconds for everything
GROUPS = {
    "bad input and numbers": ["tests/robustness", "tests/cli/test_mistakes.py",
                              "tests/data/test_mistakes.py"],
    "kills": ["tests/robustness/test_kills.py", "tests/checkpoint/test_writing.py"],
    "resumes to the bit": ["tests/cli/test_resume.py", "tests/cli/test_stopping.py"],
    "ranks": ["tests/distributed"],
    "long run": ["tests/robustness/test_long_run.py"],
}  # fmt: skip
# of the folder of bad input: what other groups run
ELSEWHERE = ["tests/robustness/test_kills.py", "tests/robustness/test_long_run.py"]

PAGE = """\
# Reliability

{machine}

{table}

`python -m scripts.benchmarks.soak` (`make soak`) breaks things for long and writes this page. The
suite runs the same tests with fewer kills, shorter searches and fewer steps.

- **Kills**: SIGKILL at seeded moments; `fit --ckpt_path last` then ends with the weights of an
  undisturbed fit, and no part of a file is left.
- **Resumes**: fits of every model, stopped by a signal in a step, in a validation, at the end of an
  epoch, resumed, and compared with one that was not: weights, optimizer, schedulers, random states,
  the order of the windows and the logged metrics, all to the bit. Every pair of random lengths,
  bucketing, workers, gradient accumulation, precision, scheduler and moment is covered.
- **Ranks**: two processes against one, by gloo on CPU.
- **Bad input**: frames, files, configurations, lengths, checkpoints, numbers: refused in one line
  with exit code 2 and nothing left behind, or it works.
- **Long run**: 10,000 steps with validations and checkpoints, measured after the first tenth and at
  the end; no temporary file is left.
"""


@dataclass
class Outcome:
    """What a group of tests gave.

    Attributes:
        passed: tests that passed.
        failed: names of those that did not.
        skipped: tests that were skipped.
        seconds: they took.
        properties: (name, value) that tests recorded.
    """

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: int = 0
    seconds: float = 0.0
    properties: list[tuple[str, str]] = field(default_factory=list)


def run_group(paths: Sequence[str], folder: Path, counts: Path, seconds: float) -> Outcome:
    """Run the tests of some files, on two processes.

    Args:
        paths: of tests.
        folder: for the report.
        counts: file to which tests of bad input add what they tried.
        seconds: after which to stop.
    """
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    words = [*paths, *(f"--ignore={path}" for path in ELSEWHERE if path not in paths)]
    own = {"TRANSFORMERTF_SOAK": "1", "TRANSFORMERTF_SOAK_COUNTS": str(counts)}
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "--hypothesis-profile", "soak",
             f"--junitxml={report}", "-o", "junit_family=xunit1", *words],
            cwd=ROOT, env={**os.environ, **own}, timeout=seconds, check=False,
        )  # fmt: skip
        problem = None if done.returncode in (0, 1) else f"pytest ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        problem = "ran out of time"
    outcome = read_report(report) if report.exists() else Outcome()
    outcome.seconds = time.monotonic() - begun
    if problem is not None:
        outcome.failed.append(problem)
    return outcome


def read_report(path: Path) -> Outcome:
    """Return what a JUnit report tells."""
    outcome = Outcome()
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = {item.tag for item in case}
        if kinds & {"failure", "error"}:
            outcome.failed.append(f"{case.get('classname')}::{case.get('name')}")
        elif "skipped" in kinds:
            outcome.skipped += 1
        else:
            outcome.passed += 1
        outcome.properties += [
            (str(item.get("name")), str(item.get("value"))) for item in case.iter("property")
        ]
    return outcome


def read_counts(path: Path) -> Counter[str]:
    """Return how many cases of bad input were refused, and how many worked."""
    counts: Counter[str] = Counter()
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, _, number = line.partition(" ")
            counts[kind] += int(number)
    return counts


def write_page(machine: str, outcomes: dict[str, Outcome], counts: Counter[str]) -> str:
    """Return the page."""
    found = {name: "not equal" if outcome.failed else "equal" for name, outcome in outcomes.items()}
    found |= {
        "kills": _kills(outcomes["kills"]),
        "bad input and numbers": f"{counts['refused'] + counts['works']} cases tried: "
        f"{counts['refused']} refused, {counts['works']} worked",
        "long run": _leaks(outcomes["long run"]),
    }
    rows = [
        [name, found[name], f"{outcome.passed} of {outcome.passed + len(outcome.failed)}",
         f"{outcome.seconds:.0f}", ", ".join(outcome.failed) or "none"]
        for name, outcome in outcomes.items()
    ]  # fmt: skip
    table = markdown_table(["", "found", "tests held", "seconds", "failed"], rows)
    return PAGE.format(machine=machine, table=table)


def _kills(outcome: Outcome) -> str:
    phases = Counter(value for name, value in outcome.properties if name == "phase")
    lost = sum("after_a_kill" in name for name in outcome.failed)
    places = ", ".join(f"{number} in {phase}" for phase, number in phases.items())
    return f"{phases.total() - lost} of {phases.total()} survived ({places})"


def _leaks(outcome: Outcome) -> str:
    figures = dict(outcome.properties)
    grown = ", ".join(
        f"{name} {figures.get(f'first {name}', '?')}, then {figures.get(f'last {name}', '?')}"
        for name in ("MB", "files", "threads")
    )
    return f"leaks {'found' if outcome.failed else 'none'}: {grown}"


def main() -> int:
    """Run all groups, print the page and write it; 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="groups to run; no page then")
    arguments = parser.parse_args()
    outcomes, end = {}, time.monotonic() + LIMIT
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts")
        for name in arguments.only or GROUPS:
            print(f"{name} ...", flush=True)
            left = end - time.monotonic()
            outcomes[name] = run_group(GROUPS[name], Path(folder), counts, left)
        tried = read_counts(counts)
    if arguments.only is None:
        page = write_page(describe_machine("lightning", "hypothesis"), outcomes, tried)
        print(page)
        arguments.output.write_text(page, encoding="utf-8")
    for name, outcome in outcomes.items():
        for failed in outcome.failed:
            print(f"failed, {name}: {failed}", file=sys.stderr)
    return int(any(outcome.failed for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
