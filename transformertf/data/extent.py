"""Numbers too large to work with, told by series, column and row."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from transformertf.data.chains import Chain
from transformertf.data.frames import FloatArray
from transformertf.errors import InputError


def largest(dtype: npt.DTypeLike) -> float:
    """Return the largest scaled value: a sum of many squares of such values fits into the type."""
    return 1e150 if np.dtype(dtype) == np.float64 else 1e16


def refuse_large(
    scaled: FloatArray,
    original: FloatArray,
    dtype: npt.DTypeLike,
    series: str,
    column: str,
    first: int = 0,
) -> None:
    """Refuse scaled values (n,) that are infinite or too large for their type; NaN may be there.

    Args:
        scaled: the values.
        original: (n,) in original units, for the message.
        dtype: type they are kept in.
        series: name of their series.
        column: name of their column.
        first: row of the series at which they begin.
    """
    limit = largest(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        # the quickest test; anything but numbers fails it
        if scaled @ scaled <= limit**2:
            return
    far = np.flatnonzero(np.abs(scaled) > limit)
    if far.size:
        row = int(far[0])
        kind = np.dtype(dtype)
        become = "" if scaled is original else f", {scaled[row]:.3g} once scaled"
        wider = "" if kind == np.float64 else ", or set dtype: float64"
        raise InputError(
            f"series {series!r}: column {column!r} holds {original[row]!s} in row {first + row} of "
            f"the series (counted from 0){become}: too large for {kind}, expected at most "
            f"{limit:g}; correct it, transform the column{wider}"
        )


def refuse_spread(chain: Chain, columns: Iterable[tuple[str, FloatArray]]) -> None:
    """Refuse training values so large that they have no mean or spread in float64.

    Args:
        chain: what was fitted to them.
        columns: name and values (n,) of each series.
    """
    if not np.isfinite([chain.loc, chain.scale]).all():
        for name, values in columns:
            refuse_large(values, values, np.float64, name, chain.name)
