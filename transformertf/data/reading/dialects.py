"""How csv files are written, and their bytes as UTF-8 with nothing in them but header and rows."""

import codecs
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from transformertf.errors import InputError, nearest

# endings of text, and the separator between columns where none is named
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
# endings of packed files, in the words of Arrow
PACKED = {".gz": "gzip", ".zst": "zstd"}
# bytes that are unpacked or rewritten at once
_PIECE = 2**20
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n?|\n")
_GROUPED = re.compile(r"[+-]?\d{1,3}([,. '_])\d{3}(\1\d{3})*([.,]\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+")
# as people type them
_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "blank": " "}
_DECIMALS = (".", ",")
_THOUSANDS = (",", ".", "'", " ", "_")


@dataclass(frozen=True)
class Dialect:
    """How csv files are written.

    Attributes:
        sep: character between columns; None for a tab in .tsv and .txt, and in all others a comma,
            or a semicolon where the comma is the decimal one.
        decimal: character before the fraction of a number, "." or ",".
        thousands: character between groups of three digits, or None.
        comment: character that begins a line which is no row, or None.
        skiprows: lines that are left out, counted from 0.
        encoding: of the text.
    """

    sep: str | None = None
    decimal: str = "."
    thousands: str | None = None
    comment: str | None = None
    skiprows: tuple[int, ...] = ()
    encoding: str = "utf-8"

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "Dialect":
        """Return what the argument `csv` says.

        Raises:
            InputError: an unknown key, or a value that it cannot have.
        """
        if given is None:
            return cls()
        names = [field.name for field in fields(cls)]
        if not isinstance(given, Mapping):
            raise InputError(f"csv: expected keys and values, as {{sep: ';'}}, found {given!r}")
        for name in given:
            if name not in names:
                raise InputError(f"csv: unknown key {name!r}; {nearest(str(name), names)}")
            if given[name] is None:
                raise InputError(f"csv: {name} has no value; write it in quotes, as '#'")
        said = dict(given)
        for name in ("sep", "decimal", "thousands", "comment"):
            if name in said:
                said[name] = _character(name, said[name])
        if "skiprows" in said:
            said["skiprows"] = _lines(said["skiprows"])
        made = cls(**said)
        made._check()
        return made

    def _check(self) -> None:
        for name, choices in (("decimal", _DECIMALS), ("thousands", _THOUSANDS)):
            value = getattr(self, name)
            if value is not None and value not in choices:
                shown = " ".join(map(repr, choices))
                raise InputError(f"csv: {name} must be one of {shown}, found {value!r}")
        for one, other in (("decimal", "sep"), ("decimal", "thousands"), ("comment", "sep")):
            value = getattr(self, one)
            if value is not None and value == getattr(self, other):
                raise InputError(f"csv: {one} and {other} are both {value!r}; give another one")
        try:
            "1".encode(self.encoding)
        except (LookupError, TypeError):
            raise InputError(
                f"csv: unknown encoding {self.encoding!r}; expected one of Python's, as utf-8, "
                "utf-16, latin-1 or cp1252"
            ) from None

    def separator(self, path: Path) -> str:
        """Return the character between the columns of a file."""
        if self.sep is not None:
            return self.sep
        usual = SEPARATORS["." + ending_of(path).split(".")[1]]
        return ";" if usual == self.decimal else usual


# as `to_csv` of pandas writes
PLAIN = Dialect()


def _character(name: str, given: object) -> str:
    value = _NAMED.get(given, given) if isinstance(given, str) else given
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in '"\r\n\0':
        raise InputError(
            f"csv: {name} must be one character of ASCII and no quote, found {given!r}; give one, "
            "as ';', or tab"
        )
    return value


def _lines(given: object) -> tuple[int, ...]:
    """Return the numbers of lines: so many first ones, or those of a list."""
    lines = range(given) if type(given) is int and given >= 0 else given
    if not isinstance(lines, range | list | tuple) or any(
        type(line) is not int or line < 0 for line in lines
    ):
        raise InputError(
            f"csv: skiprows must be how many lines to leave out, or a list of their numbers from "
            f"0, found {given!r}"
        )
    return tuple(lines)


def ending_of(path: Path) -> str:
    """Return the ending of a file's name in small letters, with that before it where packed."""
    *_, before, last = ("", "", *(suffix.lower() for suffix in path.suffixes))
    return before + last if last in PACKED and before in SEPARATORS else last


def stem_path(path: Path) -> Path:
    """Return a path without the ending of its file."""
    return path.with_name(path.name[: len(path.name) - len(ending_of(path))])


def hint_of(value: object, path: Path, row: int) -> str:
    """Return what to say of a csv file so that a value is read, or left out; or nothing.

    Args:
        value: of a column of numbers or time stamps, which it is none of.
        path: its file.
        row: its row, counted from 0.
    """
    is_csv = any(ending_of(path).startswith(ending) for ending in SEPARATORS)
    if not isinstance(value, str) or not is_csv:
        return ""
    if value.lstrip().startswith(("#", "%", "!")):
        return f"leave such lines out by csv: {{comment: {value.lstrip()[0]!r}}}, or "
    if _GROUPED.fullmatch(value.strip()):
        return "name what groups its digits by csv: {thousands: ','}, or "
    if _COMMA.fullmatch(value.strip()):
        return "make its comma a decimal one by csv: {decimal: ','}, or "
    if row == 0 and not any(character.isdigit() for character in value):
        return "leave a row of units out by csv: {skiprows: [1]}, or "
    return ""


def open_text(path: Path, dialect: Dialect, cuts: list[int] | None = None) -> BinaryIO:
    """Open a csv file as UTF-8, unpacked, without byte order mark and lines that are no rows.

    Args:
        path: the file.
        dialect: how it is written.
        cuts: takes the bytes at which lines were left out, as they are come upon.

    Raises:
        UnicodeError: as it is read, where it is not of that encoding.
    """
    packing = PACKED.get(path.suffix.lower())
    is_utf8 = codecs.lookup(dialect.encoding).name in ("utf-8", "utf-8-sig")
    if packing is None and is_utf8 and not dialect.skiprows and dialect.comment is None:
        file = path.open("rb")
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        return file
    pieces = _bytes(path, packing)
    if not is_utf8:
        pieces = _recoded(pieces, dialect.encoding)
    cuts = [] if cuts is None else cuts
    pieces = _without_mark(pieces)
    if dialect.skiprows:
        pieces = _without_lines(pieces, dialect.skiprows, cuts)
    if dialect.comment is not None:
        pieces = _without_comments(pieces, dialect.separator(path), dialect.comment, cuts)
    return cast("BinaryIO", io.BufferedReader(_Pieces(pieces), _PIECE))


class _Pieces(io.RawIOBase):
    """A file of pieces that are made as it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give what comes next."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Close the file that the pieces are made of, too."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        super().close()


def _bytes(path: Path, packing: str | None) -> Iterator[bytes]:
    with pa.input_stream(str(path), compression=packing) as file:
        while piece := file.read(_PIECE):
            yield piece


def _recoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    for piece in pieces:
        yield decoder.decode(piece).encode()
    yield decoder.decode(b"", final=True).encode()


def _without_mark(pieces: Iterator[bytes]) -> Iterator[bytes]:
    begin = b""
    for piece in pieces:
        begin += piece
        if len(begin) >= len(_BOM):
            break
    yield begin.removeprefix(_BOM)
    yield from pieces


def _without_lines(
    pieces: Iterator[bytes], skipped: tuple[int, ...], cuts: list[int]
) -> Iterator[bytes]:
    """Leave out some of the first lines."""
    text, count = b"", max(skipped) + 1
    ends: list[int] = []
    for piece in pieces:
        text += piece
        # one more, for the last byte may be the first half of an end
        ends = [match.end() for match in islice(_LINE_END.finditer(text), count + 1)]
        if len(ends) > count:
            break
    ends = [*ends[:count], *[len(text)] * (count - len(ends))]
    left = set(skipped)
    starts = [0, *ends[:-1]]
    lines = [
        text[start:end]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        if number not in left
    ]
    cuts += [0] * len(left)
    yield b"".join(lines) + text[ends[-1] :]
    yield from pieces


def _without_comments(
    pieces: Iterator[bytes], sep: str, comment: str, cuts: list[int]
) -> Iterator[bytes]:
    """Leave out lines that begin with a character, blanks aside, and are in no quotes."""
    line = re.compile(rb"[\r\n][ \t]*%b[^\r\n]*+" % re.escape(comment.encode()))
    rest, given, size, ended = b"", 0, _PIECE, False
    while not ended:
        while len(rest) < size and not ended:
            piece = next(pieces, None)
            ended, rest = piece is None, rest + (piece or b"")
        text, _ = masked(rest, sep, comment)
        end = last_line_end(text, ended)
        size = _PIECE if end else 2 * size
        begin, kept = 0, []
        # the first line comes after the end of none
        for match in line.finditer(b"\n" + text[:end]) if comment.encode() in text else ():
            kept.append(rest[begin : match.start()])
            given += match.start() - begin
            cuts.append(given)
            after = _LINE_END.match(text, match.end() - 1)
            begin = match.end() - 1 if after is None else after.end()
        kept.append(rest[begin:end])
        given += end - begin
        rest = rest[end:]
        yield b"".join(kept)


@cache
def _quoted(sep: str, comment: str | None) -> re.Pattern[bytes]:
    """Return the pattern of quotes; one stands for itself where it does not begin a field."""
    own = re.escape(sep.encode())
    if comment is None:
        return re.compile(rb'(?<![^%b\r\n])"[^"]*+(?:""[^"]*+)*+(?P<end>"|\Z)' % own)
    # nor in a line that is no row; each branch begins with a letter, for then it is looked for fast
    line = rb"[ \t]*%b[^\r\n]*+" % re.escape(comment.encode())
    quoted = rb'"(?<=[%b\r\n]")[^"]*+(?:""[^"]*+)*+(?P<end>"|\Z)' % own
    return re.compile(rb"\n%b|\r%b|%b" % (line, line, quoted))


def masked(content: bytes, sep: str, comment: str | None = None) -> tuple[bytes, int | None]:
    """Return a text without delimiters and ends of lines in quotes, and where a quote stays open.

    Args:
        content: begins with a row.
        sep: character between columns.
        comment: character that begins a line which is no row.

    Returns:
        As many bytes, and the place of the quote that does not end.
    """
    if b'"' not in content:
        return content, None
    open_quote, shift = None, 0

    def mask(match: re.Match[bytes]) -> bytes:
        nonlocal open_quote
        if match[0][:1] != b'"':
            return match[0]
        if not match["end"]:
            open_quote = match.start() - shift
        return b"q" * len(match[0])

    if comment is None or comment.encode() not in content:
        return _quoted(sep, None).sub(mask, content), open_quote
    shift = 1  # the first line comes after the end of none
    return _quoted(sep, comment).sub(mask, b"\n" + content)[1:], open_quote


def last_line_end(text: bytes, at_end: bool) -> int:
    """Return where the last whole row ends in a masked text, 0 where there is none."""
    # the last byte may be the first half of an end
    return len(text) if at_end else text.rfind(b"\n") + 1 or text.rfind(b"\r", 0, -1) + 1
