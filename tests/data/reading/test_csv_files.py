"""Csv files in blocks: held against pandas, which reads them as a whole."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.version import Version
from pandas._libs.parsers import (  # type: ignore[import-not-found]  # has no types
    STR_NA_VALUES,
)

from transformertf.data.reading import csv_files
from transformertf.data.reading.dialects import Dialect
from transformertf.data.reading.formats import open_tables
from transformertf.data.reading.tables import as_numbers
from transformertf.errors import InputError

MISSING = sorted(csv_files.MISSING)
WHOLE = ("0", "7", "-3", "007", "+5", " 8 ", "-0", "9007199254740993")
REAL = ("1.5", "-2e3", ".5", "5.", "1E-7", "1e400", "inf", "-Infinity", " 0.1", "5e-324", "+.1e1")
TRUTH = ("True", "FALSE", "true")
WORDS = (
    "off",
    "0x1F",
    "NAN",
    "nan(1)",
    "1,5",
    "a\nb",
    'a "b" c',
    "1_0",
    "é",
    "2024-01-31",
    "-",
    "t",
)
KINDS = (
    st.sampled_from(WHOLE),
    st.sampled_from((*WHOLE, *MISSING)),
    st.sampled_from((*WHOLE, *REAL)),
    st.sampled_from((*WHOLE, *REAL, *MISSING)),
    st.sampled_from((*TRUTH, *MISSING)),
    st.sampled_from((*WHOLE, *REAL, *WORDS)),
    st.sampled_from((*TRUTH, *WORDS)),
    st.floats(allow_nan=False).map(repr),
    st.floats(allow_nan=False, width=32).map("{:.25e}".format),
    st.text(st.sampled_from('a "\n,\r\t'), max_size=5),
)
# after the last one alone, pandas before 3.1 loses rows that begin with a blank
ENDS = ("\n", "\r\n", "\r")[: 3 if Version(pd.__version__) >= Version("3.1") else 2]


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a file of rows that are as long as the header or shorter, and its columns."""
    width = draw(st.integers(1, 4))
    rows = draw(st.integers(0, 12))
    columns = [draw(st.lists(draw(st.sampled_from(KINDS)), min_size=rows, max_size=rows))
               for _ in range(width)]  # fmt: skip
    end = draw(st.sampled_from(ENDS))
    out = io.StringIO(newline="")
    quoting: Any = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    if any("\r" in value for column in columns for value in column):
        # before Python 3.13 one alone is not quoted, and pandas loses what is missing after it
        quoting = csv.QUOTE_ALL
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    writer.writerow([f"c{place}" for place in range(width)])
    for row in zip(*columns, strict=True):
        if end != "\r":  # after which pandas loses what is missing
            out.write(draw(st.sampled_from(("", "", "", end, " " + end if width > 1 else end))))
        writer.writerow(row[: draw(st.sampled_from((width, width, width, 1)))])
    text = out.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(end)
    return draw(st.sampled_from((b"", b"\xef\xbb\xbf"))) + text.encode(), width


def write(folder: Path, content: bytes) -> Path:
    path = folder / "run.csv"
    path.write_bytes(content)
    return path


def numbers_or_row(columns: Sequence[pd.Series]) -> Any:
    """Return the numbers of the pieces of a column, or the first row that holds none."""
    found, begin = [np.empty(0)], 0
    for column in columns:
        try:
            found.append(as_numbers(column, "run.csv", begin))
        except InputError as error:
            return str(error).partition("; ")[0]
        begin += len(column)
    return np.concatenate(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv")


# the default of pandas before 3.1 is not exact, later ones have no other
@pytest.mark.filterwarnings("ignore:The 'float_precision' argument is deprecated")
@pytest.mark.parametrize("size", [1, 16, 2**22])
@settings(max_examples=100, deadline=None)
@given(file=files())
@example(file=(b'c0,c1\n5" pipe,1\n6" pipe,"a\nb"\nx"y,"z"\n', 2))
@example(file=(b'c0,c1\n"a"b"c,1\n"""",2\n"a""\n",3', 2))
@example(file=(b"c0\n1\n\n\n2\n\n", 1))
@example(file=(b"\n \n c0,c1\n\n1,2\n\n\n", 2))
@example(file=(b'"c\n0",c1\n1,2\n', 2))
def test_a_file_in_blocks_says_what_pandas_reads_as_a_whole(folder, size, file):
    content, width = file
    path = write(folder, content)
    blank = width > 1
    exact: Any = "round_trip"
    whole = pd.read_csv(path, skip_blank_lines=blank, low_memory=False, float_precision=exact)
    written = pd.read_csv(path, skip_blank_lines=blank, dtype="str", keep_default_na=False)
    names = csv_files.csv_columns(path, Dialect())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "BLOCK", size)
        for text in ([], names):
            (table,) = open_tables(path, names, text=text)
            assert table.rows == len(whole)
            for again in (False, True):
                pieces = list(table.pieces(names))
                assert sum(len(piece) for piece in pieces) == len(whole)
                for place, name in enumerate(names):
                    columns = [piece[name] for piece in pieces]
                    if text:
                        found: Any = [value for column in columns for value in column]
                        assert found == written.iloc[:, place].tolist()
                    else:
                        expected = numbers_or_row([whole.iloc[:, place].rename(name)])
                        found = numbers_or_row(columns)
                        # what is text is told where it is first seen
                        if isinstance(expected, str) and (again or len(pieces) > 1):
                            found, expected = str(found)[:42], expected[:42]
                        np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("size", [16, 2**22])
def test_what_is_missing_after_a_lone_carriage_return_stays_missing(tmp_path, monkeypatch, size):
    """Of such a row pandas makes one that is shifted to the left."""
    monkeypatch.setattr(csv_files, "BLOCK", size)
    (table,) = open_tables(write(tmp_path, b"c0,c1,c2\n1,0,0\n\r,0,7\n"), ["c0", "c1", "c2"])
    found = pd.concat(table.pieces(["c0", "c1", "c2"])).to_numpy(np.float64, na_value=np.nan)
    np.testing.assert_array_equal(found, [[1, 0, 0], [np.nan, 0, 7]])


def test_what_stands_for_missing_is_what_pandas_takes_for_it():
    assert set(csv_files.MISSING) == STR_NA_VALUES


@pytest.mark.parametrize("size", [8, 2**22])
@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1", "2", "True", "4"], "'True' in row 2 "),
        (["True", "False", "2", "True"], "in row "),
        (["1.5", "2", "0x1F", "4"], "'0x1F' in row 2 "),
        (["1", "2", "0x1F", "4"], "'0x1F' in row 2 "),
        (["1", "2", "3.5", "NAN"], "'NAN' in row 3 "),
        (["2024-01-31", "2024-02-01", "3", "4"], "'2024-01-31' in row 0 "),
    ],
)
def test_what_a_value_is_does_not_hang_on_the_blocks(tmp_path, monkeypatch, size, values, found):
    monkeypatch.setattr(csv_files, "BLOCK", size)
    path = write(tmp_path, "\n".join(["a,b", *(f"{value},7" for value in values)]).encode())
    (table,) = open_tables(path, ["a", "b"])
    message = numbers_or_row([piece["a"] for piece in table.pieces(["a"])])
    assert "must be numeric, found " in message
    assert found in message


@pytest.mark.parametrize("size", [8, 2**22])
@pytest.mark.parametrize("first", ["0", "5"])
def test_a_longer_row_is_told_by_its_line(tmp_path, monkeypatch, size, first):
    monkeypatch.setattr(csv_files, "BLOCK", size)
    rows = [f"{first},2", '"a\nb",2', "", "3,4", "5,6,7", "8"]
    path = write(tmp_path, "\n".join(["a,b", *rows]).encode())
    (table,) = open_tables(path, ["b"])
    with pytest.raises(InputError, match=r"run\.csv: .*\(Expected 2 fields in line 7, saw 3\)"):
        list(table.pieces(["b"]))


@pytest.mark.parametrize("first", [0, 5])
@pytest.mark.parametrize("ending", ["", "9"])
def test_rows_that_are_all_longer_are_told_whatever_they_begin_with(tmp_path, first, ending):
    rows = [f"{first + n},{n},{ending}" for n in range(5)]
    path = write(tmp_path, "\n".join(["", "a,b", *rows]).encode())
    (table,) = open_tables(path, ["b"])
    with pytest.raises(InputError, match="its rows, from line 3 on, have 3 fields, expected 2 as"):
        list(table.pieces(["b"]))


def test_a_quote_that_does_not_end_is_told_by_its_line(tmp_path):
    path = write(tmp_path, b'a,b\n1,"x"\n2,"y\n3,z\n')
    with pytest.raises(InputError, match=r"run\.csv: .*\(the quote in line 3 does not end\); "):
        open_tables(path, ["a"])


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path):
    path = write(tmp_path, b"a,b\n1,2\n3,4\n")
    (table,) = open_tables(path, ["a"])
    write(tmp_path, b"a,b\n1,2\n\n\n\n\n\n\n")
    with pytest.raises(InputError, match=r"run\.csv: changed while it was read; run again"):
        list(table.pieces(["a"]))


@pytest.mark.parametrize("size", [2**4, 2**22])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a,b\n1,x\n2,y\n" + bytes(40), 4),
        (b"a,b\n1,x\n2,\0\0\n3,z\n", 3),
        (b'a,b\n1,x\n2,"y\n\0"\n3,z\n', 4),
        (b"a,b\r\n1,x\0\r\n2,y\r\n", 2),
    ],
    ids=["at the end", "a field", "in quotes", "in a text"],
)
def test_zero_bytes_are_told_by_their_line(tmp_path, monkeypatch, size, content, line):
    monkeypatch.setattr(csv_files, "BLOCK", size)
    path = write(tmp_path, content)
    told = rf"run\.csv: not a readable csv file \(zero bytes in line {line}\); it was not written"
    with pytest.raises(InputError, match=told):
        open_tables(path, ["a", "b"])


def test_only_a_column_that_is_read_must_be_text_in_utf8(tmp_path):
    path = write(tmp_path, "a,b\n1,é\n2,ü\n".encode("latin-1"))
    (table,) = open_tables(path, ["a", "b"])
    assert [piece["a"].tolist() for piece in table.pieces(["a"])] == [[1, 2]]
    with pytest.raises(InputError, match=r"not a readable csv file \('utf-8' codec .*save it as"):
        list(table.pieces(["b"]))


def test_names_of_columns_must_be_text_in_utf8(tmp_path):
    path = write(tmp_path, "a,é\n1,2\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"not a readable csv file \('utf-8' codec .*save it as"):
        open_tables(path, ["a"])


@pytest.mark.parametrize("size", [64, 2**22])
def test_numbers_are_rounded_to_the_nearest(tmp_path, monkeypatch, size):
    monkeypatch.setattr(csv_files, "BLOCK", size)
    generator = np.random.default_rng(0)
    values = (generator.normal(size=500) * 10.0 ** generator.integers(-300, 300, 500)).tolist()
    path = write(tmp_path, "\n".join(["a,b", *(f"{v!r},{v:.30e}" for v in values)]).encode())
    (table,) = open_tables(path, ["a", "b"])
    read = pd.concat(table.pieces(["a", "b"]))
    np.testing.assert_array_equal(read["a"], values)
    np.testing.assert_array_equal(read["b"], values)
