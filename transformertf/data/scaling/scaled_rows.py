"""Series to the arrays that batches are gathered from: scaled, row after row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.columns import Columns
from transformertf.data.reading import PIECE, KeepArray, all_finite, keep_in_memory, slices
from transformertf.data.scaling.scaling import Scaling
from transformertf.data.scaling.time_features import calendar_codes
from transformertf.data.scaling.vocabulary import Vocabularies
from transformertf.data.series import AnyArray, FloatArray, IntArray, Series
from transformertf.errors import InputError


@dataclass(frozen=True)
class ScaledRows:
    """All rows of some series, series after series: N rows, S series.

    Attributes:
        columns: roles of the columns.
        offset: (S,) row at which each series begins.
        stretches: rows at which a stretch without a break begins, rising.
        values: (N, features) scaled, in the order of `Columns.features`.
        codes: (N, categories) numbers: known ones, those of the calendar, past ones.
        elapsed: (N,) float64 time since the series' first row, in seconds for datetimes, else in
            the column's unit; None without time.
        static: (S, features) scaled.
        static_codes: (S, categories) numbers.
        statistics: (S,) which statistics each series was scaled with; None where all have the same.
        target: (N,) float64 target in original units; only where a transform takes differences.
        covariate: (N,) float64 what a transform of the target depends on, in original units.
        complete: whether the target is known in every row.
        weights: (N,) weight of each row in the loss, 0 where missing; None where all weigh alike.
    """

    columns: Columns
    offset: IntArray
    stretches: IntArray
    values: AnyArray
    codes: AnyArray
    elapsed: FloatArray | None
    static: AnyArray
    static_codes: IntArray
    statistics: IntArray | None
    target: FloatArray | None
    covariate: FloatArray | None
    complete: bool
    weights: AnyArray | None = None

    @property
    def size(self) -> int:
        """Bytes of what batches are gathered from."""
        columns = (self.values, self.codes, self.elapsed, self.covariate, self.weights)
        return sum(column.nbytes for column in columns if column is not None)

    @property
    def known_categories(self) -> int:
        """How many of the categories are known in the future; they come first."""
        return len(self.columns.known_categories) + len(self.columns.calendar_categories)


def store_series(
    series: Sequence[Series],
    scaling: Scaling,
    vocabularies: Vocabularies,
    dtype: npt.DTypeLike,
    keep: KeepArray = keep_in_memory,
) -> ScaledRows:
    """Scale series and store them.

    Args:
        series: checked series in original units.
        scaling: fitted.
        vocabularies: fitted.
        dtype: type of the scaled values.
        keep: makes the arrays.

    Raises:
        InputError: a value, or a weight, is too large for `dtype`.
    """
    columns = scaling.columns
    lengths = [len(one) for one in series]
    rows = sum(lengths)
    offset = np.cumsum([0, *lengths])[:-1].astype(np.int64)

    def each(write: Callable[[Series, AnyArray], None]) -> Callable[[AnyArray], None]:
        """Return what fills an array series by series."""

        def fill(out: AnyArray) -> None:
            for one, first in zip(series, offset.tolist(), strict=True):
                write(one, out[first : first + len(one)])

        return fill

    def original(name: str) -> FloatArray:
        write = each(partial(_write_original, scaling, name))
        return keep(f"original {name}", (rows,), np.float64, write)

    scaling.warn_unseen(series)
    weighted = bool(series) and all(one.weights is not None for one in series)
    categories = len(columns.categories) + len(columns.calendar_categories)
    statistics = np.array([scaling.statistics_of(one) for one in series], dtype=np.int64)
    static = [scaling.static_features(one, dtype) for one in series]
    static_codes = [vocabularies.static_codes(one) for one in series]
    stretches = [
        first + begin
        for one, first in zip(series, offset.tolist(), strict=True)
        for begin, _ in one.stretches
    ]
    return ScaledRows(
        columns,
        offset,
        np.array(stretches, dtype=np.int64),
        keep("values", (rows, len(columns.features)), dtype, each(scaling.write_features)),
        keep(
            "codes",
            (rows, categories),
            np.int32,
            each(partial(_write_codes, vocabularies, scaling.zone)),
        ),
        keep("elapsed", (rows,), np.float64, each(_write_elapsed)) if columns.has_time else None,
        np.array(static, dtype=dtype).reshape(len(series), -1),
        np.array(static_codes, dtype=np.int64).reshape(len(series), -1),
        statistics if scaling.normalize in ("series", "window") else None,
        original(columns.target) if scaling.has_delta else None,
        None if scaling.target_x is None else original(scaling.target_x),
        all(all_finite(one.values[:, -1]) for one in series),
        keep("weights", (rows,), dtype, each(_write_weights)) if weighted else None,
    )


def _write_original(scaling: Scaling, name: str, series: Series, out: AnyArray) -> None:
    out[:] = scaling.original(series, name)


def _write_weights(series: Series, out: AnyArray) -> None:
    assert series.weights is not None
    for piece in slices(0, len(series), PIECE):
        with np.errstate(over="ignore"):
            out[piece] = np.nan_to_num(series.weights[piece])
        if not np.isfinite(out[piece]).all():
            raise InputError(
                f"series {series.name!r}: a weight of {np.nanmax(series.weights[piece]):g} is too "
                f"large for {out.dtype}; divide all weights by one number, which changes no loss"
            )


def _write_codes(
    vocabularies: Vocabularies, zone: str | None, series: Series, out: AnyArray
) -> None:
    columns = vocabularies.columns
    known = len(columns.known_categories)
    end = known + len(columns.calendar_categories)
    codes = vocabularies.codes(series)
    out[:, :known], out[:, end:] = codes[:, :known], codes[:, known:]
    if columns.calendar_categories:
        assert series.time is not None
        for piece in slices(0, len(series), PIECE):
            fields = columns.calendar_categories
            out[piece, known:end] = calendar_codes(series.time[piece], fields, zone)


def _write_elapsed(series: Series, out: AnyArray) -> None:
    assert series.time is not None
    first = series.time[0]
    for piece in slices(0, len(series), PIECE):
        since = series.time[piece] - first
        dates = isinstance(series.time, pd.DatetimeIndex)
        out[piece] = since.total_seconds() if dates else since.to_numpy()
