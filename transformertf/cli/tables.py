"""Tables on standard output."""

import sys

from rich.console import Console
from rich.table import Table

# columns of what a terminal cuts, for whoever else reads
_WIDE = 10_000


def show(table: Table) -> None:
    """Print a table: as wide as the terminal, or as it is."""
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
