"""What is done to each column: extra transforms, then standardising.

`make_chains` reads what a configuration says of the columns and refuses what has no place;
`refuse_spread` and `refuse_large` refuse values that become too large to compute with.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from transformertf.data.columns import Columns
from transformertf.data.series import FloatArray
from transformertf.data.transform import (
    DeltaTransform,
    StandardScaler,
    TargetTransform,
    TransformCollection,
    make_transform,
)
from transformertf.data.transform.collection import AnyTransform, Array, Piece
from transformertf.errors import InputError, nearest

# what `extra_transforms` calls the time feature
TIME = "__time__"


class Chain:
    """What is done to one column.

    Args:
        name: name of the column.
        extra: its extra transforms, in the order of use.
        standardise: whether a `StandardScaler` comes after them.

    Attributes:
        extra: its extra transforms.
        scaler: what standardises their result; None where nothing does.
    """

    def __init__(self, name: str, extra: Sequence[AnyTransform], standardise: bool) -> None:
        self.name = name
        self.extra = TransformCollection(extra)
        self.scaler = StandardScaler() if standardise else None
        scalers = [] if self.scaler is None else [self.scaler]
        self._whole = TransformCollection([*extra, *scalers])

    @property
    def has_delta(self) -> bool:
        """Whether differences are taken."""
        return any(isinstance(item, DeltaTransform) for item in self.extra.transforms)

    @property
    def loc(self) -> float:
        """What is taken off the result of the extra transforms."""
        return 0.0 if self.scaler is None else self.scaler.mean

    @property
    def scale(self) -> float:
        """What the result of the extra transforms is divided by then."""
        return 1.0 if self.scaler is None else self.scaler.std

    def fit(self, pieces: Callable[[], Iterable[Piece]]) -> None:
        """Forget what was seen and fit to the training rows.

        Args:
            pieces: gives the pieces of the column; called once for each transform that learns.

        Raises:
            InputError: no value is there, or a transform refuses one.
        """
        with naming(f"extra_transforms: column {self.name!r}"):
            self._whole.fit_pieces(pieces)
        if self.scaler is not None and self.scaler.count == 0:
            raise InputError(
                f"column {self.name!r} has no value in the training data to standardise it with; "
                "leave it out"
            )

    def apply_extra(
        self,
        series: str,
        values: Array,
        covariate: Array | None = None,
        start: float | None = None,
    ) -> Array:
        """Return the result of the extra transforms (n,) for rows of a series.

        Args:
            series: name of the series, for messages.
            values: (n,) in original units.
            covariate: (n,) x, where one of them takes x and y.
            start: for differences, the value before the first.
        """
        if not self.extra.transforms:
            return values
        if not self.has_delta:
            start = None
        with naming(f"series {series!r}, column {self.name!r}"):
            if covariate is None:
                return self.extra.transform(values, start=start)
            return self.extra.transform(covariate, values, start=start)

    def takes(self, covariate: FloatArray) -> npt.NDArray[np.bool_]:
        """Return beside which x (n,) a known value is taken."""
        pairs = [item for item in self.extra.transforms if isinstance(item, TargetTransform)]
        taken: npt.NDArray[np.bool_] = np.all([item.takes(covariate) for item in pairs], axis=0)
        return taken

    def state_dict(self) -> dict[str, Any]:
        """Return the fitted state as primitives and tensors."""
        return self._whole.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state.

        Raises:
            InputError: it is that of other transforms.
        """
        with naming(f"extra_transforms: column {self.name!r}"):
            self._whole.load_state_dict(state)


def make_chains(
    columns: Columns,
    extra_transforms: Mapping[str, Any] | None,
    target_depends_on: str | None,
    standardise: bool,
) -> dict[str, Chain]:
    """Return the chain of each real column, static ones included, and of time.

    Args:
        columns: roles of the columns.
        extra_transforms: name of a column, or `TIME`, to what `make_transform` takes, or a list.
        target_depends_on: covariate that a transform of the target takes as x.
        standardise: whether a `StandardScaler` comes after them; never for time.

    Raises:
        InputError: an unknown column, or a transform that has no place where it stands.
    """
    given = {} if extra_transforms is None else extra_transforms
    if not isinstance(given, Mapping):
        raise InputError(
            f"extra_transforms must be a mapping of columns to transforms, found {given!r}"
        )
    _check_names(columns, given)
    chains = {
        name: Chain(name, _parse(columns, name, given.get(name, ())), standardise and name != TIME)
        for name in (*columns.values, *columns.static, TIME)
    }
    _check_target(columns, chains[columns.target].extra, target_depends_on)
    return chains


def refuse_spread(chain: Chain, columns: Iterable[tuple[str, int, FloatArray]]) -> None:
    """Refuse training values so large that they have no mean or spread in float64.

    Args:
        chain: what was fitted to them.
        columns: name of the series, first row and values (n,) of rows of each.
    """
    if not np.isfinite([chain.loc, chain.scale]).all():
        for name, first, values in columns:
            refuse_large(values, values, np.float64, name, chain.name, first)


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


def largest(dtype: npt.DTypeLike) -> float:
    """Return the largest scaled value: a sum of many squares of such values fits into the type."""
    return 1e150 if np.dtype(dtype) == np.float64 else 1e16


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Say at which place an input error arose."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _check_names(columns: Columns, given: Mapping[str, Any]) -> None:
    real = (*columns.values, *columns.static)
    categories = (*columns.categories, *columns.static_categories, *columns.calendar_categories)
    if TIME in real:
        raise InputError(
            f"column {TIME!r} has the name that the time feature has in extra_transforms; rename "
            "the column"
        )
    for name in given:
        if name in real or (name == TIME and columns.has_time):
            continue
        if name == TIME:
            raise InputError(f"extra_transforms: {TIME} needs a time_column, found none")
        if name == columns.time:
            raise InputError(f"extra_transforms: {name!r} is the time column; call it {TIME}")
        if name in categories:
            raise InputError(
                f"extra_transforms: {name!r} is categorical, transforms take numbers; leave it out"
            )
        known = (*real, TIME) if columns.has_time else real
        raise InputError(f"extra_transforms: unknown column {name!r}; {nearest(str(name), known)}")


def _parse(columns: Columns, name: str, spec: Any) -> list[AnyTransform]:
    """Return the transforms of a column, its own copies; of a difference, that comes first.

    Raises:
        InputError: a specification is wrong, or a transform has no place there.
    """
    transforms: list[AnyTransform] = [DeltaTransform()] if name in columns.copies else []
    with naming(f"extra_transforms: {name!r}"):
        for item in spec if isinstance(spec, list | tuple) else [spec]:
            # a transform given as an object may stand at another column, too
            made = copy.deepcopy(make_transform(item))
            transforms += made.transforms if isinstance(made, TransformCollection) else [made]
        for transform in transforms:
            _check_place(columns, name, transform)
        TransformCollection(transforms)
    return transforms


def _check_place(columns: Columns, name: str, transform: AnyTransform) -> None:
    kind = type(transform).__name__
    if isinstance(transform, DeltaTransform):
        if name == TIME:
            raise InputError(f"{kind} has no place here; set time_format: relative instead")
        if name in columns.static:
            raise InputError(f"{kind} takes differences in time, a static column has none")
    pair = isinstance(transform, TargetTransform) and not transform.alone
    if pair and name != columns.target:
        raise InputError(
            f"{kind} takes x and y, which only the target {columns.target!r} has; move it there"
        )


def _check_target(columns: Columns, extra: TransformCollection, covariate: str | None) -> None:
    """Refuse a transform of the target without its covariate, and the other way round."""
    kinds = [type(item).__name__ for item in extra.transforms if isinstance(item, TargetTransform)]
    known = [name for name in columns.known if name not in columns.copies]
    hint = nearest(str(covariate), known) if known else "known_covariates has none"
    if covariate is None:
        if kinds:
            raise InputError(
                f"extra_transforms: {kinds[0]} of the target {columns.target!r} takes a covariate "
                "as x; name it in target_depends_on"
            )
        return
    if covariate in columns.past:
        raise InputError(
            f"target_depends_on: {covariate!r} is known only in the past, but bringing a forecast "
            "back to original units takes its future values; make it one of known_covariates"
        )
    if covariate not in known:
        raise InputError(f"target_depends_on: {covariate!r} is no real known covariate; {hint}")
    if not kinds:
        raise InputError(
            f"target_depends_on is {covariate!r}, but no transform of the target "
            f"{columns.target!r} in extra_transforms takes x and y; add one, as "
            "DivideByXTransform, or leave it out"
        )
    with naming(f"extra_transforms: {columns.target!r}"):
        extra.require_pair()
