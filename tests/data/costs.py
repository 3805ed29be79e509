"""Memory that a call takes: what is to grow with one series must not grow with all there are."""

import tracemalloc
from collections.abc import Callable
from typing import TypeVar

MANY = 30_000
# bytes, much less than a number for each of so many
SMALL = 2 * MANY
T = TypeVar("T")


def peak_of(call: Callable[[], T]) -> tuple[T, int]:
    """Return what a call returns, and the bytes that it has taken at the most."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
