"""The benchmark of csv files writes the files that it says, and its own section of a page only."""

import pandas as pd
import pytest

from scripts.benchmarks import csv_files
from scripts.benchmarks.data import CSV_FILES


@pytest.mark.parametrize("time", csv_files.TIMES)
def test_files_have_a_time_column_and_numbers(tmp_path, time):
    path = csv_files.write_csv(tmp_path / "run.csv", 700, csv_files.TIMES[time])
    frame = pd.read_csv(path)
    assert list(frame.columns) == ["t", *csv_files.COLUMNS]
    assert len(frame) == 700
    last = {
        "whole numbers": 699,
        "dates": "1970-01-01 00:11:39",
        "day first": "01.01.1970 00:11:39",
    }
    assert frame["t"].iloc[-1] == last[time]


def test_the_section_is_replaced_and_what_is_before_it_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n## Other\n\ntext\n")
    for number in (1, 2):
        csv_files.write_section(page, f"{CSV_FILES}\n\nnumber {number}\n")
        assert (
            page.read_text() == f"# Page\n\n## Other\n\ntext\n\n## Csv files\n\nnumber {number}\n"
        )
