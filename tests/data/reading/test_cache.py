"""Entries that several processes write and open, and the keys that tell them apart."""

import errno
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.processes import CONTEXT
from transformertf import places
from transformertf.data.reading import cache


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Return the folder of the entries, which does not exist."""
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache"


# keys


@pytest.mark.parametrize("name", ["FORMAT", "__version__"])
def test_versions_are_part_of_the_key(monkeypatch, name):
    before = cache.make_key("panel", [])
    monkeypatch.setattr(cache, name, "other")
    assert cache.make_key("panel", []) != before


def test_arrays_and_tensors_are_told_apart_by_what_they_hold():
    values = np.arange(4.0)
    parts = [values, values + 1, values.astype(np.float32), values.reshape(2, 2), 1, 1.0, "1", None]
    keys = {cache.make_key("array", [part, {"x": (1,)}]) for part in parts}
    assert len(keys) == len(parts)
    assert cache.make_key("array", [torch.arange(4.0).double()]) == cache.make_key(
        "array", [values]
    )
    with pytest.raises(TypeError, match="a key cannot hold"):
        cache.make_key("array", [object()])


# several processes


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def build_slowly(folder):
    """Write an array of sevens: the file `started` tells that it began, `go` to go on."""
    os.environ["TRANSFORMERTF_CACHE"] = str(folder / "deep" / "cache")

    def write_sevens(out):
        (folder / "started").touch()
        wait_for(folder / "go")
        out[:] = 7

    cache.cached_array(["shared"], (3,), np.int64, write_sevens)


@pytest.fixture
def builder(tmp_path):
    """Start a process that is writing an entry, and return it with what lets it go on."""
    process = CONTEXT.Process(target=build_slowly, args=(tmp_path,))
    process.start()
    wait_for(tmp_path / "started")
    yield process, (tmp_path / "go").touch
    process.kill()
    process.join(60)


def refuse(_):
    raise AssertionError("it is there already")


def test_a_second_process_waits_and_opens_what_the_first_wrote(builder, root, monkeypatch):
    process, go = builder
    assert (cache.cache_entries(), cache.clear_cache()) == ([], 0)
    assert [path.suffix[:4] for path in sorted(root.iterdir())] == [".loc", ".new"]
    told = []

    def tell(*text):
        told.append(text)
        go()

    monkeypatch.setattr(places.log, "warning", tell)
    sevens = cache.cached_array(["shared"], (3,), np.int64, refuse)
    assert sevens.tolist() == [7, 7, 7]
    assert len(told) == 1
    process.join(60)
    assert process.exitcode == 0
    assert [path.suffix for path in root.iterdir()] == [""]


def test_a_process_that_is_killed_leaves_no_entry(builder, root, tmp_path, monkeypatch):
    process, _ = builder
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert cache.cache_entries() == []
    assert len(list(root.iterdir())) == 2
    for way in ("clear", "same", "other"):
        left = tmp_path / way
        shutil.copytree(root, left)
        monkeypatch.setenv("TRANSFORMERTF_CACHE", str(left))
        if way == "clear":
            assert cache.clear_cache() > 0
            assert list(left.iterdir()) == []
            continue
        parts = ["shared" if way == "same" else "other"]
        assert cache.cached_array(parts, (3,), np.int64, lambda out: out.fill(1)).tolist() == [
            1,
            1,
            1,
        ]
        assert [path.suffix for path in left.iterdir() if path.is_dir()] == [""]


def test_without_locks_the_first_of_two_wins(root, monkeypatch):
    def refuse_to_lock(*_, **__):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(places, "lock_descriptor", refuse_to_lock)

    def second(out):
        first = cache.cached_array(["shared"], (3,), np.int64, lambda own: own.fill(1))
        assert first.tolist() == [1, 1, 1]
        out.fill(1)

    assert cache.cached_array(["shared"], (3,), np.int64, second).tolist() == [1, 1, 1]
    assert [path.suffix for path in root.iterdir() if path.is_dir()] == [""]


# what there is


def test_an_empty_cache_is_not_made_by_looking(root):
    assert (cache.cache_entries(), cache.clear_cache()) == ([], 0)
    assert not root.exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"TRANSFORMERTF_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/transformertf"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/transformertf"),
        ({"TRANSFORMERTF_CACHE": "~/c"}, "/home/me/c"),
    ],
)
def test_the_folder_is_where_the_user_says(monkeypatch, given, expected):
    monkeypatch.delenv("TRANSFORMERTF_CACHE")
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_root() == Path(expected)
