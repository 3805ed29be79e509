"""The command that prints the schema of configurations, by which editors complete and check."""

import argparse
from collections.abc import Sequence

from transformertf.cli import catalogue
from transformertf.errors import InputError


def schema(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the schema of all configurations, or of those of one model."""
    if flags:
        raise InputError(f"unexpected argument {flags[0]!r}; schema takes --model NAME")
    if options.model is None:
        print(catalogue.text(), end="")
    else:
        print(catalogue.as_text(catalogue.narrowed(options.model)), end="")
