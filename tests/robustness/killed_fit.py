"""A fit in a process of its own, which is killed at a moment of one of its phases.

The kill is a real one: nothing is cleaned up, nothing is flushed.
"""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import transformertf.checkpoint.writing
from transformertf.cli import main
from transformertf.data import EncoderDecoderDataModule
from transformertf.models import ForecastModule

# what begins a phase, and up to how many seconds a kill comes after it
PHASES: dict[str, tuple[Any, str, float]] = {
    "start": (EncoderDecoderDataModule, "setup", 0.5),
    "step": (ForecastModule, "training_step", 0.01),
    "validation": (ForecastModule, "validation_step", 0.01),
    "writing": (transformertf.checkpoint.writing, "whole_file", 0.02),
}


def kill() -> None:
    """End this process as the system would."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(phase: str, event: int, delay: float) -> None:
    """Kill this process at a moment to come."""
    owner, name, _ = PHASES[phase]
    original: Callable[..., Any] = getattr(owner, name)
    calls = itertools.count(1)

    def begin(*arguments: Any) -> Any:
        if next(calls) == event:
            threading.Timer(delay, kill).start()
        return original(*arguments)

    setattr(owner, name, begin)


def fit(phase: str, event: int, delay: float, words: Sequence[str]) -> None:
    """Run a fit, and kill it some seconds after a phase has begun so many times."""
    arm(phase, event, delay)
    sys.exit(main(words))
