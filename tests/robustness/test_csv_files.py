"""Text files that are not quite csv: refused in one clear line, or the numbers are right."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.robustness.frames import Tried, assert_same, batches_of, make_frame, outcome
from transformertf.batch import Batch


@pytest.fixture(scope="module")
def clean() -> list[Batch]:
    return batches_of(make_frame())


Lines = Callable[[list[str]], list[str]]


def wider(lines: list[str], field: str) -> list[str]:
    return [lines[0], *(f"{line},{field}" for line in lines[1:])]


def with_note(lines: list[str], note: str) -> list[str]:
    return [f"{lines[0]},note", *(f"{line},{note}" for line in lines[1:])]


def with_value(lines: list[str], value: str) -> list[str]:
    fields = lines[5].split(",")
    return [*lines[:5], ",".join([fields[0], value, *fields[2:]]), *lines[6:]]


# what of the lines; a message, or the numbers are right
CSV: dict[str, tuple[Lines, str | None]] = {
    "a longer row": (
        lambda lines: [*lines[:5], f"{lines[5]},9", *lines[6:]],
        "Expected 4 fields in line 6, saw 5); see that each row has as many fields as the first",
    ),
    "all rows longer": (
        lambda lines: wider(lines, "9"),
        "have 5 fields, expected 4 as in its first",
    ),
    "a comma at the end of rows": (lambda lines: wider(lines, ""), "and no row ends with one"),
    "decimal commas": (
        lambda lines: [lines[0], *(line.replace(".", ",") for line in lines[1:])],
        "have 8 fields, expected 4 as in its first line; see that no number is written with ','",
    ),
    "a shorter row": (
        lambda lines: [*lines[:5], "2.0,1.0", *lines[6:]],
        "column 'past' has 1 missing (NaN) value, first in row 4 ",
    ),
    "semicolons": (
        lambda lines: [line.replace(",", ";").replace(".", ",") for line in lines],
        "no column 'known'; its columns are separated by ';'; say so by csv: {sep: ';'}",
    ),
    "tabs": (lambda lines: [line.replace(",", "\t") for line in lines], "by csv: {sep: tab}"),
    "bars": (lambda lines: [line.replace(",", "|") for line in lines], "by csv: {sep: '|'}"),
    "a header only": (lambda lines: lines[:1], "run.csv: no rows"),
    "no header": (lambda lines: lines[1:], "names of columns in its first line, found '0.0'; put"),
    "a comment first": (
        lambda lines: ["# made today", *lines],
        "found '# made today'; leave such lines out by csv: {comment: '#'}",
    ),
    "a comment later": (
        lambda lines: [*lines[:5], "# a pause", *lines[5:]],
        "stamp or a finite number; leave such lines out by csv: {comment: '#'}, or write dates",
    ),
    "a row of units": (
        lambda lines: [lines[0], "s,m,m,m", *lines[1:]],
        "leave a row of units out by csv: {skiprows: [1]}, or ",
    ),
    "the header again": (lambda lines: [*lines[:9], lines[0], *lines[9:]], "holds 't' in row 8 "),
    "a name twice": (
        lambda lines: ["t,known,past,known", *lines[1:]],
        "2 columns are named 'known'; rename all but one",
    ),
    "a name twice, numbered": (
        lambda lines: ["t,known,known,known.1,target", *(f"{line},1" for line in lines[1:])],
        "2 columns are named 'known'",
    ),
    "no names": (lambda lines: [",,,", *lines[1:]], "no column 'known'; known: Unnamed: 0, "),
    "a dash": (lambda lines: with_value(lines, "-"), "must be numeric, found '-' in row 4 "),
    "Fortran's exponent": (lambda lines: with_value(lines, "1.0D+3"), "found '1.0D+3' in row 4 "),
    "a decimal comma in quotes": (
        lambda lines: with_value(lines, '"1,5"'),
        "found '1,5' in row 4 (counted from 0); make its comma a decimal one by csv: {decimal",
    ),
    "hexadecimal": (lambda lines: with_value(lines, "0x1F"), "found '0x1F' in row 4 "),
    "another minus": (lambda lines: with_value(lines, "\u22121"), "found '\u22121' in row 4 "),
    "a percentage": (lambda lines: with_value(lines, "5%"), "found '5%' in row 4 "),
    "an overflow": (lambda lines: with_value(lines, "1e400"), "1 infinite value, first in row 4 "),
    "infinity": (lambda lines: with_value(lines, "-Infinity"), "1 infinite value, first in row 4 "),
    "400 digits": (lambda lines: with_value(lines, "1" * 400), "1 infinite value, first in row 4 "),
    "null": (lambda lines: with_value(lines, "null"), "1 missing (NaN) value, first in row 4 "),
    "nothing": (lambda lines: with_value(lines, ""), "1 missing (NaN) value, first in row 4 "),
    "quoted line breaks": (lambda lines: with_note(lines, '"a\nb"'), None),
    "quoted numbers": (
        lambda lines: [lines[0], *('"' + line.replace(",", '","') + '"' for line in lines[1:])],
        None,
    ),
    "a quote that does not end": (
        lambda lines: [*lines[:5], f'"{lines[5]}', *lines[6:]],
        "not a readable csv file (",
    ),
    "blank lines": (lambda lines: [line for pair in lines for line in ("", pair)], None),
    "blanks around names": (lambda lines: [lines[0].replace(",", " , "), *lines[1:]], None),
    "blanks around numbers": (lambda lines: [line.replace(",", ", ") for line in lines], None),
    "a name that stands for others": (
        lambda lines: [f"known.1,{lines[0]},x,x", *(f"7,{line},8,9" for line in lines[1:])],
        None,
    ),
    "an index without a name": (
        lambda lines: [f",{lines[0]}", *(f"{n},{line}" for n, line in enumerate(lines[1:]))],
        None,
    ),
}


@pytest.mark.parametrize(("change", "message"), CSV.values(), ids=CSV)
def test_the_layout_of_a_csv_file(
    tried: Tried, tmp_path: Path, clean: list[Batch], change: Lines, message: str | None
) -> None:
    path = tmp_path / "run.csv"
    lines = make_frame().to_csv(index=False).splitlines()
    path.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
    found = outcome(path, tried)
    if message is None:
        assert_same(found, clean)
    else:
        assert message in found
        assert str(path) in found


# how the text is encoded: of a column that is read, and of one that is not
ENCODINGS = {
    "utf-8": (None, None),
    "utf-8-sig": (None, None),
    "latin-1": ("not a readable csv file ('utf-8' codec", None),
    "utf-16": ("expected text in UTF-8: save it as that", "expected text in UTF-8"),
    "utf-16-le": ("expected text in UTF-8", "it holds zeros: expected text in UTF-8, save it as"),
    "utf-32": ("expected text in UTF-8: save it as that", "expected text in UTF-8"),
}


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_encoding_of_a_csv_file(
    tried: Tried, tmp_path: Path, clean: list[Batch], encoding: str, read: bool
) -> None:
    name, message = ("größe", ENCODINGS[encoding][0]) if read else ("known", ENCODINGS[encoding][1])
    path = tmp_path / "run.csv"
    frame = make_frame().rename(columns={"known": name}).assign(note="é")
    path.write_bytes(frame.to_csv(index=False).encode(encoding))
    found = outcome(path, tried, known_covariates=name)
    if message is None:
        assert_same(found, clean)
    else:
        assert message in found


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_the_ends_of_lines_do_not_matter(
    tried: Tried, tmp_path: Path, clean: list[Batch], end: str
) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes(make_frame().to_csv(index=False, lineterminator=end).encode())
    assert_same(outcome(path, tried), clean)


def test_a_word_far_down_a_long_csv_file_is_told_without_a_warning(
    tried: Tried, tmp_path: Path
) -> None:
    rows = 300_000
    frame = pd.DataFrame({"t": np.arange(rows), "known": 0, "past": 1, "target": 2.0})
    frame["known"] = frame["known"].astype(object)
    frame.loc[rows - 5, "known"] = "off"
    frame.to_csv(tmp_path / "run.csv", index=False)
    assert f"found 'off' in row {rows - 5} " in outcome(tmp_path / "run.csv", tried)
