"""Csv files, read in blocks of whole rows by Arrow; the only thing kept of them is a block."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from transformertf.data.reading.dialects import Dialect, last_line_end, masked, open_text
from transformertf.data.reading.tables import ahead
from transformertf.errors import InputError

# bytes of a block: enough for all cores, few enough to be in nobody's way
BLOCK = 2**22
# what stands for a missing value, as in pandas
MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
_TRUE, _FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
_LINE_END = re.compile(rb"\r\n?|\n")
_WHOLE, _REAL, _TRUTH = pa.int64(), pa.float64(), pa.bool_()
# dates as nearly all files have them; any others are read as text
_DATES = (pa.date32(), pa.timestamp("s"))
_TEXT = pa.string()
# text that is kept as written: few values that come again
_AS_WRITTEN = pa.dictionary(pa.int32(), pa.string())


def csv_columns(path: Path, dialect: Dialect) -> list[str]:
    """Return the names of the columns as they are written; those that have none as pandas does."""
    how: dict[str, Any] = {
        "sep": dialect.separator(path),
        # pandas before 3.1 decodes rows below the header, too, of columns that nobody may read
        "encoding_errors": "surrogateescape",
    }
    with open_text(path, dialect) as file:
        names = pd.read_csv(file, nrows=0, **how).columns
    with open_text(path, dialect) as file:
        first = pd.read_csv(file, nrows=1, header=None, dtype="str", keep_default_na=False, **how)
    # pandas tells repeated names apart by numbers
    return [own or str(name) for own, name in zip(first.iloc[0], names, strict=True)]


@dataclass(frozen=True)
class Block:
    """Whole rows of a file.

    Attributes:
        begin: byte at which they begin, of the text as it is opened.
        end: byte after them.
        rows: how many there are.
    """

    begin: int
    end: int
    rows: int


class CsvFile:
    """A csv file, gone through once to count its rows, and each time that they are read.

    A column has one type from block to block, which grows wider only: whole numbers, numbers, text.
    It is text as well where truth values or dates stand beside something else, so that no value
    means one thing or another depending on where a block ends.

    Args:
        path: the file.
        columns: those to read.
        text: those of them that are kept as written.
        dates: those of them that may hold dates.
        dialect: how it is written.

    Raises:
        InputError: a quote does not end, or there are zero bytes.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        text: Collection[str],
        dates: Collection[str],
        dialect: Dialect,
    ) -> None:
        header = csv_columns(path, dialect)
        self.path, self.dialect = path, dialect
        self._sep = dialect.separator(path)
        blank = b"[" + b" \t".replace(self._sep.encode(), b"") + b"]*"
        self._blank = re.compile(b"^" + blank + rb"\n", re.MULTILINE)
        # up to the first line that is not blank
        self._head = re.compile(rb"(?:" + blank + rb"(?:\r\n?|\n))*+[^\r\n]*(?:\r\n?|\n|\Z)")
        self._width = len(header)
        # Arrow knows them by their place, as names may come twice
        self._places = {name: str(header.index(name)) for name in columns}
        self._dates = {self._places[name] for name in dates if name in self._places}
        self._types: dict[str, pa.DataType] = {self._places[name]: _AS_WRITTEN for name in text}
        with open_text(path, dialect) as file:
            self._blocks = [block for block in self._survey(file) if block.rows]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(block.rows for block in self._blocks)

    def read(self, names: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some of its columns, block by block.

        Raises:
            InputError: a row has more fields than the header.
        """
        # blocks are parsed while those before become frames
        for table in ahead(
            self._tables([self._places[name] for name in names]), self.rows * len(names)
        ):
            yield table.rename_columns(names)

    def _tables(self, places: list[str]) -> Iterator[pa.Table]:
        with open_text(self.path, self.dialect) as file:
            end = 0
            for block in self._blocks:
                file.read(block.begin - end)  # the header, or blank lines
                end = block.end
                yield self._read(file.read(end - block.begin), block, places)

    def _survey(self, file: BinaryIO) -> Iterator[Block]:
        """Find where blocks begin and end, and count their rows."""
        text, rest = self._next(file, b"", 0, self._header_end)
        begin = len(text)
        while True:
            text, rest = self._next(file, rest, begin, last_line_end)
            if not text:
                return
            yield Block(begin, begin + len(text), self._count(text))
            begin += len(text)

    def _next(
        self, file: BinaryIO, rest: bytes, begin: int, find: Callable[[bytes, bool], int]
    ) -> tuple[bytes, bytes]:
        """Return what comes next, masked, as much of it as `find` says, and what is read of more.

        Args:
            file: read on from.
            rest: what was read and comes first.
            begin: byte at which that begins.
            find: takes a masked text, and whether it is the end of the file.
        """
        content, size = rest, max(BLOCK, len(rest))
        while True:
            content += file.read(size - len(content))
            if b"\0" in content:
                raise InputError(
                    f"{self.path}: not a readable csv file (zero bytes in line "
                    f"{self._line(begin + content.index(0))}); it was not written to its end, or "
                    "is no text in UTF-8: write it again, or name its encoding, as csv: {encoding: "
                    "utf-16}"
                )
            text, open_quote = masked(content, self._sep)
            at_end = len(content) < size
            if at_end and open_quote is not None:
                line = self._line(begin + open_quote)
                raise InputError(
                    f"{self.path}: not a readable csv file (the quote in line {line} does not "
                    "end); close it, or double a quote that is part of a text"
                )
            end = find(text, at_end)
            if end or at_end:
                return text[:end], content[end:]
            size *= 2

    def _header_end(self, text: bytes, at_end: bool) -> int:
        """Return where the header ends in a masked text, 0 where that is not seen yet."""
        match = self._head.match(text)
        assert match is not None
        return match.end() if at_end or match.end() < len(text) else 0

    def _count(self, text: bytes) -> int:
        """Return how many rows there are in a masked text."""
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        codes = np.frombuffer(text, np.uint8)
        ends = codes == ord("\n")
        rows = int(np.count_nonzero(ends)) + (not ends[-1])
        # a blank line of a file with a single column is a missing value, not decoration
        if self._width == 1:
            return rows
        blanks = ends
        for blank in b" \t".replace(self._sep.encode(), b""):
            if blank in text:
                blanks = blanks | (codes == blank)
        if blanks[0] or (ends[:-1] & blanks[1:]).any():
            rows -= len(self._blank.findall(text if ends[-1] else text + b"\n"))
        return rows

    def _read(self, content: bytes, block: Block, places: list[str]) -> pa.Table:
        """Return some columns of a block, each of the type it has by now."""
        try:
            table = self._parse(content, places, self._types)
        except pa.ArrowInvalid:  # of a wider type than before, or rows of different lengths
            content = self._mended(content, block)
            texts = {place: kind for place, kind in self._types.items() if _is_text(kind)}
            with _told_by_python(content):
                table = self._parse(content, places, texts)
        odd = [place for place in places if not self._settle(place, table[place], content)]
        self._types |= dict.fromkeys(odd, _TEXT)
        if odd:
            with _told_by_python(content):
                texts = self._parse(content, odd, self._types)
            for place in odd:
                table = table.set_column(places.index(place), place, texts[place])
        return pa.table({place: self._plain(place, table[place]) for place in places})

    def _plain(self, place: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return a column as pandas would have it, numbers in groups of digits as numbers."""
        plain, dialect = _plain(column), self.dialect
        if column.type == _TEXT and dialect.thousands is not None:
            return _ungrouped(plain, dialect.decimal, dialect.thousands)
        return plain

    def _settle(self, place: str, column: pa.ChunkedArray, content: bytes) -> bool:
        """Keep the type of a column; whether it can be left at that, or is to be text."""
        kind, before = column.type, self._types.get(place)
        if kind == pa.null() or _is_text(before):
            return True
        if kind in (_WHOLE, _REAL):
            self._types[place] = _REAL if before == _REAL else kind
            return before in (None, _WHOLE, _REAL) and not self._is_misread(place, column, content)
        if kind == _TRUTH or (kind in _DATES and place in self._dates):
            self._types[place] = _TRUTH if kind == _TRUTH else _DATES[-1]
            return before in (None, self._types[place])
        return False

    def _is_misread(self, place: str, column: pa.ChunkedArray, content: bytes) -> bool:
        """Whether Arrow took words for numbers that are none: 0x1F and NAN."""
        if column.type == _REAL:
            # what is missing is null, not NaN
            return bool(pc.any(pc.is_nan(column)).as_py())
        if b"x" not in content and b"X" not in content:
            return False
        words = self._parse(content, [place], {place: _TEXT})[place]
        return bool(pc.any(pc.match_substring(words, "x", ignore_case=True)).as_py())

    def _parse(self, content: bytes, places: list[str], types: dict[str, pa.DataType]) -> pa.Table:
        return pyarrow.csv.read_csv(
            pa.BufferReader(content),
            pyarrow.csv.ReadOptions(column_names=[str(n) for n in range(self._width)]),
            pyarrow.csv.ParseOptions(
                delimiter=self._sep,
                newlines_in_values=b'"' in content,
                ignore_empty_lines=self._width > 1,
            ),
            pyarrow.csv.ConvertOptions(
                include_columns=places,
                column_types={place: types[place] for place in places if place in types},
                null_values=MISSING,
                true_values=_TRUE,
                false_values=_FALSE,
                decimal_point=self.dialect.decimal,
            ),
        )

    def _mended(self, content: bytes, block: Block) -> bytes:
        """Return a block whose rows all have as many fields as the header: the rest is missing.

        Raises:
            InputError: a row has more.
        """
        text, _ = masked(content, self._sep)
        sep = self._sep.encode()
        text += b"" if text.endswith((b"\r", b"\n")) else b"\n"
        rows: list[bytes] = []
        begin = 0
        for match in _LINE_END.finditer(text):
            row, fields = content[begin : match.start()], 1
            if not self._blank.fullmatch(row + b"\n") or self._width == 1:
                fields += text.count(sep, begin, match.start())
                if fields > self._width:
                    is_first = block == self._blocks[0] and not rows
                    self._refuse(block.begin + begin, fields, is_first=is_first)
                rows.append(row + sep * (self._width - fields))
            begin = match.end()
        return b"\n".join(rows) + b"\n"

    def _refuse(self, place: int, fields: int, *, is_first: bool) -> None:
        line = self._line(place)
        if is_first:
            raise InputError(
                f"{self.path}: its rows, from line {line} on, have {fields} fields, expected "
                f"{self._width} as in its first line; see that no number is written with "
                f"{self._sep!r}, and no row ends with one, or name what is between columns, as "
                "csv: {sep: ';'}"
            )
        raise InputError(
            f"{self.path}: not a readable csv file (Expected {self._width} fields in line {line}, "
            f"saw {fields}); see that each row has as many fields as the first one"
        )

    def _line(self, place: int) -> int:
        """Return the line of a byte, counted from 1."""
        ends, returns = 0, 0
        cuts: list[int] = []
        with open_text(self.path, self.dialect, cuts) as file:
            for begin in range(0, place, BLOCK):
                content = file.read(min(BLOCK, place - begin))
                ends += content.count(b"\n")
                returns += content.count(b"\r")
        return 1 + (ends or returns) + sum(cut <= place for cut in cuts)


@contextmanager
def _told_by_python(content: bytes) -> Iterator[None]:
    """Let text that is no UTF-8 raise what tells so."""
    try:
        yield
    except pa.ArrowInvalid:
        content.decode()
        raise


def _is_text(kind: pa.DataType | None) -> bool:
    return kind in (_TEXT, _AS_WRITTEN)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as pandas would have it."""
    if column.type == pa.null():
        return column.cast(_REAL)
    if column.type in _DATES:
        return column.cast(pa.timestamp("us"))
    if column.type == _TEXT:
        lost = pc.is_in(column, value_set=pa.array(MISSING))
        return pc.if_else(lost, pa.scalar(None, _TEXT), column)
    return column


def _ungrouped(column: pa.ChunkedArray, decimal: str, thousands: str) -> pa.ChunkedArray:
    """Return text as numbers, where all of it is such, in groups of three digits or without."""
    groups = rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+"
    number = rf"^[+-]?(?:(?:\d+|{groups})(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)"
    words = pc.utf8_trim_whitespace(column)
    if not pc.all(pc.match_substring_regex(words, rf"{number}(?:[eE][+-]?\d+)?$")).as_py():
        return column
    digits = pc.replace_substring(pc.replace_substring(words, thousands, ""), decimal, ".")
    digits = pc.replace_substring_regex(digits, r"^\+", "")
    try:
        return digits.cast(_WHOLE)
    except pa.ArrowInvalid:
        return digits.cast(_REAL)
