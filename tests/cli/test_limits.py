"""Limits of the system: one line that names each, and what helps."""

import errno
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset

from tests.cli.conftest import Experiment
from tests.processes import run_apart, run_snippet
from transformertf.cli import main
from transformertf.cli.limits import limit_told
from transformertf.cli.main import COMMANDS
from transformertf.cli.screen import say
from transformertf.errors import InputError


class _Failing(Dataset[int]):
    """A data set whose only item wants what is not there."""

    def __init__(self, fail: Callable[[], Any]) -> None:
        self.fail = fail

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        self.fail()
        return index


def in_worker(fail: Callable[[], Any]) -> Callable[[], Any]:
    """Return what has a worker process do something."""
    loader = DataLoader(
        _Failing(fail), batch_size=None, num_workers=1, multiprocessing_context="fork"
    )
    return lambda: list(loader)


def raises(error: Exception) -> Callable[[], Any]:
    """Return a function that raises an error."""

    def function() -> None:
        raise error

    return function


def ends(number: signal.Signals) -> Callable[[], Any]:
    """Return a function that ends its process by a signal, once its parent knows of it."""

    def function() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), number)

    return function


CASES: list[tuple[str, Callable[[], Any], tuple[str, ...]]] = [
    ("numpy", lambda: np.zeros(2**58),
     ("not enough memory (Unable to allocate", "batch_size", "mmap")),
    ("torch", lambda: torch.zeros(2**55), ("not enough memory (", "batch_size")),
    ("overflow", lambda: torch.empty(2**62, 2**5), ("not enough memory (", "sizes of the model")),
    ("arrow", lambda: pa.allocate_buffer(2**60), ("not enough memory (", "batch_size")),
    ("python", lambda: bytearray(2**60), ("not enough memory (none is left)",)),
    ("device", raises(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")),
     ("not enough memory of the device (CUDA out of memory", "device_resident")),
    ("fork", raises(OSError(errno.ENOMEM, "Cannot allocate memory")), ("not enough memory (",)),
    ("threads", raises(RuntimeError("can't start new thread")), ("ulimit -u",)),
    ("processes", raises(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")),
     ("no further process", "ulimit -u", "num_workers")),
    ("processes of a fit", raises(BlockingIOError(errno.EAGAIN, "unavailable", "runs/x/version_0")),
     ("no further process", "ulimit -u")),
    ("files", raises(OSError(errno.EMFILE, "Too many open files", "a.csv")),
     ("too many open files", str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), "ulimit -n")),
    ("shared files", raises(RuntimeError("received 0 items of ancdata")), ("ulimit -n",)),
    ("shared memory", raises(RuntimeError(
        "unable to write to file </torch_1_2_3>: No space left on device (28)")),
     ("no more shared memory", "/dev/shm", "num_workers to 0")),
    ("lost disk", raises(OSError(errno.EIO, "Input/output error", "a.parquet")),
     ("a.parquet: Input/output error",)),
    ("full", raises(OSError(errno.ENOSPC, "No space left on device", "out.parquet")),
     ("out.parquet cannot be written: No space left on device; make room",)),
    ("worker's array", in_worker(lambda: np.zeros(2**58)),
     ("not enough memory (", "Unable to allocate", "batch_size")),
    ("worker's files", raises(OSError(
        "Caught OSError in DataLoader worker process 0.\nOSError: [Errno 24] Too many")),
     ("too many open files", "ulimit -n")),
    # torch names the signal only where nobody else listens to those of children
    ("killed worker", in_worker(ends(signal.SIGKILL)),
     ("a worker of data.num_workers was ended from outside", "num_workers to 0")),
    ("bus error", in_worker(ends(signal.SIGBUS)), ("/dev/shm", "num_workers to 0")),
    ("broken worker", in_worker(ends(signal.SIGSEGV)), ("was ended from outside", "worker")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fail", "told"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_limit_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fail: Callable[[], Any],
    told: tuple[str, ...],
) -> None:
    monkeypatch.setitem(COMMANDS, "cache", (lambda *_: fail(), ""))
    assert main(["cache"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert all(part in line for part in told), line


@pytest.mark.parametrize(
    "fail",
    [
        raises(RuntimeError("mat1 and mat2 shapes cannot be multiplied")),
        raises(KeyError("memory")),
        raises(OSError("no number")),
    ],
)
def test_what_is_no_limit_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fail: Callable[[], Any]
) -> None:
    monkeypatch.setitem(COMMANDS, "cache", (lambda *_: fail(), ""))
    assert main(["cache"]) == 1
    assert "please report it" in capsys.readouterr().err


def test_a_mistake_that_a_worker_meets_is_told_without_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail = in_worker(raises(InputError("a.parquet: changed; run again")))
    monkeypatch.setitem(COMMANDS, "cache", (lambda *_: fail(), ""))
    assert main(["cache"]) == 2
    assert capsys.readouterr().err == "error: a.parquet: changed; run again\n"


def test_a_limit_behind_another_error_is_told() -> None:
    error = AttributeError("while it was tidied up")
    error.__context__ = MemoryError()
    assert "not enough memory" in str(limit_told(error))
    error.__suppress_context__ = True
    assert limit_told(error) is None


def command_without(streams: tuple[int, ...], words: list[str]) -> None:
    """Run a command as a process that begins without some of its streams."""
    for number in streams:
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    code = main(words)
    # what is opened from here on must not take their place
    opened = os.open(os.devnull, os.O_RDONLY)
    sys.exit(code if opened > 2 else 99)


@pytest.mark.parametrize("streams", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_a_closed_stream_takes_all(tmp_path: Path, streams: tuple[int, ...]) -> None:
    assert run_apart(command_without, streams, ["cache"], folder=tmp_path).returncode == 0
    assert run_apart(command_without, streams, ["cach"], folder=tmp_path).returncode == 2


FULL = """
import os, sys
os.dup2(os.open("/dev/full", os.O_WRONLY), {number})
sys.stdout = open(1, "w", closefd=False)
from tests.cli.conftest import Experiment
from tests.processes import run_apart, run_snippet
from transformertf.cli import main
sys.exit(main(["{word}"]))
"""


@pytest.mark.parametrize(
    ("number", "word", "code"), [(1, "cache", 2), (2, "cache", 0), (2, "cach", 2)]
)
def test_results_that_cannot_be_shown_are_told_and_hints_are_not_missed(
    tmp_path: Path, number: int, word: str, code: int
) -> None:
    ended = run_snippet(FULL.format(number=number, word=word), tmp_path)
    assert ended.returncode == code
    if number == 1:
        assert ended.stderr.startswith("error: standard output")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_a_console_shows_what_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str
) -> None:
    def show(*_: object) -> None:
        say("Übergröße")
        print("┏━━ 3…4 \udce9")

    monkeypatch.setitem(COMMANDS, "cache", (show, ""))
    with (
        (tmp_path / "out").open("w", encoding=encoding) as out,
        (tmp_path / "err").open("w", encoding=encoding) as err,
    ):
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert main(["cache"]) == 0
        assert out.errors == "strict"
    assert "3" in (tmp_path / "out").read_text(encoding)
    assert (tmp_path / "err").read_text(encoding).endswith("e\n")


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Lets files grow to so many bytes only."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("words", "size", "named", "left"),
    [
        ("predict --origin all --data.predict_df_paths {root}/a.parquet "
         "--output forecasts.parquet", 2000, "forecasts.parquet", []),
        ("evaluate --no-plots --output evaluation", 2000, "evaluation/forecasts.parquet", []),
        ("evaluate --no-plots --output evaluation", 6000, "evaluation/by_step.parquet",
         ["evaluation", "evaluation/forecasts.parquet", "evaluation/metrics.json"]),
    ],
)  # fmt: skip
def test_a_disk_that_fills_up_is_named_and_keeps_nothing_half_written(
    experiment: Experiment,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    small_disk: Callable[[int], None],
    words: str,
    size: int,
    named: str,
    left: list[str],
) -> None:
    command = words.format(root=experiment.root).split()
    small_disk(size)
    code = main([*command, "--ckpt_path", str(experiment.checkpoint), "--trainer.accelerator=cpu"])
    small_disk(resource.RLIM_INFINITY)
    told = capsys.readouterr().err
    assert code == 2, told
    assert f"{named} cannot be written: File too large; make room" in told
    assert [str(path.relative_to(workdir)) for path in sorted(workdir.rglob("*"))] == left


def test_a_log_that_cannot_be_written_names_the_run(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def save(_: CSVLogger) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CSVLogger, "save", save)
    assert main(["fit", "--config", str(experiment.write(workdir))]) == 2
    assert "error: runs/tiny/version_0 cannot be written: No space left" in capsys.readouterr().err


def test_a_checkpoint_in_a_folder_that_is_no_unicode_is_evaluated(
    experiment: Experiment, workdir: Path
) -> None:
    folder = workdir / os.fsdecode(b"sub\xe9")
    folder.mkdir()
    place = folder / "last.ckpt"
    place.write_bytes(experiment.checkpoint.read_bytes())
    words = ["--no-plots", "--trainer.accelerator=cpu"]
    assert main(["evaluate", "--ckpt_path", str(place), *words]) == 0
    found = json.loads((workdir / "evaluation/metrics.json").read_text("utf-8"))
    assert found["settings"]["checkpoint"] == str(place)
