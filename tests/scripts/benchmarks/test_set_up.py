"""The benchmark of set-up writes what it says, and sets up on it."""

import pytest

from scripts.benchmarks import set_up
from scripts.benchmarks.data import MANY


@pytest.mark.parametrize("kind", set_up.WRITERS)
def test_a_set_up_of_each_kind_is_timed(tmp_path, kind):
    run = set_up.SetUp(set_up.WRITERS[kind](tmp_path, 3))
    run()
    assert all(0 < seconds < 60 for seconds in run.describe())


def test_the_section_has_a_row_for_each_number():
    text = set_up.write_page("A machine.", 1, [["parquet files", "20", "0.2", "0.1", "5.00", "7"]])
    assert text.startswith(f"{MANY}\n\nWritten by `scripts/benchmarks/set_up.py`. A machine.")
    assert text.endswith("| parquet files | 20 | 0.2 | 0.1 | 5.00 | 7 |\n")
