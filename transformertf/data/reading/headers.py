"""Which columns of a table are those that are wanted, by names as people write them."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from transformertf.errors import InputError, nearest


def column_key(name: str) -> str:
    """Return what two names of one column share: nobody sees blanks around, nor Unicode forms."""
    return unicodedata.normalize("NFC", name.strip())


def match_columns(
    wanted: Iterable[str],
    header: Sequence[str],
    where: Path | str,
    optional: Collection[str] = (),
) -> dict[str, str]:
    """Return the column of each wanted name: that very one, or else the one with its key.

    Args:
        wanted: names.
        header: the columns there are.
        where: their table, for messages.
        optional: names that need not be there.

    Raises:
        InputError: a column is not there, or there twice; two names are of one column.
    """
    keys = {column_key(column) for column in header}
    names: dict[str, str] = {}
    given: dict[str, str] = {}
    for name in wanted:
        if name in optional and column_key(name) not in keys:
            continue
        names[name] = found = _find(name, header, where)
        if given.setdefault(found, name) != name:
            raise InputError(
                f"{where}: {given[found]!r} and {name!r} are one column, {found!r}; write its name "
                "alike wherever it has a role"
            )
    return names


def _find(name: str, header: Sequence[str], where: Path | str) -> str:
    same = [name] if name in header else [c for c in header if column_key(c) == column_key(name)]
    if len(same) == 1 and header.count(same[0]) == 1:
        return same[0]
    if same:
        count = max(len(same), header.count(same[0]))
        raise InputError(f"{where}: {count} columns are named {name!r}; rename all but one")
    raise InputError(f"{where}: no column {name!r}; {_layout(header) or nearest(name, header)}")


def _layout(header: Sequence[str]) -> str | None:
    """Return what is wrong where a header is no list of names; None where it may be one."""
    if any("\0" in name for name in header):
        return (
            "it holds zeros: expected text in UTF-8, save it as that, or name its encoding, as "
            "csv: {encoding: utf-16}"
        )
    if header and all(_is_number(name) for name in header):
        return f"expected names of columns in its first line, found {header[0]!r}; put them there"
    first = header[0] if len(header) == 1 else ""
    if first.startswith("#"):
        return f"expected names of columns in its first line, found {first!r}; leave such lines out by csv: {{comment: '#'}}"
    for separator in (";", "\t", "|", ","):
        if separator in first:
            # with semicolons, the comma is mostly the decimal one
            own = f"sep: {'tab' if separator == chr(9) else repr(separator)}"
            also = " (and decimal: ',' where numbers are written so)" if separator == ";" else ""
            return f"its columns are separated by {separator!r}; say so by csv: {{{own}}}{also}"
    return None


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
