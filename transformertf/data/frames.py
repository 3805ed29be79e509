"""Tables to checked series: numeric values, rising time, no gaps where data is needed."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.columns import Columns
from transformertf.data.files import expand_paths, read_table, series_names
from transformertf.errors import InputError

log = logging.getLogger(__name__)

# what may be missing: nothing; the target, and past covariates with it, at the end; the target
# anywhere, or its whole column
Missing = Literal["nothing", "future", "target"]
DownsampleMethod = Literal["interval", "average", "median"]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One checked series in original units.

    Attributes:
        name: the series' name in forecasts.
        values: (rows, columns) float64, in the order of `Columns.values`, target last.
        time: (rows,) time stamps, datetime or number; None without a time column.
        observed: rows up to the last known target; fewer than all rows only at predict.
    """

    name: str
    values: FloatArray
    time: pd.Index | None
    observed: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    @property
    def time_kind(self) -> str | None:
        """What the time stamps are: "date" or "number"; None without a time column."""
        if self.time is None:
            return None
        return "date" if isinstance(self.time, pd.DatetimeIndex) else "number"

    def elapsed(self) -> FloatArray:
        """Return time since the first row, in seconds for datetimes, else in the column's unit."""
        if self.time is None:
            return np.arange(len(self), dtype=np.float64)
        if isinstance(self.time, pd.DatetimeIndex):
            return np.asarray((self.time - self.time[0]).total_seconds(), dtype=np.float64)
        stamps = self.time.to_numpy()
        return np.asarray(stamps - stamps[0], dtype=np.float64)


def read_series(
    spec: str | Sequence[str], argument: str, columns: Columns, *, missing: Missing = "nothing"
) -> list[Series]:
    """Read and check files that hold one series each.

    Args:
        spec: a path, a glob or a list of them.
        argument: name of the argument they were given to, for messages.
        columns: roles of the columns.
        missing: what may be missing, for predict.
    """
    paths = expand_paths(spec, argument)
    wanted = [*columns.values, *([] if columns.time is None else [columns.time])]
    optional = [columns.target] if missing == "target" else []
    return [
        check_frame(read_table(path, wanted, optional), columns, name, str(path), missing=missing)
        for path, name in zip(paths, series_names(paths), strict=True)
    ]


def check_frame(
    frame: pd.DataFrame, columns: Columns, name: str, where: str, *, missing: Missing = "nothing"
) -> Series:
    """Check one table and return it as a series.

    Args:
        frame: holds the columns; the target's may be left out where it may be missing anywhere.
        columns: their roles.
        name: name of the series.
        where: file or name to put first in messages.
        missing: what may be missing.

    Raises:
        InputError: no rows; a column that is not numeric; a missing or infinite value where
            one is needed; time that does not rise.
    """
    if frame.empty:
        raise InputError(f"{where}: no rows")
    if missing == "target" and columns.target not in frame:
        log.warning("%s: no column %r: forecasts come without actuals", where, columns.target)
        frame = frame.assign(**{columns.target: np.nan})
    values = np.column_stack(
        [_as_numbers(frame[column], column, where) for column in columns.values]
    )
    target = values[:, -1]
    observed = len(frame)
    if missing != "nothing":
        known = np.flatnonzero(~np.isnan(target))
        observed = int(known[-1]) + 1 if known.size else 0
    if missing == "future" and observed == 0:
        raise InputError(
            f"{where}: column {columns.target!r} has no value; a forecast needs past values"
        )
    for index, column in enumerate(columns.values):
        needed = values[:, index]
        if missing == "future" and column not in columns.known:
            needed = needed[:observed]
        if missing == "target" and column == columns.target:
            needed = np.where(np.isnan(needed), 0.0, needed)
        _refuse_missing(needed, column, where)
    time = None if columns.time is None else _check_time(frame[columns.time], columns.time, where)
    return Series(name, values, time, observed)


def _as_numbers(column: pd.Series, name: str, where: str) -> FloatArray:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if column.isna().all():
        return np.full(len(column), np.nan)
    numbers = pd.to_numeric(column.astype("object"), errors="coerce")
    bad = np.flatnonzero(numbers.isna() & column.notna())
    row = int(bad[0]) if bad.size else 0
    raise InputError(
        f"{where}: column {name!r} must be numeric, found {column.iloc[row]!r} in row {row} "
        "(counted from 0); convert the column or leave it out"
    )


def _refuse_missing(values: FloatArray, name: str, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if not bad.size:
        return
    what = "missing (NaN)" if np.isnan(values[bad[0]]) else "infinite"
    rows = ", ".join(str(row) for row in bad[:3])
    raise InputError(
        f"{where}: column {name!r} has {bad.size} {what} value{'s' if bad.size > 1 else ''}, "
        f"first in row {rows} (counted from 0); fill or cut those rows"
    )


def _check_time(column: pd.Series, name: str, where: str) -> pd.Index:
    if pd.api.types.is_datetime64_any_dtype(column):
        stamps = column
    elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        stamps = column
        _refuse_missing(column.to_numpy(dtype=np.float64, na_value=np.nan), name, where)
    else:
        with warnings.catch_warnings():
            # pandas warns where it finds no one format; what it cannot read is told below
            warnings.simplefilter("ignore", UserWarning)
            stamps = _parse_time(column)
    bad = np.flatnonzero(stamps.isna())
    if bad.size:
        raise InputError(
            f"{where}: time column {name!r} holds {column.iloc[int(bad[0])]!r} in row {bad[0]} "
            "(counted from 0), expected a time stamp or a number"
        )
    index: pd.Index = pd.Index(stamps)
    if not (index.is_monotonic_increasing and index.is_unique):
        row = int(np.flatnonzero(index[1:] <= index[:-1])[0]) + 1
        raise InputError(
            f"{where}: time column {name!r} does not rise in row {row} (counted from 0): "
            f"{stamps.iloc[row]} after {stamps.iloc[row - 1]}; sort the rows and drop repeats"
        )
    return index


def _parse_time(column: pd.Series) -> pd.Series:
    """Return time stamps of text; in UTC where the text changes its offset."""
    try:
        return pd.to_datetime(column, errors="coerce")
    except ValueError:
        return pd.to_datetime(column, errors="coerce", utc=True)


def share_time(series: Sequence[Series]) -> list[Series]:
    """Return the series with time stamps of one type, so that they fit into one column.

    Raises:
        InputError: there is none, as with numbers beside dates.
    """
    stamps = [item.time[:0] for item in series if item.time is not None]
    if not stamps:
        return list(series)
    common = stamps[0].append(stamps[1:]).dtype
    if common == np.dtype(object):
        kinds = ", ".join(dict.fromkeys(str(item.dtype) for item in stamps))
        raise InputError(
            f"the time columns of the files are of different kinds ({kinds}); give each kind to "
            "a command of its own"
        )
    return [
        replace(item, time=item.time.astype(common)) for item in series if item.time is not None
    ]


def downsample(series: Series, factor: int, method: DownsampleMethod) -> Series:
    """Thin a series to every `factor`-th step.

    "interval" keeps the first row of each block of `factor` rows. "average" and "median"
    summarise each whole block and carry the time stamp of its last row, when the value is
    complete; rows after the last whole block are not used. A block with a missing target has
    a missing target.
    """
    if factor == 1:
        return series
    if method == "interval":
        picked = slice(None, None, factor)
        values = series.values[picked]
        observed = -(-series.observed // factor)
    else:
        blocks = len(series) // factor
        if blocks == 0:
            raise InputError(
                f"series {series.name!r} has {len(series)} rows, fewer than downsample={factor}"
            )
        picked = slice(factor - 1, None, factor)
        summary = np.mean if method == "average" else np.median
        stacked = series.values[: blocks * factor].reshape(blocks, factor, -1)
        values = summary(stacked, axis=1)
        observed = series.observed // factor
    time = None if series.time is None else series.time[picked]
    return Series(series.name, values, time, observed)
