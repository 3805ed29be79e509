"""The data benchmark: its candidates deliver, its page says what was found."""

import importlib.util
import re
from typing import Any

import pytest

from scripts.benchmarks import data as bench_data


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "delivery.parquet"
    return bench_data.write_table(path, 1500, bench_data.COLUMNS, time=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", bench_data.CANDIDATES)
def test_a_candidate_delivers_windows_without_end(table, name):
    if name in bench_data.PEERS and not importlib.util.find_spec(name.replace("-", "_")):
        pytest.skip(f"{name} is not installed")
    run = bench_data.prepare(name, table)
    run()  # 100 batches; there are 21 in an epoch
    run()


def test_our_batches_are_of_the_promised_size(table):
    batch: Any = next(bench_data.our_batches(table))
    assert tuple(batch["encoder_input"].shape) == (64, 168, 7)
    assert tuple(batch["decoder_input"].shape) == (64, 24, 3)


def test_setup_is_timed_against_reading(tmp_path, monkeypatch):
    path = bench_data.write_table(tmp_path / "setup.parquet", 3000, bench_data.SETUP_COLUMNS)
    found = bench_data.measure_setup(path, rounds=1)
    assert next(iter(found)) == "pyarrow reads the file"
    assert len(found) == 5
    assert min(found.values()) > 0


def test_the_page_compares():
    page = bench_data.write_page(
        "A machine.",
        {"transformertf": 320_000.0},
        {"pyarrow reads the file": 2.0, "setup": 3.0},
        {1000: {"mmap": 400.4, "memory": 500.0}, 2000: {"mmap": 401.0}},
        ["darts"],
        10_000_000,
        300,
    )
    assert "| transformertf | 320,000 | 200 |" in page
    assert "| setup | 3.00 | 1.50 |" in page
    assert "| 1,000 | 400 | 500 |" in page
    assert "| 2,000 | 401 | - |" in page
    assert "Not installed: darts." in page
    assert not re.search(r"[{}]", page)
