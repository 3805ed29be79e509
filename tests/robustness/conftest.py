"""Bad input, by list and by Hypothesis: refused in one clear line, or it works.

What is tried is counted, so that `make soak` can tell how much was tried.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import experiment, fails, workdir
from tests.robustness.frames import batches_of, make_frame
from transformertf.batch import Batch

__all__ = ["experiment", "fails", "tried", "workdir"]

# the file that the counts are appended to, by `make soak`
COUNTS = "TRANSFORMERTF_SOAK_COUNTS"


@pytest.fixture(scope="session")
def _counts() -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()
    yield counts
    if COUNTS in os.environ:
        with Path(os.environ[COUNTS]).open("a") as file:
            file.writelines(f"{kind} {number}\n" for kind, number in counts.items())


@pytest.fixture(scope="session")
def tried(_counts: Counter[str]) -> Callable[[str], None]:
    """Count a case, "refused" or "works"; call it once a case, within Hypothesis as well."""

    def count(outcome: str) -> None:
        assert outcome in ("refused", "works")
        _counts[outcome] += 1

    return count


@pytest.fixture(scope="session")
def clean() -> list[Batch]:
    """The batches of a table without a fault."""
    return batches_of(make_frame())
