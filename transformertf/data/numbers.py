"""Columns to numbers."""

import numbers
import sys
from decimal import Decimal

import numpy as np
import pandas as pd

from transformertf.data.frames import FloatArray
from transformertf.data.tables import shown
from transformertf.errors import InputError

# what a column of objects may hold, besides missing values, in the words of pandas
REAL_OBJECTS = ("integer", "floating", "mixed-integer-float", "decimal")


def plain(column: pd.Series) -> pd.Series:
    """Return a categorical column as one of its values, any other one as it is."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    values = pd.Series(column.cat.categories).reindex(column.cat.codes).set_axis(column.index)
    values.name = column.name
    return values


def as_numbers(column: pd.Series, where: str, begin: int) -> FloatArray:
    """Return a column as numbers, NaN where one is missing.

    Args:
        column: (n,) numbers or booleans, of whatever type; text is none, even that of a number.
        where: its table, for messages.
        begin: row of the table at which it begins.

    Raises:
        InputError: a value is no number, or does not fit into float64.
    """
    column = plain(column)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    there = column.notna()
    if not there.any():
        return np.full(len(column), np.nan)
    if pd.api.types.infer_dtype(column) in ("boolean", *REAL_OBJECTS):
        try:
            return column.where(there, np.nan).to_numpy(dtype=np.float64)
        except OverflowError:
            large = there & (column.where(there, 0).abs() > sys.float_info.max)
            raise InputError(
                f"{where}: column {column.name!r} holds a number beyond those of float64 in row "
                f"{begin + int(np.argmax(large))} (counted from 0); correct it"
            ) from None
    row = int(np.argmax(no_numbers(column)))
    raise InputError(
        f"{where}: column {column.name!r} must be numeric, found {shown(column.iloc[row])} in row "
        f"{begin + row} (counted from 0); convert the column, name it in categorical_covariates, "
        "or leave it out"
    )


def is_real(column: pd.Series) -> pd.Series:
    """Return which values of a column of objects are numbers, booleans among them."""
    return column.map(lambda value: isinstance(value, numbers.Real | Decimal)).astype(bool)


def no_numbers(column: pd.Series) -> pd.Series:
    """Return which values there are that do not read like numbers; or else, are none."""
    objects, there = column.astype("object"), column.notna()
    words = there & pd.to_numeric(objects, errors="coerce").isna()
    if not words.any():
        words = there & ~is_real(objects)
    return words if words.any() else there
