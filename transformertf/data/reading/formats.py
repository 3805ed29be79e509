"""Paths, globs and lists to tables: parquet, csv and feather, and folders of parquet files."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.fs
import pyarrow.parquet

from transformertf.data.reading.csv_files import CsvFile, csv_columns
from transformertf.data.reading.memory import PIECE, map_file
from transformertf.data.reading.tables import ReadPieces, Table, readable
from transformertf.errors import InputError, nearest


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


def parquet_parts(folder: Path) -> list[Path]:
    """Return the parquet files below a folder, sorted, without hidden and helper files."""
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() == ".parquet" and path.is_file()
    )
    return [
        path
        for path in found
        if not any(name.startswith((".", "_")) for name in path.relative_to(folder).parts)
    ]


def open_parts(
    folder: Path, match: Callable[[Sequence[str]], Mapping[str, str]], text: Collection[str]
) -> list[Table]:
    """Open the parquet files of a folder, for the columns that are asked for.

    Args:
        folder: holds at least one parquet file.
        match: takes the columns there are, gives name and column of those to read.
        text: names whose columns stay as the folders write them, where folders give them.

    Returns:
        A table for each file that has rows; of a folder without rows one table.
    """
    files = parquet_parts(folder)
    keys = dict.fromkeys(
        name.partition("=")[0]
        for path in files
        for name in path.relative_to(folder).parts[:-1]
        if "=" in name
    )
    # where types differ, one that holds them all
    schema = _factory(folder, files, ds.HivePartitioning.discover()).inspect(
        promote_options="permissive"
    )
    names = match(schema.names)
    for key in {names[name] for name in text if name in names} & keys.keys():
        # as numbers, 07 and 7 would be one
        schema = schema.set(schema.get_field_index(key), pa.field(key, pa.string()))
    partitioning = ds.HivePartitioning(pa.schema([schema.field(key) for key in keys]))
    source = _factory(folder, files, partitioning).finish(schema)
    tables = [
        Table(
            part.path,
            part.count_rows(),
            names,
            partial(_read_part, part, schema),
            "folder of parquet files",
        )
        for part in source.get_fragments()
    ]
    whole = Table(str(folder), 0, names, lambda wanted: iter([pd.DataFrame(columns=wanted)]))
    return [table for table in tables if table.rows] or [whole]


def _read_part(part: ds.Fragment, schema: pa.Schema, names: list[str]) -> Iterator[pd.DataFrame]:
    for batch in part.to_batches(schema=schema, columns=names, batch_size=PIECE, batch_readahead=1):
        if batch.num_rows:
            yield batch.to_pandas(ignore_metadata=True, split_blocks=True)


def _factory(
    folder: Path, files: Sequence[Path], partitioning: object
) -> ds.FileSystemDatasetFactory:
    options = ds.FileSystemFactoryOptions(str(folder), partitioning)
    return ds.FileSystemDatasetFactory(
        pyarrow.fs.LocalFileSystem(),
        [str(path) for path in files],
        ds.ParquetFileFormat(
            default_fragment_scan_options=ds.ParquetFragmentScanOptions(
                page_checksum_verification=True
            )
        ),
        options,
    )


# of a file, the columns asked for, those that are text and those that may be dates: its rows and
# its pieces
Opened = tuple[int, ReadPieces]


def _open_parquet(path: Path, columns: list[str], text: list[str], _: list[str]) -> Opened:
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


def _open_feather(path: Path, columns: list[str], _: list[str], __: list[str]) -> Opened:
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


def _open_csv(path: Path, columns: list[str], text: list[str], dates: list[str]) -> Opened:
    file = CsvFile(path, columns, text, dates)
    return file.rows, file.read


OPENERS: dict[str, Callable[[Path, list[str], list[str], list[str]], Opened]] = {
    ".parquet": _open_parquet,
    ".feather": _open_feather,
    ".csv": _open_csv,
}
HEADERS: dict[str, Callable[[Path], list[str]]] = {
    # a name such as run:1.parquet would be taken for a place on the net
    ".parquet": lambda path: pyarrow.parquet.read_schema(map_file(path)).names,
    ".feather": lambda path: pyarrow.feather.read_table(path, memory_map=True).schema.names,
    ".csv": csv_columns,
}


def open_tables(
    path: Path,
    wanted: Sequence[str],
    optional: Collection[str] = (),
    text: Collection[str] = (),
    dates: Collection[str] = (),
) -> list[Table]:
    """Open a file, or each parquet file in a folder, for its wanted columns.

    A name matches a header that differs from it only in blanks around it: exported csv files
    often carry them. Folders named `key=value` give a column `key`.

    Args:
        path: the file or folder.
        wanted: columns to read, which the tables carry under these names.
        optional: those of them that need not be there.
        text: those of them to keep as written, where what is written is text.
        dates: those of them that may hold dates, where what is written is text.

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
        as_written, times = (
            [names[name] for name in own if name in names] for own in (text, dates)
        )
        rows, read = OPENERS[ending](path, columns, as_written, times)
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
