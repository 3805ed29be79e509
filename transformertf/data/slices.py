"""Rows in slices, so that what is worked on at once stays small."""

from collections.abc import Iterator

from transformertf.data.mapped import release

# rows of a slice: enough for reading at full speed, few enough to stay in a CPU's cache
PIECE = 2**18


def slices(first: int, end: int, size: int) -> Iterator[slice]:
    """Yield the rows from `first` to before `end`, at most `size` in a slice.

    After each slice the pages of mapped files are let go.
    """
    for begin in range(first, end, size):
        yield slice(begin, min(begin + size, end))
        release()
