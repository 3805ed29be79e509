"""How a text file is written: separator, decimal comma, comments, units below the header."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformertf.data.reading import Dialect, is_text, open_text

# bytes that are looked at
_LOOKED_AT = 2**16
# lines of them
_LINES = 200
_SEPARATORS = (",", ";", "\t", "|")
_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+")
_GROUPED_BY_COMMA = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+")
_POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
Csv = dict[str, Any]


def written(path: Path) -> Csv:
    """Return what `csv` of a data module is to say of a file; nothing where it is as usual.

    Args:
        path: a file of any kind.
    """
    if not path.is_file() or not is_text(path):
        return {}
    with open_text(path, Dialect()) as file:
        content = file.read(_LOOKED_AT)
    found: Csv = {}
    encoding = _encoding(content)
    if encoding != "utf-8":
        found["encoding"] = encoding
    lines = content.decode(encoding, "ignore").splitlines()[:_LINES]
    if any(line.startswith("#") for line in lines):
        found["comment"] = "#"
    kept = [n for n, line in enumerate(lines[:-1] or lines) if line.strip() and line[0] != "#"]
    sep = _separator([lines[n] for n in kept])
    if sep is not None and sep != Dialect().separator(path):
        found["sep"] = "tab" if sep == "\t" else sep
    rows = list(csv.reader((lines[n] for n in kept), delimiter=sep or ","))
    found |= _decimal([field for row in rows[1:] for field in row])
    is_point = found.get("decimal", ".") == "."
    if len(rows) > 2 and _are_units(rows[1], rows[2:], is_point=is_point):
        found["skiprows"] = [kept[1]]
    return found


def _encoding(content: bytes) -> str:
    if content.startswith(_UTF_16):
        return "utf-16"
    try:
        # the last character may be cut
        content[: max(len(content) - 4, 0)].decode()
    except UnicodeDecodeError as error:
        return "utf-8" if error.start > len(content) - 8 else "cp1252"
    return "utf-8"


def _separator(lines: Sequence[str]) -> str | None:
    """Return the character that comes as often in each line; the likeliest where several do."""
    if not lines:
        return None
    header = lines[0]
    # in lines of numbers, a decimal comma comes as often as a column
    alike = [
        sep
        for sep in (";", "\t", "|", ",")
        if header.count(sep) and all(line.count(sep) == header.count(sep) for line in lines)
    ]
    return alike[0] if alike else max(_SEPARATORS, key=header.count) if header else None


def _decimal(fields: Sequence[str]) -> Csv:
    """Return how fractions and groups of digits are written, where that is not as usual."""
    words = [field.strip() for field in fields]
    if any(map(_GROUPED_BY_COMMA.fullmatch, words)):
        return {"thousands": ","}
    if any(map(_POINT.fullmatch, words)):
        return {}
    if any(map(_GROUPED.fullmatch, words)):
        return {"decimal": ",", "thousands": "."}
    return {"decimal": ","} if any(map(_COMMA.fullmatch, words)) else {}


def _are_units(first: Sequence[str], rows: Sequence[Sequence[str]], *, is_point: bool) -> bool:
    """Whether a row has words where all rows below have numbers."""

    def is_number(field: str) -> bool:
        try:
            float(field.strip() if is_point else field.strip().replace(",", "."))
        except ValueError:
            return False
        return True

    full = [row for row in rows if len(row) == len(first)]
    numeric = [n for n in range(len(first)) if full and all(is_number(row[n]) for row in full)]
    return bool(numeric) and all(first[n].strip() and not is_number(first[n]) for n in numeric)
