"""Folders of parquet files, plain or partitioned as `key=value`, to one table for each file."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

from transformertf.data.slices import PIECE
from transformertf.data.tables import Table


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
