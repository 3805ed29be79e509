"""Panels and arrays in files: written once, whole or not at all."""

import logging
import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.tabular import COLUMNS, make_rows, write
from transformertf.data.columns import Columns
from transformertf.data.reading import cache
from transformertf.data.reading.dialects import Dialect
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.headers import Renamed
from transformertf.data.reading.kept import META
from transformertf.data.reading.panel import Rules, open_all
from transformertf.errors import InputError


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Return the folder of the entries, which does not exist."""
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache"


@pytest.fixture
def paths(tmp_path):
    late = make_rows("s", 3).assign(t=[90, 91, 92])
    frames = [pd.concat([make_rows("s", 5), make_rows("r", 4, 1)]), late]
    return write(frames, tmp_path, "parquet")


@pytest.fixture
def reads(monkeypatch):
    """Return a list that grows with each time tables are read."""
    calls = []

    def counted(*args):
        calls.append(args)
        return fill_panel(*args)

    monkeypatch.setattr(cache, "fill_panel", counted)
    return calls


def mapped(paths, columns=COLUMNS, **rules):
    tables, names = open_all(paths, "x", columns, Rules(**rules))
    return cache.cached_panel(tables, columns, names, Rules(**rules))


def assert_same(one, other):
    assert one.names == other.names
    assert one.static_texts == other.static_texts
    assert one.time_type == other.time_type
    assert [list(texts) for texts in one.texts] == [list(texts) for texts in other.texts]
    for name in ("starts", "values", "codes", "static", "observed", "stamps"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# what is opened


def test_a_mapped_panel_is_the_panel(paths, root, reads, caplog):
    caplog.set_level(logging.INFO, logger="transformertf")
    tables, names = open_all(paths, "x", COLUMNS, Rules())
    expected = fill_panel(tables, COLUMNS, names)
    assert_same(mapped(paths), expected)
    (line,) = caplog.messages  # 480 B are not worth the screen, it is a level below
    assert caplog.records[0].levelno == logging.INFO
    assert line.startswith(f"{paths[0]} and 1 more: 480 B are written to {root / 'panel-'}")
    again = mapped(paths)
    assert_same(again, expected)
    assert len(reads) == len(caplog.messages) == 1
    one, other = again.series()[1], expected.series()[1]
    assert one.time.equals(other.time)
    np.testing.assert_array_equal(one.values, other.values)
    assert [path.suffix for path in root.iterdir()] == [""]


@pytest.mark.parametrize("name", ["values", "codes", "stamps"])
def test_what_is_mapped_cannot_be_written(paths, name):
    column = getattr(mapped(paths), name)
    assert type(column) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        column[:] = 0


STAMPS = [
    pd.date_range("2024-01-01", periods=4, freq="h", unit="us"),
    pd.date_range("2024-01-01", periods=4, freq="h", unit="ns", tz="Europe/Paris"),
    pd.date_range("2024-01-01", periods=4, freq="h", unit="us", tz="+05:30"),
    np.arange(4) / 3,
]


@pytest.mark.parametrize("stamps", STAMPS, ids=str)
def test_every_type_of_time_comes_back(tmp_path, stamps):
    paths = write([make_rows("s", 4).assign(t=stamps)], tmp_path, "parquet")
    (series,) = mapped(paths).series()
    assert series.time.tolist() == list(stamps)


def test_without_time_and_categories_there_is_nothing_of_them(paths):
    panel = mapped(paths, Columns((), (), "y", None, ("store",)))
    assert (panel.stamps, panel.time_type, panel.codes.shape) == (None, None, (0, 12))
    assert panel.series()[0].static_texts == ()


def test_rows_are_sorted_and_masked_before_they_are_kept(tmp_path, reads):
    rows = make_rows("s", 6).iloc[::-1].reset_index(drop=True)
    rows.loc[2, ["y", "k", "region"]] = None
    rows["area"] = np.nan
    paths = write([rows], tmp_path, "parquet")
    for _ in range(2):
        panel = mapped(paths, sort=True, mask=True)
        np.testing.assert_array_equal(panel.values, rows[["a", "b", "y"]].iloc[::-1].T)
        assert (panel.codes[0, 3], panel.observed.tolist()) == (-1, [6])
        assert np.isnan(panel.static[0, 0])
    assert len(reads) == 1


def test_thousands_of_series_are_kept(tmp_path):
    frame = pd.DataFrame({"store": np.arange(5000).repeat(2), "y": np.arange(10000.0)})
    columns = Columns((), (), "y", None, ("store",))
    panel = mapped(write([frame], tmp_path, "parquet"), columns)
    assert len(panel.names) == 5000
    assert panel.series()[1].values.tolist() == [[2], [3]]


# keys


def touch(path):
    os.utime(path, ns=(0, Path(path).stat().st_mtime_ns + 1))


def test_another_file_is_another_entry(paths, tmp_path, reads):
    mapped(paths)
    touch(paths[0])
    mapped(paths)
    assert len(reads) == 2
    shutil.copy2(paths[0], tmp_path / "copy.parquet")
    mapped([str(tmp_path / "copy.parquet"), paths[1]])
    assert len(reads) == 3
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    mapped([str(link / Path(path).name) for path in paths])
    assert len(reads) == 3


def test_what_is_read_and_how_is_part_of_the_key(paths, reads):
    tables, names = open_all(paths, "x", COLUMNS, Rules())
    key = cache.panel_key(tables, COLUMNS, names, Rules())
    others = [
        cache.panel_key(tables[:1], COLUMNS, names, Rules()),
        cache.panel_key(tables, Columns(("b",), ("a",), "y", "t", ("store",)), names, Rules()),
        cache.panel_key(tables, COLUMNS, ["a", "b"], Rules()),
        cache.panel_key(tables, COLUMNS, names, Rules(sort=True)),
        cache.panel_key(tables, COLUMNS, names, Rules(mask=True)),
        cache.panel_key(tables, COLUMNS, names, Rules("future")),
        cache.panel_key(tables, COLUMNS, names, Rules(csv=Dialect(sep=";"))),
        cache.panel_key(tables, COLUMNS, names, Rules(renames=(Renamed("a", "c", 10.0),))),
    ]
    assert len({key, *others}) == len(others) + 1
    lags = Columns(**{**vars(COLUMNS), "lags": (7,), "calendar": ("month",), "indicators": True})
    assert cache.panel_key(tables, lags, names, Rules()) == key


# arrays


def test_an_array_is_written_once(root):
    calls = []

    def write_squares(out):
        calls.append(out.shape)
        out[:] = np.arange(6).reshape(2, 3) ** 2

    for _ in range(2):
        squares = cache.cached_array(["x", np.ones(2)], (2, 3), np.float32, write_squares)
        assert squares.tolist() == [[0, 1, 4], [9, 16, 25]]
        assert (squares.dtype, squares.flags.writeable) == (np.dtype(np.float32), False)
    assert calls == [(2, 3)]
    cache.cached_array(["x", np.ones(2)], (2, 3), np.float64, write_squares)
    cache.cached_array(["x", np.zeros(2)], (2, 3), np.float32, write_squares)
    assert len(calls) == len(cache.cache_entries()) == 3


def test_an_array_without_elements_is_kept():
    assert cache.cached_array([], (0, 3), "float32", lambda _: None).shape == (0, 3)


# what goes wrong


def test_a_mistake_in_the_data_leaves_nothing(tmp_path, root):
    paths = write([make_rows("s", 4).assign(y=[1, 2, np.nan, 4])], tmp_path, "parquet")
    with pytest.raises(InputError, match=r"column 'y' has 1 missing"):
        mapped(paths)
    assert list(root.iterdir()) == []


def test_a_file_that_changes_while_it_is_read_is_refused(paths, root, monkeypatch):
    def changed(*args):
        touch(paths[1])
        return fill_panel(*args)

    monkeypatch.setattr(cache, "fill_panel", changed)
    with pytest.raises(InputError, match=r"1\.parquet: changed while it was read"):
        mapped(paths)
    assert list(root.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_written(paths, root, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(cache.row_bytes(COLUMNS) * 12 - 1))
    message = (
        rf"0\.parquet and 1 more: wants 480 B of disk, and {root} has 479 B; name another "
        "folder in TRANSFORMERTF_CACHE, or set storage: memory"
    )
    with pytest.raises(InputError, match=message):
        mapped(paths)
    assert list(root.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(cache.row_bytes(COLUMNS) * 12))
    mapped(paths)


def test_a_disk_that_fills_up_is_one_line(paths, root, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match=r"cannot be kept in .* \(No space left on device\); name"):
        mapped(paths)
    assert list(root.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(paths, root):
    root.parent.write_text("a file")
    with pytest.raises(InputError, match=r"cannot be kept in .*cache \(Not a directory\)"):
        mapped(paths)


# what there is


def test_entries_are_listed_with_size_and_last_use(paths, root):
    cache.cached_array([1], (1000,), np.float64, lambda out: out.fill(0), "thousand zeros")
    mapped(paths)
    panel, zeros = cache.cache_entries()
    assert (panel.what, zeros.what) == (f"{paths[0]} and 1 more", "thousand zeros")
    assert 8000 < zeros.size < 9000
    for entry, used in ((panel, 50), (zeros, 100)):
        os.utime(entry.path / META, (used, used))
    assert [entry.used for entry in cache.cache_entries()] == [100, 50]
    mapped(paths)
    assert abs(cache.cache_entries()[0].used - time.time()) < 60
    assert cache.cache_entries()[0].what == panel.what


def test_clear_takes_what_is_ours_and_leaves_what_is_open(paths, root):
    panel = mapped(paths)
    values = panel.values.copy()
    (entry,) = cache.cache_entries()
    others = [root / "notes.txt", root / "panel-mine", root / f"{entry.path.name}x"]
    for path in others:
        path.mkdir()
    assert cache.clear_cache() == entry.size
    assert sorted(root.iterdir()) == sorted(others)
    np.testing.assert_array_equal(panel.values, values)
    assert cache.cache_entries() == []
