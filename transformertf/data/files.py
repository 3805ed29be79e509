"""Paths, globs and lists to tables: parquet, csv and feather."""

import glob
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from transformertf.errors import InputError, nearest


def _read_parquet(path: Path, columns: list[str] | None) -> pd.DataFrame:
    frame: pd.DataFrame = pyarrow.parquet.read_table(path, columns=columns).to_pandas(
        ignore_metadata=True
    )
    return frame


def _read_feather(path: Path, columns: list[str] | None) -> pd.DataFrame:
    frame: pd.DataFrame = pyarrow.feather.read_table(path, columns=columns).to_pandas(
        ignore_metadata=True
    )
    return frame


def _read_csv(path: Path, columns: list[str] | None) -> pd.DataFrame:
    # a blank line of a file with a single column is a missing value, not decoration
    return pd.read_csv(path, usecols=columns, skip_blank_lines=len(_csv_columns(path)) > 1)


def _csv_columns(path: Path) -> list[str]:
    return [str(name) for name in pd.read_csv(path, nrows=0).columns]


READERS: dict[str, Callable[[Path, list[str] | None], pd.DataFrame]] = {
    ".parquet": _read_parquet,
    ".feather": _read_feather,
    ".csv": _read_csv,
}
HEADERS: dict[str, Callable[[Path], list[str]]] = {
    ".parquet": lambda path: pyarrow.parquet.read_schema(path).names,
    ".feather": lambda path: pyarrow.feather.read_table(path, memory_map=True).schema.names,
    ".csv": _csv_columns,
}


def expand_paths(spec: str | os.PathLike[str] | Sequence[str], argument: str) -> list[Path]:
    """Return the files that a path, a glob or a list of them names, each list sorted.

    `~` and environment variables expand.

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
        if os.path.isdir(pattern):
            raise InputError(
                f"{argument}: {pattern} is a folder, expected files; give a glob such as "
                f"{os.path.join(pattern, '*.parquet')}"
            )
        found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        if not found:
            raise InputError(f"{argument}: no file {pattern} (working directory {os.getcwd()})")
        paths += [Path(name) for name in found]
    if not paths:
        raise InputError(f"{argument}: the list of files is empty; give at least one")
    return list(dict.fromkeys(paths))


def read_table(path: Path, wanted: Sequence[str], optional: Collection[str] = ()) -> pd.DataFrame:
    """Read the wanted columns of a file, named as wanted; optional ones where they are there.

    A name matches a header that differs from it only in blanks around it: exported csv files
    often carry them.

    Raises:
        InputError: unknown ending, unreadable file, missing column.
    """
    ending = path.suffix.lower()
    if ending not in READERS:
        raise InputError(
            f"{path}: cannot read {ending or 'a file without ending'!r}; expected "
            f"one of {', '.join(sorted(READERS))}"
        )
    try:
        header = HEADERS[ending](path)
        stripped = [column.strip() for column in header]
        names = {
            name: _find_column(name, header, path)
            for name in wanted
            if name not in optional or name.strip() in stripped
        }
        frame = READERS[ending](path, list(dict.fromkeys(names.values())))
    except InputError:
        raise
    except (pa.ArrowException, OSError, UnicodeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable {ending[1:]} file ({reason})") from error
    return pd.DataFrame({name: frame[header_name] for name, header_name in names.items()})


def _find_column(name: str, header: Sequence[str], path: Path) -> str:
    if name in header:
        return name
    stripped = [column for column in header if column.strip() == name.strip()]
    if len(stripped) == 1:
        return stripped[0]
    raise InputError(f"{path}: no column {name!r}; {nearest(name, header)}")


def series_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its stem, or its shortest path that tells it apart."""
    stems = [path.absolute().with_suffix("").parts for path in paths]
    whole = [path.absolute().parts for path in paths]
    return [
        _shortest(stems, index) or _shortest(whole, index) or str(path.absolute())
        for index, path in enumerate(paths)
    ]


def _shortest(parts: Sequence[tuple[str, ...]], index: int) -> str:
    """Return the shortest end of a path that no other one has; nothing if there is none."""
    own = parts[index]
    rivals = [other for number, other in enumerate(parts) if number != index]
    for depth in range(1, len(own)):
        if all(own[-depth:] != other[-depth:] for other in rivals):
            return "/".join(own[-depth:])
    return ""
