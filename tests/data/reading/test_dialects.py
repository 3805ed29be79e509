"""Csv files as laboratories and markets write them: the numbers of the plain file."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from transformertf.data.reading import csv_files, dialects
from transformertf.data.reading.dialects import Dialect, ending_of, stem_path
from transformertf.data.reading.formats import open_tables, series_names
from transformertf.data.reading.tables import as_numbers
from transformertf.errors import InputError

GENERATOR = np.random.default_rng(3)
VALUES = (GENERATOR.normal(size=40) * 10.0 ** GENERATOR.integers(-9, 9, 40)).tolist()


def read(path: Path, dialect: Dialect, *names: str, text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the rows of a file, all pieces joined."""
    (table,) = open_tables(path, names, text=text, dialect=dialect)
    found = pd.concat(table.pieces(names), ignore_index=True)
    assert len(found) == table.rows
    return found


def packed(name: str, content: bytes) -> bytes:
    """Return the content of a file as its ending says."""
    if name.endswith(".gz"):
        half = len(content) // 2  # of two members, as logs that are appended to
        return gzip.compress(content[:half]) + gzip.compress(content[half:])
    if name.endswith(".zst"):
        return bytes(pa.compress(content, "zstd", asbytes=True))
    return content


@pytest.mark.parametrize("size", [32, 2**22])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.TXT", "a.tsv.gz"])
@pytest.mark.parametrize(
    "given",
    [
        {"sep": ";", "decimal": ","},
        {"sep": "tab", "comment": "#", "encoding": "utf-16"},
        {"skiprows": 3, "thousands": "'", "encoding": "cp1252"},
        {"decimal": ",", "thousands": ".", "skiprows": [1, 2]},
    ],
    ids=lambda given: "-".join(given),
)
def test_numbers_are_those_that_python_reads(tmp_path, monkeypatch, size, name, given):
    monkeypatch.setattr(csv_files, "BLOCK", size)
    monkeypatch.setattr(dialects, "_PIECE", size)
    dialect, path = Dialect.of(given), tmp_path / name
    sep = dialect.separator(path)

    def shown(value: float) -> str:
        text = f"{value:{',' if dialect.thousands else ''}.12f}".replace(",", "T")
        return text.replace(".", dialect.decimal).replace("T", dialect.thousands or "")

    lines = [sep.join((f'"u{sep}ü"', "n", "B"))]
    lines += [sep.join((f'"x{sep}\n\n{n}"', str(n), shown(v))) for n, v in enumerate(VALUES)]
    if dialect.comment:
        lines[:0] = ['# a "lone quote', ""]
        lines[5:5] = [f' #{sep}"at the start of a field', ""]
    for line in dialect.skiprows:
        lines[line:line] = ['T "units']
    text = "\r\n".join(lines).encode(dialect.encoding)
    path.write_bytes(packed(name, text))
    found = read(path, dialect, "n", "B", f"u{sep}ü", text=(f"u{sep}ü",))
    assert found["n"].tolist() == [*range(40)]
    assert as_numbers(found["B"], "", 0).tolist() == [float(f"{v:.12f}") for v in VALUES]
    assert found[f"u{sep}ü"].tolist() == [f"x{sep}\n\n{n}" for n in range(40)]


def test_thousands_leave_what_is_text_or_a_date_as_it_is(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,day,y,z\n"1,000","2,024","1,234.5","1,23"\n"2","2,025","7","2"\n')
    found = read(path, Dialect(thousands=","), "id", "y", "z", text=("id",))
    assert found["id"].tolist() == ["1,000", "2"]
    assert found["y"].tolist() == [1234.5, 7.0]
    with pytest.raises(InputError, match="column 'z' must be numeric, found '1,23' in row 0"):
        as_numbers(found["z"], "a.csv", 0)


def test_a_comment_in_a_text_of_several_lines_is_part_of_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('u,y\n"a\n#b",1\n#c,2\nd,3\n')
    found = read(path, Dialect(comment="#"), "u", "y", text=("u",))
    assert found.to_numpy().tolist() == [["a\n#b", 1], ["d", 3]]


@pytest.mark.parametrize("size", [16, 2**22])
def test_a_longer_row_is_told_by_its_line_of_the_file(tmp_path, monkeypatch, size):
    monkeypatch.setattr(csv_files, "BLOCK", size)
    monkeypatch.setattr(dialects, "_PIECE", size)
    path = tmp_path / "a.csv.gz"
    text = "# operator\na;b\n[A];[T]\n1;2\n# stopped\n3;4\n5;6;7\n"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(InputError, match=r"\(Expected 2 fields in line 7, saw 3\)"):
        read(path, Dialect(sep=";", comment="#", skiprows=(2,)), "b")


def test_a_blank_field_between_tabs_is_missing_and_no_blank_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a\tb\n1\t\n\t\n \n3\t4\n")
    assert read(path, Dialect(), "a")["a"].isna().tolist() == [False, True, False]


def test_a_packed_file_that_is_cut_is_told(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n3,4\n" * 500)[:-12])
    with pytest.raises(InputError, match=r"a\.csv\.gz: not a readable csv file"):
        read(path, Dialect(), "a")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "t;B\n0;1\n",
            r"no column 'B'; its columns are separated by ';'; say so by csv: {sep: ';'}",
        ),
        ("t\tB\n0\t1\n", r"separated by '\\t'; say so by csv: {sep: tab}"),
        ("# MBI-1\nt,B\n0,1\n", r"found '# MBI-1'; leave such lines out by csv: {comment: '#'}"),
    ],
)
def test_what_a_file_is_written_like_is_told_with_the_key_to_give(tmp_path, content, told):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=told):
        open_tables(path, ["B"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seperator": ";"}, "csv: unknown key 'seperator'; "),
        ({"sep": ";;"}, "csv: sep must be one character of ASCII"),
        ({"sep": 1}, "csv: sep must be one character"),
        ({"decimal": ";"}, "csv: decimal must be one of"),
        ({"sep": ",", "decimal": ","}, "csv: decimal and sep are both ','"),
        ({"thousands": "."}, r"csv: decimal and thousands are both '\.'"),
        ({"skiprows": -1}, "csv: skiprows must be how many lines"),
        ({"skiprows": [1.0]}, "csv: skiprows must be how many lines"),
        ({"encoding": "utf-9"}, "csv: unknown encoding 'utf-9'"),
        ({"encoding": 8}, "csv: unknown encoding 8"),
        (";", "csv: expected keys and values"),
    ],
)
def test_what_a_dialect_cannot_be_is_refused(given: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Dialect.of(given)


def test_a_series_has_the_name_of_its_file_without_all_endings():
    paths = [Path("/d/a.csv.gz"), Path("/d/b.1.txt"), Path("/d/c.parquet")]
    assert series_names(paths) == ["a", "b.1", "c"]
    assert [ending_of(path) for path in paths] == [".csv.gz", ".txt", ".parquet"]
    assert stem_path(Path("/d/gz")) == Path("/d/gz")
    assert ending_of(Path("/d/a.parquet.gz")) == ".gz"
