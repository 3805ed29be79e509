"""Paths, globs and lists to tables: parquet, csv and feather, and folders of parquet files."""

import glob
import os
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from transformertf.data.folders import open_parts, parquet_parts
from transformertf.data.mapped import map_file
from transformertf.data.slices import PIECE
from transformertf.data.tables import Reader, Table, readable
from transformertf.errors import InputError, nearest

# of a file, the columns asked for and those of them that are text: its rows and its pieces
Opened = tuple[int, Reader]


def _open_parquet(path: Path, columns: list[str], text: list[str]) -> Opened:
    # mapped, so that a large row group is not held in memory; text as numbers and a dictionary
    options = {"page_checksum_verification": True}
    try:
        file = pyarrow.parquet.ParquetFile(map_file(path), read_dictionary=text, **options)
    except KeyError:  # lists and the like have no dictionary; they are refused later
        file = pyarrow.parquet.ParquetFile(map_file(path), **options)
    _refuse_foreign_types(path, file.schema_arrow, columns)

    def read(names: list[str]) -> Iterator[pd.DataFrame]:
        for group in range(file.num_row_groups):
            # a group at once is the fastest way, where it is not too large
            if file.metadata.row_group(group).num_rows <= 4 * PIECE:
                parts: Iterable[Any] = [file.read_row_group(group, columns=names)]
            else:
                parts = file.iter_batches(PIECE, row_groups=[group], columns=names)
            for part in parts:
                yield part.to_pandas(ignore_metadata=True, split_blocks=True)

    return file.metadata.num_rows, read


def _open_feather(path: Path, columns: list[str], text: list[str]) -> Opened:
    table = pyarrow.feather.read_table(path, columns=columns, memory_map=True)
    # else text of a damaged file could be read from anywhere in memory
    table.validate(full=True)
    _refuse_foreign_types(path, table.schema, columns)

    def read(names: list[str]) -> Iterator[pd.DataFrame]:
        for batch in table.select(names).to_batches(PIECE):
            yield batch.to_pandas(ignore_metadata=True, split_blocks=True)

    return table.num_rows, read


def _refuse_foreign_types(path: Path, schema: pa.Schema, columns: list[str]) -> None:
    """Refuse columns of types that Arrow knows and pandas does not."""
    for name in columns:
        kind = schema.field(name).type
        if isinstance(kind, pa.BaseExtensionType):
            raise InputError(
                f"{path}: column {name!r} is of the type {kind.extension_name}; expected numbers, "
                "text or dates; store it as one of them"
            )


def _open_csv(path: Path, columns: list[str], text: list[str]) -> Opened:
    header = _csv_columns(path)
    # a blank line of a file with a single column is a missing value, not decoration
    blank = len(header) > 1
    places = [header.index(name) for name in columns]
    with warnings.catch_warnings():
        # a word among many numbers is told later, with its row
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        # all columns are read, piece by piece: only then pandas counts the fields of a row;
        # how the text of those not wanted is written does not matter
        with pd.read_csv(
            path, skip_blank_lines=blank, chunksize=4 * PIECE, encoding_errors="replace"
        ) as pieces:
            parts = [_csv_piece(path, piece, len(header)).iloc[:, places] for piece in pieces]
    frame = pd.concat(parts, ignore_index=True).set_axis(columns, axis=1)
    if text:
        places = sorted(header.index(name) for name in text)
        # else 007 would be a number, and NA a missing value
        frame[[header[place] for place in places]] = pd.read_csv(
            path, usecols=places, dtype="str", keep_default_na=False, skip_blank_lines=blank
        ).to_numpy()
    return len(frame), lambda names: iter([frame[names]])


def _csv_piece(path: Path, piece: pd.DataFrame, width: int) -> pd.DataFrame:
    """Refuse rows that are all longer than the header, which pandas takes for an index."""
    if not isinstance(piece.index, pd.RangeIndex):
        raise InputError(
            f"{path}: its rows have {width + piece.index.nlevels} fields, expected {width} as in "
            "its first line; see that no number is written with a comma, and no row ends with one"
        )
    return piece


def _csv_columns(path: Path) -> list[str]:
    """Return the names of the columns as they are written; those that have none as pandas does."""
    names = pd.read_csv(path, nrows=0).columns
    first = pd.read_csv(path, nrows=1, header=None, dtype="str", keep_default_na=False)
    # pandas tells repeated names apart by numbers
    return [own or str(name) for own, name in zip(first.iloc[0], names, strict=True)]


OPENERS: dict[str, Callable[[Path, list[str], list[str]], Opened]] = {
    ".parquet": _open_parquet,
    ".feather": _open_feather,
    ".csv": _open_csv,
}
HEADERS: dict[str, Callable[[Path], list[str]]] = {
    # a name such as run:1.parquet would be taken for a place on the net
    ".parquet": lambda path: pyarrow.parquet.read_schema(map_file(path)).names,
    ".feather": lambda path: pyarrow.feather.read_table(path, memory_map=True).schema.names,
    ".csv": _csv_columns,
}


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


def open_tables(
    path: Path,
    wanted: Sequence[str],
    optional: Collection[str] = (),
    text: Collection[str] = (),
) -> list[Table]:
    """Open a file, or each parquet file in a folder, for its wanted columns.

    A name matches a header that differs from it only in blanks around it: exported csv files
    often carry them. Folders named `key=value` give a column `key`.

    Args:
        path: the file or folder.
        wanted: columns to read, which the tables carry under these names.
        optional: those of them that need not be there.
        text: those of them to keep as written, where what is written is text.

    Returns:
        The tables; of a folder, files without rows are left out.

    Raises:
        InputError: unknown ending, unreadable file, missing column.
    """

    def match(header: Sequence[str]) -> dict[str, str]:
        stripped = [column.strip() for column in header]
        return {
            name: _find_column(name, header, path)
            for name in wanted
            if name not in optional or name.strip() in stripped
        }

    if path.is_dir():
        with readable(path, "folder of parquet files"):
            return open_parts(path, match, text)
    ending = path.suffix.lower()
    if ending not in OPENERS:
        raise InputError(
            f"{path}: cannot read {repr(ending) if ending else 'a file without ending'}; expected "
            f"one of {', '.join(sorted(OPENERS))}; convert it"
        )
    if not path.is_file():
        what = "a link to what is not there" if path.is_symlink() else "no file"
        raise InputError(f"{path}: expected a file, found {what}; correct the path")
    kind = f"{ending[1:]} file"
    with readable(path, kind):
        names = match(HEADERS[ending](path))
        columns = list(dict.fromkeys(names.values()))
        as_written = [names[name] for name in text if name in names]
        rows, read = OPENERS[ending](path, columns, as_written)
    return [Table(str(path), rows, names, read, kind)]


def frame_table(
    frame: pd.DataFrame,
    wanted: Sequence[str],
    optional: Collection[str] = (),
    where: str = "the frame",
) -> Table:
    """Return a table of a frame, with the wanted columns.

    Args:
        frame: rows in the order of time; its index is not read.
        wanted: columns to read.
        optional: those of them that need not be there.
        where: its name, for messages.

    Raises:
        InputError: a column is missing.
    """
    header = [str(name) for name in frame.columns]
    index = [str(name) for name in frame.index.names]
    for name in wanted:
        if name in index and name not in header:
            raise InputError(
                f"{where}: no column {name!r}, which is its index; give frame.reset_index()"
            )
        if name in header or name not in optional:
            _find_column(name, header, where)
    return Table.of_frame(where, frame)


def _find_column(name: str, header: Sequence[str], path: Path | str) -> str:
    stripped = [name] if name in header else [c for c in header if c.strip() == name.strip()]
    if len(stripped) == 1 and header.count(stripped[0]) == 1:
        return stripped[0]
    if stripped:
        count = max(len(stripped), header.count(stripped[0]))
        raise InputError(f"{path}: {count} columns are named {name!r}; rename all but one")
    raise InputError(f"{path}: no column {name!r}; {_layout(header) or nearest(name, header)}")


def _layout(header: Sequence[str]) -> str | None:
    """Return what is wrong where a header is no list of names; None where it may be one."""
    if any("\0" in name for name in header):
        return "it holds zeros: expected text in UTF-8, save it as that"
    if header and all(_is_number(name) for name in header):
        return f"expected names of columns in its first line, found {header[0]!r}; put them there"
    first = header[0] if len(header) == 1 else ""
    if first.startswith("#"):
        return f"expected names of columns in its first line, found {first!r}; cut that line"
    for separator in (";", "\t", "|"):
        if separator in first:
            return f"expected commas between columns, found {separator!r}; separate by commas"
    return None


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


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
