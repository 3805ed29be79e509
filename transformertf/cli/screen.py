"""What a user sees: our lines, and not Lightning's hints."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

# where Lightning keeps the number of this process, once it is imported
_RANK_ZERO = "lightning.fabric.utilities.rank_zero"


def say(text: str) -> None:
    """Print a line for the user; results go to standard output, everything else here.

    Of several processes the first one speaks for all.
    """
    if is_first_process():
        print(text, file=sys.stderr)


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of several."""
    # before the trainer is made, Lightning does not count the machines that its user starts it on
    machine = int(os.environ.get("NODE_RANK", 0))
    if _RANK_ZERO not in sys.modules:
        return int(os.environ.get("LOCAL_RANK", 0)) == 0 and machine == 0
    rank_zero_only = sys.modules[_RANK_ZERO].rank_zero_only
    return int(getattr(rank_zero_only, "rank", 0)) == 0 and machine == 0


@contextlib.contextmanager
def quiet(verbose: bool) -> Iterator[None]:
    """Keep Lightning's hints off the screen unless asked for."""
    lightning_log = logging.getLogger("lightning.pytorch")
    fabric_log = logging.getLogger("lightning.fabric")
    levels = lightning_log.level, fabric_log.level
    if not is_first_process():
        logging.disable(logging.WARNING)
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
        logging.disable(logging.NOTSET)
        lightning_log.setLevel(levels[0])
        fabric_log.setLevel(levels[1])
