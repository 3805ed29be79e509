"""The benchmark scripts measure what they say; how long things take is not asked here."""

from pathlib import Path

import pytest
import ragged_epochs
import torch
from bench_recurrent import DENSITIES, GRID, Case, Result, on_route, summary
from benchmarking import markdown_table, peak_memory, time_interleaved

from transformertf.nn import recurrent
from transformertf.utils.sequence import create_padding_mask


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


def allocate(megabytes):
    """Return a run that fills so much memory; called in a process of its own."""
    return lambda: torch.ones(megabytes * 2**18).sum()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read peaks from")
def test_peak_memory_is_what_the_run_adds():
    own = torch.ones(300 * 2**18)  # what this process holds does not count
    assert 190 < peak_memory(allocate, 200) < 260
    assert own.sum() > 0


def test_a_table_is_markdown():
    assert markdown_table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |"


@pytest.mark.parametrize("density", DENSITIES)
def test_lengths_have_the_named_density_and_a_full_row(density):
    lengths = Case("LSTM", 32, 4000, 200, density).lengths()
    assert lengths.max() == 200
    assert lengths.min() >= 1
    assert abs(float(lengths.float().mean()) / 200 - density) < 0.02
    assert not create_padding_mask(lengths, 200).all()


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_candidates_take_the_route_they_are_named_after(cell, monkeypatch):
    case = Case(cell, 4, 3, 10, 0.5)
    taken = []
    for route in ("plain", "packed", "gated", "segmented"):
        original = getattr(recurrent._RaggedRNN, f"_{route}")

        def noted(self, *arguments, original=original, route=route):
            taken.append(route)
            return original(self, *arguments)

        monkeypatch.setattr(recurrent._RaggedRNN, f"_{route}", noted)
    for name, run in case.candidates().items():
        taken.clear()
        run()
        expected = {"auto": case.chosen(), "full": "plain"}.get(name, name)
        assert taken[0] == expected


def test_a_forced_route_is_left_again():
    rule = recurrent.choose_route
    on_route("gated", lambda: None)()
    assert recurrent.choose_route is rule


def test_the_summary_is_made_of_the_measured_times():
    seconds = {"packed": 8.0, "gated": 1.0, "segmented": 1.5, "auto": 1.1, "full": 1.0}
    text = summary([Result(GRID[0], seconds)])
    assert "7.3 times as fast as packed" in text
    assert "10.0% at most" in text
    assert "1.10 times the full rows" in text


@pytest.fixture(scope="module")
def series_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    ragged_epochs.write_series(folder, 256)
    return folder


def test_the_modes_of_an_epoch_hold_the_same_data(series_folder):
    contexts, padded = {}, {}
    for mode in ragged_epochs.MODES:
        batches = list(ragged_epochs.batches(ragged_epochs.data_module(series_folder, mode), mode))
        rows = torch.cat([batch["series"] for batch in batches])
        assert sorted(rows.tolist()) == list(range(256))
        contexts[mode] = sum(float(batch["encoder_input"].abs().sum()) for batch in batches)
        padded[mode] = ragged_epochs.padded_steps(series_folder, mode)
    assert contexts["trimmed"] == pytest.approx(contexts["padded"])
    assert contexts["ours"] == pytest.approx(contexts["padded"])
    assert padded["padded"] == 256 * ragged_epochs.LONGEST
    assert padded["ours"] < padded["trimmed"] <= padded["padded"]
