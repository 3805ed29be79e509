"""Paths, globs and lists of them to files, and the names of their series."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from transformertf.data.reading.formats import parquet_parts
from transformertf.errors import InputError


def expand_paths(spec: str | os.PathLike[str] | Sequence[str], argument: str) -> list[Path]:
    """Return the files and folders that a path, a glob or a list names, each list sorted.

    `~` and environment variables expand. A folder stands for the parquet files in it.

    Args:
        spec: what the user gave.
        argument: name of the argument it was given to, for messages.

    Raises:
        InputError: an environment variable is not set, or nothing is there.
    """
    items = [spec] if isinstance(spec, (str, os.PathLike)) else list(spec)
    paths: list[Path] = []
    for item in items:
        pattern = os.path.expanduser(os.path.expandvars(os.fspath(item)))
        if "$" in pattern and not os.path.exists(pattern):
            raise InputError(f"{argument}: an environment variable in {item!r} is not set")
        if os.path.exists(pattern):
            found = [pattern]
        else:
            found = sorted(glob.glob(pattern, recursive=True))
            if "**" in pattern:
                # it also names the folders whose files it names
                found = [name for name in found if not os.path.isdir(name)]
        if not found:
            name = pattern if pattern and pattern.isprintable() else repr(pattern)
            raise InputError(
                f"{argument}: no file {name} (working directory {os.getcwd()}); correct the path"
            )
        for name in found:
            if os.path.isdir(name) and not parquet_parts(Path(name)):
                raise InputError(
                    f"{argument}: the folder {name} holds no parquet files; give files, or a "
                    f"glob such as {os.path.join(name, '*.csv')}"
                )
        paths += [Path(name) for name in found]
    if not paths:
        raise InputError(f"{argument}: the list of files is empty; give at least one")
    # one file by two names is one file
    unique: dict[str, Path] = {}
    for path in paths:
        unique.setdefault(os.path.realpath(path), path)
    return list(unique.values())


def series_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its stem, or its shortest path that tells it apart."""
    stems = _shortest([path.absolute().with_suffix("").parts for path in paths])
    whole = _shortest([path.absolute().parts for path in paths])
    return [
        stem or long or str(path.absolute())
        for stem, long, path in zip(stems, whole, paths, strict=True)
    ]


def _shortest(parts: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the shortest end of each path that no other one has; nothing if there is none."""

    @cache
    def ends(depth: int) -> Counter[tuple[str, ...]]:
        return Counter(own[-depth:] for own in parts)

    def shortest(own: tuple[str, ...]) -> str:
        for depth in range(1, len(own)):
            if ends(depth)[own[-depth:]] == 1:
                return "/".join(own[-depth:])
        return ""

    return [shortest(own) for own in parts]
