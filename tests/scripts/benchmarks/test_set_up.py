"""The benchmark of set-up writes what it says, and sets up on it."""

import pytest
import torch

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


def test_the_page_tells_of_the_threads_of_what_is_measured(tmp_path, monkeypatch):
    threads, page = torch.get_num_threads(), tmp_path / "page.md"
    monkeypatch.setattr(set_up, "measure", lambda *_: [0.1, 0.1, 7.0])
    monkeypatch.setattr("sys.argv", ["set_up", "--output", str(page)])
    torch.set_num_threads(2)
    try:
        set_up.main()
    finally:
        torch.set_num_threads(threads)
    assert "; 1 threads; " in page.read_text(encoding="utf-8")
