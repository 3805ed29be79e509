"""Parts of messages."""

from collections.abc import Sequence


def first_names(names: Sequence[str]) -> str:
    """Return the first three names, and dots where there are more."""
    return f"{', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}"


def count_names(names: Sequence[str]) -> str:
    """Return how many series there are, and the first of their names."""
    return f"{len(names)} series: {first_names(names)}"
