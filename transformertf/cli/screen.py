"""What a user sees: our lines, and not Lightning's hints."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator


def say(text: str) -> None:
    """Print a line for the user; results go to standard output, everything else here."""
    print(text, file=sys.stderr)


@contextlib.contextmanager
def quiet(verbose: bool) -> Iterator[None]:
    """Keep Lightning's hints off the screen unless asked for."""
    lightning_log = logging.getLogger("lightning.pytorch")
    fabric_log = logging.getLogger("lightning.fabric")
    levels = lightning_log.level, fabric_log.level
    if not verbose:
        lightning_log.setLevel(logging.WARNING)
        fabric_log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            if not verbose:
                # hints to programmers: workers, loggers, folders that are not empty
                warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        lightning_log.setLevel(levels[0])
        fabric_log.setLevel(levels[1])
