"""Where forecasts start, as `transformertf predict` has it, for series without gaps."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from transformertf.errors import InputError, nearest
from transformertf.exported.rows import Series

Origin = Literal["auto", "last", "end"]


class Place(NamedTuple):
    """Where a window lies in a series.

    Attributes:
        origin: row of the last context step.
        context: context steps.
        horizon: horizon steps.
    """

    origin: int
    context: int
    horizon: int


def check_origin(origin: str) -> None:
    """Refuse a request for origins that is not known.

    Raises:
        InputError: names it.
    """
    if origin not in get_args(Origin):
        raise InputError(f"origin must not be {origin!r}; {nearest(origin, get_args(Origin))}")


def go_on(series: Series, roles: Mapping[str, Any], horizon: int) -> Series:
    """Return a series with rows for a horizon after its last target, of which nothing is known.

    Raises:
        InputError: something has to be known of them, and is not given.
    """
    lacking = series.observed + horizon - len(series.values)
    names = [
        *roles["known"],
        *roles["known_categories"],
        *([roles["time"]] if roles["time"] else []),
    ]
    if names:
        if series.observed == len(series.values):
            raise InputError(
                f"origin end: {', '.join(names)} of the rows after the last one have to be known, "
                f"which series {series.name!r} does not have; append these rows, without a target"
            )
        return series
    if lacking < 1:
        return series
    values = np.full((lacking, series.values.shape[1]), np.nan)
    codes = np.zeros((lacking, series.codes.shape[1]), dtype=np.int64)
    return series._replace(
        rows=np.concatenate([series.rows, np.full(lacking, -1)]),
        values=np.concatenate([series.values, values]),
        codes=np.concatenate([series.codes, codes]),
    )


def places(series: Series, origin: str, limits: Mapping[str, int]) -> Iterator[Place]:
    """Yield the windows of a series to forecast.

    They are as long as in training where there is room for that; if not, there is one, with a
    shorter context.

    Args:
        series: the series.
        origin: `auto` for one every horizon, or after the last target where rows follow it; `last`
            for the last whole horizon of the rows; `end` for the last target.
        limits: `context`, `horizon` and `min_horizon` in steps.

    Raises:
        InputError: the series is too short.
    """
    rows, context, horizon = len(series.values), limits["context"], limits["horizon"]
    if origin == "end" or (origin == "auto" and series.observed < rows):
        yield _single(series, series.observed - 1, context, horizon)
    elif origin == "last":
        yield _single(series, min(series.observed, rows - horizon) - 1, context, horizon)
    elif rows >= context + horizon:
        for end in range(context, rows - horizon + 1, horizon):
            yield Place(end - 1, context, horizon)
    else:
        # the context shrinks first, down to the one row that is the least
        steps = min(limits["min_horizon"], rows - 1)
        yield _single(series, rows - max(steps, 1) - 1, context, horizon)


def _single(series: Series, origin: int, context: int, horizon: int) -> Place:
    ahead = len(series.values) - 1 - origin
    if origin < 0:
        raise InputError(
            f"rows: series {series.name!r} has {len(series.values)} rows, too few for a row of "
            f"context and a horizon of {horizon}; give more"
        )
    if ahead < 1:
        raise InputError(
            f"rows: series {series.name!r}: nothing to predict after row {origin}: append the rows "
            "of the horizon, with their known covariates and without a target"
        )
    return Place(origin, min(context, origin + 1), min(horizon, ahead))
