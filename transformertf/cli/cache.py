"""The command that shows and clears what is kept of large tables."""

import argparse
import datetime
from collections.abc import Sequence

from transformertf.data.reading import cache_entries, cache_root, clear_cache
from transformertf.errors import InputError
from transformertf.wording import counted, size


def cache(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the folder and what is in it, or clear it."""
    if flags:
        raise InputError(f"cache: unknown argument {flags[0]!r}; known: --clear")
    if options.clear:
        print(f"{cache_root()}: {size(clear_cache())} freed")
        return
    entries = cache_entries()
    for entry in entries:
        used = datetime.datetime.fromtimestamp(entry.used)
        print(f"{size(entry.size):>12}  {used:%Y-%m-%d %H:%M}  {entry.what}")
    total = size(sum(entry.size for entry in entries))
    print(f"{cache_root()}: {counted(len(entries), 'entry')}, {total}")
