"""Files that are not what they say, or become something else while they are read."""

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from transformertf.data.columns import Columns
from transformertf.data.reading import csv_files, filling
from transformertf.data.reading.formats import open_tables
from transformertf.data.reading.tables import Table
from transformertf.errors import InputError

ROWS = 1000
ENDINGS = ("parquet", "feather", "csv")
ROLES = Columns(("x",), (), "y", "t", ("s",))


def make_frame(rows: int = ROWS, names: tuple[str, ...] = ("aa", "bb")) -> pd.DataFrame:
    stamps = np.arange(float(rows))
    return pd.DataFrame({"s": np.resize(names, rows), "t": stamps, "x": stamps, "y": -stamps})


def write(frame: pd.DataFrame, path: Path, group: int = 300) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".feather":
        frame.to_feather(path, chunksize=300)
    else:
        frame.to_parquet(path, row_group_size=group)
    return path


def read(*paths: Path, columns: Columns = ROLES) -> int:
    tables = [table for path in paths for table in open_tables(path, columns.stored)]
    names = [] if columns.ids else [path.stem for path in paths]
    return len(filling.fill_panel(tables, columns, names).values[0])


# parquet footers that lie


def number(value: int) -> bytes:
    """Return a 64-bit field as the footer writes it."""
    rest, out = value * 2 if value >= 0 else -value * 2 - 1, b"\x16"
    while True:
        rest, low = rest >> 7, rest & 127
        out += bytes([low | (128 if rest else 0)])
        if not rest:
            return out


def claim(path: Path, claimed: int, *places: int) -> None:
    """Let a footer say another number of rows: in the file's place, a column's, or the group's."""
    raw = path.read_bytes()
    size = struct.unpack("<I", raw[-8:-4])[0]
    parts = raw[-8 - size : -8].split(number(ROWS))
    assert len(parts) == 7  # the file, four columns, the group of rows
    joints = [number(claimed if place in places else ROWS) for place in range(6)]
    footer = parts[0] + b"".join(
        joint + part for joint, part in zip(joints, parts[1:], strict=True)
    )
    path.write_bytes(raw[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1")


@pytest.mark.parametrize("claimed", [1500, 500, 0, -1000, 10**13])
@pytest.mark.parametrize(
    "places", [(0,), (5,), (0, 5), (4,)], ids=["file", "group", "rows", "column"]
)
@pytest.mark.parametrize("ids", [("s",), ()])
def test_a_footer_that_contradicts_itself_is_refused(
    tmp_path: Path, claimed: int, places: tuple[int, ...], ids: tuple[str, ...]
) -> None:
    path = write(make_frame(), tmp_path / "run.parquet", ROWS)
    claim(path, claimed, *places)
    with pytest.raises(
        InputError, match=r"run\.parquet: .*its footer says .* rows.*see that it is"
    ):
        read(path, columns=replace(ROLES, ids=ids, time="t" if ids else None))


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_footer_that_claims_rows_that_no_page_holds_is_refused(
    tmp_path: Path, in_folder: bool
) -> None:
    path = write(make_frame(), tmp_path / "run.parquet", ROWS)
    claim(path, 1500, *range(6))
    with pytest.raises(InputError, match=r"run\.parquet: .*expected 1500 rows, found 1000\)"):
        read(tmp_path if in_folder else path, columns=replace(ROLES, ids=(), time=None))


# files that change


def grow(path: Path) -> None:
    write(make_frame(ROWS + 2), path)


def shrink(path: Path) -> None:
    write(make_frame(ROWS - 400), path)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def put_another(path: Path) -> None:
    other = write(make_frame(names=("bb", "bb", "bb", "cc")), path.with_stem("other"))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def rewrite(path: Path) -> None:
    """Let the same number of rows be others, in as many bytes."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"-", b"+"))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


CHANGES = [grow, shrink, cut, put_another, rewrite]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("before", ["Clock", "group_rows", "_Filler"])
def test_a_file_that_changes_between_two_passes_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    change: Callable[[Path], None],
    before: str,
) -> None:
    path = write(make_frame(), tmp_path / f"run.{ending}")
    own = getattr(filling, before)

    def late(*args: object, **options: object) -> object:
        change(path)
        return own(*args, **options)

    monkeypatch.setattr(filling, before, late)
    with pytest.raises(InputError, match=rf"run\.{ending}: changed while it was read; run again"):
        read(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_within_a_pass_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, change: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(csv_files, "BLOCK", 2**11)
    path = write(make_frame(), tmp_path / f"run.{ending}")
    (table,) = open_tables(path, ROLES.stored)
    pieces = table.pieces(["x", "y"])
    next(pieces)
    change(path)
    with pytest.raises(InputError, match=rf"run\.{ending}: changed while it was read; run again"):
        list(pieces)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    path = write(make_frame(), tmp_path / "run.csv")
    (table,) = open_tables(path, ROLES.stored)
    path.unlink()
    with pytest.raises(InputError, match=r"run\.csv: .*; see that it is there and may be read"):
        list(table.pieces(["x"]))


def test_a_reader_that_gives_other_rows_than_it_counted_is_refused() -> None:
    frame = make_frame(8)
    for rows, found in ((9, "8"), (7, "more")):
        table = Table("x", rows, {"x": "x"}, lambda _: iter([frame[:4], frame[4:]]))
        with pytest.raises(InputError, match=rf"x: .*\(expected {rows} rows, found {found}\)"):
            sum(map(len, table.pieces(["x"])))


@pytest.mark.parametrize(
    "names", [("aa", "aa", "bb"), ("aa", "cc"), ("bb", "aa", "aa", "bb", "cc")]
)
def test_rows_that_go_to_other_series_than_were_counted_are_refused(names: tuple[str, ...]) -> None:
    given = iter([make_frame(8), make_frame(8, names)])
    table = Table("x", 8, {name: name for name in ROLES.stored}, lambda _: iter([next(given)]))
    with pytest.raises(InputError, match="x: changed while it was read; run again"):
        filling.fill_panel([table], replace(ROLES, time=None))


def test_time_that_turns_into_another_type_twice_is_refused() -> None:
    whole = make_frame(8).astype({"t": np.int64})
    given = iter([*[whole] * 3, make_frame(8), *[whole] * 4, make_frame(8)])
    table = Table("x", 8, {name: name for name in ROLES.stored}, lambda _: iter([next(given)]))
    with pytest.raises(InputError, match="x: changed while it was read; run again"):
        filling.fill_panel([table], ROLES)
