"""The bar for what takes long to read."""

import io

import pytest
from rich.console import Console

from transformertf.data.reading import filling


@pytest.mark.parametrize(
    ("rows", "terminal", "seen"),
    [(6_000_000, True, True), (6_000_000, False, False), (9, True, False)],
)
def test_a_bar_is_shown_on_a_terminal_where_there_is_much_to_read(
    monkeypatch, rows, terminal, seen
):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    monkeypatch.setattr(filling, "Console", lambda stderr: console)
    with filling.reading(rows) as advance:
        advance(rows // 2)
        advance(rows - rows // 2)
    assert ("6,000,000 of 6,000,000 rows" in screen.getvalue()) == seen
    assert bool(screen.getvalue()) == seen
