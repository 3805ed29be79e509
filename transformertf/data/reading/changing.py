"""Series whose known covariates are others ahead: what if."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from transformertf.data.columns import Columns
from transformertf.data.reading.grouping import Numbering
from transformertf.data.series import AnyArray, Codes, FloatArray, Series
from transformertf.errors import InputError, nearest

# a value for all rows, one for each row, or what makes those of the values that are there
Change = float | str | Sequence[Any] | AnyArray | Callable[[AnyArray], Any]


def check_changes(columns: Columns, changes: Mapping[str, Change]) -> None:
    """Refuse changes of what is not known ahead.

    Raises:
        InputError: names the column, and those that are.
    """
    if not changes:
        raise InputError("what_if: nothing is changed; give a known covariate, as load=0.9")
    for name in changes:
        if name in columns.known_ahead:
            continue
        if name in columns.unknown_ahead or name in (*columns.static, *columns.static_categories):
            what = "is no covariate that is known ahead of time, row by row"
        else:
            what = "is no column of the model"
        hint = nearest(name, columns.known_ahead)
        raise InputError(f"what_if: {name!r} {what}; {hint}")


def change_rows(
    series: Series, columns: Columns, changes: Mapping[str, Change], rows: slice
) -> Series:
    """Return a series with other values of known covariates in some rows.

    Args:
        series: in original units; it stays as it is.
        columns: roles of the columns.
        changes: by column: a value, one for each of the rows, or what makes them of an array of
            those that are there, (rows,) float64, or texts of a category.
        rows: which are changed.

    Raises:
        InputError: values that are none, or of another number.
    """
    values, categories = series.values.copy(order="K"), list(series.categories)
    for name, change in changes.items():
        place = f"what_if: {name!r} of series {series.name!r}"
        if name in columns.categories:
            index = columns.categories.index(name)
            categories[index] = _changed_codes(categories[index], change, rows, name, place)
            continue
        made = _changed(values[rows, columns.values.index(name)], change, place)
        for index, column in enumerate(columns.values):
            if columns.source(column) == name:
                values[rows, index] = _as_numbers(made, place)
    return replace(series, values=values, categories=tuple(categories))


def _changed(before: AnyArray, change: Change, place: str) -> AnyArray:
    """Return the values that a change makes, one for each row."""
    made = np.asarray(change(before.copy()) if callable(change) else change)
    if made.shape not in ((), before.shape):
        raise InputError(
            f"{place}: expected a value, or {len(before)}, one for each step of the horizon; found "
            f"{made.shape[0] if made.ndim == 1 else f'the shape {made.shape}'}"
        )
    return np.broadcast_to(made, before.shape)


def _as_numbers(made: AnyArray, place: str) -> FloatArray:
    try:
        numbers = made.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: expected numbers, found {str(made.flat[0])!r:.60}") from error
    if not np.isfinite(numbers).all():
        raise InputError(f"{place}: {numbers[~np.isfinite(numbers)][0]} is no number to plan with")
    return numbers


def _changed_codes(before: Codes, change: Change, rows: slice, name: str, place: str) -> Codes:
    """Return a categorical column with other values in some rows, which may be new to it."""
    texts = np.array([*before.texts, None], dtype=object)[before.codes[rows]]
    numbering = Numbering(name, "categorical")
    numbering.texts = {text: number for number, text in enumerate(before.texts)}
    made = pd.Series(list(_changed(texts, change, place)), dtype=object).infer_objects()
    codes = before.codes.copy()
    codes[rows] = numbering.number(made, place)
    return Codes(codes, list(numbering.texts))
