"""The processes of a run: whether there are several, and what all of them hold."""

from typing import TypeVar

from torch import distributed

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether this process is one of several that have met."""
    met = distributed.is_available() and distributed.is_initialized()
    return met and distributed.get_world_size() > 1


def gather(own: T) -> list[T]:
    """Return what all processes give, in the order of their ranks.

    All of them call this together. A process that is alone gets back what it gives.

    Args:
        own: what this process gives; it is pickled.
    """
    if not is_distributed():
        return [own]
    # each place is written
    found = [own] * distributed.get_world_size()
    distributed.all_gather_object(found, own)
    return found
