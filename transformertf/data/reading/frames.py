"""What users hold in memory to tables."""

from collections.abc import Collection, Sequence
from contextlib import suppress

import pandas as pd
import pyarrow as pa

from transformertf.data.reading.headers import Renamed, column_key, match_columns, scales
from transformertf.data.reading.tables import Table, to_frame
from transformertf.errors import InputError


def as_frame(given: object, where: str, expected: str = "a DataFrame") -> pd.DataFrame:
    """Return a frame, or a table of Arrow's, of polars or of others that know Arrow, as one.

    Args:
        given: what the user gave.
        where: what it was given to, for messages.
        expected: what it may be, likewise.

    Raises:
        InputError: it is none.
    """
    if isinstance(given, pd.DataFrame):
        return given
    if hasattr(given, "__arrow_c_stream__"):
        with suppress(pa.ArrowException):  # a column alone
            return to_frame(pa.table(given))
    raise InputError(
        f"{where}: expected {expected}, found {type(given).__name__}; give a DataFrame with one "
        "row for each step, its columns as in the training data"
    )


def frame_table(
    frame: pd.DataFrame,
    wanted: Sequence[str],
    optional: Collection[str] = (),
    where: str = "the frame",
    renames: Sequence[Renamed] = (),
) -> Table:
    """Return a table of a frame, with the wanted columns.

    See `match_columns` for how names match its columns.

    Args:
        frame: rows in the order of time; its index is not read.
        wanted: columns to read.
        optional: those of them that need not be there.
        where: its name, for messages.
        renames: columns that have another name in it.

    Raises:
        InputError: a column is missing.
    """
    header = [str(name) for name in frame.columns]
    there = {column_key(name) for name in header}
    index = {column_key(str(name)) for name in frame.index.names}
    for name in wanted:
        if column_key(name) in index - there:
            raise InputError(
                f"{where}: no column {name!r}, which is its index; give frame.reset_index()"
            )
    names = match_columns(wanted, header, where, optional, renames)
    return Table.of_frame(where, frame, names, scales(names, renames))
