"""Errors that users read, and the hint that goes with a misspelt name."""

import difflib
from collections.abc import Iterable, Sequence
from unicodedata import normalize

# sizes beyond it overflow where several are multiplied
LARGEST = 2**31 - 1
# words of a hint
_SHOWN = 40


class InputError(ValueError):
    """A mistake in what the user gave: a file, a column, a key or a value.

    The message is one line that says what is wrong, where, what was expected, what was
    found and what to do. The command line prints it and exits with code 2.
    """


class TooShortError(InputError):
    """A series, or its part of a split, has too few rows; it may be left out on request."""


class NonFiniteLossError(RuntimeError):
    """Training diverged: the loss on data is NaN or infinite."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint naming the known word nearest to `word`, or the first if none is near."""
    candidates = sorted(set(known))
    same = [name for name in candidates if normalize("NFC", name) == normalize("NFC", word)]
    if same:
        return f"did you mean {same[0]!r}, the same letters in another form of Unicode?"
    match = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    if match:
        return f"did you mean {match[0]!r}?"
    shown = [name if name.isprintable() and name else repr(name) for name in candidates[:_SHOWN]]
    more = len(candidates) - len(shown)
    return f"known: {', '.join(shown) or 'none'}{f' and {more} more' if more else ''}"


def at_least_one(**sizes: int) -> None:
    """Refuse sizes below 1, or beyond what indices are counted in, by name."""
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} must be at least 1, found {size}")
        if size > LARGEST:
            raise InputError(f"{name} must be at most {LARGEST}, found {size}")


def probability(**shares: float) -> None:
    """Refuse numbers outside 0 to 1, by name."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"{name} must be from 0 to 1, found {share}")


def first_names(names: Sequence[str]) -> str:
    """Return the first three names, and dots where there are more."""
    return f"{', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}"


def count_names(names: Sequence[str]) -> str:
    """Return how many series there are, and the first of their names."""
    return f"{len(names)} series: {first_names(names)}"
