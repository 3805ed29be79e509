"""A random order of any number of things, worked out a stretch at a time."""

import math

import numpy as np

from transformertf.data.windows import IntArray

# Differences of neighbours are not uniform after three pairs of rounds, and are after four.
_PAIRS_OF_ROUNDS = 6


class Permutation:
    """A random permutation of 0 to `size` - 1, in memory and set-up of O(sqrt(size)).

    A Feistel network (Luby and Rackoff 1988). The numbers fill the rows of a nearly square
    table; a round shifts each row, or each column, around by a random amount of its own. What
    lands on one of the few cells beyond `size` goes through again, and so to a cell of the
    numbers ("cycle walking", Black and Rogaway 2002).

    Args:
        size: how many numbers.
        generator: source of the random amounts; nothing else is random.
    """

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self.size = size
        self._rows = math.isqrt(max(size, 1) - 1) + 1
        self._columns = max(-(-size // self._rows), 1)
        self._shifts = [
            (
                generator.integers(self._rows, size=self._columns),
                generator.integers(self._columns, size=self._rows),
            )
            for _ in range(_PAIRS_OF_ROUNDS)
        ]

    def __call__(self, places: IntArray) -> IntArray:
        """Return the numbers at places (n,) of the order, each 0 to `size` - 1."""
        numbers = self._shuffled(places)
        while (beyond := np.flatnonzero(numbers >= self.size)).size:
            numbers[beyond] = self._shuffled(numbers[beyond])
        return numbers

    def _shuffled(self, cells: IntArray) -> IntArray:
        row, column = np.divmod(cells, self._columns)
        for down, along in self._shifts:
            row += down[column]
            row -= self._rows * (row >= self._rows)  # a remainder, at a third of its cost
            column += along[row]
            column -= self._columns * (column >= self._columns)
        return row * self._columns + column
