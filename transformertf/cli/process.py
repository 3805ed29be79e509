"""How this process computes: settings of the CPU and of the C library, for every command."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import torch

# of mallopt, in glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_TRIM = 2**31 - 1
_LARGEST_MMAP = 32 * 2**20  # glibc refuses more


@contextlib.contextmanager
def fast_process() -> Iterator[None]:
    """Keep freed memory, and compute without subnormal numbers until the context ends.

    CPUs compute with numbers below 1e-38 many times slower, and gradients that fade over a long
    context are full of them. They are taken for zero.
    """
    keep_freed_memory()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def keep_freed_memory() -> None:
    """Tell glibc, for good, to keep what is freed; other C libraries are left as they are.

    A training step frees what the next one allocates again. What glibc gives back to the system
    comes back page by page, zeroed: up to a tenth of a step.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP)
        mallopt(_TRIM_THRESHOLD, _LARGEST_TRIM)
