"""What ends a command from outside, and what is done about it.

Ctrl-C ends what is under way, but never an import of torch. SIGTERM, and a terminal that is lost,
end it in the same way. SLURM gives notice before a job's time is up: what a fit has kept by then,
the job goes on from once it is back in the queue.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any

from transformertf.cli.screen import say


@contextlib.contextmanager
def ended_from_outside() -> Iterator[None]:
    """Let SIGTERM end what is under way as Ctrl-C does, so that nothing half-written is left.

    SIGHUP, of a terminal that is lost, comes to the same; where it is ignored, as under `nohup`, it
    stays so.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_handling(signal.SIGTERM, _interrupt))
        if hasattr(signal, "SIGHUP"):  # not on Windows
            stack.enter_context(_handling(signal.SIGHUP, partial(_hang_up, os.getpid())))
        yield


@contextlib.contextmanager
def imported_whole() -> Iterator[None]:
    """Let Ctrl-C wait until the context ends: torch aborts where one meets its import."""
    asked: list[int] = []
    with _handling(signal.SIGINT, lambda number, _: asked.append(number)):
        yield
    if asked:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handling(number: signal.Signals, handler: Any) -> Iterator[None]:
    """Handle a signal, where Python lets us: in the main thread, and where it is not ignored."""
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or signal.getsignal(number) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _hang_up(owner: int, number: int, frame: FrameType | None) -> None:
    """Go on without the terminal, and end as by SIGTERM; shell and system may both tell of it."""
    if os.getpid() != owner:  # a worker: whom it works for ends it
        return
    signal.signal(number, signal.SIG_IGN)
    for output in (1, 2):
        try:
            os.write(output, b"")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    signal.raise_signal(signal.SIGTERM)


def requeue() -> None:
    """Put this process's SLURM job back into the queue, and say how that went."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]
    command = ["scontrol", "requeue", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        say(f"job {job} is not requeued: {error}")
        return
    reason = " ".join(done.stderr.split())
    say(
        f"job {job} is requeued" if done.returncode == 0 else f"job {job} is not requeued: {reason}"
    )
