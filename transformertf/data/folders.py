"""Folders of parquet files, plain or partitioned as `key=value`, to one table for each file."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

# a column that a scan adds: which of the files a row is from
_FILE = "__fragment_index"


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


def read_parts(
    folder: Path, match: Callable[[Sequence[str]], Mapping[str, str]], text: Collection[str]
) -> list[tuple[Path, pd.DataFrame]]:
    """Read the parquet files of a folder in one scan, only the columns that are asked for.

    Args:
        folder: holds at least one parquet file.
        match: takes the columns there are, gives name and column of those to read.
        text: names whose columns stay as the folders write them, where folders give them.

    Returns:
        Each file that has rows, with its table; of a folder without rows one table.
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
    table = source.to_table(columns=[*dict.fromkeys(names.values()), _FILE])
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    number = frame.pop(_FILE).to_numpy()
    frame = pd.DataFrame({name: frame[column] for name, column in names.items()})
    # the scan keeps the order of the files, and of the rows in them
    edges = np.searchsorted(number, np.arange(len(files) + 1))
    order = [Path(path) for path in source.files]
    tables = [
        (order[place], frame.iloc[edges[place] : edges[place + 1]].reset_index(drop=True))
        for place in range(len(files))
        if edges[place + 1] > edges[place]
    ]
    return tables or [(folder, frame)]


def _factory(
    folder: Path, files: Sequence[Path], partitioning: object
) -> ds.FileSystemDatasetFactory:
    options = ds.FileSystemFactoryOptions(str(folder), partitioning)
    return ds.FileSystemDatasetFactory(
        pyarrow.fs.LocalFileSystem(),
        [str(path) for path in files],
        ds.ParquetFileFormat(),
        options,
    )
