"""What users give: files or frames, to a data module; and what they are told of it."""

import functools
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import ParamSpec, TypeVar

import pandas as pd

from transformertf.data import WindowDataModule
from transformertf.data.reading import as_frame
from transformertf.data.windows import FUTURE_PATHS
from transformertf.errors import InputError

log = logging.getLogger(__name__)
Given = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | pd.DataFrame
Taken = ParamSpec("Taken")
Made = TypeVar("Made")


def briefly(function: Callable[Taken, Made]) -> Callable[Taken, Made]:
    """Let a user's mistake end a call without the frames of what found it."""

    @functools.wraps(function)
    def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Made:
        try:
            return function(*args, **kwargs)
        except InputError as error:
            raise error.with_traceback(None) from None

    return call


def give(module: WindowDataModule, argument: str, data: object) -> None:
    """Have a data module use files, or a frame.

    Raises:
        InputError: it is neither.
    """
    paths = _paths(data)
    if paths is None:
        where = "future" if argument == FUTURE_PATHS else "data"
        expected = "a path, a list of paths or a DataFrame"
        module.stages.give(argument, as_frame(data, where, expected))
    module.hparams[argument] = "frame" if paths is None else paths


def tell(lines: Iterable[str]) -> None:
    """Tell what there is to say of some data."""
    for line in lines:
        log.warning("%s", line)


def _paths(data: object) -> list[str] | None:
    """Return the paths that were given; None where it is something else."""
    if isinstance(data, (str, os.PathLike)):
        return [os.fspath(data)]
    # frames and mappings would give the names of their columns
    if isinstance(data, Iterable) and not isinstance(data, (pd.DataFrame, Mapping)):
        with suppress(TypeError):  # of an array without a dimension
            items = list(data)
            if all(isinstance(item, (str, os.PathLike)) for item in items):
                return [os.fspath(item) for item in items]
    return None
