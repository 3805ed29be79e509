"""Tables on standard output."""

import sys
from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# columns of what a terminal cuts, for whoever else reads
_WIDE = 10_000


def show(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
    left: Collection[str] = ("",),
) -> None:
    """Print a table: as wide as the terminal, or as it is.

    Args:
        headings: of the columns; none is shown where all are empty.
        rows: of as many cells.
        title: above it.
        left: headings of the columns that are no numbers.
    """
    # names of columns and series are no markup
    table = Table(
        title=None if title is None else escape(title), title_justify="left",
        box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(headings),
    )  # fmt: skip
    for heading in headings:
        table.add_column(escape(heading), justify="left" if heading in left else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
