"""Paths, globs and lists to tables: parquet, csv, feather, HDF5, and folders of parquet files."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

from transformertf.data.reading.csv_files import CsvFile, csv_columns
from transformertf.data.reading.dialects import (
    PACKED,
    PLAIN,
    SEPARATORS,
    Dialect,
    ending_of,
    stem_path,
)
from transformertf.data.reading.feather_files import FeatherFile, feather_columns
from transformertf.data.reading.folders import folder_columns, open_parts, parquet_parts
from transformertf.data.reading.h5_files import H5File, h5_columns
from transformertf.data.reading.headers import Renamed, match_columns, scales
from transformertf.data.reading.parquet_files import ParquetFile, parquet_columns
from transformertf.data.reading.tables import (
    ReadArrow,
    Table,
    readable,
    to_frames,
)
from transformertf.errors import InputError
from transformertf.utils.files import FileState

Paths = str | os.PathLike[str] | Sequence[str]


def expand_paths(spec: Paths, argument: str) -> list[Path]:
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
        found = matches(pattern)
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
    unique: dict[tuple[int, int] | str, Path] = {}
    for path in paths:
        unique.setdefault(_identity(path), path)
    return list(unique.values())


def matches(pattern: str) -> list[str]:
    """Return what a path or a glob names, sorted; brackets of a folder that is there are its name.

    Args:
        pattern: in which all has expanded.
    """
    if os.path.exists(pattern):
        return [pattern]
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    found = glob.glob(glob.escape(folder) + pattern[len(folder) :], recursive=True)
    # ** also names the folders whose files it names
    return sorted(name for name in found if "**" not in pattern or not os.path.isdir(name))


def shared_files(spec: Paths, argument: str, other: Paths, other_argument: str) -> list[Path]:
    """Return the files of one argument that another one names as well, by whatever names.

    Raises:
        InputError: as `expand_paths`.
    """

    def files(spec: Paths, argument: str) -> Iterator[Path]:
        for path in expand_paths(spec, argument):
            yield from parquet_parts(path) if path.is_dir() else [path]

    known = {_identity(path) for path in files(other, other_argument)}
    return [path for path in files(spec, argument) if _identity(path) in known]


def _identity(path: Path) -> tuple[int, int] | str:
    """Return what two paths have alike that lead to one file, by links of any kind."""
    found = os.stat(path, follow_symlinks=os.path.exists(path))
    # some file systems number no files
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)


def series_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its stem, or its shortest path that tells it apart."""
    stems = _shortest([stem_path(path.absolute()).parts for path in paths])
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


# of a file, the columns asked for, those that are text, those that may be dates, and how text is
# written: its rows and its pieces
Opened = tuple[int, ReadArrow]


def _open_parquet(
    path: Path, columns: list[str], text: list[str], _: list[str], __: Dialect
) -> Opened:
    file = ParquetFile(path, columns, text)
    return file.rows, file.read


def _open_feather(
    path: Path, columns: list[str], _: list[str], __: list[str], ___: Dialect
) -> Opened:
    file = FeatherFile(path, columns)
    return file.rows, file.read


def _open_csv(
    path: Path, columns: list[str], text: list[str], dates: list[str], dialect: Dialect
) -> Opened:
    file = CsvFile(path, columns, text, dates, dialect)
    return file.rows, file.read


def _open_h5(path: Path, columns: list[str], _: list[str], __: list[str], ___: Dialect) -> Opened:
    file = H5File(path, columns)
    return file.rows, file.read


H5_ENDINGS = (".h5", ".hdf5")
CSV_ENDINGS = [ending + packed for ending in SEPARATORS for packed in ("", *PACKED)]
OPENERS: dict[str, Callable[[Path, list[str], list[str], list[str], Dialect], Opened]] = {
    ".parquet": _open_parquet,
    ".feather": _open_feather,
    **dict.fromkeys(CSV_ENDINGS, _open_csv),
    **dict.fromkeys(H5_ENDINGS, _open_h5),
}
HEADERS: dict[str, Callable[[Path, Dialect], list[str]]] = {
    ".parquet": lambda path, _: parquet_columns(path),
    ".feather": lambda path, _: feather_columns(path),
    **dict.fromkeys(CSV_ENDINGS, csv_columns),
    **dict.fromkeys(H5_ENDINGS, lambda path, _: h5_columns(path)),
}


def open_tables(
    path: Path,
    wanted: Sequence[str],
    optional: Collection[str] = (),
    text: Collection[str] = (),
    dates: Collection[str] = (),
    dialect: Dialect = PLAIN,
    renames: Sequence[Renamed] = (),
) -> list[Table]:
    """Open a file, or each parquet file in a folder, for its wanted columns.

    See `match_columns` for how names match headers. Folders named `key=value` give a column `key`.

    Args:
        path: the file or folder.
        wanted: columns to read, which the tables carry under these names.
        optional: those of them that need not be there.
        text: those of them to keep as written, where what is written is text.
        dates: those of them that may hold dates, where what is written is text.
        dialect: how csv files are written.
        renames: columns that have another name in it.

    Returns:
        The tables; of a folder, files without rows are left out.

    Raises:
        InputError: unknown ending, unreadable file, missing column.
    """
    if path.is_dir():
        with readable(path, "folder of parquet files"):
            return open_parts(path, wanted, optional, text, renames)
    ending = _ending(path)
    kind = _kind(ending)
    with readable(path, kind):
        state = FileState.of(path)
        header = HEADERS[ending](path, dialect)
        names = match_columns(wanted, header, path, optional, renames)
        columns = list(dict.fromkeys(names.values()))
        as_written, times = (
            [names[name] for name in own if name in names] for own in (text, dates)
        )
        rows, read = OPENERS[ending](path, columns, as_written, times, dialect)
    scaled = scales(names, renames)
    return [Table(str(path), rows, names, to_frames(read), kind, state=state, scales=scaled)]


def columns_of(path: Path, dialect: Dialect = PLAIN) -> list[str]:
    """Return the names of the columns of a file, or of the files and folders of a folder.

    Raises:
        InputError: unknown ending, unreadable file.
    """
    if path.is_dir():
        with readable(path, "folder of parquet files"):
            return folder_columns(path)
    ending = _ending(path)
    with readable(path, _kind(ending)):
        return HEADERS[ending](path, dialect)


def is_text(path: Path) -> bool:
    """Whether a file is text, by its ending."""
    return ending_of(path) in CSV_ENDINGS


def _ending(path: Path) -> str:
    """Return the ending of a file that can be read.

    Raises:
        InputError: it is another one, or there is no file.
    """
    ending = ending_of(path)
    if ending not in OPENERS:
        plain = [known for known in OPENERS if known.count(".") == 1]
        raise InputError(
            f"{path}: cannot read {repr(ending) if ending else 'a file without ending'}; expected "
            f"one of {', '.join(sorted(plain))}, text also with {' or '.join(PACKED)} behind it; "
            "convert it"
        )
    if not path.is_file():
        what = "a link to what is not there" if path.is_symlink() else "no file"
        raise InputError(f"{path}: expected a file, found {what}; correct the path")
    return ending


def _kind(ending: str) -> str:
    """Return what kind of file an ending means, for messages."""
    return "csv file" if ending in CSV_ENDINGS else f"{ending[1:]} file"
