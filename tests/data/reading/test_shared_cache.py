"""A cache of several users, and entries that are not as they were written."""

import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from transformertf.data.reading import cache
from transformertf.data.reading.kept import META
from transformertf.errors import InputError
from transformertf.places import keep_apart

ROWS = 2**18  # more than is looked at as a whole


def fetch(built=None, rows=ROWS):
    """Return an entry of sevens, and count in a list that it was built."""

    def build(out):
        out[:] = 7
        if built is not None:
            built.append(rows)

    return cache.cached_array(["sevens"], (rows,), np.int64, build, "sevens")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return the cache of one user, with an entry."""
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    fetch()
    return tmp_path / "cache"


# damaged


def change_meta(**changes):
    def change(entry):
        meta = json.loads((entry / META).read_text())
        (entry / META).write_text(json.dumps({**meta, **changes}))

    return change


def other_shape(entry):
    size = (entry / "array.npy").stat().st_size
    np.save(entry / "array.npy", np.zeros(ROWS // 2, np.complex128))
    assert (entry / "array.npy").stat().st_size == size


def replace(path, make):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


def link_to_copy(path):
    shutil.copytree(path, path.with_name("copy"))
    replace(path, lambda path: path.symlink_to("copy"))


def open_to_all(entry):
    entry.chmod(0o777)


DAMAGES = {
    "no bytes": lambda entry: (entry / "array.npy").write_bytes(b""),
    "cut": lambda entry: os.truncate(entry / "array.npy", 1000),
    "shorter by a page": lambda entry: os.truncate(entry / "array.npy", 8 * ROWS - 4096),
    "another shape": other_shape,
    "a folder as array": lambda entry: replace(entry / "array.npy", Path.mkdir),
    "a pipe as array": lambda entry: replace(entry / "array.npy", os.mkfifo),
    "a link as array": lambda entry: replace(
        entry / "array.npy", lambda path: path.symlink_to("/dev/zero")
    ),
    "no array": lambda entry: (entry / "array.npy").unlink(),
    "half of meta": lambda entry: (entry / META).write_bytes(b'{"what'),
    "no text": lambda entry: (entry / META).write_bytes(b"\xff\0\xfe"),
    "meta is a list": lambda entry: (entry / META).write_text("[]"),
    "meta is a number": lambda entry: (entry / META).write_text("7"),
    "meta is deep": lambda entry: (entry / META).write_text("[" * 10**5),
    "meta is empty": lambda entry: (entry / META).write_text(""),
    "meta without keys": lambda entry: (entry / META).write_text("{}"),
    "meta of another type": change_meta(what=7),
    "meta of no files": change_meta(files={}),
    "no meta": lambda entry: (entry / META).unlink(),
    "a folder as meta": lambda entry: replace(entry / META, Path.mkdir),
    "a pipe as meta": lambda entry: replace(entry / META, os.mkfifo),
    "nothing": lambda entry: replace(entry, Path.mkdir),
    "a file as entry": lambda entry: replace(entry, Path.touch),
    "a link as entry": link_to_copy,
    "a link to nothing": lambda entry: replace(entry, lambda path: path.symlink_to("none")),
    "open to all": open_to_all,
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_is_damaged_is_shown_told_and_written_anew(root, kind, monkeypatch):
    entry = cache.cache_entries()[0].path
    built: list[int] = []
    told: list[str] = []
    monkeypatch.setattr(cache.log, "warning", lambda text, *words: told.append(text % words))
    DAMAGES[kind](entry)
    assert [found.path for found in cache.cache_entries()] == [entry]
    np.testing.assert_array_equal(fetch(built), 7)
    assert len(built) == 1
    assert f"sevens: {entry} is damaged (" in told[0]
    fetch(built)
    assert (len(built), cache.cache_entries()[0].what) == (1, "sevens")


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_is_damaged_can_be_cleared(root, kind):
    DAMAGES[kind](cache.cache_entries()[0].path)
    cache.clear_cache()
    assert [path.name for path in root.iterdir()] == ["copy"] * (kind == "a link as entry")


def test_a_folder_in_place_of_the_lock_is_told(root):
    place = cache.cache_entries()[0].path
    place.with_name(f"{place.name}.lock").mkdir()
    with pytest.raises(InputError, match=r"sevens: cannot be kept in .* \(Is a directory\); name"):
        fetch()
    cache.clear_cache()


@pytest.mark.parametrize("given", ["", "~nobody-of-this-name/cache"])
def test_a_home_that_is_not_known_is_told(monkeypatch, given):
    def unknown(path):
        return path

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("TRANSFORMERTF_CACHE", given)
    monkeypatch.setattr(os.path, "expanduser", unknown)
    with pytest.raises(InputError, match=r"the cache ~.*: this home is not known; name another"):
        fetch()


# several users

ONE, TWO = 1001, 1002
wants_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be several users"
)


@contextmanager
def user(number, group=None):
    """Be a user of few rights, and of a group, until the context ends."""
    before = os.umask(0o077)
    os.setegid(number if group is None else group)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.umask(before)


@pytest.fixture
def shared(monkeypatch):
    """Return a folder that all may write to, and remove from what is their own."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o1777)
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(path / "deep" / "cache"))
    yield path
    shutil.rmtree(path)


def make(path, mode, group=0):
    path.mkdir(parents=True)
    os.chown(path, 0, group)
    path.chmod(mode)


@wants_root
@pytest.mark.parametrize("kind", ["sticky", "open", "group", "made by the first", "one of them"])
def test_each_user_has_entries(shared, kind):
    root, group = shared / "deep" / "cache", 5000 if kind == "group" else None
    if kind != "made by the first":
        modes = {"sticky": 0o1777, "open": 0o777, "group": 0o2770, "one of them": 0o777}
        make(root, modes[kind], group or 0)
    if kind == "one of them":
        os.chown(root, ONE, 0)
    for number in (ONE, TWO, 0):
        with user(number, group):
            built: list[int] = []
            np.testing.assert_array_equal(fetch(built), 7)
            fetch(built)
            assert len(built) == 1
            assert len(cache.cache_entries()) == 1
            assert cache.cache_root() == root / f"user-{number}"
    with user(TWO, group):
        assert cache.clear_cache() > 0
    for number in (ONE, TWO):
        with user(number, group):
            assert len(cache.cache_entries()) == (number == ONE)


@wants_root
@pytest.mark.parametrize("kind", ["folder", "link", "cache", "above", "entry"])
def test_what_another_user_has_put_there_is_not_taken(shared, kind):
    root = shared / "deep" / "cache"
    if kind in ("folder", "link", "entry"):
        make(root, 0o1777)
    with user(TWO):
        own = shared / "own"
        own.mkdir()
        own.chmod(0o777)
        if kind == "folder":
            (root / f"user-{ONE}").mkdir()
            (root / f"user-{ONE}").chmod(0o777)
        elif kind == "entry":
            fetch()
            entry = cache.cache_entries()[0].path
            shutil.copytree(entry, root / entry.name)
        else:
            link = {"link": root / f"user-{ONE}", "cache": root, "above": root.parent}[kind]
            if kind == "cache":
                root.parent.mkdir()
                root.parent.chmod(0o777)
            link.symlink_to(own)
    with user(ONE):
        if kind == "entry":
            built: list[int] = []
            fetch(built)
            assert len(built) == 1
        else:
            with pytest.raises(InputError, match=r"alone may write to|another user has made"):
                fetch()
    assert not list(own.iterdir())


@wants_root
def test_a_folder_of_another_user_is_no_place_of_ours(shared, monkeypatch):
    """Closed to this user, its owner could still put into it what is then taken."""
    root = shared / "deep" / "cache"
    make(root, 0o755)
    os.chown(root, TWO, 0)
    with user(ONE):
        assert cache.cache_root() == root / f"user-{ONE}"
    place = shared / f"transformertf-{ONE}"
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    make(place / "matplotlib", 0o777)
    os.chown(place, TWO, 0)
    with user(ONE), pytest.raises(InputError, match=r"alone may write to; name one in NONE$"):
        keep_apart("NONE", "matplotlib")


@wants_root
def test_a_folder_of_another_user_alone_is_one_line(shared):
    with user(ONE):
        (shared / "deep" / "cache").mkdir(parents=True)
    with user(TWO), pytest.raises(InputError, match=r"cannot be kept in .* name another folder"):
        fetch()


@wants_root
def test_what_cannot_be_removed_is_told_and_in_nobodys_way(shared, monkeypatch):
    told = []
    monkeypatch.setattr(cache.log, "warning", lambda text, *words: told.append(text % words))
    make(shared / "deep" / "cache", 0o1777)
    with user(ONE):
        fetch()
        place = cache.cache_entries()[0].path
    left = place.with_name(f"{place.name[:-1]}{int(place.name[-1] == '0')}.new-a")
    (left / "array").mkdir(parents=True)
    left.chmod(0o700)
    with user(ONE):
        fetch(rows=5)
        assert not told
        assert cache.clear_cache() > 0
        assert cache.cache_entries() == []
    assert [line.startswith(f"{left}: cannot be removed (") for line in told] == [True]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_a_limit_of_the_system_does_no_damage(root, monkeypatch, number):
    def refuse(path, *args, **options):
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        patch.setattr(cache, "lock", lambda *_, **__: nullcontext("alone"))
        with pytest.raises(OSError, match=os.strerror(number)) as told:
            fetch()
    assert told.value.errno == number  # which a command tells with the remedy
    built: list[int] = []
    fetch(built)
    assert not built
