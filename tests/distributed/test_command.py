"""The commands on several processes: what they write and say, and how they end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.cli.conftest import make_frame
from tests.depth import long, takes_long
from tests.runs import content_of, last
from transformertf.cli import main
from transformertf.plots import can_plot

LIMIT = 120.0
LOST = "error: a process of this run ended unexpectedly"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with data and a configuration."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, rows in (("train", 60), ("val", 37)):
        make_frame(rows, rows).to_parquet(f"{name}.parquet")
    config: dict[str, Any] = {
        "model": {
            "class_path": "EncoderDecoderLSTM",
            "init_args": {"d_encoder": 6, "d_decoder": 6, "dropout": 0.0},
        },
        "optimizer": {"class_path": "Adam", "init_args": {"lr": 0.01, "eps": 1e-4}},
        "data": {
            "class_path": "EncoderDecoderDataModule",
            "init_args": {
                "target_covariate": "target",
                "known_covariates": ["known"],
                "train_df_paths": "train.parquet",
                "val_df_paths": "val.parquet",
                "ctxt_seq_len": 8,
                "tgt_seq_len": 4,
                "dtype": "float64",
                "batch_size": 8,
            },
        },
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    }
    if can_plot():  # by the first process alone, while the others wait for it
        config["trainer"]["callbacks"] = [
            {"class_path": "transformertf.callbacks.ForecastPlots", "init_args": {"panels": 1}}
        ]
    Path("lstm.yml").write_text(yaml.safe_dump(config))
    return tmp_path


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start commands in processes of their own, none of which is left behind."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT)


def fit_words(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "transformertf", "fit", "--config", "lstm.yml", *words)


def weights(path: Path) -> np.ndarray:
    state = content_of(path)["state_dict"]
    return np.concatenate([value.flatten().numpy() for value in state.values()])


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs_still(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] not in "ZX"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def assert_equal_runs(one: str, other: str) -> None:
    left, right = (pd.read_csv(f"runs/{name}/version_0/metrics.csv") for name in (one, other))
    pd.testing.assert_frame_equal(left, right, rtol=1e-6)
    np.testing.assert_allclose(weights(last(one)), weights(last(other)), rtol=1e-6, atol=1e-9)


def test_two_processes_leave_the_run_of_one(
    folder: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(*fit_words("--trainer.devices", "2", "-n", "two"))
    told = process.communicate(timeout=LIMIT)[0]
    assert process.returncode == 0, told
    assert main(["fit", "--config", "lstm.yml", "-n", "one", "--data.batch_size", "16"]) == 0
    assert_equal_runs("two", "one")
    assert [path.name for path in Path("runs/two").iterdir()] == ["version_0"]
    assert told.count("run: ") == told.count("checkpoints: ") == 1
    names = [
        {path.relative_to(f"runs/{name}").parts[1] for path in Path(f"runs/{name}").rglob("*.*")}
        for name in ("one", "two")
    ]
    events = re.compile("events.*")
    assert {events.sub("events", name) for name in names[0]} == {
        events.sub("events", name) for name in names[1]
    }
    # a checkpoint is that of one process
    assert main(["validate", "-n", "two", "--ckpt_path", "last"]) == 0
    more = ["fit", "--config", "lstm.yml", "--data.batch_size", "16", "--trainer.max_epochs", "3"]
    for name in ("one", "two"):
        assert main([*more, "-n", name, "--ckpt_path", "last"]) == 0
    np.testing.assert_allclose(weights(last("one", 1)), weights(last("two", 1)), rtol=1e-6)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("victim", [long("first"), "second"])
def test_a_process_that_is_killed_ends_the_others(
    victim: str, folder: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    endless = ("--trainer.max_epochs", "100000", "--checkpoint_every", "5")
    process = start(*fit_words("--trainer.devices", "2", *endless))
    wait_for(last("lstm").exists)
    (child,) = children_of(process.pid)
    os.kill(process.pid if victim == "first" else child, signal.SIGKILL)
    told = process.communicate(timeout=LIMIT)[0]
    assert process.returncode == (-signal.SIGKILL if victim == "first" else 1)
    assert told.count(LOST) == 1, told
    assert "--ckpt_path last" in told
    assert "Traceback" not in told
    wait_for(lambda: not runs_still(child))
    steps = content_of(last("lstm"))["global_step"]
    more = ["--ckpt_path", "last", "--data.batch_size", "16", "--trainer.max_epochs", "-1"]
    more += ["--trainer.max_steps", str(steps + 3)]
    assert main(["fit", "--config", "lstm.yml", *more]) == 0
    assert content_of(last("lstm", 1))["global_step"] == steps + 3


@takes_long
def test_a_mistake_that_all_processes_meet_is_told_once(
    folder: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    stopping = "{class_path: EarlyStopping, init_args: {monitor: val_loss}}"
    process = start(*fit_words("--trainer.devices", "2", "--trainer.callbacks", f"[{stopping}]"))
    told = process.communicate(timeout=LIMIT)[0]
    assert process.returncode == 2, told
    assert told.count("error: ") == 1
    assert "val_loss" in told
    assert "Traceback" not in told


@takes_long
def test_two_machines_leave_the_run_of_one(
    folder: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    command = (
        "--nnodes 2 --node-rank {rank} --nproc-per-node 1 --master-addr 127.0.0.1 "
        "--master-port {port} -m transformertf fit --config lstm.yml --trainer.num_nodes 2 -n two"
    )
    port = free_port()
    machines = [
        start(*torchrun, *command.format(rank=rank, port=port).split()) for rank in range(2)
    ]
    told = [machine.communicate(timeout=LIMIT)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], told
    assert main(["fit", "--config", "lstm.yml", "-n", "one", "--data.batch_size", "16"]) == 0
    assert_equal_runs("two", "one")
    assert [path.name for path in Path("runs/two").iterdir()] == ["version_0"]
    assert "run: " in told[0]
    assert "run: " not in told[1]


def test_processes_the_trainer_does_not_know_of_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["fit", "--config", "lstm.yml"]) == 2
    told = capsys.readouterr().err
    assert "2 processes were started, but the trainer is set to one" in told
    assert not Path("runs").exists()
