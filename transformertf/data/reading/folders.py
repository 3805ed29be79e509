"""Folders of parquet files, whose own folders may be named `key=value`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from transformertf.data.reading.headers import Renamed, match_columns, scales
from transformertf.data.reading.parquet_files import ParquetFile, parquet_columns
from transformertf.data.reading.tables import Table, readable, shown, to_frames
from transformertf.errors import InputError
from transformertf.utils.files import FileState


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


@dataclass(frozen=True)
class _Part:
    """A file of a folder.

    Attributes:
        file: the file.
        own: its columns, by the names they are wanted under.
        told: what the names of its folders say, likewise, as text.
        typed: the same as the type that all folders agree on.
    """

    file: ParquetFile
    own: Mapping[str, str]
    told: Mapping[str, pa.Scalar]
    typed: Mapping[str, pa.Scalar]

    def read(self, names: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of wanted columns; what neither file nor folders have is missing.

        Raises:
            InputError: file and folders do not agree.
        """
        begin = 0
        for table in self.file.read([self.own[name] for name in names if name in self.own]):
            rows = table.num_rows
            for name in names:
                if name in self.own and name in self.told:
                    self._require_same(name, table[self.own[name]], begin)
            yield pa.table(
                {
                    name: pa.repeat(self.typed[name], rows)
                    if name in self.typed
                    else table[self.own[name]]
                    if name in self.own
                    else pa.nulls(rows)
                    for name in names
                }
            )
            begin += rows

    def _require_same(self, name: str, column: pa.ChunkedArray, begin: int) -> None:
        """Refuse values other than what a folder's name says; none at all is no other."""
        told = self.told[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        try:
            same = pc.equal(column, told.cast(column.type)).fill_null(False)
        except pa.ArrowException:  # no value of this type
            same = pa.chunked_array([pa.repeat(False, len(column))])
        other = pc.and_(pc.invert(same), column.is_valid())
        row = pc.index(other, True).as_py()
        if row >= 0:
            raise InputError(
                f"{self.file.path}: column {self.own[name]!r} holds {shown(column[row].as_py())} "
                f"in row {begin + row} (counted from 0), but its folder says {told.as_py()!r}; "
                "rename the folder's key, or the column"
            )


def folder_columns(folder: Path) -> list[str]:
    """Return the names of the columns of the parquet files in a folder, and of its folders' keys.

    Raises:
        InputError: a file cannot be read.
    """
    names: dict[str, None] = {}
    for path in parquet_parts(folder):
        with readable(path, "parquet file"):
            names |= dict.fromkeys([*parquet_columns(path), *_keys(folder, path)])
    return [*names]


def open_parts(
    folder: Path,
    wanted: Sequence[str],
    optional: Collection[str],
    text: Collection[str],
    renames: Sequence[Renamed],
) -> list[Table]:
    """Open the parquet files of a folder, each with the columns of its own and its folders' keys.

    Args:
        folder: holds at least one parquet file.
        wanted: columns to read, which the tables carry under these names.
        optional: those of them that need not be there.
        text: those of them that are names, which stay as the folders write them.
        renames: columns that have another name in the files, or the folders.

    Returns:
        A table for each file that has rows; of a folder without rows one table.

    Raises:
        InputError: a file cannot be read; none has a wanted column.
    """
    files = parquet_parts(folder)
    keys = [_keys(folder, path) for path in files]
    headers, states = [], []
    for path in files:
        with readable(path, "parquet file"):
            states.append(FileState.of(path))
            headers.append(parquet_columns(path))
    own, given = (
        [
            match_columns(wanted, [*part], path, wanted, renames)
            for part, path in zip(of, files, strict=True)
        ]
        for of in (headers, keys)
    )
    found = {name for names in (*own, *given) for name in names}
    there = dict.fromkeys(name for part in (*headers, *keys) for name in part)
    lacking = [name for name in wanted if name not in found]
    match_columns(lacking, [*there], folder, optional)
    told = [
        {name: pa.scalar(part[key], pa.string()) for name, key in names.items()}
        for part, names in zip(keys, given, strict=True)
    ]
    whole = {name: name not in text and _are_whole(name, told) for name in found}
    tables = []
    parts = zip(files, own, given, told, states, strict=True)
    for path, names, keyed, values, state in parts:
        with readable(path, "parquet file"):
            file = ParquetFile(path, [*names.values()], [names[n] for n in text if n in names])
        typed = {
            name: value.cast(pa.int64()) if whole[name] else value for name, value in values.items()
        }
        part = _Part(file, names, values, typed)
        headers_of = {name: name for name in wanted if name in found}
        read, scaled = to_frames(part.read), scales({**keyed, **names}, renames)
        tables.append(
            Table(
                str(path), file.rows, headers_of, read, "parquet file", state=state, scales=scaled
            )
        )
    whole_folder = Table(str(folder), 0, {}, lambda _: iter([]))
    return [table for table in tables if table.rows] or [whole_folder]


def _keys(folder: Path, path: Path) -> dict[str, str | None]:
    """Return what the names of the folders of a file say.

    Raises:
        InputError: they give two values to one key.
    """
    parts = path.relative_to(folder).parts[:-1]
    names = [unquote(part.partition("=")[0]) for part in parts if "=" in part]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: its folders have the key {twice[0]!r} twice; rename one")
    schema = pa.schema([(name, pa.string()) for name in names])
    told: dict[str, str | None] = ds.get_partition_keys(
        ds.HivePartitioning(schema).parse(path.relative_to(folder).as_posix())
    )
    return told


def _are_whole(name: str, told: Sequence[Mapping[str, pa.Scalar]]) -> bool:
    """Whether all that folders' names say of a column are whole numbers."""
    try:
        for values in told:
            if name in values:
                values[name].cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True
