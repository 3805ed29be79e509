"""How a process begins, what it keeps, and whom it writes to."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from transformertf.cli import main

STEPS = """
import resource, sys
import torch
from transformertf.cli.ranks import fast_process

def step():
    pieces = [torch.ones(2**21) for _ in range(8)]  # of 8 MB each

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

torch.set_num_threads(1)
with fast_process():
    assert float(torch.tensor([1e-40]) * 1) == 0, "subnormal numbers are kept"
    for _ in range(3):
        step()
    before = faults()
    for _ in range(10):
        step()
    print(faults() - before)
assert float(torch.tensor([1e-40]) * 1) > 0
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is there on Linux")
def test_freed_memory_is_found_again_and_subnormals_are_zero():
    found = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    pages = 10 * 8 * 2**23 / resource.getpagesize()
    assert int(found.stdout) < pages / 10


def test_a_reader_that_stops_reading_is_no_failure() -> None:
    command = f"{sys.executable} -m transformertf fit --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "1")


QUICK = """
import sys
from transformertf.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as error:
    code = error.code
print(code, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("--help", 0, "train a model"),
        ("--version", 0, "0.1"),
        ("fitt", 2, "no command 'fitt'; did you mean 'fit'?"),
        ("predict --output", 2, "argument --output: expected one argument"),
        ("fit --config nowhere.yml", 2, "--config nowhere.yml: no such file"),
        ("fit --config broken.yml", 2, "--config broken.yml: not valid YAML"),
    ],
)
def test_help_and_mistakes_do_not_wait_for_torch(
    tmp_path: Path, words: str, code: int, told: str
) -> None:
    (tmp_path / "broken.yml").write_text("model: {class_path: [")
    done = subprocess.run(
        [sys.executable, "-c", QUICK, *words.split()],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert told in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{code} False"


def test_an_interruption_while_torch_is_imported_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "my.yml").write_text("model: EncoderDecoderLSTM")
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "transformertf", "fit", "--config", "my.yml"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stderr is not None
        # of what torch imports among the first
        next(line for line in process.stderr if line.split("|")[-1].strip().startswith("torch."))
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        told = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == 130
    assert told == ["interrupted\n"]  # there is nothing yet to go on with


@pytest.mark.parametrize("command", [["fit", "--config", "a.yml"], ["cache"], ["predict"]])
def test_a_working_folder_that_is_gone_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: the working folder is gone (No such file or directory); change")
    assert told.count("\n") == 1


def test_a_system_that_takes_no_temporary_files_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none"])
    assert main(["cache"]) == 2
    assert capsys.readouterr().err == (
        "error: no folder takes temporary files; name one that you may write to in TMPDIR\n"
    )


def test_a_user_without_a_home_has_room_for_what_would_lie_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "")
    monkeypatch.delenv("MPLCONFIGDIR")
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert main(["cache"]) == 0
    own = tmp_path / f"transformertf-{os.geteuid()}"
    assert os.environ["MPLCONFIGDIR"] == str(own / "matplotlib")
    monkeypatch.delenv("TRANSFORMERTF_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert main(["cache"]) == 2
    assert "this home is not known; name another folder in TRANSFORMERTF" in capsys.readouterr().err
