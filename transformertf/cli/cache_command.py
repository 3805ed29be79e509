"""The command that shows and clears what is kept of large tables."""

import argparse
import datetime
from collections.abc import Sequence

from transformertf.data import store
from transformertf.errors import InputError


def cache(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the folder and what is in it, or clear it."""
    if flags:
        raise InputError(f"cache: unknown argument {flags[0]!r}; known: --clear")
    if options.clear:
        print(f"{store.root()}: {store.as_text(store.clear())} freed")
        return
    entries = store.entries()
    for entry in entries:
        used = datetime.datetime.fromtimestamp(entry.used)
        print(f"{store.as_text(entry.size):>12}  {used:%Y-%m-%d %H:%M}  {entry.what}")
    total = store.as_text(sum(entry.size for entry in entries))
    print(f"{store.root()}: {len(entries)} entries, {total}")
