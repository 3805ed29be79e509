"""Signals, full disks and failures in the middle of a fit: what is kept, and what is said."""

import errno
import os
import pty
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import Experiment
from tests.cli.test_resume import stop_once
from tests.processes import run_apart
from tests.runs import content_of, last
from transformertf.callbacks import LastCheckpoint
from transformertf.checkpoint import new_token, part_of
from transformertf.cli import main
from transformertf.cli.main import COMMANDS
from transformertf.models import ForecastModule


@pytest.fixture(autouse=True)
def can_be_interrupted() -> Iterator[None]:
    """Python's own handler: a shell's background job begins with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fit(config: Path, *words: str) -> int:
    return main(["fit", "--config", str(config), *words])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_the_step_and_leaves(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    listened = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(which) for which in listened]
    stop_once(monkeypatch, "step", number)
    assert fit(experiment.write(workdir)) == 130
    told = capfd.readouterr().err
    assert "stopping after this step, with a checkpoint; once more stops at once" in told
    assert (
        "checkpoints: runs/tiny/version_0/checkpoints (best.ckpt, epoch=0-step=6.ckpt, last.ckpt)"
        in told
    )
    assert "interrupted; go on with --ckpt_path last" in told
    assert "Traceback" not in told
    assert content_of(last("tiny", 0))["global_step"] == 6 + 2
    assert [signal.getsignal(which) for which in listened] == before


def test_the_second_signal_stops_at_once(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = ForecastModule.training_step

    def insist(self: ForecastModule, *arguments: Any) -> torch.Tensor:
        if self.global_step == 8:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    monkeypatch.setattr(ForecastModule, "training_step", insist)
    assert fit(experiment.write(workdir)) == 130
    assert content_of(last("tiny", 0))["global_step"] == 6


def hang_up() -> None:
    """Lose the terminal while a command runs, and be told of it twice."""
    terminal, own = pty.openpty()
    os.dup2(own, 1)
    os.close(own)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115

    def command(*_: object) -> None:
        os.close(terminal)
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            os.write(1, b"to nobody")

    COMMANDS["cache"] = (command, "")
    sys.exit(main(["cache"]))


def test_a_lost_terminal_interrupts_once(tmp_path: Path) -> None:
    ended = run_apart(hang_up, folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


def test_where_hanging_up_is_ignored_a_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setitem(COMMANDS, "cache", (command, ""))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["cache"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("moment", ["reading", "sanity", "step"])
def test_before_the_first_step_there_is_nothing_to_keep(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: str,
) -> None:
    cls, name = {
        "reading": (type(experiment_data()), "setup"),
        "sanity": (ForecastModule, "validation_step"),
        "step": (ForecastModule, "training_step"),
    }[moment]
    original = getattr(cls, name)

    def send(self: Any, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        if moment == "step":
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    monkeypatch.setattr(cls, name, send)
    assert fit(experiment.write(workdir)) == 130
    assert not Path("runs").exists()
    assert "Traceback" not in capsys.readouterr().err


def experiment_data() -> Any:
    from transformertf.data import EncoderDecoderDataModule

    return EncoderDecoderDataModule("target", "known")


@pytest.fixture
def scontrol(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for SLURM's command, which notes what it is asked."""
    asked = workdir / "asked"
    command = workdir / "bin" / "scontrol"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" > {asked}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    return asked


@pytest.mark.parametrize("moment", ["step", "validation", "epoch"])
def test_slurms_notice_keeps_the_step_and_requeues_the_job(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scontrol: Path,
    moment: str,
) -> None:
    config = experiment.write(workdir)
    with monkeypatch.context() as patch:
        stop_once(patch, moment, signal.SIGUSR1, epoch=0)
        assert fit(config, "--ckpt_path", "last") == 130
    assert scontrol.read_text() == "requeue 123\n"
    assert "job 123 is requeued" in capsys.readouterr().err
    # what the job does when it runs again
    assert fit(config, "--ckpt_path", "last") == 0
    whole = torch.load(experiment.checkpoint, weights_only=True)["state_dict"]
    found = content_of(last("tiny", 1))["state_dict"]
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_a_fit_that_ends_is_not_requeued(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch, scontrol: Path
) -> None:
    stop_once(monkeypatch, "epoch", signal.SIGUSR1)  # in the last one
    assert fit(experiment.write(workdir)) == 0
    assert not scontrol.exists()


def test_without_slurm_nothing_is_requeued(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "120")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("PATH", str(workdir))
    stop_once(monkeypatch, "step", signal.SIGUSR1, epoch=0)
    assert fit(experiment.write(workdir)) == 130
    assert "job 120_3 is not requeued" in capsys.readouterr().err


class OwnError(RuntimeError):
    """Not one of the user's."""


def fail_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    step = ForecastModule.training_step

    def fail(self: ForecastModule, *arguments: Any) -> torch.Tensor:
        if self.global_step == at:
            raise OwnError
        return step(self, *arguments)

    monkeypatch.setattr(ForecastModule, "training_step", fail)


@pytest.mark.parametrize(
    ("every", "kept"), [("2", 10), ("3", 9), ("1h", 6), ("null", 6), ("1us", 11)]
)
def test_checkpoints_within_an_epoch(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    every: str,
    kept: int,
) -> None:
    fail_at(monkeypatch, 11)
    assert fit(experiment.write(workdir), "--checkpoint_every", every) == 1
    assert "best.ckpt, epoch=0-step=6.ckpt, last.ckpt" in capsys.readouterr().err
    assert content_of(last("tiny", 0))["global_step"] == kept


@pytest.mark.parametrize("every", ["soon", "0s", "-1h", "0", "-3", "1.5", "[1]", "NaT"])
def test_checkpoints_at_no_time_are_refused(
    experiment: Experiment, workdir: Path, fails: Any, every: str
) -> None:
    experiment.write(workdir)
    words = ("fit", "--config", "tiny.yml", f"--checkpoint_every={every}")
    assert "checkpoint_every" in fails(*words)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk that has no room for the checkpoint after the first whole epoch and two steps."""
    save = LastCheckpoint._save
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self: LastCheckpoint, trainer: Any) -> None:
        if trainer.global_step == 8:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        save(self, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "_save", fill)
        yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_told_and_leaves_the_checkpoint_before(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(experiment.write(workdir), "--checkpoint_every", "2") == 2
    told = capsys.readouterr().err
    assert "last.ckpt: the checkpoint cannot be written (File too large)" in told
    assert "Traceback" not in told
    assert content_of(last("tiny", 0))["global_step"] == 6
    assert {path.name for path in Path("runs/tiny/version_0/checkpoints").iterdir()} == {
        "best.ckpt",
        "last.ckpt",
        "epoch=0-step=6.ckpt",
    }


def test_the_best_checkpoint_is_taken_along(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # from the second epoch on it only gets worse
    config = experiment.write(workdir, lambda tree: tree["optimizer"]["init_args"].update(lr=0.3))
    words = ("--trainer.max_epochs", "4", "--data.shuffle", "false")
    assert fit(config, "-n", "whole", *words) == 0
    (best,) = Path("runs/whole/version_0/checkpoints").glob("epoch=*")
    assert best.name != "epoch=3-step=24.ckpt"
    with monkeypatch.context() as patch:
        stop_once(patch, "step", epoch=3)
        assert fit(config, "-n", "parts", *words) == 130
    assert fit(config, "-n", "parts", "--ckpt_path", "last", *words) == 0
    for version in (0, 1):
        names = {path.name for path in Path(f"runs/parts/version_{version}/checkpoints").iterdir()}
        assert names == {best.name, "best.ckpt", "last.ckpt"}
    wanted = torch.load(best, weights_only=True)["state_dict"]
    for own in (best.name, "best.ckpt"):
        path = Path("runs/parts/version_1/checkpoints", own)
        found = torch.load(path, weights_only=True)["state_dict"]
        assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_best_checkpoint_that_is_gone_is_told(
    experiment: Experiment,
    workdir: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = experiment.write(workdir)
    assert fit(config) == 0
    (best,) = Path("runs/tiny/version_0/checkpoints").glob("epoch=*")
    best.unlink()
    assert fit(config, "--ckpt_path", "last", "--trainer.max_epochs", "3") == 0
    assert f"{best.resolve()} is no checkpoint: the best one counts from here" in caplog.text
    assert list(Path("runs/tiny/version_1/checkpoints").glob("epoch=2*"))


def test_other_batches_within_an_epoch_are_told(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = experiment.write(workdir)
    with monkeypatch.context() as patch:
        stop_once(patch, "step")
        assert fit(config) == 130
    assert fit(config, "--ckpt_path", "last", "--data.batch_size", "20") == 0
    assert "resumed within epoch 1 with other batches: 85 windows, 20 a batch" in caplog.text
    assert fit(config, "--ckpt_path", "last", "--trainer.max_epochs", "3") == 0


def test_a_forecast_that_is_ended_leaves_nothing_behind(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = ForecastModule.predict_step

    def send(self: ForecastModule, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ForecastModule, "predict_step", send)
    data = str(experiment.root / "a.parquet")
    words = ["--origin", "all", "--data.batch_size", "4", "--data.predict_df_paths", data]
    assert main(["predict", "--ckpt_path", str(experiment.checkpoint), *words]) == 130
    assert list(workdir.iterdir()) == []
    assert "interrupted" in capsys.readouterr().err


def test_a_full_disk_for_other_files_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "metrics.csv")

    monkeypatch.setitem(COMMANDS, "fit", (write, ""))
    assert main(["fit"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: metrics.csv cannot be written: No space left on device; ")


def test_other_errors_of_the_system_are_failures_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setitem(COMMANDS, "fit", (read, ""))
    assert main(["fit"]) == 1
    assert "this is a failure of transformertf" in capsys.readouterr().err


@pytest.mark.parametrize("starts_anew", [False, True])
def test_what_a_killed_fit_left_unfinished_is_swept(
    experiment: Experiment, workdir: Path, starts_anew: bool
) -> None:
    config = experiment.write(workdir)
    assert fit(config) == 0
    parts = [Path("runs/tiny/version_0", name) for name in ("checkpoints", "plots")]
    parts = [part_of(folder / "a", new_token()) for folder in parts]
    for part in parts:
        part.write_bytes(b"half")
    if starts_anew:
        Path("runs/tiny/version_0/checkpoints/last.ckpt").unlink()
    assert fit(config, "--ckpt_path", "last", "--trainer.max_epochs", "3") == 0
    assert not any(part.exists() for part in parts)
