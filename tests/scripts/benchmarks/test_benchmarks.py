"""The benchmark scripts measure what they say; how long things take is not asked here."""

import pytest
import torch

from scripts.benchmarks import candidates, models, ragged_epochs
from scripts.benchmarks.benchmarking import Runner
from scripts.benchmarks.recurrent import DENSITIES, GRID, Case, Result, on_route, summary
from transformertf.nn import recurrent
from transformertf.utils.sequence import create_padding_mask


@pytest.fixture
def subnormals():
    """Undo what candidates set, which in their own processes need not be undone."""
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("subnormals")
@pytest.mark.parametrize("name", candidates.MODELS)
def test_our_candidates_train(name, monkeypatch):
    monkeypatch.setattr(candidates, "BATCH", 2)
    step = models.prepare(name, "cpu", repeats=2)
    assert step.describe()["parameters"] > 1000
    compiled = step.module.model._compiled_call_impl is not None
    assert compiled == name.endswith("-compiled")
    if compiled:
        return  # takes long, and tests of the models do it
    before = [weight.clone() for weight in step.module.parameters()]
    assert step.loss().ndim == 0
    step()
    kept = [*map(torch.equal, before, step.module.parameters())]
    # what would read static features has none to learn from
    assert sum(kept) < 0.2 * len(kept)


@pytest.mark.parametrize("name", candidates.PEERS)
def test_peers_train_where_they_are_installed(name):
    if not models.installed(name):
        pytest.skip(f"{name} is not installed")
    with Runner(models.prepare, name, "cpu", 1, threads=1) as runner:
        runner()
        assert runner.describe()["parameters"] > 50_000


def test_the_page_of_the_models_compares_with_the_reference():
    results = [
        models.Result("xTFT", 0.1, 60_000, 150.4),
        models.Result("LSTM", 0.02, 5_000, 20.0),
        models.Result("pytorch-forecasting", 0.4, 61_000, 220.0),
    ]
    page = models.write_page("A machine.", 2, results, [], ["darts"])
    assert "A machine." in page
    assert "| xTFT | 100.0 | 640 | 4.00 | 60000 | 150 |" in page
    assert "| LSTM | 20.0 | 3200 | - | 5000 | 20 |" in page
    assert "## CUDA\n\nNot measured.\n\nNot installed: darts.\n" in page
    page = models.write_page("A machine.", 2, results[:2], results)
    assert "| xTFT | 100.0 | 640 | - | 60000 | 150 |" in page.split("## CUDA")[0]
    assert "| xTFT | 100.0 | 640 | 4.00 | 60000 | 150 |" in page.split("## CUDA")[1]
    assert "installed" not in page
    assert page.endswith("|\n")


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
