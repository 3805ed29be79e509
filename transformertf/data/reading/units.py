"""Names that differ in their unit alone: their values differ, too."""

import re
from collections.abc import Iterable, Iterator

# a unit in brackets at the end of a name
_UNIT = re.compile(r"(?P<quantity>.*?)\s*(\[(?P<square>[^\[\]]+)\]|\((?P<round>[^()]+)\))\s*")
_PREFIXES = {
    "": 0, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "c": -2, "h": 2, "k": 3, "M": 6, "G": 9,
}  # fmt: skip
# what prefixes stand before; what is divided by something may follow, but no power, whose prefix
# counts as often
_BASE = re.compile(
    r"(A|bar|C|eV|F|g|H|Hz|J|K|l|L|m|mol|N|Pa|s|S|T|V|VA|W|Wb|Wh|Ω|ohm|Ohm)([/*· ].*)?"
)


def other_unit(name: str, header: Iterable[str]) -> str | None:
    """Return a hint where a column is the wanted one in another unit; None where there is none.

    Args:
        name: the wanted column.
        header: the columns there are.
    """
    wanted = _parts(name)
    for column in header:
        found = _parts(column)
        if wanted is None or found is None or found[0] != wanted[0] or found[1] == wanted[1]:
            continue
        power = _power(found[1], wanted[1])
        scale = "FACTOR" if power is None else f"{10.0**power:.12g}"
        return (
            f"{column!r} is in another unit, and so are its values: bring them to {wanted[1]} with "
            f'rename: {{"{name}": {{from: "{column}", scale: {scale}}}}}'
        )
    return None


def _parts(name: str) -> tuple[str, str] | None:
    """Return quantity and unit of a name; None where it says no unit."""
    match = _UNIT.fullmatch(name.strip())
    if match is None:
        return None
    return match["quantity"], (match["square"] or match["round"]).strip()


def _power(found: str, wanted: str) -> int | None:
    """Return the power of ten that brings a unit to another one; None where it is not known."""
    bases = {base: power for power, base in _readings(wanted)}
    return next((power - bases[base] for power, base in _readings(found) if base in bases), None)


def _readings(unit: str) -> Iterator[tuple[int, str]]:
    """Yield the powers of ten that a unit may stand for, and of what."""
    for prefix, power in _PREFIXES.items():
        base = unit.removeprefix(prefix)
        if unit.startswith(prefix) and _BASE.fullmatch(base):
            yield power, base
