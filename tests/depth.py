"""How long tests look: the suite for minutes, `make soak` for ten minutes and more."""

import os

import pytest

SOAK = bool(os.environ.get("TRANSFORMERTF_SOAK"))
takes_long = pytest.mark.skipif(not SOAK, reason="takes long: make soak")


def examples(suite: int, soak: int) -> int:
    """Return how many examples Hypothesis is to draw."""
    return soak if SOAK else suite


def long(*values: object) -> object:
    """Return parameters of a test that only the soak tries, for what takes long."""
    return pytest.param(*values, marks=takes_long)
