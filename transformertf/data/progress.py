"""A progress bar for what takes long to read."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# rows that are read in less than a second or two
_MANY = 5_000_000


@contextlib.contextmanager
def reading(rows: int) -> Iterator[Callable[[int], None]]:
    """Show how far the reading of so many rows is, on a terminal and where it takes long.

    Returns:
        What is to be called with the number of further rows that were read.
    """
    console = Console(stderr=True)
    if rows < _MANY or not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("reading"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=rows)
        yield lambda more: bar.advance(task, more)
