"""runs: the table of what fits left behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.cli.conftest import Experiment
from transformertf.cli import main
from transformertf.places import lock

Fails = Callable[..., str]


def make_run(
    name: str, version: int, settings: Any, record: dict[str, Any], kept: bool = True
) -> Path:
    """Leave what a fit leaves, less the weights."""
    folder = Path("runs", name, f"version_{version}")
    (folder / "checkpoints").mkdir(parents=True)
    if kept:
        (folder / "checkpoints" / "last.ckpt").write_bytes(b"")
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    if record:
        (folder / "run.json").write_text(json.dumps(record))
    return folder


def settings(width: int, rate: float) -> dict[str, Any]:
    model = {"class_path": "a.b.LSTM", "init_args": {"d_model": width, "num_layers": 3}}
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": rate}}
    return {"model": model, "optimizer": optimizer, "seed_everything": 42}


@pytest.fixture
def three(workdir: Path) -> None:
    """Three runs of two experiments."""
    best = {"epoch": 2, "validation/loss": 0.25, "validation/MAE": 1.5}
    record = {"state": "done", "epochs": 3, "best": best, "seconds": 3723.4}
    make_run("a", 0, settings(16, 1e-3), record)
    parent = "runs/a/version_0/checkpoints/last.ckpt"
    better = {**best, "validation/MAE": 0.5}
    record = {"state": "failed", "epochs": 5, "best": better, "parent": parent}
    make_run("a", 1, settings(16, 1e-5), record)
    make_run("b", 0, settings(32, 1e-3), {}, kept=False)


def table(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    capsys.readouterr()
    assert main(["runs", *words]) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_the_table_says_what_differs(three: None, capsys: pytest.CaptureFixture[str]) -> None:
    heading, _, *rows = table(capsys)
    names = ["run", "state", "epochs", "best", "loss", "MAE", "time", "settings", "from"]
    assert heading.split() == names
    assert rows[0].split() == [
        *("a/version_0", "done", "3", "2", "0.2500", "1.500", "1:02:03"),
        *("d_model", "16,", "lr", "0.001"),
    ]
    assert rows[1].split()[-5:] == ["d_model", "16,", "lr", "1e-05", "a/version_0"]
    assert rows[2].split() == ["b/version_0", "nothing", "kept", "d_model", "32,", "lr", "0.001"]
    # of one experiment the width is the same
    assert [row.split()[-2:] for row in table(capsys, "a")[2:3]] == [["lr", "0.001"]]


def test_sorting_and_json(three: None, capsys: pytest.CaptureFixture[str]) -> None:
    for metric in ("MAE", "validation/MAE"):
        rows = table(capsys, "--sort", metric)[2:]
        assert [row.split()[0] for row in rows] == ["a/version_1", "a/version_0", "b/version_0"]
    assert main(["runs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["state"] for run in found] == ["done", "failed", "nothing kept"]
    assert found[0]["settings"]["optimizer.init_args.lr"] == 1e-3
    assert found[1]["best"]["validation/MAE"] == 0.5


def test_states_without_a_word(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = {"state": "running"}
    for version, record in enumerate((running, running, {}, {})):
        make_run("a", version, {}, record)
    for damaged in ("run.json", "config.yaml"):
        Path("runs/a/version_3", damaged).write_bytes(b"\xff{")
    # as long as a fit goes on it has its folder locked; one that was killed has not
    with lock(Path("runs/a/version_1/.running"), wait=False):
        words = [row.split()[1] for row in table(capsys)[2:]]
    assert words == ["interrupted", "running", "unknown", "unknown"]


def test_a_fit_leaves_its_record(experiment: Experiment, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(experiment.root)
    capsys.readouterr()
    assert main(["runs", "tiny", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["run"], run["state"], run["epochs"]) == ("tiny/version_0", "done", 2)
    assert run["steps"] > 0
    assert run["seconds"] > 0
    assert run["parent"] is None
    assert run["settings"]["model.init_args.d_encoder"] == 6
    assert run["monitor"] == "validation/loss"
    folder = experiment.checkpoint.parents[1]
    logged = pd.read_csv(folder / "metrics.csv").groupby("epoch").max()
    epoch = int(logged["validation/loss"].to_numpy().argmin())
    assert run["best"]["epoch"] == epoch + 1
    for name in ("validation/loss", "validation/MAE"):
        assert run["best"][name] == pytest.approx(logged[name].iloc[epoch], rel=1e-6)
    assert not list(folder.glob(".running*"))


def test_records_that_no_fit_wrote(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"state": [], "epochs": "3", "seconds": {}, "best": {"MAE": "low"}, "parent": 1}
    make_run("a", 0, {}, wrong)
    make_run("a", 1, [1, {"a": None}], {"best": [1]})
    rows = [row.split() for row in table(capsys)[2:]]
    assert rows == [["a/version_0", "unknown"], ["a/version_1", "unknown"]]


def test_mistakes(workdir: Path, fails: Fails, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert "no runs in" in capsys.readouterr().err
    make_run("prices", 0, {}, {"best": {"epoch": 1, "validation/MAE": 1.0}})
    assert "no run of 'price' in" in fails("runs", "price")
    assert "--sort RSME: no run has it" in fails("runs", "--sort", "RSME")
    assert "unknown argument '--epochs'" in fails("runs", "--epochs")


def test_torch_is_not_imported(workdir: Path) -> None:
    code = "import sys; from transformertf.cli import main; assert main(['runs']) == 0; "
    code += "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
