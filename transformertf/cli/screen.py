"""What a user sees: our lines, and not Lightning's hints."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

# where Lightning keeps the number of this process, once it is imported
_RANK_ZERO = "lightning.fabric.utilities.rank_zero"
# whose hints are for programmers, and what torch says of a call within Lightning
_TALKATIVE = ("lightning.pytorch", "lightning.fabric")
_INSIDE = r".*LeafSpec.* is deprecated"


@contextlib.contextmanager
def any_console() -> Iterator[None]:
    """Write to any console: what it cannot show is shown as an escape, a closed one takes all.

    At the end nothing is left that Python would try to write when it exits, and complain of.
    """
    _open_closed()
    streams = [one for one in (sys.stdout, sys.stderr) if isinstance(one, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for number, output in ((1, sys.stdout), (2, sys.stderr)):
            try:
                output.flush()
            except (OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)


def _open_closed() -> None:
    """Open what a daemon begins without: else the next file that is opened would take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def say(text: str) -> None:
    """Print a line for the user; results go to standard output, everything else here.

    Of several processes the first one speaks for all.
    """
    if is_first_process():
        tell(text)


def tell(text: str) -> None:
    """Print a line for the user, whichever process this is; that nobody reads it ends nothing."""
    with contextlib.suppress(OSError):
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
    """Keep off the screen, unless asked for, what a user can do nothing about.

    That is what Lightning says of hardware, services, workers and loggers, and what torch says of
    calls that Lightning makes. Warnings from elsewhere, ours too, are shown.
    """
    logs = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [log.level for log in logs]
    if not is_first_process():
        logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            if not verbose:
                for log in logs:
                    log.setLevel(logging.WARNING)
                warnings.filterwarnings("ignore", module=r"lightning\.")
                for kind in (DeprecationWarning, FutureWarning):
                    warnings.filterwarnings("ignore", _INSIDE, kind)
            yield
    finally:
        logging.disable(logging.NOTSET)
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
