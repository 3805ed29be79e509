"""Which columns of a table are those that are wanted, by names as people write them."""

import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformertf.data.reading.units import other_unit
from transformertf.errors import InputError, nearest


def column_key(name: str) -> str:
    """Return what two names of one column share: nobody sees blanks around, nor Unicode forms."""
    return unicodedata.normalize("NFC", name.strip())


@dataclass(frozen=True)
class Renamed:
    """A column that has another name, or unit, where it is read.

    Attributes:
        new: the name that it has a role under.
        old: its header.
        scale: what its numbers are multiplied by.
    """

    new: str
    old: str
    scale: float = 1.0


def renamed(
    given: Mapping[str, Any] | None, known: Sequence[str], text: Collection[str]
) -> tuple[Renamed, ...]:
    """Return what the argument `rename` says.

    Args:
        given: new names, each to the header, or to `from` and `scale`.
        known: names that have a role.
        text: those of them that are no numbers.

    Raises:
        InputError: a name has no role, a header comes twice, or a scale is none.
    """
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"rename: expected new names to headers, found {given!r:.60}")
    found = tuple(_renamed(str(new), how) for new, how in (given or {}).items())
    own = {column_key(name): name for name in known}
    headers: set[str] = set()
    for one in found:
        if column_key(one.new) not in own:
            raise InputError(
                f"rename: {one.new!r} is no column with a role; {nearest(one.new, known)} (the new "
                "name comes first: NEW: OLD)"
            )
        if column_key(one.old) in headers:
            raise InputError(f"rename: {one.old!r} becomes two columns; name it once")
        if one.scale != 1 and own[column_key(one.new)] in text:
            raise InputError(f"rename: {one.new!r} is an id or a category; leave its scale out")
        headers.add(column_key(one.old))
    return found


def _renamed(new: str, how: object) -> Renamed:
    keys = ("from", "scale")
    if not isinstance(how, Mapping):
        how = {"from": how}
    for key in how:
        if key not in keys:
            raise InputError(f"rename: unknown key {key!r} of {new!r}; {nearest(str(key), keys)}")
    old: Any = how.get("from", new)
    scale: Any = how.get("scale", 1.0)
    if not isinstance(old, str):
        raise InputError(f"rename: expected the header of {new!r}, found {old!r}; put it in quotes")
    is_number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if not is_number or not math.isfinite(scale) or scale == 0:
        raise InputError(f"rename: the scale of {new!r} must be a number but 0, found {scale!r}")
    return Renamed(new, old, float(scale))


def scales(names: Mapping[str, str], renames: Sequence[Renamed]) -> dict[str, float]:
    """Return what columns are multiplied by, where that is not 1.

    Args:
        names: headers of the wanted columns, by their names.
        renames: see `renamed`.
    """
    known = {column_key(one.old): one.scale for one in renames if one.scale != 1}
    keys = {name: column_key(header) for name, header in names.items()}
    return {name: known[key] for name, key in keys.items() if key in known}


def match_columns(
    wanted: Iterable[str],
    header: Sequence[str],
    where: Path | str,
    optional: Collection[str] = (),
    renames: Sequence[Renamed] = (),
) -> dict[str, str]:
    """Return the column of each wanted name: that very one, or else the one with its key.

    Args:
        wanted: names.
        header: the columns there are.
        where: their table, for messages.
        optional: names that need not be there.
        renames: columns that have another name here.

    Raises:
        InputError: a column is not there, or there twice; two names are of one column.
    """
    new = {column_key(one.old): one.new for one in renames}
    shown = [new.get(column_key(column), column) for column in header]
    _refuse_both(shown, header, where)
    keys = {column_key(column) for column in shown}
    names: dict[str, str] = {}
    given: dict[str, str] = {}
    for name in wanted:
        if name in optional and column_key(name) not in keys:
            continue
        names[name] = found = header[shown.index(_find(name, shown, where))]
        if given.setdefault(found, name) != name:
            raise InputError(
                f"{where}: {given[found]!r} and {name!r} are one column, {found!r}; write its name "
                "alike wherever it has a role"
            )
    return names


def _refuse_both(shown: Sequence[str], header: Sequence[str], where: Path | str) -> None:
    """Refuse a header that has a name, and a column that is renamed to it."""
    keys = [column_key(name) for name in shown]
    for place, name in enumerate(header):
        if keys[place] != column_key(name) and keys.count(keys[place]) > 1:
            raise InputError(
                f"{where}: has {shown[place]!r}, and {name!r} that rename makes {shown[place]!r} "
                "of; cut one of the columns, or leave that name out of rename"
            )


def _find(name: str, header: Sequence[str], where: Path | str) -> str:
    same = [name] if name in header else [c for c in header if column_key(c) == column_key(name)]
    if len(same) == 1 and header.count(same[0]) == 1:
        return same[0]
    if same:
        count = max(len(same), header.count(same[0]))
        raise InputError(f"{where}: {count} columns are named {name!r}; rename all but one")
    hint = _several(name, header) or other_unit(name, header) or nearest(name, header)
    raise InputError(f"{where}: no column {name!r}; {_layout(header) or hint}")


def _several(name: str, header: Sequence[str]) -> str | None:
    """Return how to name several columns, where that is what a name with commas is."""
    keys, parts = {column_key(column) for column in header}, name.split(",")
    if len(parts) == 1 or not keys.issuperset(map(column_key, parts)):
        return None
    listed = ", ".join(repr(part.strip()) for part in parts)
    return f"these are {len(parts)} columns; give them as a list, [{listed}]"


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
        told = f"expected names of columns in its first line, found {first!r}"
        return f"{told}; leave such lines out by csv: {{comment: '#'}}"
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
