"""The folder of runs: what stands in its place, and what cannot be made, is told in one line."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Experiment
from transformertf.cli import main
from transformertf.cli.experiment import experiment as name_of
from transformertf.cli.runs import refuse_metrics
from transformertf.cli.yaml_file import YamlFile

Fails = Callable[..., str]


def link(path: Path, target: str) -> None:
    path.symlink_to(target, target_is_directory=True)


def put_a_file() -> None:
    Path("runs").mkdir()
    Path("runs/tiny").write_text("")


IN_THE_WAY: dict[str, Callable[[], object]] = {
    "a file": lambda: Path("runs").write_text(""),
    "a file as experiment": put_a_file,
    "a link to nothing": lambda: link(Path("runs"), "nowhere"),
    "a link to itself": lambda: link(Path("runs"), "runs"),
}


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_folder_is_told(
    kind: str, experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    config = experiment.write(workdir)
    IN_THE_WAY[kind]()
    for words in ((), ("--ckpt_path", "last")):
        told = fails("fit", "--config", config, *words)
        assert told.startswith("error: the folder of runs runs/tiny cannot be used (")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_that_may_not_be_written_to_is_told(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    config = experiment.write(workdir)
    Path("runs").mkdir(mode=0o500)
    assert "cannot be used (Permission denied)" in fails("fit", "--config", config)


@pytest.mark.parametrize("name", ["n" * 300, "é" * 150, "a/b", "..", "a\0b", "$HOME"])
def test_names_that_are_none_leave_nothing(
    name: str, experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    assert "expected a" in fails("fit", "--config", experiment.write(workdir), "-n", name)


@pytest.mark.parametrize("file", ["..yml", "...yml", "a\\b.yml", "${HOME}.yml", "../config.yaml"])
def test_no_configuration_names_a_run_outside_of_runs(
    file: str, experiment: Experiment, workdir: Path, monkeypatch: Any, fails: Fails
) -> None:
    config = experiment.write(workdir)
    if file == "../config.yaml":  # of a run that lies beside the root of all files
        monkeypatch.setattr(os.path, "abspath", lambda _: "/version_0/config.yaml")
        file = "config.yaml"
    config.rename(file)
    assert "give -n NAME" in fails("fit", "--config", file)


def test_a_run_is_gone_on_from_below(
    experiment: Experiment, workdir: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(experiment.checkpoint.parent)
    for path in ("../config.yaml", experiment.checkpoint.parents[1] / "config.yaml"):
        options = argparse.Namespace(name=None, config=[YamlFile(Path(path), b"")])
        assert name_of(options) == "tiny"


def test_a_configuration_may_be_a_pipe(workdir: Path, fails: Fails) -> None:
    end, start = os.pipe()
    with os.fdopen(start, "w") as pipe:
        pipe.write("model: EncoderDecoderLSTM\ndata: {target_covariate: y}\nnothing: 1\n")
    try:
        assert "unknown key 'nothing' in /dev/fd/" in fails("fit", "--config", f"/dev/fd/{end}")
    finally:
        os.close(end)
    piped = argparse.Namespace(name=None, config=[YamlFile(Path("/dev/stdin"), b"")])
    assert name_of(piped) is None


def test_a_pipe_is_not_for_several_processes(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    end, start = os.pipe()
    path = experiment.write(workdir)
    with os.fdopen(start, "w") as pipe:
        pipe.write(path.read_text())
    two = ("--trainer.devices", "2", "-n", "two")
    told = fails("fit", "--config", f"/dev/fd/{end}", *two)
    os.close(end)
    assert "a pipe is read once, and each process of trainer.devices reads it" in told


def test_a_run_that_keeps_nothing_goes_where_runs_is_a_link(
    experiment: Experiment, workdir: Path
) -> None:
    config = str(experiment.write(workdir))
    Path("disk").mkdir()
    link(Path("runs"), "disk")
    assert main(["fit", "--config", config, "--trainer.max_epochs", "0"]) == 0
    assert not list(Path("disk").iterdir())
    assert main(["fit", "--config", config]) == 0
    assert Path("disk/tiny/version_0/checkpoints/last.ckpt").exists()


def test_other_names_beside_the_versions_are_left_alone(
    experiment: Experiment, workdir: Path
) -> None:
    config = str(experiment.write(workdir))
    for name in ("version_²", "version_x", "version_"):
        Path("runs", "tiny", name).mkdir(parents=True)
    assert main(["fit", "--config", config, "--ckpt_path", "last"]) == 0
    assert Path("runs/tiny/version_0/checkpoints/last.ckpt").exists()


@pytest.mark.parametrize("content", [b"time,current\n1,2\n", b"", b"\xff\0", None])
def test_metrics_that_no_fit_wrote_stay(
    content: bytes | None, experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    path = Path("results/metrics.csv")
    path.parent.mkdir()
    path.symlink_to("none.csv") if content is None else path.write_bytes(content)
    logger = "{class_path: CSVLogger, init_args: {save_dir: results, name: '', version: ''}}"
    words = ("fit", "--config", experiment.write(workdir), "--trainer.logger", logger)
    assert f"trainer.logger: would replace {path}, which no fit wrote" in fails(*words)
    assert content is None or path.read_bytes() == content


def test_metrics_of_a_fit_are_replaced(workdir: Path) -> None:
    for header in ("epoch,step,train_loss", "lr,step,epoch"):
        Path("metrics.csv").write_text(f"{header}\n0,1,2\n")
        refuse_metrics(Path("metrics.csv"))
