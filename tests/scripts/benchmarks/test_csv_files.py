"""The benchmark of csv files writes the files that it says."""

import pandas as pd
import pytest

from scripts.benchmarks import csv_files


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
