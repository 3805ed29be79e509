"""What is written takes its place whole, or not at all."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from transformertf import places
from transformertf.checkpoint.writing import (
    WholeCheckpoints,
    add_name,
    sweep,
    whole_file,
    write_checkpoint,
)
from transformertf.errors import InputError

KILLED = """
import os, signal, sys
from pathlib import Path
from transformertf.checkpoint.writing import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def small_files() -> Iterator[None]:
    """A disk that is full after 1000 bytes of any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]  # fails at the second
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_leaves_what_was_there_and_a_part_to_be_swept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_being_written_is_not_swept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with whole_file(path) as file:
        file.write(b"half")
        sweep(tmp_path)
        (part,) = tmp_path.iterdir()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    part.write_bytes(b"left behind")
    foreign = tmp_path / ".a.part"
    foreign.write_bytes(b"no part of ours")
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == [foreign, path]


def test_two_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with whole_file(path) as one, whole_file(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_without_locks_nothing_is_taken_for_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(places, "lock_descriptor", refuse)
    path = tmp_path / "file"
    with whole_file(path) as one, whole_file(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one"


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("size", [1, 300, 100_000])
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, size: int) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"the one before")
    with pytest.raises(InputError, match=r"last.ckpt: the checkpoint cannot be written \(File too"):
        WholeCheckpoints().save_checkpoint({"weights": torch.zeros(size)}, path)
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_stored_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"Can't (pickle|get) local object") as caught:
        write_checkpoint({"function": lambda: None}, tmp_path / "last.ckpt")
    assert not isinstance(caught.value, InputError)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_tensors_and_primitives_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"weights": torch.arange(3), "epoch": 1}, path)
    content = torch.load(path, weights_only=True)
    assert content["epoch"] == 1
    assert torch.equal(content["weights"], torch.arange(3))


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_is_that_of_the_newer_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    best = tmp_path / "best.ckpt"
    for number in range(2):
        path = tmp_path / f"epoch={number}.ckpt"
        path.write_bytes(b"%d" % number)
        for _ in range(2):  # where it has the name already, too
            add_name(path, best)
        assert best.read_bytes() == b"%d" % number
        assert os.path.samefile(best, path) == links
    # the file that goes leaves the name, and nothing else is left
    (tmp_path / "epoch=1.ckpt").unlink()
    assert best.read_bytes() == b"1"
    assert sorted(os.listdir(tmp_path)) == ["best.ckpt", "epoch=0.ckpt"]
